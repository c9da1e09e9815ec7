"""One logical full backup of a MySQL server, with the fingerprint of its own snapshot.

A holds the global read lock while B opens a snapshot and mysqldump opens its own; as soon as
the dump has begun to show content, both snapshots stand and A lets go. B digests while the
dump runs. Writers wait for that fraction of a second and no longer, and a source that moves
on is no false alarm, because dump and digest saw the very same instant.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pymysql
from pymysql.connections import Connection

from restoreproof.engines.contract import ArtifactSink, Clock
from restoreproof.engines.mysql_connection import rows
from restoreproof.engines.mysql_fingerprint import (
    counter_items,
    gtid_executed,
    schema_items,
    table_items,
)
from restoreproof.fingerprint import Item
from restoreproof.outcomes import BackupFailed
from restoreproof.sandbox import Sandbox

OPTIONS_FILE = "/run/restoreproof/client.cnf"
CONTENT_BEGINS = b"-- Current Database:"
TRAILER = b"-- Dump completed"
KEPT_TAIL = 256
LOCK_SECONDS = 5
LOCK_TRIES = 6

Connect = Callable[[], "Connection[Any]"]


@dataclass(frozen=True)
class Dump:
    """What a dump says of itself."""

    taken_at: datetime
    position: str
    items: tuple[Item, ...]
    lock_seconds: float


def dump(
    connect: Connect,
    tools: Sandbox,
    databases: Sequence[str],
    sink: ArtifactSink,
    clock: Clock,
    *,
    binary_log: bool,
) -> Dump:
    """Stream a dump into ``sink``. Raise BackupFailed with the server's or the tool's words."""
    command = dump_command(databases, binary_log=binary_log)
    with closing(connect()) as locker, closing(connect()) as reader:
        _lock(locker)
        locked_at = time.monotonic()
        taken_at, position = clock(), gtid_executed(locker)
        counters = list(counter_items(locker, databases))
        rows(reader, "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        rows(reader, "START TRANSACTION WITH CONSISTENT SNAPSHOT")
        with ThreadPoolExecutor(max_workers=1, thread_name_prefix="fingerprint") as pool:
            digests: Future[tuple[Item, ...]] | None = None
            lock_seconds = 0.0
            head, tail = b"", b""
            stream = tools.stream(command)
            for chunk in stream:
                sink.write(chunk)
                tail = (tail + chunk)[-KEPT_TAIL:]
                if digests is None:
                    head = (head + chunk)[-64 * 1024 :]
                    if CONTENT_BEGINS in head:
                        rows(locker, "UNLOCK TABLES")
                        lock_seconds = time.monotonic() - locked_at
                        digests = pool.submit(content_items, reader, databases, counters)
            result = stream.result()
            if result.exit_code != 0:
                raise BackupFailed(f"mysqldump: {result.complaint}")
            if digests is None or TRAILER not in tail:
                raise BackupFailed("mysqldump ended without an error and without a whole dump")
            return Dump(taken_at, position, digests.result(), lock_seconds)


def dump_command(databases: Sequence[str], *, binary_log: bool) -> tuple[str, ...]:
    """The command line of mysqldump; it holds no secret."""
    return (
        "mysqldump",
        f"--defaults-extra-file={OPTIONS_FILE}",
        "--single-transaction",
        *(["--source-data=2"] if binary_log else []),
        "--routines",
        "--triggers",
        "--events",
        "--hex-blob",
        "--no-tablespaces",
        "--default-character-set=utf8mb4",
        "--databases",
        *databases,
    )


def content_items(
    connection: "Connection[Any]", databases: Sequence[str], counters: Iterable[Item]
) -> tuple[Item, ...]:
    """All items of a server's content, as the connection's snapshot shows it."""
    return (
        *counters,
        *table_items(connection, databases),
        *schema_items(connection, databases),
    )


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
            lock_wait_timeout = 1205
            if error.args[0] != lock_wait_timeout or remaining == 0:
                raise BackupFailed(f"the read lock could not be had: {error.args[1]}") from None
            time.sleep(LOCK_SECONDS)
