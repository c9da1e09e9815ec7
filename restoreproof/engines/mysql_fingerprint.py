"""What a MySQL server holds: every table, every schema object, every counter."""

import hashlib
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any

from pymysql.connections import Connection

from restoreproof.breakdown import Breakdown
from restoreproof.engines.mysql_connection import among, quoted, rows, value
from restoreproof.engines.mysql_dialect import spoken
from restoreproof.engines.mysql_readers import Readers
from restoreproof.engines.mysql_row_digests import RowDigests
from restoreproof.engines.mysql_rows import Table
from restoreproof.engines.mysql_tables import (
    LISTED_ROWS,
    fresh_statistics,
    read_tables,
    table_items,
)
from restoreproof.engines.mysql_temporal import current_items, sequence_items
from restoreproof.fingerprint import Comparison, Item
from restoreproof.outcomes import BackupFailed

METHOD = "mysql-rows-sha256-v2"
COUNTER = "auto-increment counter"
TABLE = "table definition"
AUTO_INCREMENT = re.compile(r" AUTO_INCREMENT=\d+")
# SHOW CREATE names a column's character set or not depending on how the table came to be, so
# both are cut out here and the column's collation is taken from the data dictionary instead.
COLUMN_CHARACTER_SET = re.compile(
    r"^(  `(?:[^`]|``)+` [a-z]+(?:\((?:'(?:[^']|'')*'|[^')])*\))?)"
    r"(?: CHARACTER SET \w+)?(?: COLLATE \w+)?",
    re.MULTILINE,
)


def counter_items(connection: "Connection[Any]", databases: Sequence[str]) -> Iterator[Item]:
    """The next AUTO_INCREMENT value of every table that has one.

    A counter is outside every snapshot and only grows, so a restored one may be larger. So are
    MariaDB's sequences.
    """
    fresh_statistics(connection)
    statement = (
        "SELECT t.table_schema, t.table_name, COALESCE(t.auto_increment, 1)"
        " FROM information_schema.tables t JOIN information_schema.columns c"
        " ON c.table_schema = t.table_schema AND c.table_name = t.table_name"
        f" WHERE c.extra LIKE '%%auto_increment%%' AND {among('t.table_schema', databases)}"
    )
    for database, table, counter in rows(connection, statement, databases):
        yield Item(
            kind=COUNTER,
            name=f"{database}.{table}",
            count=int(counter),
            comparison=Comparison.AT_LEAST,
        )
    yield from sequence_items(connection, databases)


@dataclass(frozen=True)
class Definition:
    """Something that SHOW CREATE shows: its kind and name, and which columns define it."""

    kind: str
    name: str
    shown: str
    columns: tuple[int, ...] = (1,)


def content_items(
    readers: Readers,
    databases: Sequence[str],
    counters: Sequence[Item],
    *,
    held: Collection[str] | None = None,
    known: Mapping[str, Breakdown | None] = MappingProxyType({}),
    digests: RowDigests | None = None,
    most: int = LISTED_ROWS,
) -> tuple[Item, ...]:
    """All items of a server's content, as the readers see it.

    Tables come first: having been read they keep their definition until the snapshot ends.
    ``held``, ``known``, ``digests`` and ``most`` are those of ``table_items``.
    """
    with readers.lent() as connection:
        tables = read_tables(connection, databases)
    return (
        *counters,
        *table_items(readers, tables, held=held, known=known, digests=digests, most=most),
        *schema_items(readers, databases, tables),
    )


def schema_items(
    readers: Readers, databases: Sequence[str], tables: Sequence[Table]
) -> Iterator[Item]:
    """The definition of every database, table, view, trigger, routine and event."""
    found = [Definition("database", one, f"DATABASE {quoted(one)}") for one in databases]
    found += [
        Definition(TABLE, one.label, f"TABLE {quoted(one.database, one.name)}") for one in tables
    ]
    with readers.lent() as connection:
        found += _objects(connection, databases)
        collations = _collations(connection, databases)
        yield from current_items(connection, databases)
    with readers.reading() as pool:
        texts = pool.all(partial(_show_create, definition) for definition in found)
    for definition, text in zip(found, texts, strict=True):
        if definition.kind == TABLE:
            bare = COLUMN_CHARACTER_SET.sub(r"\1", AUTO_INCREMENT.sub("", text))
            text = f"{bare}\n{collations.get(definition.name, [])!r}"  # noqa: PLW2901
        digest = hashlib.sha256(text.encode()).hexdigest()
        yield Item(kind=definition.kind, name=definition.name, digest=digest)


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


def _objects(connection: "Connection[Any]", databases: Sequence[str]) -> Iterator[Definition]:
    for kind, selected, column, columns in OBJECTS:
        statement = f"SELECT {selected} WHERE {among(column, databases)}"
        for database, name, *routine in rows(connection, statement, databases):
            word = str(routine[0] if routine else kind)
            shown = f"{word} {quoted(database, name)}"
            yield Definition(word.lower(), f"{database}.{name}", shown, columns)


def _collations(
    connection: "Connection[Any]", databases: Sequence[str]
) -> dict[str, list[tuple[str, str]]]:
    statement = (
        "SELECT table_schema, table_name, column_name, collation_name"
        " FROM information_schema.columns"
        f" WHERE collation_name IS NOT NULL AND {among('table_schema', databases)}"
        " ORDER BY ordinal_position"
    )
    found: dict[str, list[tuple[str, str]]] = {}
    for database, table, column, collation in rows(connection, statement, databases):
        found.setdefault(f"{database}.{table}", []).append((str(column), str(collation)))
    return found


def _show_create(definition: Definition, connection: "Connection[Any]") -> str:
    row = rows(connection, f"SHOW CREATE {definition.shown}")[0]
    parts = [row[index] for index in definition.columns if index < len(row)]
    if any(part is None for part in parts):
        what = f"{definition.kind} {definition.shown}"
        raise BackupFailed(f"the definition of {what} is hidden from this user")
    return "\n".join(map(str, parts))


def gtid_executed(connection: "Connection[Any]") -> str:
    """A server's executed GTID set on one line; empty where GTIDs are off or make no sets."""
    if not spoken(connection).gtid_sets:
        return ""
    gtids = str(value(connection, "SELECT @@GLOBAL.gtid_executed") or "").replace("\n", "")
    return ",".join(sorted(gtids.split(",")))
