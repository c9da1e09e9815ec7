"""MySQL: logical full backups with mysqldump, restored into a server that nothing can reach."""

import secrets
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from functools import partial
from typing import Any

import pymysql
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
    connect,
    quoted,
    rows,
    user_databases,
    value,
)
from restoreproof.engines.mysql_dump import OPTIONS_FILE, dump, fingerprint
from restoreproof.engines.mysql_fingerprint import gtid_executed
from restoreproof.engines.mysql_source import (
    MySQLSource,
    connect_source,
    has_binary_log,
    newest_heartbeat,
    options_file,
    probe,
    source_of,
    source_options,
)
from restoreproof.fingerprint import Fingerprint
from restoreproof.images import Image
from restoreproof.outcomes import BackupFailed, RestoreFailed
from restoreproof.references import SourceModel
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
                # The row stays there: the driver takes a VECTOR for text and fails on it.
                one = f"(SELECT * FROM {quoted(*table)} LIMIT 1)"
                rows(self.connection, f"SELECT COUNT(*) FROM {one} AS one")
        except pymysql.MySQLError as error:
            raise RestoreFailed(f"the restored server does not answer: {error.args[-1]}") from None
        return f"read a row of each of {len(tables)} tables"

    def fingerprint(self, expected: Fingerprint) -> Fingerprint:
        databases = user_databases(self.connection)
        return fingerprint(self.connection, databases, expected.taken_at)

    def newest_heartbeat(self, source: SourceModel) -> datetime | None:
        return newest_heartbeat(self.connection, source)


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
        "what mysqldump rounds (FLOAT, the sign of zero) is reported as other content",
    )
    source_model = MySQLSource

    def probe(self, context: SourceContext) -> None:
        probe(context)

    def back_up(self, context: BackupContext) -> BackupContent:
        source = source_of(context.of)
        image = context.of.image
        assert image is not None
        try:
            with (
                closing(connect_source(context.of)) as connection,
                context.of.sandboxes.tools(image) as tools,
                context.artifact(DUMP) as sink,
            ):
                databases = source.databases or user_databases(connection)
                if not databases:
                    raise BackupFailed("the source holds no database, so nothing can be proven")
                tools.place(OPTIONS_FILE, source_options(context.of))
                done = dump(
                    partial(connect_source, context.of),
                    tools,
                    databases,
                    sink,
                    context.of.clock,
                    binary_log=has_binary_log(connection),
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
        with closing(connect_source(context)) as connection:
            return newest_heartbeat(connection, context.source)

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
            sandbox.place(OPTIONS_FILE, options_file(user="root", password=password))
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


engine = MySQL()
