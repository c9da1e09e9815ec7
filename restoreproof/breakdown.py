"""Where an item's content lies: digests by rows and by columns, to name what differs.

The item's own digest decides whether content is equal. A breakdown only narrows a difference
down, so its digests are short.
"""

from collections.abc import Iterator, Sequence
from itertools import accumulate, groupby
from typing import Literal, NamedTuple

from pydantic import BaseModel, ConfigDict

PLACES_SHOWN = 3


class Part(NamedTuple):
    """A row, or a range of rows that ends with the row of this key.

    ``key`` is empty for a range that is open at its end. Rows without a key are named by their
    hash, and ``rows`` says how many there are of the same.
    """

    key: str
    rows: int
    digest: str


class Column(BaseModel):
    """A column's digest over all rows; ``remark`` says what is known to change such a column."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    digest: str
    remark: str = ""


class Breakdown(BaseModel):
    """An item's rows or ranges of rows, and its columns.

    ``order`` names what the parts follow, such as a primary key; without it rows have none.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    order: str = ""
    by: Literal["rows", "ranges"] | None = None
    parts: tuple[Part, ...] = ()
    columns: tuple[Column, ...] = ()


def narrowed(
    expected: Breakdown,
    seen: Breakdown,
    *,
    show_values: bool,
    known: Sequence[str] | None = None,
) -> str:
    """Which rows and columns differ, in words; empty where nothing can be said.

    Rows are named by their place in the backup's order, and by their keys too if values may be
    shown; ``known`` are places that were found more exactly than the parts tell.
    """
    places: list[str] = []
    if known is not None:
        places = list(known)
    elif expected.by == seen.by == "rows":
        places = list(_rows(expected, seen, show_values))
    elif expected.by == seen.by == "ranges" and _keys(expected) == _keys(seen):
        places = list(_ranges(expected, seen, show_values))
    more = len(places) - PLACES_SHOWN
    return ", ".join(
        (
            *_columns(expected, seen),
            *places[:PLACES_SHOWN],
            *([f"and {more:,} more places"] if more > 0 else []),
        )
    )


def _columns(expected: Breakdown, seen: Breakdown) -> Iterator[str]:
    there = {column.name: column.digest for column in seen.columns}
    for column in expected.columns:
        if there.get(column.name, column.digest) != column.digest:
            yield f"column {column.name}" + (f" ({column.remark})" if column.remark else "")


def _rows(expected: Breakdown, seen: Breakdown, show_values: bool) -> Iterator[str]:
    """Single rows that differ, are lost or are too many."""
    total = sum(part.rows for part in expected.parts)
    there = {part.key: part for part in seen.parts}

    def key(part: Part) -> str:
        return f" ({part.key})" if show_values and expected.order else ""

    for place, part in enumerate(expected.parts, start=1):
        name = f"row {place:,} of {total:,} in the order of {expected.order}"
        name = f"{name}{key(part)}" if expected.order else "a row"
        found = there.pop(part.key, None)
        if found is None:
            yield f"{name} is lost"
        elif found.rows != part.rows:
            yield f"{name} is there {found.rows:,} times and not {part.rows:,}"
        elif found.digest != part.digest:
            yield f"{name} differs"
    for part in there.values():
        yield f"a row{key(part)} was not backed up"


def _ranges(expected: Breakdown, seen: Breakdown, show_values: bool) -> Iterator[str]:
    """Ranges that differ, neighbours taken together. Both sides were cut at the same keys."""
    ends = [0, *accumulate(part.rows for part in expected.parts)]
    keys = ["", *_keys(expected)]
    pairs = list(zip(expected.parts, seen.parts, strict=True))
    for differ, group in groupby(range(len(pairs)), key=lambda at: pairs[at][0] != pairs[at][1]):
        members = list(group)
        first, last = members[0], members[-1]
        if not differ:
            continue
        lost = sum(pairs[at][0].rows - pairs[at][1].rows for at in members)
        what = f"{abs(lost):,} row{'s' * (abs(lost) > 1)} {'lost' if lost > 0 else 'too many'}"
        where = span(ends[first], ends[last + 1], ends[-1])
        bounds = f" ({_between(keys[first], keys[last + 1])})" if show_values else ""
        yield f"{what if lost else 'a difference'} {where} in the order of {expected.order}{bounds}"


def span(before: int, last: int, total: int) -> str:
    """Rows by their places, from the one after ``before`` on."""
    if last == before:
        return f"after row {before:,} of {total:,}"
    if last == before + 1:
        return f"at row {last:,} of {total:,}"
    return f"among rows {before + 1:,} to {last:,} of {total:,}"


def _between(after: str, up_to: str) -> str:
    words = [f"after {after}" if after else "", f"up to {up_to}" if up_to else ""]
    return ", ".join(word for word in words if word) or "all keys"


def _keys(breakdown: Breakdown) -> list[str]:
    return [part.key for part in breakdown.parts]
