"""MySQL and MariaDB: full backups as statements or as files, restored where nothing can reach."""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Literal

import pymysql

from restoreproof.engines import mysql_heartbeat
from restoreproof.engines.contract import (
    CLOCK_AHEAD,
    STREAMED,
    BackupContent,
    BackupContext,
    BackupToRestore,
    Base,
    Engine,
    Restored,
    SourceContext,
    Until,
)
from restoreproof.engines.contract_exercise import LivingCopy
from restoreproof.engines.mysql_accounts import (
    Account,
    creation_script,
    privileges_script,
    read_accounts,
)
from restoreproof.engines.mysql_binlog import log_identity, require_continuity, store_logs
from restoreproof.engines.mysql_binlog_reader import Chunks
from restoreproof.engines.mysql_clone import clone, probe_clone, store_clone
from restoreproof.engines.mysql_configuration import (
    NO_PLACE,
    require_configuration,
    store_configuration,
)
from restoreproof.engines.mysql_connection import (
    CHANGED_MEANWHILE,
    user_databases,
    value,
)
from restoreproof.engines.mysql_counters import vouched
from restoreproof.engines.mysql_dialect import spoken, unfit
from restoreproof.engines.mysql_dump import KEPT_HEAD, dump
from restoreproof.engines.mysql_empty_server import empty_server
from restoreproof.engines.mysql_exercise import living
from restoreproof.engines.mysql_fingerprint import METHOD
from restoreproof.engines.mysql_image import dialect_of
from restoreproof.engines.mysql_load import ACCOUNTS, DUMP, PRIVILEGES, grant_again, load_dump
from restoreproof.engines.mysql_logs import require_logs, store_server_logs
from restoreproof.engines.mysql_looks import around
from restoreproof.engines.mysql_mariadb_backup import (
    MARIADB_BACKUP,
    copy,
    probe_mariadb_backup,
    store_rest,
)
from restoreproof.engines.mysql_physical import METHOD_FACT, is_physical
from restoreproof.engines.mysql_position import (
    parsed_file_position,
    position_in_dump,
    reaches,
)
from restoreproof.engines.mysql_reach import reach_source
from restoreproof.engines.mysql_replay import LOGS, ledger, position_at, replay_logs
from restoreproof.engines.mysql_replica import LAG, STANDS_STILL, replication_lag
from restoreproof.engines.mysql_restored import RestoredMySQL
from restoreproof.engines.mysql_row_digests import ARTIFACT as ROW_DIGESTS
from restoreproof.engines.mysql_row_digests import DIGESTS, DIGESTS_OF_INCREMENT
from restoreproof.engines.mysql_seal import sealed_content
from restoreproof.engines.mysql_settings import meaning_of_data, named_as_at_source
from restoreproof.engines.mysql_snapshot import Snapshot, snapshot
from restoreproof.engines.mysql_source import (
    MySQLSource,
    clock_ahead,
    connect_source,
    newest_heartbeat,
    place_source_options,
    probe,
    source_of,
)
from restoreproof.engines.mysql_stream import follow
from restoreproof.engines.mysql_unpacked import UnpackedMySQL, waiting_server
from restoreproof.engines.mysql_unpacked_mariadb import UnpackedMariaDB
from restoreproof.fingerprint import Fingerprint, Item, settled
from restoreproof.images import Image
from restoreproof.outcomes import BackupFailed, RestoreFailed, SourceChanged
from restoreproof.references import SourceModel
from restoreproof.sandbox import Sandbox, Sandboxes
from restoreproof.stream_store import StreamStore


class MySQL(Engine[MySQLSource]):
    """MySQL 8.0 and later, MariaDB 10.11 and later."""

    name = "mysql"
    method = (
        "Row count and SHA-256 digest of every table, taken in the backup's own instant, and the "
        "definition of every database, table, sequence, view, trigger, routine, event and account"
    )
    needs_image = True
    covers = frozenset({"data", "configuration", "logs"})
    kinds = frozenset({"full", "incremental", STREAMED})
    writes_out = "parts"
    goes_on = True
    plays = True
    source_model = MySQLSource

    def gap(self, source: SourceModel, kind: str) -> str:
        assert isinstance(source, MySQLSource)
        if kind == "configuration" and source.configuration is None:
            return NO_PLACE
        return super().gap(source, kind)

    def exclusions(self, source: SourceModel) -> tuple[str, ...]:
        assert isinstance(source, MySQLSource)
        rounded = "what mysqldump rounds (FLOAT, the sign of zero) is reported as other content"
        return (
            *((rounded,) if source.method == "dump" else ()),
            *(() if source.accounts else ("users, roles and privileges",)),
        )

    def probe(self, context: SourceContext) -> None:
        probe(context)
        require_configuration(context)
        with closing(connect_source(context)) as connection:
            require_logs(context, connection)
            clones = spoken(connection).clones
        if source_of(context).physical:
            (probe_clone if clones else probe_mariadb_backup)(context)

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
                ahead = clock_ahead(connection, context.of.clock)
                place_source_options(tools, context.of)
                accounts = read_accounts(connection) if source.accounts else ()
                lag = replication_lag(connection)
                copied, clones = None, spoken(connection).clones
                if context.base is None and source.physical:
                    copied = (
                        clone(context.of, connection, tools)
                        if clones
                        else copy(context, connection, tools)
                    )
                connect_again = partial(connect_source, context.of)
                most = DIGESTS if context.base is None else DIGESTS_OF_INCREMENT
                with snapshot(connect_again, databases, context.of.clock, most) as taken:
                    if copied is not None and clones:
                        items, facts = store_clone(context, copied, tools, taken)
                    elif copied is not None:
                        items, facts = store_rest(context, copied, tools, taken, accounts)
                    elif context.base is None:
                        items, facts = _store_full(context, tools, image, taken, accounts)
                    else:
                        items, facts = _store_increment(
                            context, context.base, tools, image, taken, accounts
                        )
                if taken.digests:
                    with context.artifact(ROW_DIGESTS) as sink:
                        taken.digests.write(sink)
                after = read_accounts(connection) if source.accounts else ()
                account_items = settled(
                    (account.item for account in accounts),
                    (account.item for account in after),
                    "the account was changed at the source during the backup",
                )
                configuration, configuration_facts = store_configuration(context, connection)
                logs, log_facts = store_server_logs(context, connection)
                version = str(value(connection, "SELECT VERSION()"))
                identity = str(value(connection, f"SELECT {spoken(connection).identity}"))
                settings = meaning_of_data(connection)
        except pymysql.MySQLError as error:
            failed = SourceChanged if error.args[0] in CHANGED_MEANWHILE else BackupFailed
            raise failed(f"the source refused: {error.args[-1]}") from None
        stands_still = (STANDS_STILL,) if lag is None else ()
        return BackupContent(
            # What a replica holds is as old as its lag.
            recovery_point=taken.taken_at - (lag or timedelta()),
            position=taken.position,
            fingerprint=Fingerprint.of(
                METHOD,
                taken.taken_at,
                (*items, *account_items, *configuration, *logs, *stands_still),
            ),
            source_version=version,
            source_identity=identity,
            facts={
                "databases": ", ".join(databases),
                "lock_seconds": f"{taken.lock_seconds:.3f}",
                "gtid_executed": taken.gtids,
                "log_file": taken.log_file,
                "log_position": str(taken.log_position),
                "source_time": taken.source_time.isoformat(),
                "accounts": "yes" if source.accounts else "no",
                CLOCK_AHEAD: f"{ahead.total_seconds():.3f}",
                LAG: "unknown" if lag is None else f"{lag.total_seconds():g}",
                **settings,
                **facts,
                **configuration_facts,
                **log_facts,
            },
        )

    def around(
        self, context: SourceContext, during: Callable[[], None], moving: frozenset[str]
    ) -> BackupContent:
        return around(context, during, moving)

    def reach(self, context: SourceContext, folder: Path) -> Mapping[str, str]:
        return reach_source(context, folder)

    def newest_heartbeat(self, context: SourceContext) -> datetime | None:
        with closing(connect_source(context)) as connection:
            return newest_heartbeat(connection, context.source)

    def beat(self, context: SourceContext) -> None:
        mysql_heartbeat.beat(context, context.clock())

    def clear_heartbeats(self, context: SourceContext) -> int:
        return mysql_heartbeat.clear(context)

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
            streamed = full.facts[METHOD_FACT] == MARIADB_BACKUP
            kind = UnpackedMariaDB if streamed else UnpackedMySQL
            server: AbstractContextManager[RestoredMySQL] = waiting_server(
                kind, image, sandboxes, full
            )
        else:
            server = empty_server(image, sandboxes)
        with server as restored:
            yield restored

    def load(self, restored: Restored, backup: BackupToRestore) -> None:
        assert isinstance(restored, RestoredMySQL)
        if isinstance(restored, UnpackedMySQL):
            # A server refuses by itself to start on files of a later series.
            restored.unpack(backup)
        else:
            _require_fit(restored, backup)
            with named_as_at_source(restored.connection, backup):
                load_dump(restored, backup)
            if parsed_file_position(backup.position):
                head = Chunks(backup.read(DUMP)).read(KEPT_HEAD)
                restored.file_position = position_in_dump(head)
        restored.log_identity = backup.facts.get("log_identity", "")
        restored.take_files(backup)

    def replay(
        self, restored: Restored, increment: BackupToRestore, until: Until | None = None
    ) -> None:
        assert isinstance(restored, RestoredMySQL)
        _require_fit(restored, increment)
        replay_logs(restored, increment, until)
        restored.log_identity = increment.facts.get("log_identity", "") if until is None else ""
        if STREAMED not in increment.facts:
            if until is None:
                grant_again(restored, increment)
            restored.take_files(increment)

    def follow(
        self,
        context: SourceContext,
        newest: Callable[[], Base],
        store: StreamStore,
        stop: threading.Event,
        tell: Callable[[str], None],
    ) -> None:
        follow(context, newest, store, stop, tell)

    def seal(self, context: BackupContext, store: StreamStore) -> BackupContent | None:
        return sealed_content(context, store)

    def living(
        self, restored: Restored, context: SourceContext
    ) -> AbstractContextManager[LivingCopy]:
        return living(restored, context)

    def instants(self, increment: BackupToRestore) -> Iterator[datetime]:
        return (commit.at for _, commit in ledger(increment) if commit.at is not None)

    def position_at(self, increment: BackupToRestore, instant: datetime) -> str:
        return position_at(increment, instant)

    def reaches(self, backup: BackupToRestore, name: str) -> Literal["end", "inside", "not"]:
        return reaches(backup, name)


def _require_fit(restored: RestoredMySQL, backup: BackupToRestore) -> None:
    """What loads without an error into an older server can still have lost something."""
    if reason := unfit(backup.source_version, restored.server_version):
        raise RestoreFailed(f"{reason}: name an image of the source's own series")


def _store_full(
    context: BackupContext,
    tools: Sandbox,
    image: Image,
    taken: Snapshot,
    accounts: Sequence[Account],
) -> tuple[tuple[Item, ...], dict[str, str]]:
    dialect = dialect_of(image, context.of.sandboxes)
    with context.artifact(DUMP) as sink:
        items = dump(taken, tools, dialect, sink)
    with context.artifact(ACCOUNTS) as sink:
        sink.write(creation_script(accounts))
    with context.artifact(PRIVILEGES) as sink:
        sink.write(privileges_script(accounts))
    followed = context.of.increments or source_of(context.of).join_as_replica
    wants_log = followed and parsed_file_position(taken.position)
    identity = log_identity(tools, dialect, taken.log_file) if wants_log else ""
    return items, {"log_identity": identity} if wants_log else {}


def _store_increment(
    context: BackupContext,
    base: Base,
    tools: Sandbox,
    image: Image,
    taken: Snapshot,
    accounts: Sequence[Account],
) -> tuple[tuple[Item, ...], dict[str, str]]:
    taken.release()
    if source_of(context.of).databases:
        raise BackupFailed("binary logs hold all databases: leave out source.databases")
    dialect = dialect_of(image, context.of.sandboxes)
    require_continuity(taken.reader, base, taken, tools, dialect)
    with context.artifact(LOGS) as sink:
        lengths = store_logs(taken.reader, base, taken, tools, dialect, sink)
    if dialect.roles_apart:
        with context.artifact(PRIVILEGES) as sink:
            sink.write(privileges_script(accounts))
    facts = {
        "base_position": base.position,
        "logs": " ".join(lengths),
        "logs_bytes": " ".join(map(str, lengths.values())),
    }
    if parsed_file_position(taken.position):
        facts["log_identity"] = log_identity(tools, dialect, taken.log_file)
    items = tuple(vouched(taken.reader, taken.databases, taken.items()))
    return items, facts


engine = MySQL()
