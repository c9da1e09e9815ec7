"""Whether a restored MariaDB server can join its source as a replica: start, catch up, stop.

It is told where to begin by log and position, as increments are. Another log may well have the
same name, so the source is asked first whether it is the one that the backup knew. Unlike MySQL
it keeps the password in a file for as long as it is a replica: inside the sandbox, no longer.
"""

import secrets
import time
from collections.abc import Mapping
from contextlib import closing
from datetime import timedelta
from typing import Any

import pymysql
from pymysql.connections import Connection
from pymysql.cursors import DictCursor

from restoreproof.engines.contract import SourceContext
from restoreproof.engines.mysql_binlog import log_identity
from restoreproof.engines.mysql_connection import rows
from restoreproof.engines.mysql_dialect import spoken
from restoreproof.engines.mysql_join import (
    CHANNEL,
    PATIENCE_SECONDS,
    POLL_SECONDS,
    UNREACHABLE,
    CannotTell,
    Joined,
    reach,
    require_connection,
    words_of,
)
from restoreproof.engines.mysql_position import log_position, parsed_file_position
from restoreproof.engines.mysql_privileges import may_replicate
from restoreproof.engines.mysql_source import connect_source, place_source_options, source_of
from restoreproof.errors import UserError
from restoreproof.outcomes import BackupFailed, RestoreFailed
from restoreproof.sandbox import Sandbox

LONGEST_PASSWORD = 96
HEARTBEAT_SECONDS = 0.5
READ_ALL = "has read all relay log"
GROUPS = (
    "Slave_DDL_Groups",
    "Slave_Non_Transactional_Groups",
    "Slave_Transactional_Groups",
)


def why_not_join(position: str, identity: str, context: SourceContext) -> str:
    """Why a restored server cannot be tried as a replica of its source; empty if it can be.

    ``identity`` tells the log of the position from another of its name. Raise RestoreFailed if
    the source never had it.
    """
    begin = parsed_file_position(position)
    if begin is None:
        return "the source writes no binary log"
    if not identity:
        return "the backup does not tell its binary log from another of the same name"
    try:
        if len(context.secret(source_of(context).password).encode()) > LONGEST_PASSWORD:
            return f"MariaDB takes no password of a replica of more than {LONGEST_PASSWORD} bytes"
        with closing(connect_source(context)) as source:
            if not may_replicate(source):
                return "the backup user lacks REPLICATION SLAVE on *.*"
            dialect, there = spoken(source), _lengths(source)
        assert context.image is not None
        with context.sandboxes.tools(context.image) as tools:
            place_source_options(tools, context)
            known = begin[0] not in there or log_identity(tools, dialect, begin[0]) == identity
    except (UserError, BackupFailed, pymysql.MySQLError) as error:
        return f"{UNREACHABLE}: {words_of(error)}"
    # A log that was purged is known by none: then the source itself denies it.
    known = known and begin <= max(there.items(), default=begin)
    if not known or begin[1] > there.get(begin[0], begin[1]):
        raise RestoreFailed(
            f"the restored server stands at {position}, and the source never had all of that"
        )
    return ""


def join(
    restored: "Connection[Any]", sandbox: Sandbox, position: str, context: SourceContext
) -> Joined:
    """Let a restored server with a way to the network catch up with its source, and leave again.

    Where it has to arrive is where the source stands when it starts. Raise RestoreFailed with
    the server's words if the source answers and it cannot catch up.
    """
    try:
        begun = time.monotonic()
        wanted = _prepare(restored, sandbox, position, context)
        try:
            rows(restored, f"START SLAVE '{CHANNEL}'")
            fetched = _catch_up(restored, wanted)
            took = timedelta(seconds=time.monotonic() - begun)
        finally:
            sandbox.require_running()
            rows(restored, f"STOP SLAVE '{CHANNEL}'")
            rows(restored, f"RESET SLAVE '{CHANNEL}' ALL")
    except CannotTell as reason:
        return Joined(unproven=str(reason))
    except pymysql.MySQLError as error:
        sandbox.require_running()
        raise RestoreFailed(f"joining the source: {words_of(error)}") from None
    return Joined(fetched, took)


def _prepare(
    restored: "Connection[Any]", sandbox: Sandbox, position: str, context: SourceContext
) -> tuple[str, int]:
    """Tell the server of its source, and return where that stands."""
    begin = parsed_file_position(position)
    assert begin is not None
    reached, wanted = reach(sandbox, context, log_position)
    rows(restored, f"SET GLOBAL server_id = {2**31 + secrets.randbelow(2**31)}")
    user, password = source_of(context).user, source_of(context).password
    rows(
        restored,
        f"CHANGE MASTER '{CHANNEL}' TO MASTER_HOST = %s, MASTER_PORT = %s, MASTER_USER = %s,"
        " MASTER_PASSWORD = %s, MASTER_CONNECT_RETRY = 1, MASTER_USE_GTID = no,"
        f" MASTER_HEARTBEAT_PERIOD = {HEARTBEAT_SECONDS}, MASTER_LOG_FILE = %s,"
        " MASTER_LOG_POS = %s, MASTER_SSL = %s, MASTER_SSL_CA = %s,"
        " MASTER_SSL_VERIFY_SERVER_CERT = %s",
        (
            reached.host,
            reached.port,
            context.text(user),
            context.secret(password),
            *begin,
            int(reached.encrypted),
            reached.authorities,
            int(reached.identity),
        ),
    )
    return wanted


def _catch_up(restored: "Connection[Any]", wanted: tuple[str, int]) -> int:
    """Wait as long as anything comes; return how many transactions were fetched.

    Raise RestoreFailed or CannotTell.
    """
    progress: tuple[object, ...] = ()
    since = time.monotonic()
    while True:
        status = _status(restored)
        fetched = sum(int(status[name]) for name in GROUPS)
        reached = (str(status["Relay_Master_Log_File"]), int(status["Exec_Master_Log_Pos"]))
        # A heartbeat is the source's own word that it has nothing more to send.
        if _order(reached) >= _order(wanted) and (fetched or status["Slave_received_heartbeats"]):
            return fetched
        if status["Slave_SQL_Running"] == "No":
            words = status["Last_SQL_Error"] or "the applier stopped"
            raise RestoreFailed(f"applying what the source sent: {words}")
        require_connection(status, str(status["Slave_IO_Running"]))
        now = (reached, status["Read_Master_Log_Pos"], status["Relay_Log_Space"], fetched)
        if now != progress or READ_ALL not in str(status["Slave_SQL_Running_State"]):
            progress, since = now, time.monotonic()
        elif time.monotonic() - since > PATIENCE_SECONDS:
            raise CannotTell(f"nothing came of the source for {PATIENCE_SECONDS} s")
        time.sleep(POLL_SECONDS / 5)


def _order(position: tuple[str, int]) -> tuple[int, int]:
    log, offset = position
    return int(log.rpartition(".")[2] or 0), offset


def _lengths(source: "Connection[Any]") -> dict[str, int]:
    return {str(row[0]): int(row[1]) for row in rows(source, "SHOW BINARY LOGS")}


def _status(restored: "Connection[Any]") -> Mapping[str, Any]:
    with restored.cursor(DictCursor) as cursor:
        cursor.execute("SHOW ALL SLAVES STATUS")
        found = [status for status in cursor.fetchall() if status["Connection_name"] == CHANNEL]
    return dict(found[0])
