"""Whether a restored MySQL server can be worked with: sound tables, a write, and a read of it."""

import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pymysql
from pydantic import BaseModel, ConfigDict, Field
from pymysql.connections import Connection

from restoreproof.engines.mysql_connection import quoted, rows, user_databases, value
from restoreproof.outcomes import RestoreFailed

SYSTEM = "mysql"
TABLES_AT_ONCE = 50
SOUND = ("OK", "Table is already up to date")
PROBE_TEXT = "what RestoreProof wrote"


class ApplicationProbe(BaseModel):
    """One write and one read as the application makes them, each a single statement.

    The first value that ``read`` gives has to be a number of ``at_least`` or more. Both run in
    one transaction on the restored server, never at the source.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    write: str = Field(min_length=1)
    read: str = Field(min_length=1)
    at_least: int = 1


@dataclass(frozen=True)
class TableCheck:
    """What the server says of its tables and views.

    ``examined`` is how many it looked into, ``unchecked`` how many are of an engine that has
    no check.
    """

    examined: int
    unchecked: int
    complaints: tuple[str, ...]


@dataclass(frozen=True)
class Usefulness:
    """Whether a write and a read worked; what was expected of the read, and what it gave."""

    useful: bool
    expected: str
    seen: str


def check_tables(connection: "Connection[Any]", *, views: bool) -> TableCheck:
    """CHECK TABLE on every table, the server's own included, and on every view if wanted.

    Raise pymysql.MySQLError if the server refuses, or dies of it.
    """
    names = list(_tables(connection, views=views))
    complaints, unchecked = [], 0
    for start in range(0, len(names), TABLES_AT_ONCE):
        some = ", ".join(names[start : start + TABLES_AT_ONCE])
        said: dict[str, list[tuple[str, str]]] = {}
        for table, _, kind, text in rows(connection, f"CHECK TABLE {some}"):
            said.setdefault(table, []).append((kind.lower(), text))
        for table, words in said.items():
            # Only the last word counts: warnings may come before an OK.
            kind, text = words[-1]
            if kind == "note":
                unchecked += 1
            elif kind != "status" or text not in SOUND:
                complaints.append(f"{table}: {', '.join(text for _, text in words)}")
    return TableCheck(len(names) - unchecked, unchecked, tuple(complaints))


def write_and_read(connection: "Connection[Any]", probe: ApplicationProbe | None) -> Usefulness:
    """Write and read as the application does; without its own probe in a database made for it.

    What was written is rolled back or dropped. Raise RestoreFailed with the server's words.
    """
    try:
        if probe is None:
            return _write_anything(connection)
        rows(connection, "START TRANSACTION")
        try:
            with connection.cursor() as cursor:
                written = cursor.execute(probe.write)
            found = rows(connection, probe.read)
        finally:
            rows(connection, "ROLLBACK")
    except pymysql.MySQLError as error:
        whose = "the application's probe" if probe else "a write"
        raise RestoreFailed(f"the restored server refuses {whose}: {error.args[-1]}") from None
    number = _number(found[0][0]) if found else None
    return Usefulness(
        useful=number is not None and number >= probe.at_least,
        expected=f"the application's probe reads {probe.at_least} or more",
        seen=f"the application's probe wrote {written} rows and read"
        f" {'no number' if number is None else f'{number:g}'}",
    )


def _write_anything(connection: "Connection[Any]") -> Usefulness:
    database = f"restoreproof probe {secrets.token_hex(4)}"
    table = quoted(database, "probe")
    rows(connection, f"CREATE DATABASE {quoted(database)}")
    try:
        rows(connection, f"CREATE TABLE {table} (id INT PRIMARY KEY, text VARCHAR(50))")
        rows(connection, f"INSERT INTO {table} VALUES (1, %s)", (PROBE_TEXT,))
        found = value(connection, f"SELECT text FROM {table} WHERE id = 1")
    finally:
        rows(connection, f"DROP DATABASE {quoted(database)}")
    useful = found == PROBE_TEXT
    return Usefulness(
        useful=useful,
        expected="a row written into a new table and read back",
        seen=f"{'the row' if useful else 'another row'} that was written into a new table; the"
        " policy names no probe_query of the application",
    )


def _tables(connection: "Connection[Any]", *, views: bool) -> Iterator[str]:
    for database in (*user_databases(connection), SYSTEM):
        for name, kind in rows(connection, f"SHOW FULL TABLES FROM {quoted(database)}"):
            if views or kind == "BASE TABLE":
                yield quoted(database, str(name))


def _number(found: object) -> float | None:
    # Other than numbers are data of the estate, which an answer must not repeat.
    try:
        return float(str(found))
    except ValueError:
        return None
