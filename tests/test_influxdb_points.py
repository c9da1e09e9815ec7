"""Digests of points from a server's own words, and the windows that they are taken of."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from restoreproof.engines.influxdb_client import InfluxRefused
from restoreproof.engines.influxdb_layout import Layout, Window, instant_text, parsed
from restoreproof.engines.influxdb_points import Points, read_points

Row = list[Any]
VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False),
    st.text(max_size=5), st.sampled_from(['],[', '"values":[[', ',null]', '"', "\\", "]]"]),
)  # fmt: skip
ROWS = st.lists(st.tuples(st.integers(), VALUES, VALUES).map(list), min_size=1, max_size=8)


def answer(rows: list[Row], tags: dict[str, str], part: int = 100) -> Iterator[bytes]:
    """An answer as a server gives it, in parts of so many rows."""
    for first in range(0, len(rows), part):
        last = first + part >= len(rows)
        cut_off = {} if last else {"partial": True}
        series = {"name": "m", "tags": tags, "columns": ["time", "a", "b"],
                  "values": rows[first : first + part], **cut_off}  # fmt: skip
        result = {"statement_id": 0, "series": [series], **cut_off}
        yield json.dumps({"results": [result]}, separators=(",", ":")).encode()


def read(*answers: Iterator[bytes]) -> Points:
    """What is read of several series."""
    (found,) = read_points(line for lines in answers for line in lines)
    return found


@given(ROWS, st.integers(1, 4))
def test_parts_do_not_matter_and_every_point_is_counted(rows: list[Row], part: int) -> None:
    """However the server cuts its answer, count and digest are the same."""
    whole = read(answer(rows, {"t": 'x],["values":[['}))

    assert whole == read(answer(rows, {"t": 'x],["values":[['}, part))
    assert (whole.count, whole.series, whole.tags) == (len(rows), 1, {"t"})


@given(ROWS, ROWS)
def test_other_rows_have_another_digest(one: list[Row], other: list[Row]) -> None:
    """Two answers have the same digest if and only if their rows are written the same."""
    same = json.dumps(one) == json.dumps(other)

    assert (read(answer(one, {})).digest == read(answer(other, {})).digest) == same


@given(ROWS)
def test_a_later_field_changes_no_digest(rows: list[Row]) -> None:
    """A column more without any value, as for points older than a field, is left out."""
    longer = [[*row, None] for row in rows]

    assert read(answer(longer, {})).digest == read(answer(rows, {})).digest


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

    with pytest.raises(InfluxRefused, match="in the middle"):
        read_points(begun)
    with pytest.raises(InfluxRefused, match="timeout"):
        read_points([*begun, b'{"results":[{"statement_id":0,"error":"timeout"}]}'])
    assert read_points([b'{"results":[{"statement_id":0}]}'])[0].count == 0


def test_answers_to_several_statements_are_told_apart() -> None:
    """Each statement's points are counted for it alone, and so is its end."""
    first, second = [[1, 2, 3]], [[4, 5, 6], [7, 8, 9]]
    lines = [
        *answer(first, {}),
        b'{"results":[{"statement_id":1}]}',
        *(one.replace(b'"statement_id":0', b'"statement_id":2') for one in answer(second, {}, 1)),
    ]

    found = read_points(lines, 3)

    assert [one.count for one in found] == [1, 0, 2]
    assert found[2] == read(answer(second, {}))
    with pytest.raises(InfluxRefused, match="in the middle"):
        read_points(lines[:-1], 3)


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
