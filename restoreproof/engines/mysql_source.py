"""How a policy names a MySQL server, and whether it can be backed up."""

from contextlib import closing
from datetime import UTC, datetime
from typing import Any, Literal, Self

import pymysql
from pydantic import BaseModel, ConfigDict, model_validator
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
from restoreproof.engines.mysql_privileges import missing_privileges
from restoreproof.errors import SourceUnavailable
from restoreproof.references import Secret, SourceModel


class Heartbeat(BaseModel):
    """A table to which the estate writes one row a beat, and the column with its UTC time."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    table: QualifiedTable
    column: str


class MySQLSource(SourceModel):
    """How to reach the server; without ``databases`` all but the server's own are taken.

    ``accounts`` says whether users, roles and their privileges are backed up too, ``method``
    how full backups are made: as statements with mysqldump or as files with the CLONE plugin.
    """

    host: str
    port: int | str = 3306
    user: str
    password: Secret
    databases: tuple[str, ...] = ()
    accounts: bool = True
    method: Literal["dump", "clone"] = "dump"
    heartbeat: Heartbeat | None = None

    @model_validator(mode="after")
    def _clones_are_whole(self) -> Self:
        if self.method == "clone" and self.databases:
            raise ValueError("method clone copies every database; leave out databases")
        return self


def probe(context: SourceContext) -> None:
    """Raise SourceUnavailable if the source cannot be backed up."""
    with closing(connect_source(context)) as connection:
        where = f"component {context.component}"
        version = str(value(connection, "SELECT VERSION()"))
        if "mariadb" in version.lower():
            mend = "audit MySQL 8.0 or later; MariaDB is not supported yet"
            raise SourceUnavailable(f"the source is {version}", where=where, mend=mend)
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
            clone=source_of(context).method == "clone",
        )
        if lacking:
            what = f"the backup user lacks {', '.join(lacking)}"
            mend = "grant it; fixtures/agama/mysql/backup-user.sql grants what is needed"
            raise SourceUnavailable(what, where=where, mend=mend)


def connect_source(context: SourceContext) -> "Connection[Any]":
    """A connection to the source. Raise SourceUnavailable or SecretMissing."""
    source = source_of(context)
    host, port = address(context)
    server = f"MySQL server {host}:{port}"
    user, password = context.text(source.user), context.secret(source.password)
    try:
        return connect(user, password, host=host, port=port)
    except pymysql.MySQLError as error:
        raise refusal(error, where=f"component {context.component}", server=server) from None


def source_options(context: SourceContext) -> bytes:
    """An option file with which client tools reach the source."""
    source = source_of(context)
    host, port = address(context)
    user, password = context.text(source.user), context.secret(source.password)
    return options_file(user=user, password=password, host=host, port=port)


def source_of(context: SourceContext) -> MySQLSource:
    """The source section of a component of this engine."""
    assert isinstance(context.source, MySQLSource)
    return context.source


def has_binary_log(connection: "Connection[Any]") -> bool:
    """Whether the server writes a binary log."""
    return bool(value(connection, "SELECT @@GLOBAL.log_bin"))


def address(context: SourceContext) -> tuple[str, int]:
    """Host and port of the source. Raise SourceUnavailable if the port is none."""
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
