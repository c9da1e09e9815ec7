"""Lengths of time as a policy writes them."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from restoreproof.durations import DURATION, Duration, parse_duration

ADAPTER: TypeAdapter[timedelta] = TypeAdapter(Duration)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90),
        ("15m", 900),
        ("1h", 3600),
        ("1h30m", 5400),
        ("31d", 31 * 86_400),
        ("1d2h3m4s", 93_784),
        ("007s", 7),
        ("30m1h", 5400),
    ],
)
def test_duration_is_read(text: str, seconds: int) -> None:
    """Numbers with units add up."""
    assert ADAPTER.validate_python(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "value",
    ["", "1", "h", "1 h", "1.5h", "-1h", "1h ", "1H", "1w", "1h30", "one hour", "1h\n", 3600, 1.0,
     None, True, [], "0s", "0d0h", "9" * 30 + "d", "999999999999d", timedelta(), -timedelta(1)],
)  # fmt: skip
def test_what_is_no_duration_is_refused(value: object) -> None:
    """Everything else is refused, numbers without a unit among them, and nothing crashes."""
    with pytest.raises(ValidationError) as caught:
        ADAPTER.validate_python(value)

    assert caught.value.error_count() == 1


def test_refusal_says_how_to_write_it() -> None:
    """The refusal shows examples."""
    with pytest.raises(ValueError, match="such as 90s, 15m, 1h or 31d"):
        parse_duration("soon")


@given(st.integers(0, 10_000), st.integers(0, 23), st.integers(0, 59), st.integers(1, 59))
def test_every_combination_is_read(days: int, hours: int, minutes: int, seconds: int) -> None:
    """Any number of days, hours, minutes and seconds is what it says."""
    expected = timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)

    assert ADAPTER.validate_python(f"{days}d{hours}h{minutes}m{seconds}s") == expected


@given(st.text(alphabet="0123456789dhms .-", max_size=6))
def test_pattern_of_the_schema_agrees(text: str) -> None:
    """The published pattern takes exactly what is read."""
    try:
        parse_duration(text)
    except ValueError:
        read = False
    else:
        read = True

    assert read == (DURATION.fullmatch(text) is not None)


def test_schema_shows_the_pattern() -> None:
    """An editor sees a text with a pattern, not a number of seconds."""
    assert ADAPTER.json_schema() == {"type": "string", "pattern": r"^(?:\d+[dhms])+$"}
