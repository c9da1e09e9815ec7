"""What the content was at the instant of a backup, and how a restored copy differs from it.

A fingerprint is a list of items, each with a kind, a name, a count and a digest. Items are
compared by kind and name; order does not matter, and nothing is left out: an item that is
missing, or that was not there before, is a difference.
"""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Self

import rfc8785
from pydantic import BaseModel, ConfigDict

from restoreproof.breakdown import Breakdown, narrowed

NOBODY_LOOKED = "nobody-looked-v1"
"""The method of a backup that was found: at its source nobody had looked."""


class Comparison(StrEnum):
    """How a restored item has to relate to the item in the backup's fingerprint."""

    EQUAL = "equal"
    AT_LEAST = "at-least"
    """The source moved on while it was read: the restored count must reach the count seen."""
    OPTIONAL = "optional"
    """The item came into being while the backup ran: it may have come back or not."""
    PARTS = "parts"
    """Only the parts that the breakdown gives a digest stood still: they have to come back."""
    UNDECIDED = "undecided"
    """The source gave no stable answer, so equality can be neither shown nor refuted."""


class Item(BaseModel):
    """One thing that was looked at: a table, a schema object, a measurement, a reference.

    ``count`` is rows, points or commits; ``digest`` is lower-case hex or empty where only the
    count is compared. ``reason`` says why an item is undecided. ``breakdown`` names what differs
    where the digest does.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: str
    name: str
    count: int | None = None
    digest: str = ""
    comparison: Comparison = Comparison.EQUAL
    reason: str = ""
    breakdown: Breakdown | None = None

    @property
    def key(self) -> tuple[str, str]:
        """What identifies the item."""
        return self.kind, self.name


class Fingerprint(BaseModel):
    """All items of one component at one instant, and the method that took them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    method: str
    taken_at: datetime
    items: tuple[Item, ...]

    @classmethod
    def of(cls, method: str, taken_at: datetime, items: Iterable[Item]) -> Self:
        """A fingerprint with its items in order. Raise ValueError if two share a key."""
        ordered = tuple(sorted(items, key=lambda item: item.key))
        if len({item.key for item in ordered}) != len(ordered):
            raise ValueError("two items of a fingerprint have the same kind and name")
        return cls(method=method, taken_at=taken_at, items=ordered)

    @property
    def digest(self) -> str:
        """Lower-case hex SHA-256 over the items' canonical JSON (RFC 8785)."""
        # The items' own digests say it all; their breakdowns only say where.
        items = [item.model_dump(mode="json", exclude={"breakdown"}) for item in self.items]
        # Counts beyond 2^53 are no numbers in canonical JSON, so counts go in as text.
        for item in items:
            item["count"] = None if item["count"] is None else str(item["count"])
        return hashlib.sha256(rfc8785.dumps(items)).hexdigest()


def settled(before: Iterable[Item], after: Iterable[Item], reason: str) -> list[Item]:
    """Items read before something that takes time, with what changed during it left undecided.

    What was there before must come back; what appeared meanwhile may. An item that is equal
    before and after was so all the time in between.
    """
    before, later = tuple(before), {item.key: item for item in after}
    earlier = {item.key for item in before}
    items = [
        item.model_copy(update={"comparison": Comparison.OPTIONAL})
        for key, item in later.items()
        if key not in earlier
    ]
    undecided = {"comparison": Comparison.UNDECIDED, "reason": reason}
    for item in before:
        changed = item.comparison is Comparison.EQUAL and later.get(item.key) != item
        items.append(item.model_copy(update=undecided) if changed else item)
    return items


@dataclass(frozen=True)
class Difference:
    """One item that came back otherwise than it was backed up.

    ``places`` names the rows and columns that differ, where that is known.
    """

    kind: str
    name: str
    problem: str
    expected: str
    seen: str
    places: str = ""

    def __str__(self) -> str:
        found = f"{self.problem}: {self.places}" if self.places else self.problem
        return f"{self.kind} {self.name}: {found} (expected {self.expected}, saw {self.seen})"


@dataclass(frozen=True)
class Comparisons:
    """The outcome of comparing a restored copy with a backup's fingerprint."""

    examined: int
    differences: tuple[Difference, ...]
    undecided: tuple[Item, ...]

    @property
    def equal(self) -> bool:
        """True only if something was looked at, nothing differs and nothing is undecided."""
        return self.examined > 0 and not self.differences and not self.undecided


def narrow(expected: Item, seen: Item, *, show_values: bool = False) -> str:
    """Which parts of an item differ, as far as the breakdowns of both sides tell."""
    if expected.breakdown is None or seen.breakdown is None:
        return ""
    return narrowed(expected.breakdown, seen.breakdown, show_values=show_values)


def compare(
    expected: Fingerprint, seen: Fingerprint, places: Callable[[Item, Item], str] = narrow
) -> Comparisons:
    """Compare what was restored (``seen``) with what was backed up (``expected``).

    ``places`` says where two items differ, in words that hold no more than may be shown.
    """
    if expected.method != seen.method:
        method = Difference("fingerprint", "method", "differs", expected.method, seen.method)
        return Comparisons(0, (method,), ())
    before = {item.key: item for item in expected.items}
    after = {item.key: item for item in seen.items}
    lost = [item for item in expected.items if _untold(item, after.get(item.key))]
    differences = [
        difference
        for key in sorted(before.keys() | after.keys())
        if (difference := _difference(before.get(key), after.get(key), places)) is not None
    ]
    undecided = (item for item in expected.items if item.comparison is Comparison.UNDECIDED)
    return Comparisons(len(before), tuple(differences), (*undecided, *lost))


def _untold(expected: Item, seen: Item | None) -> bool:
    """Whether parts were asked for, and the copy could not be read in the same parts."""
    if expected.comparison is not Comparison.PARTS or seen is None or expected.breakdown is None:
        return False
    return seen.breakdown is None or seen.breakdown.by != expected.breakdown.by


def _lost_parts(expected: Item, seen: Item) -> str:
    """Which of the parts that stood still did not come back; empty if none or if untold."""
    if expected.breakdown is None or _untold(expected, seen):
        return ""
    assert seen.breakdown is not None
    there = {part.key: part for part in seen.breakdown.parts}
    named = expected.breakdown.order
    lost = 0
    for part in expected.breakdown.parts:
        found = there.get(part.key)
        if not named and (found is None or found.rows < part.rows):
            lost += part.rows - (found.rows if found else 0)
        elif named and part.digest and found != part:
            lost += part.rows
    return f"lost or changed {lost:,} rows that stood still" if lost else ""


def _difference(
    expected: Item | None, seen: Item | None, places: Callable[[Item, Item], str]
) -> Difference | None:
    if expected is None:
        assert seen is not None
        return Difference(seen.kind, seen.name, "was not backed up", "nothing", _describe(seen))
    if expected.comparison in (Comparison.UNDECIDED, Comparison.OPTIONAL):
        return None
    if seen is None:
        return Difference(
            expected.kind, expected.name, "is missing", _describe(expected), "nothing"
        )
    problem = ""
    match expected.comparison:
        case Comparison.AT_LEAST:
            if (seen.count or 0) < (expected.count or 0):
                problem = "fewer than were seen before the backup"
        case Comparison.PARTS:
            problem = _lost_parts(expected, seen)
        case Comparison.EQUAL:
            if seen.count != expected.count:
                problem = "another count"
            elif seen.digest != expected.digest:
                problem = "other content"
    if not problem:
        return None
    where = places(expected, seen)
    return Difference(
        expected.kind, expected.name, problem, _describe(expected), _describe(seen), where
    )


def _describe(item: Item) -> str:
    count = "" if item.count is None else f"{item.count:,}"
    digest = f"{item.digest[:16]}…" if len(item.digest) > 16 else item.digest
    return " ".join(part for part in (count, digest) if part) or "present"
