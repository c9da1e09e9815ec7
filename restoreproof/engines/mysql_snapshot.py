"""One instant of a MySQL server: its position, and a snapshot that goes on showing it.

One connection holds the global read lock while the position is read and the readers open their
snapshots; whoever else needs the same instant opens theirs, and then it lets go. Writers wait
for that fraction of a second and no longer, and a source that moves on is no false alarm.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pymysql
from pymysql.connections import Connection

from restoreproof.engines.contract import Clock
from restoreproof.engines.mysql_connection import NO_SUCH_TABLE, rows, value
from restoreproof.engines.mysql_fingerprint import content_items, counter_items, gtid_executed
from restoreproof.engines.mysql_position import file_position, keeps_gtids, log_position
from restoreproof.engines.mysql_readers import Connect, Readers, readers
from restoreproof.engines.mysql_row_digests import DIGESTS, RowDigests
from restoreproof.engines.mysql_rows import Table
from restoreproof.engines.mysql_tables import read_tables
from restoreproof.fingerprint import Item
from restoreproof.outcomes import BackupFailed

LOCK_SECONDS = 5
LOCK_TRIES = 6
LOCK_WAIT_TIMEOUT = 1205
HELD_TABLES = 32
HELD_ROWS = 50_000
READ_SECONDS = 60


@dataclass
class Snapshot:
    """The instant and the connections that hold on to it.

    ``gtids`` is the executed GTIDs, empty where not every transaction has a GTID;
    ``log_file`` is the binary log that was being written and ``log_position`` its end, empty
    and 0 without one. ``source_time`` is the instant by the server's own clock.
    """

    taken_at: datetime
    source_time: datetime
    gtids: str
    log_file: str
    log_position: int
    counters: tuple[Item, ...]
    databases: Sequence[str]
    readers: Readers
    held: frozenset[str]
    digests: RowDigests
    _locker: "Connection[Any]"
    _locked_at: float
    lock_seconds: float = 0.0

    @property
    def position(self) -> str:
        """What names the instant: the GTID set, else log and position, else nothing."""
        if self.gtids or not self.log_file:
            return self.gtids
        return file_position(self.log_file, self.log_position)

    @property
    def reader(self) -> "Connection[Any]":
        """One of the readers, for other questions while no items are being read."""
        return self.readers.all[0]

    def release(self) -> None:
        """Let writers go on."""
        rows(self._locker, "UNLOCK TABLES")
        self.lock_seconds = time.monotonic() - self._locked_at

    def items(self) -> tuple[Item, ...]:
        """The content in this instant; those of its rows go into ``digests``."""
        return content_items(
            self.readers, self.databases, self.counters, held=self.held, digests=self.digests
        )


@contextmanager
def snapshot(
    connect: Connect, databases: Sequence[str], clock: Clock, digests: int = DIGESTS
) -> Iterator[Snapshot]:
    """Hold the instant, locked until ``release()``. Raise BackupFailed if it cannot be had.

    ``digests`` is about how many digests of rows are taken at the most.
    """
    with closing(connect()) as locker, readers(connect) as several:
        large = _large_tables(locker, databases)
        _lock(locker)
        locked_at = time.monotonic()
        taken_at, now = clock(), value(locker, "SELECT UTC_TIMESTAMP(6)")
        gtids = gtid_executed(locker) if keeps_gtids(locker) else ""
        log_file, position = log_position(locker)
        counters = tuple(counter_items(locker, databases))
        for reader in several.all:
            rows(reader, f"SET SESSION lock_wait_timeout = {READ_SECONDS}")
            rows(reader, "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            rows(reader, "START TRANSACTION WITH CONSISTENT SNAPSHOT")
        yield Snapshot(
            taken_at=taken_at,
            source_time=now.replace(tzinfo=UTC),
            gtids=gtids,
            log_file=log_file,
            log_position=position,
            counters=counters,
            databases=databases,
            readers=several,
            held=_hold(several, large),
            digests=RowDigests(digests),
            _locker=locker,
            _locked_at=locked_at,
        )


def _large_tables(connection: "Connection[Any]", databases: Sequence[str]) -> list[Table]:
    """The largest tables that can be cut, and so be read by several readers."""
    tables = (table for table in read_tables(connection, databases) if table.cut_by)
    large = (table for table in tables if table.rows >= HELD_ROWS)
    return sorted(large, key=lambda table: -table.rows)[:HELD_TABLES]


def _hold(readers: Readers, tables: Sequence[Table]) -> frozenset[str]:
    """Have every reader keep the definition of these tables; return their labels."""
    if not tables:
        return frozenset()
    seen = (f"EXISTS (SELECT 1 FROM {one.source})" for one in tables)
    statement = f"SELECT {', '.join(seen)}"
    try:
        for reader in readers.all:
            rows(reader, statement)
    except pymysql.MySQLError as error:
        if error.args[0] != NO_SUCH_TABLE:
            raise
        # One was dropped since they were listed: then each is read by one reader alone.
        return frozenset()
    return frozenset(table.label for table in tables)


def _lock(connection: "Connection[Any]") -> None:
    """Take the global read lock, giving way rather than queueing behind a long query.

    A waiting FLUSH TABLES blocks every other client, so it waits seconds and tries again.
    """
    rows(connection, f"SET SESSION lock_wait_timeout = {LOCK_SECONDS}")
    for remaining in reversed(range(LOCK_TRIES)):
        try:
            rows(connection, "FLUSH TABLES WITH READ LOCK")
            return
        except pymysql.MySQLError as error:
            if error.args[0] != LOCK_WAIT_TIMEOUT or remaining == 0:
                raise BackupFailed(f"the read lock could not be had: {error.args[1]}") from None
            time.sleep(LOCK_SECONDS)
