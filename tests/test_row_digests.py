"""Short digests of rows: what was changed, lost or added is found at its place."""

import hashlib
import random
from functools import reduce
from operator import xor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from restoreproof.row_digests import DIGEST_BYTES, Gap, exclusive_or, gaps, leaves


def hashes(*rows: object) -> list[bytes]:
    return [hashlib.sha256(repr(row).encode()).digest() for row in rows]


def parted(before: list[bytes], after: list[bytes], leaf: int) -> list[Gap]:
    seen = [one[:DIGEST_BYTES] for one in after]
    return gaps(leaves(b"".join(before), leaf), len(before), leaf, seen)


@pytest.mark.parametrize("count", [0, 1, 2, 3, 7, 8, 100])
def test_exclusive_or_is_that_of_all(count: int) -> None:
    """However many there are, it is what one would get one by one."""
    some = hashes(*range(count))
    assert exclusive_or(b"".join(some)) == reduce(xor, (int.from_bytes(one) for one in some), 0)


def test_single_rows_are_named_exactly() -> None:
    """With a digest a row: changed, lost, added, at either end too."""
    rows = hashes(*range(50))
    new = hashes("new", "newer")
    assert parted(rows, rows, 1) == []
    assert parted(rows, [*rows[:9], new[0], *rows[10:]], 1) == [Gap(9, 1, 9, 1)]
    assert parted(rows, [*rows[:9], *rows[11:]], 1) == [Gap(9, 2, 9, 0)]
    assert parted(rows, [*rows[:9], *new, *rows[9:]], 1) == [Gap(9, 0, 9, 2)]
    assert parted(rows, [*rows, new[0]], 1) == [Gap(50, 0, 50, 1)]
    assert parted(rows, rows[1:-1], 1) == [Gap(0, 1, 0, 0), Gap(49, 1, 48, 0)]
    assert parted(rows, [], 1) == [Gap(0, 50, 0, 0)]
    assert parted([], rows, 1) == [Gap(0, 0, 0, 50)]


@given(st.integers(1, 9), st.integers(1, 60), st.randoms(use_true_random=False))
def test_every_difference_lies_in_a_gap(leaf: int, count: int, drawn: random.Random) -> None:
    """What is outside the gaps is equal, and a gap is no longer than what changed asks for."""
    before = hashes(*range(count))
    after = list(before)
    at = drawn.randrange(count)
    what = drawn.choice(["change", "lose", "add"])
    after[at : at + (what != "add")] = [] if what == "lose" else hashes("other")

    (gap,) = parted(before, after, leaf)

    rest = before[: gap.first] + before[gap.first + gap.rows :]
    assert rest == after[: gap.seen_first] + after[gap.seen_first + gap.seen_rows :]
    assert gap.rows <= leaf
    assert gap.seen_rows - gap.rows == {"change": 0, "lose": -1, "add": 1}[what]
