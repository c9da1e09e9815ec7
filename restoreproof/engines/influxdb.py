"""InfluxDB 1.x: full portable backups, restored into a server that nothing can reach."""

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import datetime
from functools import partial
from pathlib import Path

import httpx

from restoreproof.engines.contract import (
    BackupContent,
    BackupContext,
    BackupToRestore,
    Engine,
    Restored,
    SourceContext,
)
from restoreproof.engines.influxdb_client import InfluxClient, InfluxRefused, name
from restoreproof.engines.influxdb_fingerprint import (
    fingerprint,
    retention_policies,
    user_databases,
)
from restoreproof.engines.influxdb_source import (
    InfluxDBSource,
    connect,
    newest_heartbeat,
    probe,
    source_of,
)
from restoreproof.fingerprint import Fingerprint, settled
from restoreproof.images import Image
from restoreproof.outcomes import BackupFailed, RestoreFailed
from restoreproof.references import SourceModel
from restoreproof.sandbox import Sandbox, Sandboxes

PORTABLE = "portable.tar"
SHARD_IS_OPENING = ("shard is disabled", "engine is closed")
MOVED = "changed at the source during the backup; widen source.lateness"
PROBE = "restoreproof_probe"
FOLDER = "/var/tmp/restoreproof"  # noqa: S108  # inside a container of ours alone
# Unpacks every shard to nowhere: a backup that races with a compaction can hold half of one.
TEST_SHARDS = (
    f'find {FOLDER} -name "*.tar.gz" | while read -r shard; do tar -tzf "$shard" || exit 1; done'
)


class RestoredInfluxDB(Restored):
    """An InfluxDB server in its sandbox."""

    def __init__(self, sandbox: Sandbox, client: InfluxClient) -> None:
        self.sandbox = sandbox
        self.client = client
        self.server_version = f"InfluxDB {client.version()}"
        self.identity = str(sandbox.container.id)
        self.isolation = sandbox.isolation
        self.limits = sandbox.limits.describe()
        self.boundary: datetime | None = None

    def answer(self) -> str:
        try:
            databases = user_databases(self.client)
            for database in databases:
                self.sandbox.until(partial(self._shards_answer, database), what=database)
        except (httpx.HTTPError, InfluxRefused) as error:
            self.sandbox.require_running()
            raise RestoreFailed(f"the restored server does not answer: {error}") from None
        return f"read the newest point of every series of {len(databases)} databases"

    def _shards_answer(self, database: str) -> bool:
        """Whether every shard answers: influxd restores first and opens its shards afterwards."""
        try:
            for policy in retention_policies(self.client, database):
                source = f"{name(database, policy)}./.*/"
                self.client.query(f"SELECT LAST(*) FROM {source}", database)
        except InfluxRefused as error:
            if any(words in str(error) for words in SHARD_IS_OPENING):
                return False
            raise
        return True

    def fingerprint(self, expected: Fingerprint) -> Fingerprint:
        assert self.boundary is not None
        try:
            databases = user_databases(self.client)
            return fingerprint(self.client, databases, self.boundary, expected.taken_at)
        except (httpx.HTTPError, InfluxRefused) as error:
            self.sandbox.require_running()
            raise RestoreFailed(f"the restored content cannot be read: {error}") from None

    def newest_heartbeat(self, source: SourceModel) -> datetime | None:
        return newest_heartbeat(self.client, source)

    def access(self, folder: Path) -> tuple[str, ...]:
        host, port = self.sandbox.address or ("localhost", 8086)
        socket = f"--unix-socket {self.sandbox.socket} " if self.sandbox.socket else ""
        name = self.sandbox.container.name
        return (
            f"{self.server_version} in container {name}: {self.isolation}",
            f"ask: curl -G {socket}http://{host}:{port}/query --data-urlencode 'q=SHOW DATABASES'",
            f"or:  docker exec -it {name} influx",
        )

    def write_and_read(self) -> bool:
        """Write a point into a new database and read it back."""
        try:
            self.client.query(f"CREATE DATABASE {name(PROBE)}")
            self.client.write(PROBE, "probe value=1i 1")
            found = self.client.query('SELECT "value" FROM "probe"', PROBE)
            self.client.query(f"DROP DATABASE {name(PROBE)}")
        except (httpx.HTTPError, InfluxRefused) as error:
            raise RestoreFailed(f"the restored server takes no writes: {error}") from None
        return [row[1].text for series in found for row in series.values] == ["1"]


class InfluxDB(Engine[InfluxDBSource]):
    """InfluxDB 1.x."""

    name = "influxdb"
    method = (
        "Number and SHA-256 digest of every point older than the agreed lateness, equal before "
        "and after the backup; newer points by number; fields with types, tags, retention "
        "policies and continuous queries"
    )
    needs_image = True
    covers = frozenset({"data"})
    kinds = frozenset({"full"})
    source_model = InfluxDBSource

    def exclusions(self, source: SourceModel) -> tuple[str, ...]:
        return (
            "users and subscriptions are not in a portable backup",
            "points written or deleted inside the lateness window are only counted",
        )

    def probe(self, context: SourceContext) -> None:
        probe(context)

    def back_up(self, context: BackupContext) -> BackupContent:
        source, image, clock = source_of(context.of), context.of.image, context.of.clock
        assert image is not None
        try:
            with (
                closing(connect(context.of)) as client,
                context.of.sandboxes.tools(image) as tools,
            ):
                databases = source.databases or user_databases(client)
                if not databases:
                    raise BackupFailed("the source holds no database, so nothing can be proven")
                boundary = clock() - source.lateness
                before = fingerprint(client, databases, boundary, clock())
                recovery_point = clock()
                for number, database in enumerate(databases):
                    self._back_up_database(context, tools, database, number)
                tested = tools.run(["sh", "-c", TEST_SHARDS])
                if tested.exit_code != 0:
                    raise BackupFailed(f"influxd backup left half a shard: {tested.complaint}")
                with context.artifact(PORTABLE) as sink:
                    stream = tools.stream(["tar", "-C", FOLDER, "-cf", "-", "."])
                    for chunk in stream:
                        sink.write(chunk)
                    if stream.result().exit_code != 0:
                        raise BackupFailed(f"tar: {stream.result().complaint}")
                after = fingerprint(client, databases, boundary, clock())
                version = client.version()
        except (httpx.HTTPError, InfluxRefused) as error:
            raise BackupFailed(f"the source refused: {error}") from None
        return BackupContent(
            recovery_point=recovery_point,
            fingerprint=Fingerprint.of(
                before.method, before.taken_at, settled(before.items, after.items, MOVED)
            ),
            source_version=f"InfluxDB {version}",
            source_identity=context.of.text(source.url),
            facts={"databases": "\n".join(databases), "boundary": boundary.isoformat()},
        )

    def newest_heartbeat(self, context: SourceContext) -> datetime | None:
        with closing(connect(context)) as client:
            return newest_heartbeat(client, context.source)

    @contextmanager
    def provision(
        self,
        source: SourceModel,
        image: Image | None,
        sandboxes: Sandboxes,
        full: BackupToRestore | None = None,
    ) -> Iterator[Restored]:
        assert image is not None

        def environment(socket: str | None) -> Mapping[str, str]:
            return {
                "INFLUXDB_REPORTING_DISABLED": "true",
                # The estate's retention would delete restored points while they are proven.
                "INFLUXDB_RETENTION_ENABLED": "false",
                "INFLUXDB_CONTINUOUS_QUERIES_ENABLED": "false",
                "INFLUXDB_MONITOR_STORE_ENABLED": "false",
            } | (
                {
                    "INFLUXDB_HTTP_UNIX_SOCKET_ENABLED": "true",
                    "INFLUXDB_HTTP_BIND_SOCKET": socket,
                }
                if socket
                else {}
            )

        with (
            sandboxes.server(
                image,
                command=lambda _: (),
                environment=environment,
                socket_name="influxdb.sock",
                port=8086,
            ) as sandbox,
            closing(_client_of(sandbox)) as client,
        ):
            sandbox.until(lambda: _answers(client), what="the InfluxDB server")
            yield RestoredInfluxDB(sandbox, client)

    def load(self, restored: Restored, backup: BackupToRestore) -> None:
        assert isinstance(restored, RestoredInfluxDB)
        restored.boundary = datetime.fromisoformat(backup.facts["boundary"])
        unpack = f"mkdir -p {FOLDER} && tar -C {FOLDER} -xf -"
        unpacked = restored.sandbox.run(["sh", "-c", unpack], feed=backup.read(PORTABLE))
        if unpacked.exit_code != 0:
            raise RestoreFailed(f"tar: {unpacked.complaint}")
        for number, database in enumerate(backup.facts["databases"].split("\n")):
            command = ["influxd", "restore", "-portable", "-db", database, f"{FOLDER}/{number}"]
            done = restored.sandbox.run(command)
            if done.exit_code != 0 and not self._is_empty(restored, database, number):
                restored.sandbox.require_running()
                raise RestoreFailed(f"influxd restore of {database}: {done.complaint}")

    @staticmethod
    def _is_empty(restored: RestoredInfluxDB, database: str, number: int) -> bool:
        """Whether a database without any shard came back.

        influxd 1.6 creates it and then complains that nothing changed, since it counts shards.
        """
        shards = ["sh", "-c", f"ls {FOLDER}/{number}/*.tar.gz"]
        has_shards = restored.sandbox.run(shards).exit_code == 0
        return not has_shards and database in user_databases(restored.client)

    def _back_up_database(
        self, context: BackupContext, tools: Sandbox, database: str, number: int
    ) -> None:
        address = context.of.text(source_of(context.of).backup)
        folder = f"{FOLDER}/{number}"
        command = [
            "influxd",
            "backup",
            "-portable",
            "-host",
            address,
            "-database",
            database,
            folder,
        ]
        done = tools.run(command)
        if done.exit_code != 0:
            raise BackupFailed(f"influxd backup of {database}: {done.complaint}")


def _client_of(sandbox: Sandbox) -> InfluxClient:
    if sandbox.socket is not None:
        return InfluxClient.over_socket(sandbox.socket)
    assert sandbox.address is not None
    host, port = sandbox.address
    return InfluxClient.over_network(f"http://{host}:{port}")


def _answers(client: InfluxClient) -> bool:
    try:
        return bool(client.version())
    except httpx.HTTPError:
        return False


engine = InfluxDB()
