"""What surrounds a server's data, counted out of a comparison for a check of its own."""

from collections.abc import Collection
from dataclasses import dataclass

from restoreproof.fingerprint import Comparisons, Fingerprint


@dataclass(frozen=True)
class MetadataCheck:
    """How much of the source's metadata was looked for, and what came back otherwise."""

    examined: int
    differences: tuple[str, ...]


def metadata_check(
    kinds: Collection[str], expected: Fingerprint, comparison: Comparisons
) -> MetadataCheck:
    """What a comparison says of items of these kinds."""
    return MetadataCheck(
        examined=sum(item.kind in kinds for item in expected.items),
        differences=tuple(str(one) for one in comparison.differences if one.kind in kinds),
    )
