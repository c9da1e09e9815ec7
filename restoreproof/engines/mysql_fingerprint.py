"""What a MySQL server holds: a count and a strong digest a table, and every schema object.

A row is turned into text in which every value is tagged for NULL and carries its length, so
no two different rows share a text. Its SHA-256 enters three lanes that do not depend on
order: exclusive or over all 256 bits, and two sums of 64 bits each, since exclusive or alone
cancels pairs of equal rows.
"""

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pymysql.connections import Connection

from restoreproof.engines.mysql_connection import quoted, rows, value
from restoreproof.engines.mysql_dialect import spoken
from restoreproof.engines.mysql_temporal import (
    all_rows,
    current_items,
    hidden_columns,
    sequence_items,
)
from restoreproof.fingerprint import Comparison, Item
from restoreproof.outcomes import BackupFailed

METHOD = "mysql-rows-sha256-v1"
COUNTER = "auto-increment counter"
AUTO_INCREMENT = re.compile(r" AUTO_INCREMENT=\d+")
# SHOW CREATE names a column's character set or not depending on how the table came to be, so
# both are cut out here and the column's collation is taken from the data dictionary instead.
COLUMN_CHARACTER_SET = re.compile(
    r"^(  `(?:[^`]|``)+` [a-z]+(?:\((?:'(?:[^']|'')*'|[^')])*\))?)"
    r"(?: CHARACTER SET \w+)?(?: COLLATE \w+)?",
    re.MULTILINE,
)
LARGE_TYPES = {
    "blob", "tinyblob", "mediumblob", "longblob", "geometry", "geomcollection", "point",
    "linestring", "polygon", "multipoint", "multilinestring", "multipolygon", "vector",
    "text", "tinytext", "mediumtext", "longtext",
}  # fmt: skip
BYTES_TYPES = {"char", "varchar", "enum", "set", "binary", "varbinary"}


@dataclass(frozen=True)
class Column:
    """A stored column: its name and the server's name for its type."""

    name: str
    type: str

    @property
    def text(self) -> str:
        """SQL for the value as bytes of bounded length, NULL for NULL."""
        name = quoted(self.name)
        if self.type in LARGE_TYPES:
            # Concatenating large values could exceed max_allowed_packet and give NULL.
            return f"SHA2({name}, 256)"
        if self.type == "json":
            return f"SHA2(CAST({name} AS CHAR), 256)"
        if self.type == "bit":
            return f"CAST({name} + 0 AS CHAR)"
        if self.type == "float":
            # As text a FLOAT loses digits, and with them the difference that a dump made.
            return f"CAST(CAST({name} AS DOUBLE) AS CHAR)"
        if self.type in BYTES_TYPES:
            return f"CAST({name} AS BINARY)"
        return f"CAST({name} AS CHAR)"

    @property
    def tagged(self) -> str:
        """SQL for the value with its length, or the tag of NULL."""
        return (
            f"IF({quoted(self.name)} IS NULL, 'N', CONCAT(LENGTH({self.text}), ':', {self.text}))"
        )


def table_items(connection: "Connection[Any]", databases: Sequence[str]) -> Iterator[Item]:
    """Count and digest of every base table, as the connection's snapshot shows them."""
    for database, table, engine in _tables(connection, databases):
        count, digest = _table_digest(connection, database, table)
        transactional = engine == "InnoDB"
        yield Item(
            kind="table",
            name=f"{database}.{table}",
            count=count,
            digest=digest,
            comparison=Comparison.EQUAL if transactional else Comparison.UNDECIDED,
            reason="" if transactional else f"a {engine} table is outside every snapshot",
        )


def counter_items(connection: "Connection[Any]", databases: Sequence[str]) -> Iterator[Item]:
    """The next AUTO_INCREMENT value of every table that has one.

    A counter is outside every snapshot and only grows, so a restored one may be larger. So are
    MariaDB's sequences.
    """
    for setting in spoken(connection).session:
        rows(connection, setting)
    statement = (
        "SELECT t.table_schema, t.table_name, COALESCE(t.auto_increment, 1)"
        " FROM information_schema.tables t JOIN information_schema.columns c"
        " ON c.table_schema = t.table_schema AND c.table_name = t.table_name"
        f" WHERE c.extra LIKE '%%auto_increment%%' AND {_among('t.table_schema', databases)}"
    )
    for database, table, counter in rows(connection, statement, databases):
        yield Item(
            kind=COUNTER,
            name=f"{database}.{table}",
            count=int(counter),
            comparison=Comparison.AT_LEAST,
        )
    yield from sequence_items(connection, databases)


def schema_items(connection: "Connection[Any]", databases: Sequence[str]) -> Iterator[Item]:
    """The definition of every database, table, view, trigger, routine and event."""
    for database in databases:
        yield _defined("database", database, connection, f"DATABASE {quoted(database)}", (1,))
    for database, table, _ in _tables(connection, databases):
        yield _table_definition(connection, database, table)
    for kind, selected, column, columns in OBJECTS:
        statement = f"SELECT {selected} WHERE {_among(column, databases)}"
        for database, name, *routine in rows(connection, statement, databases):
            word = routine[0] if routine else kind
            shown = f"{word} {quoted(database, name)}"
            yield _defined(str(word).lower(), f"{database}.{name}", connection, shown, columns)
    yield from current_items(connection, databases)


# Kind, what to select, the column with the database, and which columns of SHOW CREATE are the
# definition: the others are times of creation.
OBJECTS: tuple[tuple[str, str, str, tuple[int, ...]], ...] = (
    ("view", "table_schema, table_name FROM information_schema.views", "table_schema", (1, 2, 3)),
    (
        "trigger",
        "trigger_schema, trigger_name FROM information_schema.triggers",
        "trigger_schema",
        (1, 2, 3, 4, 5),
    ),
    (
        "routine",
        "routine_schema, routine_name, routine_type FROM information_schema.routines",
        "routine_schema",
        (1, 2, 3, 4, 5),
    ),
    (
        "event",
        "event_schema, event_name FROM information_schema.events",
        "event_schema",
        (1, 2, 3, 4, 5, 6),
    ),
    (
        "sequence",
        "table_schema, table_name FROM information_schema.tables",
        "table_type = 'SEQUENCE' AND table_schema",
        (1,),
    ),
)


def _tables(connection: "Connection[Any]", databases: Sequence[str]) -> list[tuple[str, str, str]]:
    statement = (
        "SELECT table_schema, table_name, engine FROM information_schema.tables"
        " WHERE table_type IN ('BASE TABLE', 'SYSTEM VERSIONED')"
        f" AND {_among('table_schema', databases)}"
        " ORDER BY table_schema, table_name"
    )
    return [(str(a), str(b), str(c)) for a, b, c in rows(connection, statement, databases)]


def _table_digest(connection: "Connection[Any]", database: str, table: str) -> tuple[int, str]:
    columns = _columns(connection, database, table)
    row = ", ".join(column.tagged for column in columns)
    exclusive_or = spoken(connection).exclusive_or.format("h")
    lanes = "CAST(CONV(SUBSTRING(h, {}, 16), 16, 10) AS UNSIGNED)"
    statement = (
        f"SELECT COUNT(*), COUNT(h), {exclusive_or},"
        f" SUM({lanes.format(1)}), SUM({lanes.format(17)})"
        f" FROM (SELECT SHA2(CONCAT({row}), 256) AS h"
        f" FROM {all_rows(connection, database, table)}) AS digests"
    )
    count, hashed, folded, first, second = rows(connection, statement)[0]
    if count != hashed:
        raise BackupFailed(f"{count - hashed} rows of {database}.{table} could not be digested")
    text = f"{folded}:{first or 0}:{second or 0}"
    return int(count), hashlib.sha256(text.encode()).hexdigest()


def _columns(connection: "Connection[Any]", database: str, table: str) -> list[Column]:
    # A virtual column is computed when it is read: its definition says all there is.
    statement = (
        "SELECT column_name, data_type FROM information_schema.columns"
        " WHERE table_schema = %s AND table_name = %s AND extra NOT LIKE '%%VIRTUAL GENERATED%%'"
        " ORDER BY ordinal_position"
    )
    found = rows(connection, statement, (database, table))
    hidden = hidden_columns(connection, database, table)
    return [
        *(Column(str(name), str(kind).lower()) for name, kind in found),
        *(Column(name, "timestamp") for name in hidden),
    ]


def _table_definition(connection: "Connection[Any]", database: str, table: str) -> Item:
    shown = _show_create(connection, "table", f"TABLE {quoted(database, table)}", (1,))
    text = COLUMN_CHARACTER_SET.sub(r"\1", AUTO_INCREMENT.sub("", shown))
    statement = (
        "SELECT column_name, collation_name FROM information_schema.columns"
        " WHERE table_schema = %s AND table_name = %s AND collation_name IS NOT NULL"
        " ORDER BY ordinal_position"
    )
    collations = rows(connection, statement, (database, table))
    return _described("table definition", f"{database}.{table}", f"{text}\n{collations!r}")


def _defined(
    kind: str, name: str, connection: "Connection[Any]", shown: str, columns: Sequence[int]
) -> Item:
    return _described(kind, name, _show_create(connection, kind, shown, columns))


def _show_create(
    connection: "Connection[Any]", kind: str, shown: str, columns: Sequence[int]
) -> str:
    row = rows(connection, f"SHOW CREATE {shown}")[0]
    parts = [row[index] for index in columns if index < len(row)]
    if any(part is None for part in parts):
        raise BackupFailed(f"the definition of {kind} {shown} is hidden from this user")
    return "\n".join(map(str, parts))


def _described(kind: str, name: str, text: str) -> Item:
    return Item(kind=kind, name=name, digest=hashlib.sha256(text.encode()).hexdigest())


def _among(column: str, databases: Sequence[str]) -> str:
    # No database at all is a legitimate answer, and IN () is no SQL.
    places = ", ".join(["%s"] * len(databases)) or "NULL"
    return f"{column} IN ({places})"


def gtid_executed(connection: "Connection[Any]") -> str:
    """A source's executed GTIDs on one line; empty where GTIDs or MariaDB's binary log are off.

    Of MySQL it is a set, of MariaDB the last of every domain.
    """
    return _gtids(connection, spoken(connection).position)


def gtid_restored(connection: "Connection[Any]") -> str:
    """The position that a restored server was given, in the same words."""
    return _gtids(connection, spoken(connection).restored_position)


def _gtids(connection: "Connection[Any]", variable: str) -> str:
    gtids = str(value(connection, f"SELECT {variable}") or "").replace("\n", "")
    return ",".join(sorted(gtids.split(",")))
