"""Digests of single rows, or of a few neighbours, beside a backup: they name what differs.

They are an artifact of their own, bounded in size: one digest for each row as long as there are
few, then for several neighbours. Tables without a primary key have no order that could be kept,
and those beyond the bounds are named by the ranges of their breakdown.
"""

import json
from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import Any

from pymysql.connections import Connection

from restoreproof.breakdown import Breakdown, span
from restoreproof.engines.contract import ArtifactSink, BackupToRestore
from restoreproof.engines.mysql_connection import rows
from restoreproof.engines.mysql_rows import Table, between
from restoreproof.outcomes import RestoreFailed
from restoreproof.row_digests import DIGEST_BYTES, Gap, gaps

ARTIFACT = "row-digests"
DIGESTS, DIGESTS_OF_INCREMENT = 1_000_000, 250_000
"""About how many digests a backup holds at the most."""
ROWS_IN_ALL = 32_000_000
"""All hashes come over the network, 32 bytes each."""
ROWS_AT_ONCE = 100_000
RANGES_READ = 5
KEYS_SHOWN = 3


class RowDigests:
    """What is gathered while a server is digested: leaves of each table, range by range."""

    def __init__(self, most: int) -> None:
        self._most = most
        self.leaf = 1
        """How many rows one digest stands for."""
        self._tables: dict[str, list[tuple[int, bytes]]] = {}

    def choose(self, tables: Sequence[tuple[Table, int]]) -> frozenset[str]:
        """Of tables, each with the number of its pieces, those whose rows are digested."""
        chosen, total = set(), 0
        for table, pieces in sorted(tables, key=lambda one: one[0].rows):
            fits = total + table.rows <= ROWS_IN_ALL and table.rows <= ROWS_AT_ONCE * pieces
            if table.is_ordered and fits:
                chosen.add(table.label)
                total += table.rows
        self.leaf = max(1, -(-total // self._most))
        return frozenset(chosen)

    def add(self, table: Table, ranges: Sequence[tuple[int, bytes]]) -> None:
        """Take the number of rows and the leaves of every range of a table."""
        self._tables[table.label] = list(ranges)

    def __bool__(self) -> bool:
        return any(count for ranges in self._tables.values() for count, _ in ranges)

    def write(self, sink: ArtifactSink) -> None:
        """Write them: a line of JSON, then all leaves."""
        tables = {name: [count for count, _ in known] for name, known in self._tables.items()}
        sink.write(json.dumps({"leaf": self.leaf, "tables": tables}).encode() + b"\n")
        for known in self._tables.values():
            for _, leaves in known:
                sink.write(leaves)


def differing_rows(
    connection: "Connection[Any]",
    table: Table,
    expected: Breakdown,
    seen: Breakdown,
    backup: BackupToRestore,
    *,
    show_values: bool,
) -> list[str] | None:
    """Where the rows of a restored table differ, in words; None if the backup cannot tell."""
    stored = _stored(backup, table.label)
    if stored is None or not table.order == expected.order == seen.order:
        return None
    leaf, ranges = stored
    cuts = [int(part.key) for part in expected.parts[:-1]] if expected.by == "ranges" else []
    bounds = list(pairwise((None, *cuts, None)))
    same = [(one.key, one.rows) for one in expected.parts] if cuts else []
    if len(bounds) != len(ranges) or [one.key for one in seen.parts] != [key for key, _ in same]:
        return None
    ends = list(accumulate((count for count, _ in ranges), initial=0))
    differing = [
        number
        for number in range(len(ranges))
        if not cuts or expected.parts[number] != seen.parts[number]
    ]
    places: list[str] = []
    for number in differing[:RANGES_READ]:
        count, leaves = ranges[number]
        keys, there = _restored_rows(connection, table, *bounds[number])
        for gap in gaps(leaves, count, leaf, there):
            shown = _keys(gap, keys) if show_values else ""
            places.append(_words(gap, ends[number], ends[-1], table.order, shown))
    for number in differing[RANGES_READ:]:
        where = span(ends[number], ends[number + 1], ends[-1])
        places.append(f"a difference {where} in the order of {table.order}")
    return places


def _stored(backup: BackupToRestore, label: str) -> tuple[int, list[tuple[int, bytes]]] | None:
    """What a backup holds of a table; None if that is nothing."""
    try:
        line, _, leaves = b"".join(backup.read(ARTIFACT)).partition(b"\n")
        head = json.loads(line)
        leaf, begin = int(head["leaf"]), 0
        for name, counts in head["tables"].items():
            ends = list(
                accumulate((-(-count // leaf) * DIGEST_BYTES for count in counts), initial=begin)
            )
            if name == label:
                found = (leaves[start:end] for start, end in pairwise(ends))
                return leaf, list(zip(counts, found, strict=True))
            begin = ends[-1]
    except (RestoreFailed, ValueError, KeyError):
        # It names what differs and decides nothing.
        return None
    return None


def _restored_rows(
    connection: "Connection[Any]", table: Table, after: int | None, up_to: int | None
) -> tuple[list[str], list[bytes]]:
    """Key and beginning of the hash of every row of a range, in the key's order."""
    digits = 2 * DIGEST_BYTES
    found = rows(
        connection,
        f"SELECT {table.key_text}, LEFT({table.hash}, {digits}) FROM {table.source}"
        f"{between(table.cut_by, after, up_to)} ORDER BY {table.order}",
    )
    return [str(key) for key, _ in found], [bytes.fromhex(beginning) for _, beginning in found]


def _words(gap: Gap, before: int, total: int, order: str, keys: str) -> str:
    first, last = before + gap.first, before + gap.first + gap.rows
    where = f"{span(first, last, total)} in the order of {order}{keys}"
    row = f"row {last:,} of {total:,} in the order of {order}{keys}"
    more = gap.seen_rows - gap.rows
    number = f"{abs(more):,} row{'s' * (abs(more) != 1)}"
    if more == 0:
        return f"{row} differs" if gap.rows == 1 else f"a difference {where}"
    if more < 0:
        return f"{row} is lost" if gap.rows == 1 else f"{number} lost {where}"
    return f"{number} too many {where}"


def _keys(gap: Gap, keys: Sequence[str]) -> str:
    """The keys of rows that are there, in brackets; if there are none, that of the row before."""
    there = keys[gap.seen_first : gap.seen_first + gap.seen_rows]
    if not there:
        return f" (after {keys[gap.seen_first - 1]})" if gap.seen_first else " (before all keys)"
    if len(there) > KEYS_SHOWN:
        return f" ({there[0]} to {there[-1]})"
    return f" ({'; '.join(there)})"
