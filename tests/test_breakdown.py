"""Breakdowns: of a difference, the rows and columns are named, and values only on request."""

import pytest

from restoreproof.breakdown import Breakdown, Column, Part, narrowed

ROWS = Breakdown(
    order="`id`", by="rows", parts=(Part("-7", 1, "a"), Part("20", 1, "b"), Part("21", 1, "c"))
)
RANGES = Breakdown(
    order="`id`",
    by="ranges",
    parts=(Part("9", 4, "a"), Part("19", 0, "b"), Part("29", 1, "c"), Part("", 5, "d")),
)
KEYLESS = Breakdown(by="rows", parts=(Part("aa", 2, ""), Part("bb", 1, "")))


def changed(of: Breakdown, **parts: Part | None) -> Breakdown:
    """The breakdown with the parts of these numbers replaced, removed or added."""
    kept = {f"at_{number}": part for number, part in enumerate(of.parts)} | parts
    return of.model_copy(update={"parts": tuple(part for part in kept.values() if part)})


ORDER = "in the order of `id`"
ROW_20_LOST = changed(ROWS, at_1=None)
ROW_7_OTHER = changed(ROWS, at_0=Part("-7", 1, "x"))
ROW_5_MORE = changed(ROWS, more=Part("5", 1, "x"))
DOUBLED = changed(KEYLESS, at_0=Part("aa", 4, ""))
REPLACED = changed(KEYLESS, at_1=Part("cc", 1, ""))
ONE_FEWER = changed(RANGES, at_0=Part("9", 3, "x"))
TWO_MORE = changed(RANGES, at_1=Part("19", 2, "x"))
ONE_MORE = changed(RANGES, at_1=Part("19", 1, "x"))
ONE_OTHER = changed(RANGES, at_2=Part("29", 1, "x"))
LAST_OTHER = changed(RANGES, at_3=Part("", 5, "x"))
TWO_OTHER = changed(ONE_OTHER, at_3=Part("", 5, "x"))
FEWER_PARTS = RANGES.model_copy(update={"parts": RANGES.parts[1:]})


@pytest.mark.parametrize(
    ("expected", "seen", "places", "keys"),
    [
        (ROWS, ROWS, "", ""),
        (ROWS, ROW_20_LOST, "row 2 of 3 {} is lost", " (20)"),
        (ROWS, ROW_7_OTHER, "row 1 of 3 {} differs", " (-7)"),
        (ROWS, ROW_5_MORE, "a row{keys} was not backed up", " (5)"),
        (KEYLESS, DOUBLED, "a row is there 4 times and not 2", ""),
        (KEYLESS, REPLACED, "a row is lost, a row was not backed up", ""),
        (RANGES, ONE_FEWER, "1 row lost among rows 1 to 4 of 10 {}", " (up to 9)"),
        (RANGES, ONE_MORE, "1 row too many after row 4 of 10 {}", " (after 9, up to 19)"),
        (RANGES, TWO_MORE, "2 rows too many after row 4 of 10 {}", " (after 9, up to 19)"),
        (RANGES, ONE_OTHER, "a difference at row 5 of 10 {}", " (after 19, up to 29)"),
        (RANGES, LAST_OTHER, "a difference among rows 6 to 10 of 10 {}", " (after 29)"),
        (RANGES, TWO_OTHER, "a difference among rows 5 to 10 of 10 {}", " (after 19)"),
        (RANGES, FEWER_PARTS, "", ""),
        (RANGES, Breakdown(order="`id`"), "", ""),
    ],
)
def test_places_are_named_and_values_only_on_request(
    expected: Breakdown, seen: Breakdown, places: str, keys: str
) -> None:
    """Rows are named by their place, ranges by the rows in them; what cannot be said is not.

    With the policy's leave keys stand beside the places.
    """
    assert narrowed(expected, seen, show_values=False) == places.format(ORDER, keys="")
    assert narrowed(expected, seen, show_values=True) == places.format(ORDER + keys, keys=keys)


def test_columns_are_named_with_what_is_known_of_them() -> None:
    """A column that differs is named with its remark; one that is gone is no column's matter."""
    before = Breakdown(
        columns=(
            Column(name="`a`", digest="1", remark="rounded"),
            Column(name="`b`", digest="2"),
            Column(name="`c`", digest="3"),
        )
    )
    after = Breakdown(columns=(Column(name="`a`", digest="9"), Column(name="`b`", digest="2")))

    assert narrowed(before, after, show_values=False) == "column `a` (rounded)"


def test_many_places_are_counted() -> None:
    """The first places are named, the others counted."""
    parts = tuple(Part(str(number), 1, "a") for number in range(9))
    before = Breakdown(order="`id`", by="rows", parts=parts)

    said = narrowed(before, before.model_copy(update={"parts": ()}), show_values=False)

    assert said.endswith("row 3 of 9 in the order of `id` is lost, and 6 more places")
