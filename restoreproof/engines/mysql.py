"""MySQL: full backups as statements or as files, restored into a server that nothing can reach."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from datetime import datetime
from functools import partial

import pymysql

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
    creation_script,
    privileges_script,
    read_accounts,
)
from restoreproof.engines.mysql_binlog import LOGS, replay_logs, require_continuity, store_logs
from restoreproof.engines.mysql_clone import clone, probe_clone, store_clone
from restoreproof.engines.mysql_connection import (
    user_databases,
    value,
)
from restoreproof.engines.mysql_counters import vouched
from restoreproof.engines.mysql_dump import OPTIONS_FILE, dump
from restoreproof.engines.mysql_fingerprint import METHOD
from restoreproof.engines.mysql_load import ACCOUNTS, DUMP, PRIVILEGES, load_dump
from restoreproof.engines.mysql_restored import RestoredMySQL, empty_server
from restoreproof.engines.mysql_snapshot import Snapshot, snapshot
from restoreproof.engines.mysql_source import (
    MySQLSource,
    connect_source,
    newest_heartbeat,
    probe,
    source_of,
    source_options,
)
from restoreproof.engines.mysql_unpacked import UnpackedMySQL, is_physical, waiting_server
from restoreproof.fingerprint import Fingerprint, Item, settled
from restoreproof.images import Image
from restoreproof.outcomes import BackupFailed
from restoreproof.references import SourceModel
from restoreproof.sandbox import Sandbox, Sandboxes


class MySQL(Engine[MySQLSource]):
    """MySQL 8.0 and later."""

    name = "mysql"
    method = (
        "Row count and SHA-256 digest of every table, taken in the backup's own instant, and the "
        "definition of every database, table, view, trigger, routine, event and account"
    )
    needs_image = True
    covers = frozenset({"data"})
    kinds = frozenset({"full", "incremental"})
    source_model = MySQLSource

    def exclusions(self, source: SourceModel) -> tuple[str, ...]:
        assert isinstance(source, MySQLSource)
        rounded = "what mysqldump rounds (FLOAT, the sign of zero) is reported as other content"
        return (
            *((rounded,) if source.method == "dump" else ()),
            *(() if source.accounts else ("users, roles and privileges",)),
        )

    def probe(self, context: SourceContext) -> None:
        probe(context)
        if source_of(context).method == "clone":
            probe_clone(context)

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
                cloned = None
                if context.base is None and source.method == "clone":
                    cloned = clone(context.of, connection, tools)
                connect_again = partial(connect_source, context.of)
                with snapshot(connect_again, databases, context.of.clock) as taken:
                    if cloned is not None:
                        items, facts = store_clone(context, cloned, tools, taken)
                    elif context.base is None:
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
        self,
        source: SourceModel,
        image: Image | None,
        sandboxes: Sandboxes,
        full: BackupToRestore | None = None,
    ) -> Iterator[Restored]:
        assert image is not None
        if full is not None and is_physical(full):
            server: AbstractContextManager[RestoredMySQL] = waiting_server(image, sandboxes, full)
        else:
            server = empty_server(image, sandboxes)
        with server as restored:
            yield restored

    def load(self, restored: Restored, backup: BackupToRestore) -> None:
        assert isinstance(restored, RestoredMySQL)
        if isinstance(restored, UnpackedMySQL):
            restored.unpack(backup)
        else:
            load_dump(restored, backup)

    def replay(self, restored: Restored, increment: BackupToRestore) -> None:
        assert isinstance(restored, RestoredMySQL)
        replay_logs(restored.connection, restored.sandbox, restored.socket, increment)


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
    items = tuple(vouched(taken.reader, taken.databases, taken.items()))
    return items, {"base_position": base.position, "logs": " ".join(names)}


engine = MySQL()
