"""A row as text that no other row shares, and what many rows add up to in whatever order.

Given a table's columns, a row's text can be read back from left to right, so two rows of the
same text are the same row: numbers and instants hold no comma and end at one; bytes begin with
their length; large values stand as 64 digits of their SHA-256; NULL is an N, with which nothing
else begins.

The SHA-256 of the text enters an exclusive or over all 256 bits. Alone it cancels pairs of
equal rows, which a primary key forbids: if rows that all differ come back as equally many with
the same exclusive or, then each of them is there an odd number of times, which is once. Tables
without a primary key have a sum of 64 bits of each hash beside it.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from restoreproof.engines.mysql_connection import Row, quoted
from restoreproof.outcomes import BackupFailed
from restoreproof.row_digests import HASH_BYTES
from restoreproof.row_digests import exclusive_or as fold

INTEGER_TYPES = {"tinyint", "smallint", "mediumint", "int", "bigint"}
PLAIN_TYPES = {*INTEGER_TYPES, "decimal", "year", "date", "time", "datetime", "timestamp"}
LARGE_TYPES = {
    "blob", "tinyblob", "mediumblob", "longblob", "geometry", "geomcollection", "point",
    "linestring", "polygon", "multipoint", "multilinestring", "multipolygon", "vector",
    "text", "tinytext", "mediumtext", "longtext",
}  # fmt: skip
# SQL for values that end at a comma.
WRITTEN = {
    **dict.fromkeys(PLAIN_TYPES, "{}"),
    "bit": "{} + 0",
    "double": "CAST({} AS CHAR)",
    # As text a FLOAT loses digits, and with them the difference that a dump made.
    "float": "CAST(CAST({} AS DOUBLE) AS CHAR)",
}
# SQL for values that stand as a digest: in full they could make a row exceed max_allowed_packet.
DIGESTED = {
    **dict.fromkeys(LARGE_TYPES, "SHA2({}, 256)"),
    "json": "SHA2(CAST({} AS CHAR), 256)",
}
BYTES_TYPES = {"char", "varchar", "enum", "set", "binary", "varbinary"}
# The hashes of all rows in the place of what they add up to: one mention costs the same.
ALL_HASHES = "GROUP_CONCAT(UNHEX({0}) SEPARATOR '')"
HASH_DIGITS = 2 * HASH_BYTES
SHORT_DIGITS = 16


@dataclass(frozen=True)
class StoredColumn:
    """A stored column: its name, the server's name for its type, and whether it takes NULL."""

    name: str
    type: str
    nullable: bool

    @property
    def pieces(self) -> tuple[str, ...]:
        """SQL for the parts of a value's text; none of them is ever NULL."""
        name = quoted(self.name)
        if self.type in DIGESTED:
            return (self._or_null(DIGESTED[self.type].format(name)),)
        if self.type in WRITTEN:
            return self._or_null(WRITTEN[self.type].format(name)), "','"
        if self.type in BYTES_TYPES:
            # The length of a copy would cost as much again as all the rest.
            pieces = (f"LENGTH({name})", "':'", f"CAST({name} AS BINARY)")
        else:
            pieces = (f"LENGTH(CAST({name} AS CHAR))", "':'", f"CAST({name} AS CHAR)")
        return (self._or_null(_joined(pieces)),) if self.nullable else pieces

    @property
    def text(self) -> str:
        """SQL for the value's text."""
        return _joined(self.pieces)

    def _or_null(self, text: str) -> str:
        return f"IFNULL({text}, 'N')" if self.nullable else text


@dataclass(frozen=True)
class Table:
    """A base table: its stored columns in order, its primary key, about how many rows it has."""

    database: str
    name: str
    engine: str
    rows: int
    columns: tuple[StoredColumn, ...]
    key: tuple[str, ...]
    partitioned: bool = False
    remembers: bool = False
    """Whether it keeps past rows too, as MariaDB's tables with system versioning do."""

    @property
    def source(self) -> str:
        """SQL for the table with all its rows, past ones included."""
        past = " FOR SYSTEM_TIME ALL" if self.remembers else ""
        return f"{quoted(self.database, self.name)}{past}"

    @property
    def label(self) -> str:
        """The table's name in a fingerprint."""
        return f"{self.database}.{self.name}"

    @property
    def order(self) -> str:
        """The primary key in words of SQL; empty without one."""
        return ", ".join(map(quoted, self.key))

    @property
    def is_ordered(self) -> bool:
        """Whether its rows are read in the order of its primary key, without being sorted."""
        return bool(self.key) and self.engine == "InnoDB" and not self.partitioned

    @property
    def cut_by(self) -> str:
        """The column by whose values the table can be cut; empty if it cannot be."""
        first = [column for column in self.columns if column.name in self.key[:1]]
        return quoted(first[0].name) if first and first[0].type in INTEGER_TYPES else ""

    @property
    def hash(self) -> str:
        """SQL for the SHA-256 of a row's text, in digits."""
        pieces = [piece for column in self.columns for piece in column.pieces]
        return f"SHA2({_joined(pieces)}, 256)"

    @property
    def key_text(self) -> str:
        """SQL for what names a row among others: its key, or a hash of that if it is no number."""
        key = [column for name in self.key for column in self.columns if column.name == name]
        if all(column.type in PLAIN_TYPES for column in key):
            return f"CONCAT_WS(',', {', '.join(quoted(column.name) for column in key)})"
        pieces = [piece for column in key for piece in column.pieces]
        return f"CONCAT('0x', LEFT(SHA2({_joined(pieces)}, 256), {SHORT_DIGITS}))"


@dataclass(frozen=True)
class RowSum:
    """What rows add up to: their number, the lanes of their hashes, and a sum a column."""

    count: int
    exclusive_or: int
    total: int
    columns: tuple[int, ...]

    def __add__(self, other: "RowSum") -> "RowSum":
        columns = zip(self.columns, other.columns, strict=True)
        return RowSum(
            self.count + other.count,
            self.exclusive_or ^ other.exclusive_or,
            self.total + other.total,
            tuple(one + another for one, another in columns),
        )

    @classmethod
    def of_nothing(cls, columns: int) -> Self:
        """The sum of no row of a table with so many columns that are digested."""
        return cls(0, 0, 0, (0,) * columns)

    @property
    def short_hash(self) -> str:
        """The beginning of the exclusive or: of one row, that of its hash."""
        return f"{self.exclusive_or:0{HASH_DIGITS}x}"[:SHORT_DIGITS]

    @property
    def digest(self) -> str:
        """Lower-case hex SHA-256 over the number and the lanes."""
        text = f"{self.count}:{self.exclusive_or:0{HASH_DIGITS}x}:{self.total}"
        return hashlib.sha256(text.encode()).hexdigest()


def sums(table: Table, columns: Sequence[StoredColumn], exclusive_or: str, *, keyed: bool) -> str:
    """SQL for what ``read_sum`` reads: aggregates over all rows that a query selects.

    ``exclusive_or`` is a dialect's.
    """
    # Each mention of the hash is computed again, so it is mentioned once where that is enough.
    lanes = [exclusive_or.format(table.hash)]
    total = f"SUM(CAST(CONV(LEFT({table.hash}, 16), 16, 10) AS UNSIGNED))"
    lanes += ["0" if keyed else f"COALESCE({total}, 0)"]
    lanes += [f"COALESCE(SUM(CRC32({column.text})), 0)" for column in columns]
    return ", ".join(("COUNT(*)", *lanes))


def read_sum(row: Row) -> RowSum:
    """The answer to ``sums``. Raise BackupFailed if rows could not be digested."""
    count, exclusive_or, total, *columns = row
    if isinstance(exclusive_or, bytes):
        # All hashes, one after the other.
        return RowSum(int(count), fold(exclusive_or), int(total), tuple(map(int, columns)))
    if count and len(exclusive_or) != HASH_DIGITS:
        raise BackupFailed("rows could not be digested")
    lane = int(exclusive_or, 16) if count else 0
    return RowSum(int(count), lane, int(total), tuple(map(int, columns)))


def between(key: str, after: int | None, up_to: int | None) -> str:
    """SQL that keeps to a range of keys; open ends are None."""
    bounds = [f"{key} > {after}"] if after is not None else []
    bounds += [f"{key} <= {up_to}"] if up_to is not None else []
    return f" WHERE {' AND '.join(bounds)}" if bounds else ""


def single(table: Table, columns: Sequence[StoredColumn]) -> str:
    """SQL for what ``read_single`` reads of one row."""
    return ", ".join((table.hash, *(f"CRC32({column.text})" for column in columns)))


def read_single(row: Row, *, keyed: bool) -> RowSum:
    """The answer to ``single``, as the sum of one row. Raise BackupFailed as ``read_sum``."""
    digits, *columns = row
    if digits is None:
        raise BackupFailed("rows could not be digested")
    total = 0 if keyed else int(digits[:16], 16)
    return RowSum(1, int(digits, 16), total, tuple(map(int, columns)))


def _joined(pieces: Sequence[str]) -> str:
    return f"CONCAT({', '.join(pieces)})" if pieces else "''"
