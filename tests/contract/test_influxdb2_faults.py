"""InfluxDB 2.x: chains of backups, faults in them and in what came back, each seen by its name."""

import json
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from secrets import randbits, token_hex
from time import time_ns
from typing import Any

import pytest
from influxdb2_source import EMPTY, SHORT, STRANGE, TORTURE, InfluxDB2Torture, source
from sources import provider

from restoreproof import damage_influxdb, engines
from restoreproof.clock import system_clock
from restoreproof.damage import Change, VaultCopy
from restoreproof.engines import influxdb2_backup
from restoreproof.engines.influxdb2_restored import RestoredInfluxDB2
from restoreproof.jobs import run_job
from restoreproof.restore import RestoreAttempt, Target, restoring
from restoreproof.sandbox import Sandboxes
from restoreproof.vault import StoredBackup, Vault

OLD = 1_500_000_000 * 10**9
SEED = randbits(32)


class Bench:
    """The server with a vault: backups, chains and restores."""

    def __init__(self, torture: InfluxDB2Torture, place: Path) -> None:
        self.torture = torture
        self.engine = engines.load("influxdb2")
        self.sandboxes = Sandboxes(f"influxdb2-{token_hex(4)}")
        self.vault = Vault(str(place / "vault"))
        self.vault.prepare()
        self._place = place

    def stored(self, base: StoredBackup | None = None, of: Any = None) -> StoredBackup:
        """A backup that was made and stored."""
        context = self.torture.context(self.sandboxes, of)
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


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """The torture source."""
    provider("influxdb2")
    with source(tmp_path_factory.mktemp("source")) as torture:
        yield Bench(torture, tmp_path_factory.mktemp("bench"))


@pytest.fixture(scope="module")
def chain(bench: Bench) -> list[StoredBackup]:
    """A full backup and two increments: late points, deletions, a new bucket's first points."""
    torture = bench.torture
    links = [bench.stored()]
    torture.write(TORTURE, f"late v=1i {OLD + 5}\nsame,h=z a=2i 1600000000000000000")
    links.append(bench.stored(links[-1]))
    _delete(torture.client, torture.home, TORTURE, 'series" AND n="3')
    torture.write(SHORT, f"v v=77i {time_ns() - 5 * 10**9}")
    links.append(bench.stored(links[-1]))
    return links


def _delete(client: Any, organization: str, bucket: str, measurement: str) -> None:
    """Delete points of a measurement through the API."""
    path = f"/api/v2/delete?orgID={organization}&bucket={bucket}"
    asked = {
        "start": "1970-01-01T00:00:00Z",
        "stop": "2100-01-01T00:00:00Z",
        "predicate": f'_measurement="{measurement}"',
    }
    client.post(path, asked)


def _same(copy: VaultCopy, stored: StoredBackup) -> StoredBackup:
    return next(one for one in copy.vault.backups("torture") if one.id == stored.id)


def _differences(done: RestoreAttempt) -> list[str]:
    assert done.restored is not None, done.failure
    return [str(one) for one in done.comparison.differences]


def test_a_chain_comes_back_as_the_source_was(bench: Bench, chain: list[StoredBackup]) -> None:
    """Late points, deleted ones and new ones: the end of the chain is equal, and its middle."""
    for link in chain[1:]:
        with bench.restored(link) as done:
            assert _differences(done) == []
            assert done.comparison.equal, done.comparison.undecided
    stored = [{one.name for one in link.manifest().artifacts} for link in chain]
    shards = [{name for name in names if name.endswith(".tar.zst")} for names in stored]
    assert shards[1] and shards[1] < shards[0] | shards[1]
    assert len(shards[1]) < len(shards[0])


def test_exported_lines_come_back(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every shard as line protocol: all types and times are equal, also where retention is."""
    read = influxdb2_backup._read_archive
    monkeypatch.setattr(influxdb2_backup, "_read_archive", lambda *of: (read(*of)[0], False))
    backup = bench.stored()
    assert any(one.name.endswith(".lines.zst") for one in backup.manifest().artifacts)
    with bench.restored(backup) as done:
        assert _differences(done) == []


def test_an_increment_that_was_left_out_is_missed(bench: Bench, chain: list[StoredBackup]) -> None:
    """A chain without its middle is not restored, though its end claims to stand on the full."""
    copy = bench.copy()
    first, _, last = (_same(copy, link) for link in chain)
    copy.restate(last, base=first.id)
    with bench.restored(_same(copy, last), copy.vault) as done:
        assert done.restored is None
        assert "as it has to be" in done.failure


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (damage_influxdb.cut_points, "points home/torture."),
        (damage_influxdb.flip_bit(SEED), "points home/torture."),
        (damage_influxdb.truncate, "points home/torture."),
    ],
    ids=["files cut in half", "a flipped bit", "a truncated archive"],
)
def test_a_damaged_shard_is_seen(
    bench: Bench, chain: list[StoredBackup], change: Change, named: str
) -> None:
    """A shard that was damaged before it was hashed is refused, or its points differ."""
    copy = bench.copy()
    copy.rewrite(_same(copy, chain[0]), bench.torture.artifact, change)
    with bench.restored(_same(copy, chain[0]), copy.vault) as done:
        if done.restored is None:
            assert "shard 1" in done.failure
            return
        assert [one for one in _differences(done) if one.startswith(named)], f"seed {SEED}"


def test_a_shard_that_was_left_out_is_seen(bench: Bench, chain: list[StoredBackup]) -> None:
    """Neither its file nor its name is in the backup: its points are missing."""
    copy = bench.copy()
    backup = _same(copy, chain[0])
    described = backup.manifest()
    (shard,) = [one for one in described.artifacts if one.name == bench.torture.artifact]
    rest = tuple(one for one in described.artifacts if one is not shard)
    copy.restate(backup, artifacts=rest)
    with bench.restored(_same(copy, backup), copy.vault) as done:
        assert done.restored is None
        assert "no backup of the chain holds shard 1" in done.failure
    known = json.loads(described.position)
    del known["1"]
    copy.restate(_same(copy, backup), position=json.dumps(known))
    with bench.restored(_same(copy, backup), copy.vault) as done:
        assert [
            one for one in _differences(done) if one.startswith("points home/torture.kinds: is")
        ]


def test_metadata_of_another_backup_is_seen(bench: Bench, chain: list[StoredBackup]) -> None:
    """A key-value store from before the increment: the new shard has no place there."""
    copy = bench.copy()
    first = _same(copy, chain[0])
    old = next(one for one in first.manifest().artifacts if one.name == "metadata.bolt.zst")
    content = b"".join(first.read(old))
    torture = bench.torture
    made = {"orgID": torture.home, "name": f"made later {token_hex(2)}"}
    bucket = torture.client.post("/api/v2/buckets", made)
    try:
        torture.write(bucket["id"], "new v=1i 1")
        everything = torture.named()
        later = bench.stored(of=everything)
    finally:
        torture.client.delete(f"/api/v2/buckets/{bucket['id']}")
    copy = bench.copy()
    copy.rewrite(_same(copy, later), "metadata.bolt.zst", lambda _: content)
    with bench.restored(_same(copy, later), copy.vault) as done:
        if done.restored is None:
            assert "does not take shard" in done.failure
        else:
            assert f"bucket home/{made['name']}: is missing" in " ".join(_differences(done))


def _ulp(restored: RestoredInfluxDB2, home: str) -> None:
    restored.client.write(home, TORTURE, [b"kinds,t=a f=1.5000000000000002 1600000000000000001"])


def _as_float(restored: RestoredInfluxDB2, home: str) -> None:
    _delete(restored.client, home, TORTURE, "same")
    restored.client.write(home, TORTURE, [b"same,h=x a=1 1600000000000000000"])


def _shorter(restored: RestoredInfluxDB2, home: str) -> None:
    _keep(restored, SHORT, 6 * 24 * 3600)


def _for_ever_no_more(restored: RestoredInfluxDB2, home: str) -> None:
    _keep(restored, EMPTY, 24 * 3600)


def _keep(restored: RestoredInfluxDB2, name: str, seconds: int) -> None:
    (bucket,) = restored.client.get("/api/v2/buckets", name=name)["buckets"]
    rules = [{"type": "expire", "everySeconds": seconds, "shardGroupDurationSeconds": 3600}]
    restored.client.change(f"/api/v2/buckets/{bucket['id']}", {"retentionRules": rules})


def _lose(path: str, key: str, **which: str) -> Callable[[RestoredInfluxDB2, str], None]:
    def lose(restored: RestoredInfluxDB2, home: str) -> None:
        found = restored.client.listed(path, key, orgID=home)
        (one,) = [
            one for one in found if all(one.get(name) == text for name, text in which.items())
        ]
        scope = f"?orgID={home}" if path.endswith("dbrps") else ""
        restored.client.delete(f"{path}/{one['id']}{scope}")

    return lose


LOSSES: list[tuple[Callable[[RestoredInfluxDB2, str], None], str]] = [
    (_ulp, "points home/torture.kinds: other content"),
    (
        lambda restored, home: _delete(restored.client, home, TORTURE, 'series" AND n="7'),
        "points home/torture.series: another count",
    ),
    (_as_float, "field home/torture.same.a (long): is missing"),
    (_shorter, f"retention home/{SHORT}: another count"),
    (_for_ever_no_more, f"retention home/{EMPTY}: another count"),
    (_lose("/api/v2/tasks", "tasks", name="a mean"), "task home/a mean"),
    (_lose("/api/v2/dashboards", "dashboards"), "dashboard home/what there is"),
    (_lose("/api/v2/variables", "variables", name="which"), "variable home/which"),
    (_lose("/api/v2/dbrps", "content", database="old"), "database mapping home/old"),
    (
        _lose("/api/v2/authorizations", "authorizations", description="a reader"),
        "authorization home/a reader",
    ),
    (_lose("/api/v2/buckets", "buckets", name=STRANGE), f"bucket home/{STRANGE}: is missing"),
]


def test_every_loss_in_the_copy_is_seen_by_name(bench: Bench, chain: list[StoredBackup]) -> None:
    """One value by an ulp, a series, a type, a retention, a task, a token: each is a difference."""
    losses = LOSSES.copy()
    random.Random(SEED).shuffle(losses)
    with bench.restored(chain[0]) as done:
        restored = done.restored
        assert isinstance(restored, RestoredInfluxDB2), done.failure
        assert done.manifest is not None
        expected = done.manifest.fingerprint
        assert restored.fingerprint(expected).items
        seen: set[str] = set()
        for lose, named in losses:
            lose(restored, bench.torture.home)
            done.__dict__.pop("comparison", None)
            found = {one for one in _differences(done) if one.startswith(named)} - seen
            assert found, (named, f"seed {SEED}")
            seen |= found
    assert len(seen) >= len(losses)
