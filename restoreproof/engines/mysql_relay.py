"""Gives binary logs to a server in its sandbox as relay logs: replay without a client.

The server's own applier skips what it executed already, works in parallel and checks every
event. It does not notice that a log ends early, so it is waited for until the executed set is
the expected one.
"""

import secrets
import shlex
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import pymysql
from pymysql.connections import Connection

from restoreproof.engines.mysql_connection import rows, value
from restoreproof.outcomes import RestoreFailed
from restoreproof.sandbox import Sandbox

POLL_SECONDS = 0.2
IDLE_SECONDS = 60
"""How long an applier may have nothing left to read before it counts as having ended."""
PARSE_ERROR = 1064
READ_ALL = "has read all relay log"


def applies_relay_logs(connection: "Connection[Any]") -> bool:
    """Whether the server knows the statements, which MySQL has had since 8.0.23."""
    try:
        return bool(rows(connection, "SHOW REPLICA STATUS") or True)
    except pymysql.MySQLError as error:
        if error.args[0] != PARSE_ERROR:
            raise
        return False


def apply_as_relay_logs(
    connection: "Connection[Any]", sandbox: Sandbox, folder: str, logs: Sequence[str], expected: str
) -> None:
    """Have the server apply a sandbox folder's logs, until its executed set is ``expected``.

    The folder is gone then. Raise RestoreFailed with the server's words.
    """
    channel = f"increment_{secrets.token_hex(4)}"
    stem = f"{value(connection, 'SELECT @@GLOBAL.relay_log_basename')}-{channel}"
    relays = [f"{stem}.{number:06}" for number in range(1, len(logs) + 1)]
    moves = [
        f"mv {shlex.join((f'{folder}/{log}', relay))}"
        for log, relay in zip(logs, relays, strict=True)
    ]
    index = shlex.quote(f"{stem}.index")
    owned = f'chown --reference="$(dirname {shlex.quote(stem)})" {shlex.join(relays)} {index}'
    lines = f"printf '%s\\n' {shlex.join(relays)} > {index}"
    placed = sandbox.run(
        ["sh", "-ec", "\n".join((*moves, lines, owned, f"rm -rf {shlex.quote(folder)}"))]
    )
    if placed.exit_code != 0:
        raise RestoreFailed(f"placing relay logs: {placed.complaint}")
    # Purging takes the index for its own and stops the applier.
    rows(connection, "SET GLOBAL relay_log_purge = OFF")
    rows(
        connection,
        "CHANGE REPLICATION SOURCE TO SOURCE_HOST = 'none', RELAY_LOG_FILE = %s,"
        " RELAY_LOG_POS = 4 FOR CHANNEL %s",
        (relays[0], channel),
    )
    try:
        with _quick_commits(connection):
            rows(connection, "START REPLICA SQL_THREAD FOR CHANNEL %s", (channel,))
            _wait(connection, channel, expected)
            rows(connection, "STOP REPLICA FOR CHANNEL %s", (channel,))
    finally:
        sandbox.require_running()
        rows(connection, "STOP REPLICA FOR CHANNEL %s", (channel,))
        rows(connection, "RESET REPLICA ALL FOR CHANNEL %s", (channel,))
        sandbox.run(["sh", "-c", f"rm -f {shlex.quote(stem)}.*"])


@contextmanager
def _quick_commits(connection: "Connection[Any]") -> Iterator[None]:
    """Commits in any order that keeps to what depends on what, and without a redo log.

    Afterwards all is as before, and what was changed is on disk; but not after an error, for then
    the server is thrown away.
    """
    rows(connection, "ALTER INSTANCE DISABLE INNODB REDO_LOG")
    with suppress(pymysql.MySQLError):  # MySQL before 8.0.26 knows it by another name
        rows(connection, "SET GLOBAL replica_preserve_commit_order = OFF")
    yield
    with suppress(pymysql.MySQLError):
        rows(connection, "SET GLOBAL replica_preserve_commit_order = ON")
    rows(connection, "ALTER INSTANCE ENABLE INNODB REDO_LOG")


def _wait(connection: "Connection[Any]", channel: str, expected: str) -> None:
    """Wait as long as the applier has work: a slow machine is no failed restore."""
    busy = time.monotonic()
    pause = POLL_SECONDS / 32
    # Whoever waits in WAIT_FOR_EXECUTED_GTID_SET is woken by every commit, and slows them by half.
    held = "SELECT GTID_SUBSET(%s, @@GLOBAL.gtid_executed)"
    while not value(connection, held, (expected,)):
        words, idle = applier_state(connection, channel)
        if words:
            raise RestoreFailed(f"applying relay logs: {words}")
        if not idle:
            busy = time.monotonic()
        elif time.monotonic() - busy > IDLE_SECONDS:
            raise RestoreFailed("the applier came to the end of the logs: transactions are missing")
        time.sleep(pause)
        pause = min(2 * pause, POLL_SECONDS)


def applier_state(connection: "Connection[Any]", channel: str) -> tuple[str, bool]:
    """The applier's complaint, and whether it has nothing left to do."""
    complaints = rows(
        connection,
        "SELECT last_error_message FROM performance_schema.replication_applier_status_by_worker"
        " WHERE channel_name = %s AND last_error_number <> 0 UNION ALL SELECT last_error_message"
        " FROM performance_schema.replication_applier_status_by_coordinator"
        " WHERE channel_name = %s AND last_error_number <> 0",
        (channel, channel),
    )
    state = "SELECT service_state FROM performance_schema.replication_applier_status"
    if value(connection, f"{state} WHERE channel_name = %s", (channel,)) != "ON":
        return str(complaints[0][0]) if complaints else "the applier stopped", True
    applying = value(
        connection,
        "SELECT COUNT(*) FROM performance_schema.replication_applier_status_by_worker"
        " WHERE channel_name = %s AND applying_transaction <> ''",
        (channel,),
    )
    reading = value(
        connection,
        "SELECT COUNT(*) FROM performance_schema.threads WHERE name IN"
        " ('thread/sql/replica_sql', 'thread/sql/slave_sql') AND processlist_state LIKE %s",
        (f"%{READ_ALL}%",),
    )
    return str(complaints[0][0]) if complaints else "", not applying and bool(reading)
