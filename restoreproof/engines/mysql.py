"""MySQL: logical full backups with mysqldump, restored into a server that nothing can reach."""

import secrets
from collections.abc import Iterator, Sequence
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
    Base,
    Engine,
    Restored,
    SourceContext,
)
from restoreproof.engines.mysql_accounts import (
    Account,
    clear_accounts,
    creation_script,
    lent_privileges,
    make_administrator,
    privileges_script,
    read_accounts,
)
from restoreproof.engines.mysql_binlog import LOGS, replay_logs, require_continuity, store_logs
from restoreproof.engines.mysql_connection import (
    connect,
    quoted,
    rows,
    user_databases,
    value,
)
from restoreproof.engines.mysql_dump import OPTIONS_FILE, dump
from restoreproof.engines.mysql_fingerprint import METHOD, counter_items, gtid_executed
from restoreproof.engines.mysql_snapshot import Snapshot, content_items, snapshot
from restoreproof.engines.mysql_source import (
    MySQLSource,
    connect_source,
    newest_heartbeat,
    options_file,
    probe,
    source_of,
    source_options,
)
from restoreproof.fingerprint import Fingerprint, Item, settled
from restoreproof.images import Image
from restoreproof.outcomes import BackupFailed, RestoreFailed
from restoreproof.references import SourceModel
from restoreproof.sandbox import Sandbox, Sandboxes

DUMP = "dump.sql"
ACCOUNTS = "accounts.sql"
PRIVILEGES = "privileges.sql"
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

    def __init__(self, sandbox: Sandbox, connection: "Connection[Any]", administrator: str) -> None:
        self.sandbox = sandbox
        self.connection = connection
        self.administrator = administrator
        self.with_accounts = False
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
            self.sandbox.require_running()
            raise RestoreFailed(f"the restored server does not answer: {error.args[-1]}") from None
        return f"read a row of each of {len(tables)} tables"

    def fingerprint(self, expected: Fingerprint) -> Fingerprint:
        try:
            databases = user_databases(self.connection)
            counters = tuple(counter_items(self.connection, databases))
            items = list(content_items(self.connection, databases, counters))
            if self.with_accounts:
                accounts = read_accounts(self.connection, leave_out=self.administrator)
                items += [account.item for account in accounts]
        except (pymysql.MySQLError, BackupFailed) as error:
            self.sandbox.require_running()
            raise RestoreFailed(f"the restored content cannot be read: {error}") from None
        return Fingerprint.of(METHOD, expected.taken_at, items)

    def newest_heartbeat(self, source: SourceModel) -> datetime | None:
        return newest_heartbeat(self.connection, source)


class MySQL(Engine[MySQLSource]):
    """MySQL 8.0 and later."""

    name = "mysql"
    method = (
        "Row count and SHA-256 digest of every table, taken in the dump's own snapshot, and the "
        "definition of every database, table, view, trigger, routine, event and account"
    )
    needs_image = True
    covers = frozenset({"data"})
    kinds = frozenset({"full", "incremental"})
    source_model = MySQLSource

    def exclusions(self, source: SourceModel) -> tuple[str, ...]:
        assert isinstance(source, MySQLSource)
        rounded = "what mysqldump rounds (FLOAT, the sign of zero) is reported as other content"
        return (rounded, *(() if source.accounts else ("users, roles and privileges",)))

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
            ):
                databases = source.databases or user_databases(connection)
                if not databases:
                    raise BackupFailed("the source holds no database, so nothing can be proven")
                tools.place(OPTIONS_FILE, source_options(context.of))
                accounts = read_accounts(connection) if source.accounts else ()
                connect_again = partial(connect_source, context.of)
                with snapshot(connect_again, databases, context.of.clock) as taken:
                    if context.base is None:
                        items, facts = _store_full(context, tools, taken, accounts)
                    else:
                        items, facts = _store_increment(context, context.base, tools, taken)
                after = read_accounts(connection) if source.accounts else ()
                account_items = settled(
                    (account.item for account in accounts),
                    (account.item for account in after),
                    "the account was changed at the source during the backup",
                )
                version = str(value(connection, "SELECT VERSION()"))
                identity = str(value(connection, "SELECT @@GLOBAL.server_uuid"))
        except pymysql.MySQLError as error:
            raise BackupFailed(f"the source refused: {error.args[-1]}") from None
        return BackupContent(
            recovery_point=taken.taken_at,
            position=taken.position,
            fingerprint=Fingerprint.of(METHOD, taken.taken_at, (*items, *account_items)),
            source_version=version,
            source_identity=identity,
            facts={
                "databases": ", ".join(databases),
                "lock_seconds": f"{taken.lock_seconds:.3f}",
                "log_file": taken.log_file,
                "accounts": "yes" if source.accounts else "no",
                **facts,
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
            # The estate's accounts, root among them, are restored too: ours is another one.
            administrator = f"sandbox-{secrets.token_hex(8)}"
            with closing(_connect_to(sandbox, "root", password)) as connection:
                make_administrator(connection, administrator, password)
            sandbox.place(OPTIONS_FILE, options_file(user=administrator, password=password))
            with closing(_connect_to(sandbox, administrator, password)) as connection:
                yield RestoredMySQL(sandbox, connection, administrator)

    def load(self, restored: Restored, backup: BackupToRestore) -> None:
        assert isinstance(restored, RestoredMySQL)
        restored.with_accounts = backup.facts.get("accounts") == "yes"
        if not restored.with_accounts:
            _load(restored, backup, DUMP)
            return
        connection, ours = restored.connection, restored.administrator
        try:
            clear_accounts(connection, keep=ours)
            _load(restored, backup, ACCOUNTS)
            with lent_privileges(connection, keep=ours):
                _load(restored, backup, DUMP)
            _load(restored, backup, PRIVILEGES)
        except pymysql.MySQLError as error:
            restored.sandbox.require_running()
            raise RestoreFailed(f"accounts: {error.args[-1]}") from None

    def replay(self, restored: Restored, increment: BackupToRestore) -> None:
        assert isinstance(restored, RestoredMySQL)
        replay_logs(restored.connection, restored.sandbox, _socket(restored), increment)


def _socket(restored: RestoredMySQL) -> str:
    return str(value(restored.connection, "SELECT @@GLOBAL.socket"))


def _store_full(
    context: BackupContext, tools: Sandbox, taken: Snapshot, accounts: Sequence[Account]
) -> tuple[tuple[Item, ...], dict[str, str]]:
    with context.artifact(DUMP) as sink:
        items = dump(taken, tools, sink)
    with context.artifact(ACCOUNTS) as sink:
        sink.write(creation_script(accounts))
    with context.artifact(PRIVILEGES) as sink:
        sink.write(privileges_script(accounts))
    return items, {}


def _store_increment(
    context: BackupContext, base: Base, tools: Sandbox, taken: Snapshot
) -> tuple[tuple[Item, ...], dict[str, str]]:
    taken.release()
    if source_of(context.of).databases:
        raise BackupFailed("binary logs hold all databases: leave out source.databases")
    require_continuity(taken.reader, base, taken)
    with context.artifact(LOGS) as sink:
        names = store_logs(taken.reader, base, taken, tools, sink)
    return taken.items(), {"base_position": base.position, "logs": " ".join(names)}


def _load(restored: RestoredMySQL, backup: BackupToRestore, artifact: str) -> None:
    command = (
        "mysql",
        f"--defaults-extra-file={OPTIONS_FILE}",
        f"--socket={_socket(restored)}",
        # Without it the client would obey commands such as \! inside the dump.
        "--binary-mode",
        "--default-character-set=utf8mb4",
    )
    loaded = restored.sandbox.run(command, feed=backup.read(artifact))
    if loaded.exit_code != 0:
        restored.sandbox.require_running()
        raise RestoreFailed(f"mysql, loading {artifact}: {loaded.complaint}")


def _connect_to(sandbox: Sandbox, user: str, password: str) -> "Connection[Any]":
    host, port = sandbox.address or (None, 3306)
    return connect(user, password, host=host, port=port, socket=sandbox.socket)


def _answers(sandbox: Sandbox, password: str) -> bool:
    # While the official image initialises, a first server without a port answers too.
    if b"port: 3306" not in sandbox.container.logs():
        return False
    try:
        _connect_to(sandbox, "root", password).close()
    except (pymysql.MySQLError, OSError):
        return False
    return True


engine = MySQL()
