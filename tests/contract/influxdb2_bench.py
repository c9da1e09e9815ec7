"""An InfluxDB 2.x source with a vault: backups, chains and restores, and a look at each."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from secrets import token_hex
from time import time_ns
from typing import Any

from influxdb2_source import SHORT, TORTURE, InfluxDB2Torture, source
from sources import provider

from restoreproof import damage_influxdb, engines
from restoreproof.clock import system_clock
from restoreproof.damage import Change, VaultCopy
from restoreproof.jobs import run_job
from restoreproof.restore import RestoreAttempt, Target, restoring
from restoreproof.sandbox import Sandboxes
from restoreproof.vault import StoredBackup, Vault

OLD = 1_500_000_000 * 10**9
SHARDS: dict[str, Change] = {
    "shard file missing": damage_influxdb.drop_points,
    "shard file cut in half": damage_influxdb.cut_points,
    "shard archive truncated": damage_influxdb.truncate,
}


class Bench:
    """The server with a vault: backups, chains and restores."""

    def __init__(self, torture: InfluxDB2Torture, place: Path) -> None:
        self.torture = torture
        self.engine = engines.load("influxdb2")
        self.sandboxes = Sandboxes(f"influxdb2-{token_hex(4)}")
        self.vault = Vault(str(place / "vault"))
        self.vault.prepare()
        self._place = place

    def stored(
        self,
        base: StoredBackup | None = None,
        of: Any = None,
        coverage: frozenset[str] = frozenset({"data"}),
    ) -> StoredBackup:
        """A backup that was made and stored."""
        context = replace(self.torture.context(self.sandboxes, of), coverage=coverage)
        result = run_job(self.engine, context, self.vault, "test", base)
        assert result.backup is not None, result.problem
        return result.backup

    @contextmanager
    def restored(
        self, backup: StoredBackup, vault: Vault | None = None
    ) -> Iterator[RestoreAttempt]:
        """Restore a backup, with the chain that it stands on."""
        population = (vault or self.vault).backups("torture")
        target = Target("torture", backup, True, population)
        source, image = self.torture.good, self.torture.image
        with restoring(target, self.engine, source, image, self.sandboxes, system_clock) as done:
            yield done

    def copy(self) -> VaultCopy:
        """A copy of the vault, for damaging."""
        number = len(list(self._place.iterdir()))
        return VaultCopy.of(self.vault.root, self._place / f"copy-{number}")


@contextmanager
def bench(place: Path) -> Iterator[Bench]:
    """The torture source."""
    provider("influxdb2")
    for name in ("source", "bench"):
        (place / name).mkdir()
    with source(place / "source") as torture:
        yield Bench(torture, place / "bench")


def three(bench: Bench) -> list[StoredBackup]:
    """A full backup and two increments: late points, deletions, a new bucket's first points."""
    torture = bench.torture
    links = [bench.stored()]
    torture.write(TORTURE, f"late v=1i {OLD + 5}\nsame,h=z a=2i 1600000000000000000")
    links.append(bench.stored(links[-1]))
    delete(torture.client, torture.home, TORTURE, 'series" AND n="3')
    torture.write(SHORT, f"v v=77i {time_ns() - 5 * 10**9}")
    links.append(bench.stored(links[-1]))
    return links


def delete(client: Any, organization: str, bucket: str, measurement: str) -> None:
    """Delete points of a measurement through the API."""
    path = f"/api/v2/delete?orgID={organization}&bucket={bucket}"
    asked = {
        "start": "1970-01-01T00:00:00Z",
        "stop": "2100-01-01T00:00:00Z",
        "predicate": f'_measurement="{measurement}"',
    }
    client.post(path, asked)


def same(copy: VaultCopy, stored: StoredBackup) -> StoredBackup:
    return next(one for one in copy.vault.backups("torture") if one.id == stored.id)


def differences(done: RestoreAttempt) -> list[str]:
    assert done.restored is not None, done.failure
    return [str(one) for one in done.comparison.differences]


def content(backup: StoredBackup, artifact: str) -> bytes:
    (described,) = (one for one in backup.manifest().artifacts if one.name == artifact)
    return b"".join(backup.read(described))
