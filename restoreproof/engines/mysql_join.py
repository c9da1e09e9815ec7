"""Whether a restored server can join its source as a replica: start, catch up, stop.

The source is read and never written to: it sees one more replica for as long as that takes.
"""

import secrets
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import pymysql
from pymysql.connections import Connection
from pymysql.cursors import DictCursor

from restoreproof.engines.contract import SourceContext
from restoreproof.engines.mysql_connection import rows, value
from restoreproof.engines.mysql_gtids import GtidSet
from restoreproof.engines.mysql_position import parsed_file_position
from restoreproof.engines.mysql_privileges import may_replicate
from restoreproof.engines.mysql_relay import applier_state, applies_relay_logs
from restoreproof.engines.mysql_source import address, authorities, connect_source, source_of
from restoreproof.errors import UserError
from restoreproof.outcomes import RestoreFailed
from restoreproof.sandbox import Sandbox

CHANNEL = "restoreproof"
AUTHORITIES_FILE = "/var/tmp/restoreproof-source-ca.pem"  # noqa: S108  # inside a container of ours alone
LOOPBACK = ("localhost", "127.0.0.1", "::1")
LONGEST_PASSWORD = 32
POLL_SECONDS = 0.5
PATIENCE_SECONDS = 120
"""How long nothing may be received or applied before nobody can say what would come of it."""
CLIENT_ERRORS = range(2000, 3000)
EXECUTED = "SELECT @@GLOBAL.gtid_executed"
UNREACHABLE = "the source cannot be reached"
Place = TypeVar("Place")


@dataclass(frozen=True)
class Joined:
    """What came of it: how many transactions were fetched, or why nobody can say."""

    fetched: int = 0
    took: timedelta = timedelta()
    unproven: str = ""


@dataclass(frozen=True)
class Reached:
    """How a server in a sandbox reaches the source, and whether that has to prove its name."""

    host: str
    port: int
    encrypted: bool
    authorities: str
    identity: bool


class CannotTell(Exception):
    """Something that says nothing of what was restored."""


def why_not_join(restored: "Connection[Any]", position: str, context: SourceContext) -> str:
    """Why a restored server cannot be tried as a replica of its source; empty if it can be.

    Raise RestoreFailed if it holds transactions that the source never had.
    """
    if not applies_relay_logs(restored):
        return "joining the source is tried with MySQL 8.0.23 and later, and MariaDB"
    if not position or parsed_file_position(position):
        return "the source keeps no GTIDs"
    try:
        if len(context.secret(source_of(context).password).encode()) > LONGEST_PASSWORD:
            return f"MySQL takes no password of a replica of more than {LONGEST_PASSWORD} bytes"
        with closing(connect_source(context)) as source:
            if not may_replicate(source):
                return "the backup user lacks REPLICATION SLAVE on *.*"
            executed = GtidSet(str(value(source, EXECUTED)))
    except (UserError, pymysql.MySQLError) as error:
        return f"{UNREACHABLE}: {words_of(error)}"
    if not GtidSet(position) <= executed:
        raise RestoreFailed(
            f"the restored server stands at {position}, and the source, at"
            f" {executed or 'no transaction'}, never had all of that"
        )
    return ""


def join(restored: "Connection[Any]", sandbox: Sandbox, context: SourceContext) -> Joined:
    """Let a restored server with a way to the network catch up with its source, and leave again.

    Where it has to arrive is where the source stands when it starts. Raise RestoreFailed with
    the server's words if the source answers and it cannot catch up.
    """
    try:
        begun, before = time.monotonic(), GtidSet(str(value(restored, EXECUTED)))
        wanted = _prepare(restored, sandbox, context)
        try:
            _start(restored, context)
            _catch_up(restored, wanted)
            took = timedelta(seconds=time.monotonic() - begun)
        finally:
            sandbox.require_running()
            rows(restored, "STOP REPLICA FOR CHANNEL %s", (CHANNEL,))
            rows(restored, "RESET REPLICA ALL FOR CHANNEL %s", (CHANNEL,))
        fetched = len(GtidSet(str(value(restored, EXECUTED)))) - len(before)
    except CannotTell as reason:
        return Joined(unproven=str(reason))
    except pymysql.MySQLError as error:
        sandbox.require_running()
        raise RestoreFailed(f"joining the source: {words_of(error)}") from None
    return Joined(fetched, took)


def reach(
    sandbox: Sandbox, context: SourceContext, where: Callable[["Connection[Any]"], Place]
) -> tuple[Reached, Place]:
    """How a server in a sandbox reaches the source, and where that stands. Raise CannotTell."""
    try:
        host, port = address(context)
        trusted, tls = authorities(context), source_of(context).tls
        with closing(connect_source(context)) as source:
            # As this process reaches it: encrypted where the server can.
            encrypted = bool(rows(source, "SHOW SESSION STATUS LIKE 'Ssl_cipher'")[0][1])
            wanted = where(source)
    except (UserError, pymysql.MySQLError) as error:
        raise CannotTell(f"{UNREACHABLE}: {words_of(error)}") from None
    if host in LOOPBACK and sandbox.socket is None:
        raise CannotTell(f"{UNREACHABLE}: {host} is another machine to a remote engine's servers")
    if trusted:
        sandbox.place(AUTHORITIES_FILE, trusted.encode())
        sandbox.run(["chmod", "644", AUTHORITIES_FILE])
    reached = Reached(
        # By the other name the server would take its own Unix socket.
        host="127.0.0.1" if host == "localhost" else host,
        port=port,
        encrypted=encrypted,
        authorities=AUTHORITIES_FILE if trusted else "",
        identity=bool(trusted and tls and tls.identity),
    )
    return reached, wanted


def _prepare(restored: "Connection[Any]", sandbox: Sandbox, context: SourceContext) -> str:
    """Tell the server of its source, and return what that has executed."""
    reached, wanted = reach(sandbox, context, lambda source: str(value(source, EXECUTED)))
    # A server that its source takes for another of its replicas puts that one off.
    rows(restored, f"SET GLOBAL server_id = {2**31 + secrets.randbelow(2**31)}")
    rows(restored, "SET GLOBAL relay_log_purge = ON")
    rows(
        restored,
        "CHANGE REPLICATION SOURCE TO SOURCE_HOST = %s, SOURCE_PORT = %s,"
        " SOURCE_AUTO_POSITION = 1, SOURCE_CONNECT_RETRY = 1, GET_SOURCE_PUBLIC_KEY = 1,"
        " SOURCE_SSL = %s, SOURCE_SSL_CA = %s, SOURCE_SSL_VERIFY_SERVER_CERT = %s"
        " FOR CHANNEL %s",
        (
            reached.host,
            reached.port,
            int(reached.encrypted),
            reached.authorities,
            int(reached.identity),
            CHANNEL,
        ),
    )
    return wanted


def _start(restored: "Connection[Any]", context: SourceContext) -> None:
    user, password = source_of(context).user, source_of(context).password
    # Given here, they are stored nowhere.
    rows(
        restored,
        "START REPLICA USER = %s PASSWORD = %s FOR CHANNEL %s",
        (context.text(user), context.secret(password), CHANNEL),
    )


def _catch_up(restored: "Connection[Any]", wanted: str) -> None:
    """Wait as long as anything comes. Raise RestoreFailed or CannotTell."""
    progress: tuple[object, ...] = ()
    since = time.monotonic()
    while True:
        reached = not value(
            restored, "SELECT WAIT_FOR_EXECUTED_GTID_SET(%s, %s)", (wanted, POLL_SECONDS)
        )
        status = _status(restored)
        # The source names its log once it has found that it can send all that is missing.
        if reached and status["Source_Log_File"]:
            return
        complaint, idle = applier_state(restored, CHANNEL)
        if complaint:
            raise RestoreFailed(f"applying what the source sent: {complaint}")
        require_connection(status, str(status["Replica_IO_Running"]))
        now = tuple(status[name] for name in ("Source_Log_File", "Read_Source_Log_Pos"))
        now = (*now, status["Relay_Log_Space"], status["Executed_Gtid_Set"])
        if now != progress or not idle:
            progress, since = now, time.monotonic()
        elif time.monotonic() - since > PATIENCE_SECONDS:
            raise CannotTell(f"nothing came of the source for {PATIENCE_SECONDS} s")
        if reached:
            time.sleep(POLL_SECONDS / 5)


def require_connection(status: Mapping[str, Any], state: str) -> None:
    """Raise CannotTell if the source is out of reach, RestoreFailed if it denied something."""
    number, words = int(status["Last_IO_Errno"]), str(status["Last_IO_Error"])
    # Its server tries again what may be better the next time; it stops at what the source denies.
    if number and (state == "Connecting" or number in CLIENT_ERRORS):
        raise CannotTell(f"{UNREACHABLE} by the restored server: {words}")
    if state == "No":
        raise RestoreFailed(f"reading from the source: {words or 'the replica stopped'}")


def _status(restored: "Connection[Any]") -> dict[str, Any]:
    with restored.cursor(DictCursor) as cursor:
        cursor.execute("SHOW REPLICA STATUS FOR CHANNEL %s", (CHANNEL,))
        found: dict[str, Any] = cursor.fetchone() or {}
        return found


def words_of(error: Exception) -> str:
    """An error's own words."""
    return str(error.args[-1]) if error.args else str(error)
