"""Digests of points from a server's own words, and the windows that they are taken of."""

import json
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from restoreproof.engines.influxdb_blocks import measured
from restoreproof.engines.influxdb_client import InfluxRefused
from restoreproof.engines.influxdb_layout import Layout, Window, instant_text, parsed
from restoreproof.engines.influxdb_points import Field, Points, SeriesHash, Tally, read_points
from restoreproof.outcomes import RestoreFailed

Row = list[Any]
COLUMNS: dict[str, st.SearchStrategy[Any]] = {
    "boolean": st.booleans(),
    "integer": st.integers(-(2**63), 2**63 - 1),
    "unsigned": st.integers(0, 2**64 - 1),
    "float": st.floats(allow_nan=False, allow_infinity=False),
    "string": st.one_of(
        st.text('ay яы🧨"\\,]-0', max_size=5), st.sampled_from(["],[", ",-0]", "]]"])
    ),
}  # fmt: skip
FIELDS = (("a", "integer"), ("b", "integer"))


@st.composite
def tables(draw: st.DrawFn) -> tuple[tuple[Field, ...], list[Row]]:
    """Columns of all types, and rows in each of which some field has a value."""
    kinds = draw(st.lists(st.sampled_from(sorted(COLUMNS)), min_size=1, max_size=3))
    columns = tuple((f"f{number}", kind) for number, kind in enumerate(kinds))
    values = st.tuples(*(st.one_of(st.none(), COLUMNS[kind]) for kind in kinds))
    rows = draw(st.lists(values.filter(lambda row: set(row) != {None}), min_size=1, max_size=8))
    return columns, [[at, *row] for at, row in enumerate(rows)]


def answer(rows: list[Row], tags: dict[str, str], part: int = 100) -> Iterator[bytes]:
    """An answer as a server gives it, in parts of so many rows."""
    for first in range(0, len(rows), part):
        last = first + part >= len(rows)
        cut_off = {} if last else {"partial": True}
        shown = [[_shown(value) for value in row] for row in rows[first : first + part]]
        series = {"name": "m", "tags": tags, "columns": ["time", "a", "b"],
                  "values": shown, **cut_off}  # fmt: skip
        result = {"statement_id": 0, "series": [series], **cut_off}
        line = json.dumps({"results": [result]}, separators=(",", ":"))
        yield line.replace(f'"{ZERO}"', "-0").encode()


ZERO = "below zero"


def _shown(value: object) -> object:
    # As InfluxDB writes floats: without a point where there is nothing behind it.
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e21:
        return ZERO if value == 0 and math.copysign(1, value) < 0 else int(value)
    return value


def read(*answers: Iterator[bytes], columns: Sequence[Field] = FIELDS) -> Points:
    """What is read of several series."""
    (found,) = read_points((line for lines in answers for line in lines), columns)
    return found


def by_hand(columns: Sequence[Field], rows: list[Row]) -> Points:
    """The same points, taken in field by field, as files hold them."""
    series, tally = SeriesHash("m", (("t", "x"),), len(rows)), Tally()
    for number, column in reversed(list(enumerate(columns, 1))):
        there = [row for row in rows if row[number] is not None]
        if there:
            values = [row[number] for row in there]
            if column[1] == "string":
                values = [text.encode() for text in values]
            series.add(column, np.array([row[0] for row in there], np.int64), values)
    tally.add(series)
    return tally.points()


@given(tables(), st.integers(1, 4))
def test_parts_do_not_matter_nor_whence_they_came(
    table: tuple[tuple[Field, ...], list[Row]], part: int
) -> None:
    """However the server cuts its answer, and in whatever order fields come: the same digest."""
    columns, rows = table
    whole = read(answer(rows, {"t": "x"}), columns=columns)

    assert whole == read(answer(rows, {"t": "x"}, part), columns=columns)
    assert whole == by_hand(columns, rows)
    assert (whole.count, whole.series, whole.tags) == (len(rows), 1, {"t"})


@given(tables(), st.data())
def test_another_value_has_another_digest(
    table: tuple[tuple[Field, ...], list[Row]], data: st.DataObject
) -> None:
    """Of a field, to the last bit of a float; of a time; and of its type."""
    columns, rows = table
    row = data.draw(st.integers(0, len(rows) - 1))
    at = data.draw(st.integers(1, len(columns)))
    value = data.draw(COLUMNS[columns[at - 1][1]])
    other = [list(one) for one in rows]
    other[row][at] = value
    digest = by_hand(columns, rows).digest

    assert (by_hand(columns, other).digest == digest) == (repr(value) == repr(rows[row][at]))
    other[row] = [len(rows) + 1, *rows[row][1:]]
    assert by_hand(columns, other).digest != digest


def test_a_type_is_part_of_the_digest() -> None:
    """One as an integer is no one as a float, and the zero below zero is none."""
    rows = [[1, 1, None]]
    seen = [read(answer(rows, {}), columns=[("a", kind), ("b", "float")]).digest
            for kind in ("integer", "float", "unsigned")]  # fmt: skip
    zeros = [read(answer([[1, zero, None]], {}), columns=[("a", "float"), ("b", "float")]).digest
             for zero in (0.0, -0.0)]  # fmt: skip

    assert len({*seen, *zeros}) == 5


def test_a_later_field_changes_no_digest() -> None:
    """A column more without any value, as for points older than a field, is left out."""
    rows = [[1, 2, 3], [2, None, 4]]
    longer = [[*row, None] for row in rows]

    assert read(answer(longer, {}), columns=[*FIELDS, ("c", "float")]) == read(answer(rows, {}))


def test_the_order_of_series_does_not_matter_and_their_tags_do() -> None:
    """Series may come in any order; an empty tag is none; a point of another series is another."""
    rows = [[1, 2, 3]]
    a, b = {"h": "a", "x": ""}, {"h": "b", "x": ""}

    forwards = read(answer(rows, a), answer(rows, b))

    assert forwards == read(answer(rows, b), answer(rows, a))
    assert forwards == read(answer(rows, {"h": "a"}), answer(rows, {"h": "b"}))
    assert forwards.series == 2
    assert forwards.digest != read(answer(rows, {"g": "a"}), answer(rows, b)).digest


def test_an_answer_that_is_not_whole_is_refused() -> None:
    """An error in the middle, or an end that is none, never passes for fewer points."""
    begun = list(answer([[1, 2, 3], [2, 3, 4]], {}, 1))[:1]
    with pytest.raises(InfluxRefused):
        read_points(begun, FIELDS)
    with pytest.raises(InfluxRefused):
        read_points([*begun, b'{"results":[{"statement_id":0,"error":"timeout"}]}'], FIELDS)
    assert read_points([b'{"results":[{"statement_id":0}]}'], FIELDS)[0].count == 0


def test_answers_to_several_statements_are_told_apart() -> None:
    """Each statement's points are counted for it alone, and so is its end."""
    first, second = [[1, 2, 3]], [[4, 5, 6], [7, 8, 9]]
    lines = [
        *answer(first, {}),
        b'{"results":[{"statement_id":1}]}',
        *(one.replace(b'"statement_id":0', b'"statement_id":2') for one in answer(second, {}, 1)),
    ]

    found = read_points(lines, FIELDS, 3)

    assert [one.count for one in found] == [1, 0, 2]
    assert found[2] == read(answer(second, {}))
    with pytest.raises(InfluxRefused, match="in the middle"):
        read_points(lines[:-1], FIELDS, 3)


@pytest.mark.parametrize(
    ("series", "expected"),
    [
        (rb"m", ("m", ())),
        (rb"m,b=2,a=1", ("m", (("a", "1"), ("b", "2")))),
        (rb"odd\ na\,me,a\=b=c\ d\,e", ("odd na,me", (("a=b", "c d,e"),))),
        (rb"m,a=b=c", None),
        (rb"m,a=\x", None),
        (rb"m,a", None),
        (b"m,a=\xff", None),
    ],
)
def test_the_words_of_a_series(series: bytes, expected: object) -> None:
    """Measurement and tags without what escapes them; what is ambiguous is refused."""
    if expected is None:
        with pytest.raises(RestoreFailed):
            measured(series)
    else:
        assert measured(series) == expected


def test_windows_leave_no_gap() -> None:
    """From the beginning up to the boundary, each window begins where the one before ends."""
    layout = Layout(boundary=50, exported_from=40, cuts={"d": {"p": (10, 40, 50, 70)}})

    windows = list(layout.closed("d", "p"))

    assert windows == [Window(None, 10), Window(10, 40), Window(40, 50)]
    assert list(layout.closed("d", "other")) == [Window(None, 50)]
    assert layout.open.condition == "time >= 50"
    assert [one.overlaps(10, 40) for one in windows] == [False, True, False]


@pytest.mark.parametrize(
    "text",
    ["1677-09-21", "1969-12-31T23:59:59.999999999Z", "1970-01-01", "2026-11-23T12:00:01Z",
     "2262-04-11T23:47:16.854775807Z"],
)  # fmt: skip
def test_times_are_written_as_they_are_read(text: str) -> None:
    """Every instant that a server can name, to the nanosecond."""
    assert instant_text(parsed(text if "T" in text else f"{text}T00:00:00Z")) == text
