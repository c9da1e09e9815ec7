"""How a policy names a MySQL server, and whether it can be backed up."""

from contextlib import closing
from datetime import UTC, datetime
from typing import Any

import pymysql
from pydantic import BaseModel, ConfigDict
from pymysql.connections import Connection

from restoreproof.engines.contract import SourceContext
from restoreproof.engines.mysql_connection import (
    QualifiedTable,
    connect,
    quoted,
    refusal,
    user_databases,
    value,
)
from restoreproof.engines.mysql_dialect import SUPPORTED, UnknownSeries, dialect, spoken, unfit
from restoreproof.engines.mysql_health import ApplicationProbe
from restoreproof.engines.mysql_image import version_in
from restoreproof.engines.mysql_privileges import missing_privileges
from restoreproof.engines.mysql_server_files import ServerFilesSource
from restoreproof.errors import SourceUnavailable
from restoreproof.references import Secret, SourceModel

NO_INCREMENTS = "increments of MariaDB are not supported yet"


class Heartbeat(BaseModel):
    """A table to which the estate writes one row a beat, and the column with its UTC time."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    table: QualifiedTable
    column: str


class MySQLSource(SourceModel):
    """How to reach the server; without ``databases`` all but the server's own are taken.

    ``accounts`` says whether users, roles and their privileges are backed up too;
    ``probe_query`` is what a restored server has to do to be of use to the application.
    ``configuration`` and ``logs`` say where the server's files can be read.
    """

    host: str
    port: int | str = 3306
    user: str
    password: Secret
    databases: tuple[str, ...] = ()
    accounts: bool = True
    heartbeat: Heartbeat | None = None
    probe_query: ApplicationProbe | None = None
    configuration: ServerFilesSource | None = None
    logs: ServerFilesSource | None = None


def probe(context: SourceContext) -> None:
    """Raise SourceUnavailable if the source cannot be backed up."""
    with closing(connect_source(context)) as connection:
        where = f"component {context.component}"
        _require_support(context, str(value(connection, "SELECT VERSION()")))
        missing = set(source_of(context).databases) - set(user_databases(connection))
        if missing:
            what = f"no database {', '.join(sorted(missing))} at the source"
            mend = "correct source.databases in the policy, or grant this user SELECT on it"
            raise SourceUnavailable(what, where=where, mend=mend)
        lacking = missing_privileges(
            connection,
            source_of(context).databases,
            accounts=source_of(context).accounts,
            binary_log=has_binary_log(connection),
            increments=context.increments,
        )
        if lacking:
            what = f"the backup user lacks {', '.join(lacking)}"
            mend = f"grant it; {spoken(connection).grants_file} grants what is needed"
            raise SourceUnavailable(what, where=where, mend=mend)


def _require_support(context: SourceContext, version: str) -> None:
    """Raise UserError unless the source's backups can be made, and restored into the image."""
    where = f"component {context.component}"
    try:
        increments = dialect(version).increments
    except UnknownSeries as unknown:
        mend = f"supported are {SUPPORTED}"
        raise SourceUnavailable(f"the source is {unknown}", where=where, mend=mend) from None
    if context.increments and not increments:
        mend = "leave out schedule.incremental of this component"
        raise SourceUnavailable(NO_INCREMENTS, where=where, mend=mend)
    assert context.image is not None
    image = version_in(context.image, context.sandboxes)
    if reason := unfit(version, image):
        mend = "name an image of the source's own series"
        what = f"image {context.image.reference}: {reason}"
        raise SourceUnavailable(what, where=where, mend=mend)


def connect_source(context: SourceContext) -> "Connection[Any]":
    """A connection to the source. Raise SourceUnavailable or SecretMissing."""
    source = source_of(context)
    host, port = _address(context)
    server = f"MySQL server {host}:{port}"
    user, password = context.text(source.user), context.secret(source.password)
    try:
        return connect(user, password, host=host, port=port)
    except pymysql.MySQLError as error:
        raise refusal(error, where=f"component {context.component}", server=server) from None


def source_options(context: SourceContext) -> bytes:
    """An option file with which client tools reach the source."""
    source = source_of(context)
    host, port = _address(context)
    user, password = context.text(source.user), context.secret(source.password)
    return options_file(user=user, password=password, host=host, port=port)


def source_of(context: SourceContext) -> MySQLSource:
    """The source section of a component of this engine."""
    assert isinstance(context.source, MySQLSource)
    return context.source


def has_binary_log(connection: "Connection[Any]") -> bool:
    """Whether the server writes a binary log."""
    return bool(value(connection, "SELECT @@GLOBAL.log_bin"))


def _address(context: SourceContext) -> tuple[str, int]:
    source = source_of(context)
    port = context.text(str(source.port))
    if not port.isdecimal():
        mend = "give a number, or a variable that holds one"
        where = f"component {context.component}"
        raise SourceUnavailable(f"source.port is {port!r}, no port", where=where, mend=mend)
    return context.text(source.host), int(port)


def options_file(**options: str | int) -> bytes:
    """An option file of MySQL's clients: the only way for a password that shows nowhere."""
    lines = ["[client]"]
    for name, option in options.items():
        escaped = str(option).replace("\\", "\\\\").replace('"', '\\"')
        lines.append(f'{name}="{escaped}"')
    return ("\n".join(lines) + "\n").encode()


def newest_heartbeat(connection: "Connection[Any]", source: SourceModel) -> datetime | None:
    """The newest heartbeat of a server; None if there is none or the source names none."""
    assert isinstance(source, MySQLSource)
    if source.heartbeat is None:
        return None
    table = quoted(*source.heartbeat.table.split("."))
    try:
        newest = value(connection, f"SELECT MAX({quoted(source.heartbeat.column)}) FROM {table}")
    except pymysql.MySQLError:
        return None
    return newest.replace(tzinfo=UTC) if isinstance(newest, datetime) else None
