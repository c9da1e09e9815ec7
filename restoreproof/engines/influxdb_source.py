"""How a policy names an InfluxDB 1.x server, and whether it can be backed up."""

import socket
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
from pydantic import BaseModel, ConfigDict

from restoreproof.durations import Duration
from restoreproof.engines.contract import SourceContext
from restoreproof.engines.influxdb_client import InfluxClient, InfluxRefused, name
from restoreproof.engines.influxdb_fingerprint import user_databases
from restoreproof.engines.server_files import ServerFilesSource
from restoreproof.errors import SourceUnavailable
from restoreproof.references import Secret, SourceModel, Writer
from restoreproof.storage import write_once


class Heartbeat(BaseModel):
    """A measurement to which the estate writes one point a beat, with the beat's own time.

    With a ``writer`` it is ours alone, and ``restoreproof heartbeat`` writes to it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    database: str
    measurement: str
    writer: Writer | None = None


class InfluxDBSource(SourceModel):
    """How to reach the server: its HTTP address and its backup port.

    ``lateness`` is how late a point may arrive: windows that closed before it are compared
    exactly. ``overlap`` is how far back from there an increment exports by time; where older
    points changed, it takes their whole shard. Without ``databases`` all but the server's own are
    taken. ``configuration`` says where influxdb.conf is.
    """

    url: str
    backup: str
    user: str = ""
    password: Secret | None = None
    databases: tuple[str, ...] = ()
    lateness: Duration = timedelta(minutes=5)
    overlap: Duration = timedelta(hours=1)
    heartbeat: Heartbeat | None = None
    configuration: ServerFilesSource | None = None


def source_of(context: SourceContext) -> InfluxDBSource:
    """The source section of a component of this engine."""
    assert isinstance(context.source, InfluxDBSource)
    return context.source


def connect(context: SourceContext) -> InfluxClient:
    """A client of the source. Raise SecretMissing."""
    source = source_of(context)
    password = context.secret(source.password) if source.password else ""
    return InfluxClient.over_network(context.text(source.url), context.text(source.user), password)


def reach_source(context: SourceContext, folder: Path) -> dict[str, str]:
    """The variables of a policy's commands: host and port of the backup port, user, password."""
    source = source_of(context)
    host, _, port = context.text(source.backup).rpartition(":")
    known = {"host": host, "port": port, "user": context.text(source.user)}
    if source.password:
        path = folder / "password"
        write_once(path, f"{context.secret(source.password)}\n".encode(), mode=0o600)
        known["password_file"] = str(path)
    return known


def probe(context: SourceContext) -> None:
    """Raise SourceUnavailable if the source cannot be backed up."""
    where = f"component {context.component}"
    with closing(connect(context)) as client:
        try:
            version = client.version()
            found: tuple[str, ...] = ()
            if version.startswith("1."):
                found = user_databases(client)
                # Shards and users are told to administrators alone.
                client.query("SHOW USERS")
        except httpx.HTTPError as error:
            url = context.text(source_of(context).url)
            mend = "start the server, or correct source.url in the policy"
            raise SourceUnavailable(
                f"InfluxDB at {url} cannot be reached: {error}", where=where, mend=mend
            ) from None
        except InfluxRefused as error:
            mend = "give a user WITH ALL PRIVILEGES and the password in the policy's source section"
            raise SourceUnavailable(
                f"InfluxDB refused the user: {error}", where=where, mend=mend
            ) from None
    if not version.startswith("1."):
        mend = "audit InfluxDB 1.x; other versions are not supported yet"
        what = f"the source is InfluxDB {version or 'of an unknown version'}"
        raise SourceUnavailable(what, where=where, mend=mend)
    missing = set(source_of(context).databases) - set(found)
    if missing:
        what = f"no database {', '.join(sorted(missing))} at the source"
        mend = "correct source.databases in the policy"
        raise SourceUnavailable(what, where=where, mend=mend)
    _probe_backup_port(context)


def _probe_backup_port(context: SourceContext) -> None:
    address = context.text(source_of(context).backup)
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


def newest_heartbeat(client: InfluxClient, source: SourceModel) -> datetime | None:
    """The newest heartbeat of a server; None if there is none or the source names none."""
    assert isinstance(source, InfluxDBSource)
    if source.heartbeat is None:
        return None
    statement = f"SELECT * FROM {name(source.heartbeat.measurement)} ORDER BY time DESC LIMIT 1"
    try:
        found = client.query(statement, source.heartbeat.database)
    except (httpx.HTTPError, InfluxRefused):
        return None
    for series in found:
        nanoseconds = int(series.values[0][series.columns.index("time")].text)
        return datetime.fromtimestamp(nanoseconds // 1000 / 1_000_000, UTC)
    return None
