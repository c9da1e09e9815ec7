"""AUTO_INCREMENT counters that come back with files or binary logs, and not with a statement.

A server reserves values for an INSERT ... SELECT in growing blocks, and shows the next free
one until it is started again. What it reserved and never gave to a row stands in no file and
in no log, so of such a backup no more can be expected than what rows vouch for.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from pymysql.connections import Connection

from restoreproof.engines.mysql_connection import quoted, rows, value
from restoreproof.fingerprint import Comparison, Item


def vouched(
    connection: "Connection[Any]", databases: Sequence[str], items: Iterable[Item]
) -> Iterator[Item]:
    """The items, their counters no larger than the connection's snapshot has rows for."""
    places = ", ".join(["%s"] * len(databases)) or "NULL"
    statement = (
        "SELECT table_schema, table_name, column_name FROM information_schema.columns"
        f" WHERE extra LIKE '%%auto_increment%%' AND table_schema IN ({places})"
    )
    columns = {
        f"{database}.{table}": (database, table, column)
        for database, table, column in rows(connection, statement, databases)
    }
    for item in items:
        if item.comparison is not Comparison.AT_LEAST or item.name not in columns:
            yield item
            continue
        database, table, column = columns[item.name]
        largest = f"SELECT COALESCE(MAX({quoted(column)}), 0) FROM {quoted(database, table)}"
        used = max(0, int(value(connection, largest)))
        yield item.model_copy(update={"count": min(item.count or 0, used + 1)})
