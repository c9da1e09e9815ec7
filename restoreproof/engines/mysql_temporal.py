"""What only MariaDB keeps in a database: sequences, and tables that remember their past."""

from collections.abc import Iterator, Sequence
from typing import Any

from pymysql.connections import Connection

from restoreproof.engines.mysql_connection import quoted, rows, value
from restoreproof.fingerprint import Comparison, Item

PERIOD = ("row_start", "row_end")


def hidden_columns(connection: "Connection[Any]", database: str, table: str) -> tuple[str, ...]:
    """What says from when to when a row of a table with a past held, unless the table names it."""
    named = value(
        connection,
        "SELECT COUNT(*) FROM information_schema.columns WHERE table_schema = %s"
        " AND table_name = %s AND generation_expression IN ('ROW START', 'ROW END')",
        (database, table),
    )
    return () if named else PERIOD


def sequence_items(connection: "Connection[Any]", databases: Sequence[str]) -> Iterator[Item]:
    """How far every sequence has come, counted upwards whichever way it goes.

    A sequence is outside every snapshot and only goes on, so a restored one may be further.
    """
    for database, name in _of_type("SEQUENCE", connection, databases):
        state = "next_not_cached_value, increment, cycle_option"
        shown = f"SELECT {state} FROM {quoted(database, name)}"
        following, increment, cycles = rows(connection, shown)[0]
        yield Item(
            kind="sequence position",
            name=f"{database}.{name}",
            count=-int(following) if increment < 0 else int(following),
            comparison=Comparison.UNDECIDED if cycles else Comparison.AT_LEAST,
            reason="a sequence that begins anew has no order" if cycles else "",
        )


def current_items(connection: "Connection[Any]", databases: Sequence[str]) -> Iterator[Item]:
    """How many rows of every table with a past are not past.

    MariaDB 11.5 moved the end of time: to it every row is past that an older series dumped with
    history, and the table is empty although each of its rows is there.
    """
    for database, table in _of_type("SYSTEM VERSIONED", connection, databases):
        count = value(connection, f"SELECT COUNT(*) FROM {quoted(database, table)}")
        yield Item(kind="current rows", name=f"{database}.{table}", count=int(count))


def _of_type(
    kind: str, connection: "Connection[Any]", databases: Sequence[str]
) -> list[tuple[str, str]]:
    places = ", ".join(["%s"] * len(databases)) or "NULL"
    statement = (
        "SELECT table_schema, table_name FROM information_schema.tables"
        f" WHERE table_type = '{kind}' AND table_schema IN ({places})"
    )
    return [(str(a), str(b)) for a, b in rows(connection, statement, databases)]
