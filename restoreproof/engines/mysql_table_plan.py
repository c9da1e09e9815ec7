"""Whether a table's rows may come in any order, and which of its keys can wait for them.

All is asked of the server, which has the table by then, and not read from the dump.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pymysql.connections import Connection

from restoreproof.engines.mysql_connection import quoted, rows, value

VARIABLES = (
    "sql_mode",
    "time_zone",
    "character_set_client",
    "character_set_connection",
    "collation_connection",
    "foreign_key_checks",
    "unique_checks",
)
"""What a dump sets and what changes the meaning of its INSERTs."""
AUTO_INCREMENT = re.compile(r"(?m)^  (`(?:[^`]|``)+`) .* AUTO_INCREMENT\b.*$")
COUNTER = re.compile(r" AUTO_INCREMENT=\d+")
FIRST_COLUMN = re.compile(r"\n  (`(?:[^`]|``)+`) ")
_NAME = r"`(?:[^`]|``)+`"
_PART = rf"{_NAME}(?:\(\d+\))?(?: DESC)?"
_KEY = re.compile(
    rf"KEY (?P<name>{_NAME}) \((?P<first>{_NAME})(?:\(\d+\))?(?: DESC)?(?:,{_PART})*\)"
    r"(?: USING BTREE| COMMENT '(?:[^'\\]|''|\\.)*'| /\*!80000 INVISIBLE \*/)*"
)
_FOREIGN_KEY = re.compile(rf"CONSTRAINT (?P<name>{_NAME}) FOREIGN KEY .*")
# Character sets in which the byte of a backslash or quote can be half of a character.
_AMBIGUOUS = {"big5", "cp932", "gb18030", "gbk", "sjis"}


@dataclass(frozen=True)
class Session:
    """What holds for a dump's statements at one place: database and variables."""

    database: str
    variables: tuple[str, ...]

    def __getitem__(self, name: str) -> str:
        return self.variables[VARIABLES.index(name)]

    @property
    def statements(self) -> tuple[str, ...]:
        """SQL that makes another session like this one."""
        settings = (
            f"{name} = {value}" if value.isdecimal() else f"{name} = '{value}'"
            for name, value in zip(VARIABLES, self.variables, strict=True)
        )
        return (
            "SET NAMES utf8mb4",
            f"USE {quoted(self.database)}",
            f"SET {', '.join(settings)}",
        )


@dataclass(frozen=True)
class TablePlan:
    """A table that is loaded over several connections. ``drop`` and ``add`` may be empty."""

    session: Session
    database: str
    table: str
    definition: str
    drop: str = ""
    add: str = ""
    foreign_keys: bool = False

    def __str__(self) -> str:
        return f"{self.database}.{self.table}"

    @property
    def database_quoted(self) -> str:
        """The database's name in backticks."""
        return quoted(self.database)


def session_query(token: str) -> str:
    """SQL that answers with one line: the token and the session, the values as hex."""
    # A number's HEX() would be another thing than that of its text.
    asked = ("IFNULL(DATABASE(), '')", *(f"CONCAT(@@SESSION.{name})" for name in VARIABLES))
    shown = ", ".join(f"HEX({one})" for one in asked)
    return f"SELECT CONCAT_WS(',', '{token}', {shown}) LIMIT 1"


def session_of(answer: str) -> Session:
    """The session in an answer of the query."""
    _, database, *variables = (
        bytes.fromhex(one).decode() if number else one
        for number, one in enumerate(answer.split(","))
    )
    return Session(database, tuple(variables))


def plan_table(
    connection: "Connection[Any]", session: Session, name: bytes, rows_begin: bytes
) -> TablePlan | None:
    """How to load a table that is empty; None if its rows have to come in order.

    ``name`` is how the dump names it, ``rows_begin`` the beginning of its first INSERT.
    Raise pymysql.MySQLError.
    """
    known = _resolved(session, name)
    if known is None or session["character_set_client"] in _AMBIGUOUS:
        return None
    database, table = known
    engine = rows(
        connection,
        "SELECT engine FROM information_schema.tables"
        " WHERE table_schema = %s AND table_name = %s AND table_type = 'BASE TABLE'",
        known,
    )
    triggers = value(
        connection,
        "SELECT COUNT(*) FROM information_schema.triggers"
        " WHERE event_object_schema = %s AND event_object_table = %s",
        known,
    )
    # A trigger, another engine's lock on the table: one after the other.
    if not engine or str(engine[0][0]).lower() != "innodb" or triggers:
        return None
    definition = show_create(connection, database, table)
    foreign_keys = " FOREIGN KEY " in definition
    if "NO_BACKSLASH_ESCAPES" in session["sql_mode"]:
        return None
    # With checks on, a row may need another one that comes before it.
    if foreign_keys and session["foreign_key_checks"] != "0":
        return None
    if not _numbers_itself(definition, session, rows_begin):
        return None
    referenced = rows(
        connection,
        "SELECT referenced_column_name FROM information_schema.key_column_usage"
        " WHERE referenced_table_schema = %s AND referenced_table_name = %s",
        known,
    )
    needed = {quoted(str(column)) for (column,) in referenced}
    drop, add = _deferred(definition, needed)
    altered = f"ALTER TABLE {quoted(database, table)} "
    return TablePlan(
        session=session,
        database=database,
        table=table,
        definition=COUNTER.sub("", definition),
        drop=altered + ", ".join(drop) if drop else "",
        add=altered + ", ".join(add) if add else "",
        foreign_keys=foreign_keys,
    )


def show_create(connection: "Connection[Any]", database: str, table: str) -> str:
    """The table's definition in the server's own form."""
    return str(rows(connection, f"SHOW CREATE TABLE {quoted(database, table)}")[0][1])


def _resolved(session: Session, name: bytes) -> tuple[str, str] | None:
    """Database and table; None where the bytes may mean other characters."""
    if not name.isascii() and session["character_set_client"] not in {"utf8mb4", "utf8mb3"}:
        return None
    try:
        parts = re.findall(rf"{_NAME}|[^`.]+", name.decode())
    except UnicodeDecodeError:
        return None
    names = [one[1:-1].replace("``", "`") if one[0] == "`" else one for one in parts]
    database = names[0] if len(names) > 1 else session.database
    return (database, names[-1]) if database else None


def _numbers_itself(definition: str, session: Session, rows_begin: bytes) -> bool:
    """Whether the server gives no numbers to rows, which would depend on their order."""
    numbered = AUTO_INCREMENT.search(definition)
    if numbered is None:
        return True
    if "NO_AUTO_VALUE_ON_ZERO" not in session["sql_mode"]:
        return False
    head = rows_begin.partition(b"VALUES")[0]
    named = re.search(rb"\((%s)[,)]" % _NAME.encode(), head)
    if named or head.rstrip().endswith(b")"):
        return bool(named) and named[1] == numbered[1].encode()  # type: ignore[index]  # checked before it
    first = FIRST_COLUMN.search(definition)
    # What is invisible is no part of a row that names no columns.
    return first is not None and first[1] == numbered[1] and "INVISIBLE" not in numbered[0]


def _deferred(definition: str, needed: set[str]) -> tuple[list[str], list[str]]:
    """Clauses that take keys away from an empty table, and those that bring them back.

    The server shows keys in the order they were made in, so only the last ones can wait.
    """
    if numbered := AUTO_INCREMENT.search(definition):
        needed = needed | {numbered[1]}
    keys = list[re.Match[str]]()
    for line in reversed(list(_lines(definition, ("  KEY ", "  SPATIAL KEY ")))):
        found = _KEY.fullmatch(line)
        if found is None or found["first"] in needed:
            break
        keys.insert(0, found)
    if not keys:
        return [], []
    constraints = [
        found
        for line in _lines(definition, ("  CONSTRAINT ",))
        if (found := _FOREIGN_KEY.fullmatch(line))
    ]
    drop = [f"DROP FOREIGN KEY {one['name']}" for one in constraints]
    drop += [f"DROP KEY {one['name']}" for one in keys]
    return drop, [f"ADD {one[0]}" for one in (*keys, *constraints)]


def _lines(definition: str, beginnings: tuple[str, ...]) -> Iterator[str]:
    for line in definition.split("\n"):
        if line.startswith(beginnings):
            yield line.strip().removesuffix(",")


def same_definition(plan: TablePlan, definition: str) -> bool:
    """Whether the table has become what it was before its keys were taken away."""
    return COUNTER.sub("", definition) == plan.definition
