"""Digests of all tables of a server: read at once over several connections, large ones in ranges.

A table is cut where its keys are, and a restored copy is cut at the same keys, so that of a
difference the rows can be named. Small tables keep a short hash of every row.
"""

import heapq
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from functools import partial, reduce
from itertools import accumulate, pairwise
from operator import add, itemgetter
from typing import Any, Literal

from pymysql.connections import Connection
from pymysql.cursors import DictCursor

from restoreproof.breakdown import Breakdown, Column, Part
from restoreproof.engines.mysql_connection import Row, among, quoted, rows
from restoreproof.engines.mysql_dialect import spoken
from restoreproof.engines.mysql_readers import Readers
from restoreproof.engines.mysql_row_digests import RowDigests
from restoreproof.engines.mysql_rows import (
    ALL_HASHES,
    SHORT_DIGITS,
    RowSum,
    StoredColumn,
    Table,
    between,
    read_single,
    read_sum,
    single,
    sums,
)
from restoreproof.engines.mysql_temporal import hidden_columns
from restoreproof.fingerprint import Comparison, Item
from restoreproof.row_digests import HASH_BYTES, leaves

PARTS = 200
PART_ROWS = 200
LISTED_ROWS = 500
LISTED_IN_ALL = 20_000
COLUMN_ROWS = 20_000
AT_ONCE = 10
HASHES_AT_ONCE = 50_000
DENSE = 4
REMARKS = {
    "float": "mysqldump rounds FLOAT: back up with method physical, or use DOUBLE",
    "double": "mysqldump loses the sign of -0",
}


@dataclass(frozen=True)
class Plan:
    """How a table is read: row by row, in ranges that end at ``cuts``, or in one piece.

    ``order`` is the primary key that the table has, or had when it was backed up; ``columns``
    are digested for themselves.
    """

    table: Table
    order: str
    columns: tuple[StoredColumn, ...]
    listed: bool = False
    cuts: tuple[int, ...] = ()
    most: int = LISTED_ROWS
    """Beyond so many rows none is listed."""
    leaf: int = 0
    """How many rows a digest of their own stands for; 0 if none are wanted."""

    @property
    def reads(self) -> list["Reading"]:
        """The readings that together are the table."""
        if self.listed:
            return [partial(_list_rows, self)]
        bounds = list(pairwise((None, *self.cuts, None)))
        size = AT_ONCE
        if self.leaf:
            size = max(1, min(AT_ONCE, HASHES_AT_ONCE * len(bounds) // max(1, self.table.rows)))
        groups = [bounds[at : at + size] for at in range(0, len(bounds), size)]
        return [partial(_sum_ranges, self, group) for group in groups]


@dataclass(frozen=True)
class Read:
    """What one reading gave: the sums of its ranges, and the rows where it listed them."""

    sums: tuple[RowSum, ...]
    rows: tuple[Part, ...] | None = None
    leaves: tuple[bytes, ...] = ()
    """The short digests of each range's rows, where they could be had."""


Range = tuple[int | None, int | None]
Reading = Callable[["Connection[Any]"], Read]


def table_items(
    readers: Readers,
    tables: Sequence[Table],
    *,
    held: Collection[str] | None,
    known: Mapping[str, Breakdown | None],
    digests: RowDigests | None,
    most: int = LISTED_ROWS,
) -> Iterator[Item]:
    """Count and digest of every table, as the readers see them; ``digests`` takes its rows' own.

    A copy of tables that are ``known`` is broken down as they were. Only tables that all
    readers ``held`` when their snapshots opened are read by several of them: a change of the
    definition that waits for one reader would keep the others waiting for ever. The server knows
    about how many rows a table has: of one that is to be listed, ``most`` are, however many it has.
    """
    listed = _to_list(tables)
    single: Collection[str] = ()
    if digests is not None:
        others = (table for table in tables if table.label not in listed)
        single = digests.choose([(table, _pieces(table)) for table in others])
    with readers.reading() as pool:
        begun: list[tuple[Plan, list[Future[list[Read]]]]] = []
        # What is read in one piece begins first: ranges of other tables fill every gap.
        for table in sorted(tables, key=lambda one: (bool(one.cut_by), -one.rows)):
            expected = known.get(table.label)
            if expected is not None:
                plan = _as_before(table, expected)
            else:
                with readers.lent() as connection:
                    plan = _planned(connection, table, listed=table.label in listed)
                plan = replace(plan, most=max(most, plan.most))
                if digests is not None and table.label in single:
                    plan = replace(plan, leaf=digests.leaf)
            at_once = held is None or table.label in held
            groups = [[read] for read in plan.reads] if at_once else [plan.reads]
            begun.append((plan, [pool.begin(partial(_read_all, group)) for group in groups]))
        for plan, futures in begun:
            reads = [read for future in futures for read in future.result()]
            if digests is not None and plan.leaf and all(read.leaves for read in reads):
                counts = [one.count for read in reads for one in read.sums]
                leaves = [one for read in reads for one in read.leaves]
                digests.add(plan.table, list(zip(counts, leaves, strict=True)))
            yield _item(plan, reads)


def fresh_statistics(connection: "Connection[Any]") -> None:
    """Have the server answer with figures of now; else they are up to a day old."""
    for setting in spoken(connection).session:
        rows(connection, setting)


def read_tables(connection: "Connection[Any]", databases: Sequence[str]) -> list[Table]:
    """All base tables of these databases."""
    fresh_statistics(connection)
    # A virtual column is computed when it is read: its definition says all there is.
    statement = (
        "SELECT table_schema, table_name, column_name, data_type, is_nullable"
        " FROM information_schema.columns WHERE extra NOT LIKE '%%VIRTUAL GENERATED%%'"
        f" AND {among('table_schema', databases)} ORDER BY ordinal_position"
    )
    columns = _by_table(rows(connection, statement, databases))
    statement = (
        "SELECT table_schema, table_name, column_name"
        " FROM information_schema.key_column_usage WHERE constraint_name = 'PRIMARY'"
        f" AND {among('table_schema', databases)} ORDER BY ordinal_position"
    )
    keys = _by_table(rows(connection, statement, databases))
    statement = (
        "SELECT table_schema, table_name, engine, COALESCE(table_rows, 0),"
        " table_type = 'SYSTEM VERSIONED', create_options LIKE '%%partitioned%%'"
        " FROM information_schema.tables"
        " WHERE table_type IN ('BASE TABLE', 'SYSTEM VERSIONED')"
        f" AND {among('table_schema', databases)} ORDER BY table_schema, table_name"
    )
    found = []
    for database, name, engine, estimate, remembers, *rest in rows(
        connection, statement, databases
    ):
        stored = [
            StoredColumn(str(column), str(kind).lower(), nullable != "NO")
            for column, kind, nullable in columns.get((database, name), ())
        ]
        key = tuple(str(column) for (column,) in keys.get((database, name), ()))
        if remembers:
            # Past rows have the key of the row that came after them.
            hidden, key = hidden_columns(connection, database, name), ()
            stored += [StoredColumn(column, "timestamp", nullable=False) for column in hidden]
        found.append(
            Table(
                database=str(database),
                name=str(name),
                engine=str(engine),
                rows=int(estimate),
                columns=tuple(stored),
                key=key,
                partitioned=bool(rest[0]),
                remembers=bool(remembers),
            )
        )
    return found


def _by_table(found: Sequence[Row]) -> dict[tuple[str, str], list[Row]]:
    tables: dict[tuple[str, str], list[Row]] = {}
    for database, table, *others in found:
        tables.setdefault((database, table), []).append(tuple(others))
    return tables


def _to_list(tables: Sequence[Table]) -> set[str]:
    """The tables whose every row is named in the manifest: small ones, and not too many."""
    small = sorted((one for one in tables if one.rows <= LISTED_ROWS), key=lambda one: one.rows)
    so_far = accumulate(one.rows for one in small)
    return {one.label for one, rows in zip(small, so_far, strict=True) if rows <= LISTED_IN_ALL}


def _planned(connection: "Connection[Any]", table: Table, *, listed: bool) -> Plan:
    columns = table.columns
    if table.rows > COLUMN_ROWS:
        columns = tuple(one for one in columns if one.type == "float")
    cuts: tuple[int, ...] = ()
    if table.cut_by and not listed:
        cuts = _cuts(connection, table, _pieces(table))
    return Plan(table, table.order, columns, listed, cuts)


def _pieces(table: Table) -> int:
    """Into about how many ranges a table is cut."""
    return max(1, min(PARTS, table.rows // PART_ROWS)) if table.cut_by else 1


def _as_before(table: Table, before: Breakdown) -> Plan:
    """Read a table the way it was read for the backup, as far as it still can be."""
    names = {column.name for column in before.columns}
    columns = tuple(one for one in table.columns if quoted(one.name) in names)
    same = table.order == before.order
    listed = same and before.by == "rows"
    cuts: tuple[int, ...] = ()
    if same and before.by == "ranges" and table.cut_by:
        cuts = tuple(int(part.key) for part in before.parts[:-1])
    # Of a table that grew meanwhile, the rows that were there before are looked for.
    return Plan(table, before.order, columns, listed, cuts, most=LISTED_IN_ALL)


def _cuts(connection: "Connection[Any]", table: Table, pieces: int) -> tuple[int, ...]:
    """Keys that cut a table into about as many pieces, by what its index makes of its size."""
    key, source = table.cut_by, f"{table.source} FORCE INDEX (PRIMARY)"
    low, high = rows(connection, f"SELECT MIN({key}), MAX({key}) FROM {source}")[0]
    if low is None or pieces < 2:
        return ()
    span = high - low + 1
    if table.rows * DENSE >= span >= pieces:
        # Few keys are missing, so pieces of as many keys are of about as many rows.
        return tuple(low + span * number // pieces - 1 for number in range(1, pieces))
    largest, small, some = [(-table.rows, low, high)], [], 1
    while largest and some < pieces:
        estimate, low, high = heapq.heappop(largest)
        if low == high or -estimate <= PART_ROWS // 2:
            small.append((estimate, low, high))
            continue
        middle = (low + high) // 2
        halves = [
            (-_estimate(connection, source, key, begin, end), begin, end)
            for begin, end in ((low, middle), (middle + 1, high))
        ]
        for half in halves:
            heapq.heappush(largest, half)
        some += all(-estimate > 1 for estimate, *_ in halves)
    # What is as good as empty goes with the range after it.
    return tuple(sorted(end for estimate, _, end in (*largest, *small) if -estimate > 1)[:-1])


def _estimate(connection: "Connection[Any]", source: str, key: str, low: int, high: int) -> int:
    found = f"SELECT COUNT(*) FROM {source} WHERE {key} BETWEEN {low} AND {high}"
    with connection.cursor(DictCursor) as cursor:
        cursor.execute(f"EXPLAIN FORMAT=TRADITIONAL {found}")
        return sum(int(line["rows"] or 0) for line in cursor.fetchall())


def _read_all(reads: Sequence[Reading], connection: "Connection[Any]") -> list[Read]:
    return [read(connection) for read in reads]


def _sum_ranges(plan: Plan, bounds: Sequence[Range], connection: "Connection[Any]") -> Read:
    """The sums of neighbouring ranges, in one statement: on a busy machine each one waits."""
    table, fold = plan.table, spoken(connection).exclusive_or
    source = table.source
    if plan.leaf:
        # Else an index that holds all columns might be read, in its own order.
        fold, source = ALL_HASHES, f"{source} FORCE INDEX (PRIMARY)"
    aggregates = sums(table, plan.columns, fold, keyed=bool(plan.order))
    statement = " UNION ALL ".join(
        f"SELECT {number}, {aggregates} FROM {source}{between(table.cut_by, *one)}"
        for number, one in enumerate(bounds)
    )
    found = [tuple(row) for _, *row in sorted(rows(connection, statement), key=itemgetter(0))]
    if not plan.leaf:
        return Read(tuple(map(read_sum, found)))
    hashes = [row[1] or b"" for row in found]
    if any(len(one) != HASH_BYTES * row[0] for one, row in zip(hashes, found, strict=True)):
        # The server cut it off: the table has more rows than it was said to have.
        return _sum_ranges(replace(plan, leaf=0), bounds, connection)
    summed = (read_sum((row[0], one, *row[2:])) for one, row in zip(hashes, found, strict=True))
    return Read(tuple(summed), leaves=tuple(leaves(one, plan.leaf) for one in hashes))


def _list_rows(plan: Plan, connection: "Connection[Any]") -> Read:
    """Every row, or the sum alone if there are too many."""
    table, keyed = plan.table, bool(plan.order)
    key = table.key_text if keyed else "''"
    order = f" ORDER BY {plan.order}" if keyed else ""
    found = rows(
        connection,
        f"SELECT {key}, {single(table, plan.columns)} FROM {table.source}"
        f"{order} LIMIT {plan.most + 1}",
    )
    if len(found) > plan.most:
        return _sum_ranges(plan, [(None, None)], connection)
    named = [(str(key), read_single(tuple(row), keyed=keyed)) for key, *row in found]
    total = reduce(add, (row for _, row in named), RowSum.of_nothing(len(plan.columns)))
    if keyed:
        return Read((total,), tuple(Part(key, 1, row.short_hash) for key, row in named))
    same = Counter(row.short_hash for _, row in named)
    return Read((total,), tuple(Part(digits, count, "") for digits, count in sorted(same.items())))


def _item(plan: Plan, reads: Sequence[Read]) -> Item:
    table = plan.table
    ranges = [one for read in reads for one in read.sums]
    total = reduce(add, ranges)
    transactional = table.engine == "InnoDB"
    parts: tuple[Part, ...] = ()
    by: Literal["rows", "ranges"] | None = None
    if plan.listed and reads[0].rows is not None:
        by, parts = "rows", reads[0].rows
    elif plan.cuts:
        keys = (*map(str, plan.cuts), "")
        by = "ranges"
        parts = tuple(
            Part(key, one.count, one.digest[:SHORT_DIGITS])
            for key, one in zip(keys, ranges, strict=True)
        )
    return Item(
        kind="table",
        name=table.label,
        count=total.count,
        digest=total.digest,
        comparison=Comparison.EQUAL if transactional else Comparison.UNDECIDED,
        reason="" if transactional else f"a {table.engine} table is outside every snapshot",
        breakdown=Breakdown(
            order=plan.order,
            by=by,
            parts=parts,
            columns=tuple(
                Column(
                    name=quoted(column.name),
                    digest=f"{digest:x}",
                    remark=REMARKS.get(column.type, ""),
                )
                for column, digest in zip(plan.columns, total.columns, strict=True)
            ),
        ),
    )
