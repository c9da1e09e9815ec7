"""Whether a source is a replica, and of when its content is then.

A replica that lags holds yesterday's content under today's date, and the backup of one that
stands still would be called fresh for ever: its own binary log goes on as if nothing were.
"""

from datetime import timedelta
from typing import Any

import pymysql
from pymysql.connections import Connection
from pymysql.cursors import DictCursor

from restoreproof.fingerprint import Comparison, Item

LAG = "replication_lag_seconds"
STANDS_STILL = Item(
    kind="replication",
    name="of the source",
    comparison=Comparison.UNDECIDED,
    reason=(
        "the source is a replica that does not follow its own source, so nobody can say of when"
        " its content is; START REPLICA, or RESET REPLICA ALL if it is no replica any more"
    ),
)
UNKNOWN_STATEMENT, NOT_ALLOWED = 1064, 1227


def replication_lag(connection: "Connection[Any]") -> timedelta | None:
    """How far a replica is behind its source, nothing if it is none, None if nobody can say."""
    channels = _channels(connection)
    behind = [
        status.get("Seconds_Behind_Source", status.get("Seconds_Behind_Master"))
        for status in channels
    ]
    known = [int(seconds) for seconds in behind if seconds is not None]
    if len(known) < len(behind):
        return None
    return timedelta(seconds=max(known, default=0))


def _channels(connection: "Connection[Any]") -> list[dict[str, Any]]:
    # MySQL 8.0.22 gave the statement its name.
    for statement in ("SHOW REPLICA STATUS", "SHOW SLAVE STATUS"):
        with connection.cursor(DictCursor) as cursor:
            try:
                cursor.execute(statement)
            except pymysql.MySQLError as error:
                if error.args[0] == UNKNOWN_STATEMENT:
                    continue
                if error.args[0] == NOT_ALLOWED:
                    break
                raise
            return list(cursor.fetchall())
    return []
