"""MySQL: logical full backups with mysqldump, restored into a server that nothing can reach."""

import secrets
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pymysql
from pydantic import BaseModel, ConfigDict
from pymysql.connections import Connection

from restoreproof.engines.contract import (
    BackupContent,
    BackupContext,
    BackupToRestore,
    Engine,
    Restored,
    SourceContext,
)
from restoreproof.engines.mysql_connection import (
    QualifiedTable,
    connect,
    quoted,
    refusal,
    rows,
    user_databases,
    value,
)
from restoreproof.engines.mysql_dump import OPTIONS_FILE, dump, fingerprint
from restoreproof.engines.mysql_fingerprint import gtid_executed
from restoreproof.errors import SourceUnavailable
from restoreproof.fingerprint import Fingerprint
from restoreproof.images import Image
from restoreproof.outcomes import BackupFailed, RestoreFailed
from restoreproof.references import Secret, SourceModel
from restoreproof.sandbox import Sandbox, Sandboxes

DUMP = "dump.sql"
SANDBOX_OPTIONS = (
    "--skip-log-bin",
    "--gtid-mode=ON",
    "--enforce-gtid-consistency=ON",
    # Events of the estate would change the restored data.
    "--event-scheduler=OFF",
    # A dump is hostile input: it may read and write no file.
    "--local-infile=OFF",
    "--secure-file-priv=NULL",
    "--loose-mysqlx=OFF",
    "--skip-name-resolve",
    "--max-allowed-packet=1G",
    # Nothing in a sandbox outlives it, so nothing has to survive a crash. The report says so.
    "--innodb-flush-log-at-trx-commit=0",
    "--skip-innodb-doublewrite",
)
RELAXED = "durability relaxed: no flush at commit, no doublewrite"


class Heartbeat(BaseModel):
    """A table to which the estate writes one row a beat, and the column with its UTC time."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    table: QualifiedTable
    column: str


class MySQLSource(SourceModel):
    """How to reach the server; without ``databases`` all but the server's own are taken."""

    host: str
    port: int | str = 3306
    user: str
    password: Secret
    databases: tuple[str, ...] = ()
    heartbeat: Heartbeat | None = None


class RestoredMySQL(Restored):
    """A MySQL server in its sandbox."""

    def __init__(self, sandbox: Sandbox, connection: "Connection[Any]") -> None:
        self.sandbox = sandbox
        self.connection = connection
        self.server_version = str(value(connection, "SELECT VERSION()"))
        self.identity = str(value(connection, "SELECT @@GLOBAL.server_uuid"))
        self.isolation = sandbox.isolation
        self.limits = f"{sandbox.limits.describe()}; {RELAXED}"

    @property
    def position(self) -> str:
        """The restored server's executed GTID set."""
        return gtid_executed(self.connection)

    def answer(self) -> str:
        try:
            tables = rows(
                self.connection,
                "SELECT table_schema, table_name FROM information_schema.tables"
                " WHERE table_type = 'BASE TABLE' AND table_schema NOT IN"
                " ('mysql', 'sys', 'performance_schema') ORDER BY 1, 2",
            )
            for table in tables:
                rows(self.connection, f"SELECT * FROM {quoted(*table)} LIMIT 1")
        except pymysql.MySQLError as error:
            raise RestoreFailed(f"the restored server does not answer: {error.args[-1]}") from None
        return f"read a row of each of {len(tables)} tables"

    def fingerprint(self, expected: Fingerprint) -> Fingerprint:
        databases = user_databases(self.connection)
        return fingerprint(self.connection, databases, expected.taken_at)

    def newest_heartbeat(self, source: SourceModel) -> datetime | None:
        return _newest_heartbeat(self.connection, source)


class MySQL(Engine[MySQLSource]):
    """MySQL 8.0 and later."""

    name = "mysql"
    method = (
        "Row count and SHA-256 digest of every table, taken in the dump's own snapshot, and the "
        "definition of every database, table, view, trigger, routine and event"
    )
    needs_image = True
    covers = frozenset({"data"})
    kinds = frozenset({"full"})
    not_covered = (
        "users, roles and grants are not in the backup",
        "FLOAT columns: mysqldump keeps six digits; a lossy one is reported as other content",
    )
    source_model = MySQLSource

    def probe(self, context: SourceContext) -> None:
        with closing(self._connect(context)) as connection:
            where = f"component {context.component}"
            version = str(value(connection, "SELECT VERSION()"))
            if "mariadb" in version.lower():
                mend = "audit MySQL 8.0 or later; MariaDB is not supported yet"
                raise SourceUnavailable(f"the source is {version}", where=where, mend=mend)
            missing = set(_source(context).databases) - set(user_databases(connection))
            if missing:
                what = f"no database {', '.join(sorted(missing))} at the source"
                mend = "correct source.databases in the policy, or grant this user SELECT on it"
                raise SourceUnavailable(what, where=where, mend=mend)

    def back_up(self, context: BackupContext) -> BackupContent:
        source = _source(context.of)
        image = context.of.image
        assert image is not None
        try:
            with (
                closing(self._connect(context.of)) as connection,
                context.of.sandboxes.tools(image) as tools,
                context.artifact(DUMP) as sink,
            ):
                databases = source.databases or user_databases(connection)
                if not databases:
                    raise BackupFailed("the source holds no database, so nothing can be proven")
                tools.place(OPTIONS_FILE, self._options(context.of))
                done = dump(
                    partial(self._connect, context.of),
                    tools,
                    databases,
                    sink,
                    context.of.clock,
                    binary_log=bool(value(connection, "SELECT @@GLOBAL.log_bin")),
                )
                version = str(value(connection, "SELECT VERSION()"))
                identity = str(value(connection, "SELECT @@GLOBAL.server_uuid"))
        except pymysql.MySQLError as error:
            raise BackupFailed(f"the source refused: {error.args[-1]}") from None
        return BackupContent(
            recovery_point=done.taken_at,
            position=done.position,
            fingerprint=done.fingerprint,
            source_version=version,
            source_identity=identity,
            facts={
                "databases": ", ".join(databases),
                "lock_seconds": f"{done.lock_seconds:.3f}",
            },
        )

    def newest_heartbeat(self, context: SourceContext) -> datetime | None:
        with closing(self._connect(context)) as connection:
            return _newest_heartbeat(connection, context.source)

    @contextmanager
    def provision(
        self, source: SourceModel, image: Image | None, sandboxes: Sandboxes
    ) -> Iterator[Restored]:
        assert image is not None
        password = secrets.token_urlsafe(24)

        def command(socket: str | None) -> tuple[str, ...]:
            return (*([f"--socket={socket}"] if socket else []), *SANDBOX_OPTIONS)

        with sandboxes.server(
            image,
            command=command,
            environment=lambda _: {"MYSQL_ROOT_PASSWORD": password},
            socket_name="mysqld.sock",
            port=3306,
        ) as sandbox:
            sandbox.until(lambda: _answers(sandbox, password), what="the MySQL server")
            sandbox.place(OPTIONS_FILE, _options_file(user="root", password=password))
            with closing(_connect_to(sandbox, password)) as connection:
                yield RestoredMySQL(sandbox, connection)

    def load(self, restored: Restored, backup: BackupToRestore) -> None:
        assert isinstance(restored, RestoredMySQL)
        socket = value(restored.connection, "SELECT @@GLOBAL.socket")
        command = (
            "mysql",
            f"--defaults-extra-file={OPTIONS_FILE}",
            f"--socket={socket}",
            # Without it the client would obey commands such as \! inside the dump.
            "--binary-mode",
            "--default-character-set=utf8mb4",
        )
        loaded = restored.sandbox.run(command, feed=backup.read(DUMP))
        if loaded.exit_code != 0:
            raise RestoreFailed(f"mysql: {loaded.complaint}")

    def _connect(self, context: SourceContext) -> "Connection[Any]":
        source = _source(context)
        host, port = _address(context)
        server = f"MySQL server {host}:{port}"
        user, password = context.text(source.user), context.secret(source.password)
        try:
            return connect(user, password, host=host, port=port)
        except pymysql.MySQLError as error:
            raise refusal(error, where=f"component {context.component}", server=server) from None

    def _options(self, context: SourceContext) -> bytes:
        source = _source(context)
        host, port = _address(context)
        user, password = context.text(source.user), context.secret(source.password)
        return _options_file(user=user, password=password, host=host, port=port)


def _source(context: SourceContext) -> MySQLSource:
    assert isinstance(context.source, MySQLSource)
    return context.source


def _address(context: SourceContext) -> tuple[str, int]:
    source = _source(context)
    port = context.text(str(source.port))
    if not port.isdecimal():
        mend = "give a number, or a variable that holds one"
        where = f"component {context.component}"
        raise SourceUnavailable(f"source.port is {port!r}, no port", where=where, mend=mend)
    return context.text(source.host), int(port)


def _options_file(**options: str | int) -> bytes:
    """An option file of MySQL's clients: the only way for a password that shows nowhere."""
    lines = ["[client]"]
    for name, option in options.items():
        escaped = str(option).replace("\\", "\\\\").replace('"', '\\"')
        lines.append(f'{name}="{escaped}"')
    return ("\n".join(lines) + "\n").encode()


def _connect_to(sandbox: Sandbox, password: str) -> "Connection[Any]":
    host, port = sandbox.address or (None, 3306)
    return connect("root", password, host=host, port=port, socket=sandbox.socket)


def _answers(sandbox: Sandbox, password: str) -> bool:
    # While the official image initialises, a first server without a port answers too.
    if b"port: 3306" not in sandbox.container.logs():
        return False
    try:
        _connect_to(sandbox, password).close()
    except (pymysql.MySQLError, OSError):
        return False
    return True


def _newest_heartbeat(connection: "Connection[Any]", source: SourceModel) -> datetime | None:
    assert isinstance(source, MySQLSource)
    if source.heartbeat is None:
        return None
    table = quoted(*source.heartbeat.table.split("."))
    try:
        newest = value(connection, f"SELECT MAX({quoted(source.heartbeat.column)}) FROM {table}")
    except pymysql.MySQLError:
        return None
    return newest.replace(tzinfo=UTC) if isinstance(newest, datetime) else None


engine = MySQL()
