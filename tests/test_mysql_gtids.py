"""Sets of GTIDs, in MySQL's own notation."""

import pytest

from restoreproof.engines.mysql_gtids import GtidSet

ONE, OTHER = "0a" * 4 + "-0000-0000-0000-000000000001", "0b" * 4 + "-0000-0000-0000-000000000001"


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("", ""),
        (f"{ONE}:1-3:5", f"{ONE}:1-3:5"),
        (f"{ONE}:5:1-3:4", f"{ONE}:1-5"),
        (f"{ONE.upper()}:1-2,\n{ONE}:3", f"{ONE}:1-3"),
        (f"{OTHER}:7,{ONE}:1", f"{ONE}:1,{OTHER}:7"),
        (f"{ONE}:1-4:tag:1-3:other:2", f"{ONE}:1-4:other:2:tag:1-3"),
        (f"{ONE}:tag:1,{ONE}:tag:2", f"{ONE}:tag:1-2"),
    ],
)
def test_a_set_is_written_in_one_way(text: str, normal: str) -> None:
    """Order, case, line breaks and how intervals are cut make no difference."""
    assert str(GtidSet(text)) == normal
    assert GtidSet(text) == GtidSet(normal)


def test_sets_are_compared_and_joined() -> None:
    """A tag makes another sequence, a gap another set."""
    small, large = GtidSet(f"{ONE}:1-3"), GtidSet(f"{ONE}:1-5:tag:1")
    assert small <= large
    assert not large <= small
    assert not GtidSet(f"{ONE}:tag:2") <= large
    assert GtidSet() <= small
    assert str(small | GtidSet(f"{ONE}:7")) == f"{ONE}:1-3:7"
    assert large.holds(ONE, "tag", 1)
    assert not large.holds(ONE, "tag", 2)
    assert not large.holds(OTHER, "", 1)


def test_single_transactions_are_added_in_any_order() -> None:
    """Parallel sources commit out of order."""
    held = GtidSet(f"{ONE}:1-2")
    for number in (3, 5, 4, 9, 5):
        held.add(ONE, "", number)
    held.add(ONE, "tag", 1)
    assert str(held) == f"{ONE}:1-5:9:tag:1"


def test_what_is_no_set_is_refused() -> None:
    """A UUID alone names no transaction."""
    with pytest.raises(ValueError, match="no GTID set"):
        GtidSet(ONE)
