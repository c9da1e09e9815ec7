"""A small InfluxDB estate with a vault of its own, and one sandbox to try many backups in.

A fault costs what loading costs: the sandbox is emptied between two restores and not started
anew. Everything else is as in an audit.
"""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
from mysql_bench import Verdict
from testcontainers.core.container import DockerContainer

from restoreproof import images
from restoreproof.clock import system_clock
from restoreproof.damage import VaultCopy
from restoreproof.demo.servers import address, publish, wait_until
from restoreproof.engines.contract import BackupToRestore, Restored, SourceContext
from restoreproof.engines.influxdb import InfluxDB
from restoreproof.engines.influxdb_client import InfluxClient, name
from restoreproof.engines.influxdb_fingerprint import user_databases
from restoreproof.engines.influxdb_restored import RestoredInfluxDB
from restoreproof.engines.influxdb_source import InfluxDBSource
from restoreproof.execution import engine_trouble
from restoreproof.images import Image
from restoreproof.jobs import JobResult, run_job
from restoreproof.references import SourceModel
from restoreproof.resources import folder
from restoreproof.restore import RestoreAttempt, Target, restoring
from restoreproof.sandbox import Sandboxes
from restoreproof.vault import StoredBackup, Vault

CONFIGURATION = folder("fixtures") / "agama" / "influxdb" / "influxdb.conf"
CONFIGURED = "/etc/influxdb/influxdb.conf"
PORTABLE, METADATA, KNOWN = "portable.tar.zst", "metadata.json.zst", "known.json.zst"


@dataclass(frozen=True)
class Server:
    """A living source: its addresses and a client."""

    url: str
    backup: str
    client: InfluxClient = field(repr=False)
    container: DockerContainer = field(repr=False)

    def run(self, *statements: str, database: str = "") -> None:
        """Run statements one by one."""
        for statement in statements:
            self.client.query(statement, database)

    def write(self, database: str, *lines: str, policy: str = "") -> None:
        """Write points, and wait until they are acknowledged."""
        target = {"db": database, "rp": policy, "precision": "ns"}
        content = "\n".join(lines).encode()
        with httpx.Client(trust_env=False) as client:
            client.post(f"{self.url}/write", params=target, content=content).raise_for_status()

    def source(self, **other: Any) -> InfluxDBSource:
        """The server as a policy names it."""
        known = {"url": self.url, "backup": self.backup, "lateness": "1s", "overlap": "1m"}
        return InfluxDBSource.model_validate(known | other)


@contextmanager
def server() -> Iterator[Server]:
    """A server that asks for no password."""
    container = DockerContainer(image().reference)
    container.with_copy_into_container(CONFIGURATION, CONFIGURED)
    publish(container, (8086, 8088), Sandboxes("bench").labels("source"))
    with engine_trouble(), container:
        host, port = address(container, 8086)
        backup = ":".join(map(str, address(container, 8088)))
        url = f"http://{host}:{port}"
        with closing(InfluxClient.over_network(url)) as client:
            made = Server(url, backup, client, container)
            wait_until(lambda: _answers(client), container, what="the InfluxDB server")
            yield made


def image() -> Image:
    """InfluxDB as Debian packages it."""
    return images.ensure("restoreproof/influxdb:1.6", lambda _: None)


def ago(**length: float) -> int:
    """An instant so long ago, in nanoseconds since 1970."""
    at = datetime.now(UTC) - timedelta(**length)
    return int(at.timestamp()) * 1_000_000_000


class OneSandbox(InfluxDB):
    """The engine, but every restore goes into the same server, emptied before."""

    def __init__(self, restored: RestoredInfluxDB) -> None:
        self._restored = restored

    @contextmanager
    def provision(
        self,
        source: SourceModel,
        image: Image | None,
        sandboxes: Sandboxes,
        full: BackupToRestore | None = None,
    ) -> Iterator[Restored]:
        client = self._restored.client
        for database in user_databases(client):
            client.query(f"DROP DATABASE {name(database)}")
        for series in client.query("SHOW USERS"):
            for row in series.values:
                client.query(f"DROP USER {name(row[0])}")
        self._restored.layout, self._restored.position = None, ""
        self._restored.content = None
        yield self._restored


class Bench:
    """A source with its vault, and the restores of what lies there."""

    def __init__(self, made: Server, place: Path, restored: RestoredInfluxDB | None = None) -> None:
        self.server = made
        self.sandboxes = Sandboxes("bench")
        self.place = place
        self.vault = Vault(str(place / "vault"))
        self.vault.prepare()
        self.engine: Any = InfluxDB() if restored is None else OneSandbox(restored)

    def context(self, **changes: Any) -> SourceContext:
        """What a job is handed."""
        made = SourceContext(
            "influxdb", self.server.source(), image(), self.place, self.sandboxes, system_clock
        )
        return replace(made, **changes)

    def job(self, base: StoredBackup | None = None, **changes: Any) -> JobResult:
        """Run a job, whatever comes of it."""
        return run_job(InfluxDB(), self.context(**changes), self.vault, "test", base)

    def store(self, base: StoredBackup | None = None, **changes: Any) -> StoredBackup:
        """Run a job that has to succeed."""
        result = self.job(base, **changes)
        assert result.backup is not None, result.problem
        return result.backup

    def copy(self) -> VaultCopy:
        """A copy of the vault, for damaging."""
        number = len(list(self.place.iterdir()))
        return VaultCopy.of(self.vault.root, self.place / f"copy-{number}")

    def verdict(self, backup: StoredBackup, vault: Vault | None = None) -> Verdict:
        """Restore a backup and compare it, as an audit does."""
        with self.restored(backup, vault) as attempt:
            if attempt.failure:
                return Verdict(attempt.failed_in, attempt.failure)
            comparison = attempt.comparison
            assert comparison.undecided == ()
            assert comparison.examined > 0
            return Verdict(differences=tuple(map(str, comparison.differences)))

    @contextmanager
    def restored(
        self, backup: StoredBackup, vault: Vault | None = None
    ) -> Iterator[RestoreAttempt]:
        """Restore a backup and keep it until the block ends."""
        population = (vault or self.vault).backups("influxdb")
        same = next(one for one in population if one.id == backup.id)
        target = Target("influxdb", same, newest=False, population=population)
        source = self.server.source()
        with restoring(
            target, self.engine, source, image(), self.sandboxes, system_clock
        ) as attempt:
            yield attempt


@contextmanager
def bench(place: Path) -> Iterator[Bench]:
    """A source and a sandbox that all restores go into."""
    sandboxes = Sandboxes("bench-restored")
    with server() as made, InfluxDB().provision(made.source(), image(), sandboxes) as restored:
        assert isinstance(restored, RestoredInfluxDB)
        yield Bench(made, place, restored)


def _answers(client: InfluxClient) -> bool:
    try:
        return bool(client.version())
    except httpx.HTTPError:
        return False
