"""How a policy names a MySQL server, and whether it can be backed up."""

import ssl
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, Self

import pymysql
from pydantic import BaseModel, ConfigDict, model_validator
from pymysql.connections import Connection

from restoreproof.engines.contract import Clock, SourceContext
from restoreproof.engines.mysql_connection import (
    QualifiedTable,
    connect,
    quoted,
    refusal,
    user_databases,
    value,
)
from restoreproof.engines.mysql_dialect import SUPPORTED, UnknownSeries, dialect, spoken, unfit
from restoreproof.engines.mysql_dump import OPTIONS_FILE
from restoreproof.engines.mysql_health import ApplicationProbe
from restoreproof.engines.mysql_image import dialect_of, version_in
from restoreproof.engines.mysql_privileges import missing_privileges
from restoreproof.engines.server_files import ServerFilesSource
from restoreproof.errors import SourceUnavailable, UserError
from restoreproof.references import Secret, SourceModel, Writer
from restoreproof.sandbox import Sandbox

AUTHORITIES_FILE = "/run/restoreproof/ca.pem"


class Heartbeat(BaseModel):
    """A table to which the estate writes one row a beat, and the column with its UTC time.

    With a ``writer`` it is ours alone, and ``restoreproof heartbeat`` writes to it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    table: QualifiedTable
    column: str
    writer: Writer | None = None


class Encryption(BaseModel):
    """That the connection has to be encrypted, and how the server proves who it is.

    ``ca`` is a PEM file with the authorities to trust, relative to the policy; without it the
    server proves nothing. ``identity`` says whether its certificate must bear the host's name.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    ca: str | None = None
    identity: bool = True

    def options(self, family: str) -> dict[str, str | int]:
        """Options that make a family's client tools keep to it."""
        if family == "MariaDB":
            # Its tools verify the host's name together with the authority, or neither.
            return {"ssl": 1, "ssl-verify-server-cert": int(bool(self.ca) and self.identity)}
        if self.ca is None:
            return {"ssl-mode": "REQUIRED"}
        return {"ssl-mode": "VERIFY_IDENTITY" if self.identity else "VERIFY_CA"}


class ServerContainer(BaseModel):
    """The container in which the server runs, by its name at the container engine."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    container: str


class MySQLSource(SourceModel):
    """How to reach the server; without ``databases`` all but the server's own are taken.

    ``accounts`` says whether users, roles and their privileges are backed up too, ``method``
    how full backups are made: as statements with mysqldump or as files, of MySQL with the CLONE
    plugin and of MariaDB with mariadb-backup, which is run where ``data`` says that the files are.
    ``probe_query`` is what a restored server has to do to be of use to the application.
    ``join_as_replica`` has the audit try whether the newest recovery point, restored once more
    into a server with a way to the network, can join the source as a replica.
    ``configuration`` and ``logs`` say where the server's files can be read. Without ``tls`` a
    connection is encrypted where the server can, as MySQL's own clients do.
    """

    host: str
    port: int | str = 3306
    user: str
    password: Secret
    tls: Encryption | None = None
    databases: tuple[str, ...] = ()
    accounts: bool = True
    method: Literal["dump", "physical", "clone"] = "dump"
    data: ServerContainer | None = None
    heartbeat: Heartbeat | None = None
    probe_query: ApplicationProbe | None = None
    join_as_replica: bool = False
    configuration: ServerFilesSource | None = None
    logs: ServerFilesSource | None = None

    @property
    def physical(self) -> bool:
        """Whether full backups are the server's files; ``clone`` names MySQL's way alone."""
        return self.method != "dump"

    @model_validator(mode="after")
    def _copies_are_whole(self) -> Self:
        if self.physical and self.databases:
            raise ValueError(f"method {self.method} copies every database; leave out databases")
        return self

    @model_validator(mode="after")
    def _replicas_are_whole(self) -> Self:
        if self.join_as_replica and (self.databases or not self.accounts):
            raise ValueError("a replica holds all; leave out databases and accounts: false")
        return self


def probe(context: SourceContext) -> None:
    """Raise SourceUnavailable if the source cannot be backed up."""
    with closing(connect_source(context)) as connection:
        where = f"component {context.component}"
        _require_support(context, str(value(connection, "SELECT VERSION()")))
        if context.increments and not has_binary_log(connection):
            what = "the policy wants increments and the source writes no binary log"
            mend = "set log_bin at the source, or leave schedule.incremental out of the policy"
            raise SourceUnavailable(what, where=where, mend=mend)
        if context.increments and source_of(context).databases:
            what = "increments hold all databases, and source.databases names some"
            mend = "leave out source.databases, or schedule.incremental and schedule.continuous"
            raise SourceUnavailable(what, where=where, mend=mend)
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
            physical=source_of(context).physical,
            join=source_of(context).join_as_replica,
        )
        if lacking:
            what = f"the backup user lacks {', '.join(lacking)}"
            mend = f"grant it; {spoken(connection).grants_file} grants what is needed"
            raise SourceUnavailable(what, where=where, mend=mend)


def _require_support(context: SourceContext, version: str) -> None:
    """Raise UserError unless the source's backups can be made, and restored into the image."""
    where = f"component {context.component}"
    try:
        dialect(version)
    except UnknownSeries as unknown:
        mend = f"supported are {SUPPORTED}"
        raise SourceUnavailable(f"the source is {unknown}", where=where, mend=mend) from None
    assert context.image is not None
    image = version_in(context.image, context.sandboxes)
    if reason := unfit(version, image):
        mend = "name an image of the source's own series"
        what = f"image {context.image.reference}: {reason}"
        raise SourceUnavailable(what, where=where, mend=mend)


def connect_source(context: SourceContext) -> "Connection[Any]":
    """A connection to the source. Raise SourceUnavailable or SecretMissing."""
    source = source_of(context)
    return connect_as(context, context.text(source.user), context.secret(source.password))


def connect_as(context: SourceContext, user: str, password: str) -> "Connection[Any]":
    """A connection to the source as some user. Raise SourceUnavailable or SecretMissing."""
    host, port = address(context)
    server = f"MySQL server {host}:{port}"
    try:
        return connect(user, password, host=host, port=port, encryption=_encryption(context))
    except pymysql.MySQLError as error:
        raise refusal(error, where=f"component {context.component}", server=server) from None


def place_source_options(tools: Sandbox, context: SourceContext) -> None:
    """Give client tools all that they need to reach the source, in files and no argument."""
    source = source_of(context)
    host, port = address(context)
    user, password = context.text(source.user), context.secret(source.password)
    options: dict[str, str | int] = {}
    if source.tls is not None:
        assert context.image is not None
        options |= source.tls.options(dialect_of(context.image, context.sandboxes).family)
    if trusted := authorities(context):
        tools.place(AUTHORITIES_FILE, trusted.encode())
        options["ssl-ca"] = AUTHORITIES_FILE
    # To the tools localhost is a Unix socket, of which their container has none.
    options |= {"host": host, "port": port, "protocol": "tcp"}
    content = options_file(user=user, password=password, **options)
    tools.place(OPTIONS_FILE, content)


def source_of(context: SourceContext) -> MySQLSource:
    """The source section of a component of this engine."""
    assert isinstance(context.source, MySQLSource)
    return context.source


def has_binary_log(connection: "Connection[Any]") -> bool:
    """Whether the server writes a binary log."""
    return bool(value(connection, "SELECT @@GLOBAL.log_bin"))


def _encryption(context: SourceContext) -> ssl.SSLContext | None:
    wanted = source_of(context).tls
    if wanted is None:
        return None
    found = authorities(context)
    where = f"component {context.component}"
    try:
        encryption = ssl.create_default_context(cadata=found)
    except (ssl.SSLError, ValueError):
        mend = "give a PEM file with the authority that signed the server's certificate"
        raise UserError(
            f"source.tls.ca {wanted.ca}: no certificate in it", where=where, mend=mend
        ) from None
    # The certificates that a MySQL server makes for itself are not to the letter.
    encryption.verify_flags &= ~ssl.VERIFY_X509_STRICT
    encryption.check_hostname = bool(found) and wanted.identity
    if not found:
        encryption.verify_mode = ssl.CERT_NONE
    return encryption


def authorities(context: SourceContext) -> str | None:
    """The certificates by which the policy tells the source, in PEM. Raise UserError."""
    wanted = source_of(context).tls
    if wanted is None or wanted.ca is None:
        return None
    path = context.folder / context.text(wanted.ca)
    try:
        return path.read_text(encoding="ascii")
    except (OSError, ValueError) as error:
        raise UserError(
            f"source.tls.ca {path} cannot be read: {getattr(error, 'strerror', None) or 'no PEM'}",
            where=f"component {context.component}",
            mend="give a PEM file with the authority that signed the server's certificate",
        ) from None


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


def clock_ahead(connection: "Connection[Any]", clock: Clock) -> timedelta:
    """How far the server's clock is ahead of ours; negative if it is behind."""
    asked = clock()
    told: datetime = value(connection, "SELECT UTC_TIMESTAMP(6)")
    # Between question and answer, half of the way there.
    return told.replace(tzinfo=UTC) - asked - (clock() - asked) / 2


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
