"""Short digests of rows in their order, and where two sides of them part.

A digest stands for one row or for several neighbours, a leaf: the exclusive or of the beginnings
of their hashes. The content's own digest decides whether rows are equal; these only name them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from operator import xor

HASH_BYTES = 32
DIGEST_BYTES = 4
_WORDS = HASH_BYTES // DIGEST_BYTES


@dataclass(frozen=True)
class Gap:
    """Rows of one side, and what the other side has in their place; counted from 0."""

    first: int
    rows: int
    seen_first: int
    seen_rows: int


def exclusive_or(hashes: bytes) -> int:
    """The exclusive or of hashes that stand one after the other."""
    while len(hashes) > HASH_BYTES:
        half = (len(hashes) // HASH_BYTES + 1) // 2 * HASH_BYTES
        folded = int.from_bytes(hashes[:half], "little") ^ int.from_bytes(hashes[half:], "little")
        hashes = folded.to_bytes(half, "little")
    return int.from_bytes(hashes, "big")


def leaves(hashes: bytes, leaf: int) -> bytes:
    """The digest of every ``leaf`` neighbours among hashes that stand one after the other."""
    beginnings = memoryview(hashes).cast("I")[::_WORDS].tobytes()
    if leaf == 1:
        return beginnings
    count = -(-len(hashes) // HASH_BYTES // leaf)
    words = memoryview(beginnings.ljust(count * leaf * DIGEST_BYTES, b"\0")).cast("I")
    folded = 0
    for number in range(leaf):
        folded ^= int.from_bytes(words[number::leaf].tobytes(), "little")
    return folded.to_bytes(count * DIGEST_BYTES, "little")


def gaps(expected: bytes, rows: int, leaf: int, seen: Sequence[bytes]) -> list[Gap]:
    """Where rows part from those whose leaves are ``expected``.

    ``rows`` is how many were digested, ``seen`` the beginnings of the hashes of those there are.
    """
    wanted = memoryview(expected).cast("I").tolist()
    words = memoryview(b"".join(seen)).cast("I").tolist()
    prefixes = list(accumulate(words, xor, initial=0))
    windows: dict[int, int] = {}
    for at in range(len(words) - leaf + 1):
        windows.setdefault(prefixes[at + leaf] ^ prefixes[at], at)

    def size(number: int) -> int:
        return min(leaf, rows - number * leaf)

    def is_at(number: int, at: int) -> bool:
        end = at + size(number)
        return at >= 0 and end <= len(words) and prefixes[end] ^ prefixes[at] == wanted[number]

    def found(number: int) -> int | None:
        if size(number) == leaf:
            return windows.get(wanted[number])
        # Only the last leaf is shorter.
        at = len(words) - size(number)
        return at if is_at(number, at) else None

    parted, number, at = list[Gap](), 0, 0
    while True:
        while number < len(wanted) and is_at(number, at):
            at += size(number)
            number += 1
        if number == len(wanted):
            break
        following, place = len(wanted), len(words)
        for later in range(number, len(wanted)):
            there = found(later)
            if there is not None and there >= at:
                following, place = later, there
                break
        first = number * leaf
        parted.append(Gap(first, min(following * leaf, rows) - first, at, place - at))
        number, at = following, place
    if at < len(words):
        parted.append(Gap(rows, 0, at, len(words) - at))
    return parted
