"""InfluxDB 1.x: full portable backups, restored into a server that nothing can reach."""

import socket
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial

import httpx
from pydantic import BaseModel, ConfigDict

from restoreproof.durations import Duration
from restoreproof.engines.contract import (
    BackupContent,
    BackupContext,
    BackupToRestore,
    Engine,
    Restored,
    SourceContext,
)
from restoreproof.engines.influxdb_client import InfluxClient, InfluxRefused, name
from restoreproof.engines.influxdb_fingerprint import fingerprint, settled, user_databases
from restoreproof.errors import SourceUnavailable
from restoreproof.fingerprint import Fingerprint
from restoreproof.images import Image
from restoreproof.outcomes import BackupFailed, RestoreFailed
from restoreproof.references import Secret, SourceModel
from restoreproof.sandbox import Sandbox, Sandboxes

PORTABLE = "portable.tar"
SHARD_IS_OPENING = "shard is disabled"
PROBE = "restoreproof_probe"
FOLDER = "/var/tmp/restoreproof"  # noqa: S108  # inside a container of ours alone
UNAUTHORIZED = (401, 403)
# Unpacks every shard to nowhere: a backup that races with a compaction can hold half of one.
TEST_SHARDS = (
    f'find {FOLDER} -name "*.tar.gz" | while read -r shard; do tar -tzf "$shard" || exit 1; done'
)


class Heartbeat(BaseModel):
    """A measurement to which the estate writes one point a beat, with the beat's own time."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    database: str
    measurement: str


class InfluxDBSource(SourceModel):
    """How to reach the server: its HTTP address and its backup port.

    ``lateness`` is how late a point may arrive: windows that closed before it are compared
    exactly. Without ``databases`` all but the server's own are taken.
    """

    url: str
    backup: str
    user: str = ""
    password: Secret | None = None
    databases: tuple[str, ...] = ()
    lateness: Duration = timedelta(minutes=5)
    heartbeat: Heartbeat | None = None


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
            raise RestoreFailed(f"the restored server does not answer: {error}") from None
        return f"read the newest point of every series of {len(databases)} databases"

    def _shards_answer(self, database: str) -> bool:
        """Whether every shard answers: influxd restores first and opens its shards afterwards."""
        try:
            self.client.query("SELECT LAST(*) FROM /.*/", database)
        except InfluxRefused as error:
            if SHARD_IS_OPENING in str(error):
                return False
            raise
        return True

    def fingerprint(self, expected: Fingerprint) -> Fingerprint:
        assert self.boundary is not None
        databases = user_databases(self.client)
        return fingerprint(self.client, databases, self.boundary, expected.taken_at)

    def newest_heartbeat(self, source: SourceModel) -> datetime | None:
        return _newest_heartbeat(self.client, source)

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
    not_covered = (
        "users and subscriptions are not in a portable backup",
        "points written or deleted inside the lateness window are only counted",
    )
    source_model = InfluxDBSource

    def probe(self, context: SourceContext) -> None:
        where = f"component {context.component}"
        with closing(self._client(context)) as client:
            try:
                version = client.version()
                found = user_databases(client) if version.startswith("1.") else ()
            except httpx.HTTPError as error:
                url = context.text(_source(context).url)
                mend = "start the server, or correct source.url in the policy"
                raise SourceUnavailable(
                    f"InfluxDB at {url} cannot be reached: {error}", where=where, mend=mend
                ) from None
            except InfluxRefused as error:
                mend = "correct user and password in the policy's source section"
                raise SourceUnavailable(
                    f"InfluxDB refused the login: {error}", where=where, mend=mend
                ) from None
        if not version.startswith("1."):
            mend = "audit InfluxDB 1.x; other versions are not supported yet"
            what = f"the source is InfluxDB {version or 'of an unknown version'}"
            raise SourceUnavailable(what, where=where, mend=mend)
        missing = set(_source(context).databases) - set(found)
        if missing:
            what = f"no database {', '.join(sorted(missing))} at the source"
            mend = "correct source.databases in the policy"
            raise SourceUnavailable(what, where=where, mend=mend)
        self._probe_backup_port(context)

    def back_up(self, context: BackupContext) -> BackupContent:
        source, image, clock = _source(context.of), context.of.image, context.of.clock
        assert image is not None
        try:
            with (
                closing(self._client(context.of)) as client,
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
            fingerprint=settled(before, after),
            source_version=f"InfluxDB {version}",
            source_identity=context.of.text(source.url),
            facts={"databases": "\n".join(databases), "boundary": boundary.isoformat()},
        )

    def newest_heartbeat(self, context: SourceContext) -> datetime | None:
        with closing(self._client(context)) as client:
            return _newest_heartbeat(client, context.source)

    @contextmanager
    def provision(
        self, source: SourceModel, image: Image | None, sandboxes: Sandboxes
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
        address = context.of.text(_source(context.of).backup)
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
        tested = tools.run(["sh", "-c", TEST_SHARDS])
        if tested.exit_code != 0:
            raise BackupFailed(
                f"influxd backup of {database} left half a shard: {tested.complaint}"
            )

    def _probe_backup_port(self, context: SourceContext) -> None:
        address = context.text(_source(context).backup)
        host, _, port = address.rpartition(":")
        try:
            socket.create_connection((host, int(port)), timeout=10).close()
        except (OSError, ValueError) as error:
            mend = "set bind-address in influxdb.conf so that it can be reached from here"
            raise SourceUnavailable(
                f"the backup port {address} does not answer: {error}",
                where=f"component {context.component}",
                mend=mend,
            ) from None

    def _client(self, context: SourceContext) -> InfluxClient:
        source = _source(context)
        password = context.secret(source.password) if source.password else ""
        url = context.text(source.url)
        return InfluxClient.over_network(url, context.text(source.user), password)


def _source(context: SourceContext) -> InfluxDBSource:
    assert isinstance(context.source, InfluxDBSource)
    return context.source


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


def _newest_heartbeat(client: InfluxClient, source: SourceModel) -> datetime | None:
    assert isinstance(source, InfluxDBSource)
    if source.heartbeat is None:
        return None
    statement = f"SELECT * FROM {name(source.heartbeat.measurement)} ORDER BY time DESC LIMIT 1"
    found = client.query(statement, source.heartbeat.database)
    for series in found:
        nanoseconds = int(series.values[0][series.columns.index("time")].text)
        return datetime.fromtimestamp(nanoseconds // 1000 / 1_000_000, UTC)
    return None


engine = InfluxDB()
