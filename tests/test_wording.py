"""Durations and sizes as people read them."""

from datetime import timedelta

import pytest

from restoreproof import wording


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (timedelta(0), "0 s"),
        (timedelta(microseconds=3), "< 1 ms"),
        (timedelta(milliseconds=4.6), "5 ms"),
        (timedelta(milliseconds=999.9), "1 s"),
        (timedelta(seconds=1.84), "1.8 s"),
        (timedelta(seconds=59.97), "1 min"),
        (timedelta(seconds=61), "1 min 1 s"),
        (timedelta(minutes=59, seconds=59.9), "1 h"),
        (timedelta(hours=24, minutes=3, seconds=7), "24 h 3 min"),
        (timedelta(hours=47, minutes=59, seconds=59), "48 h"),
        (timedelta(days=31), "31 d"),
        (timedelta(days=2, hours=3, minutes=59), "2 d 4 h"),
        (timedelta(seconds=-7.6), "\N{MINUS SIGN}7.6 s"),
    ],
)
def test_durations_are_for_people(value: timedelta, words: str) -> None:
    """A duration is told in at most two units, and rounds up into the next one."""
    assert wording.duration(value) == words


def test_limit_that_is_exceeded_is_not_told_as_kept() -> None:
    """By however little: the reader must see why a check failed. Below it nothing changes."""
    day, bit = timedelta(hours=24), timedelta(milliseconds=686)
    assert wording.duration(day + bit, day) == "24 h and 686 ms"
    assert wording.duration(day + timedelta(hours=1), day) == "25 h"
    assert wording.duration(day - bit, day) == wording.duration(day, day) == "24 h"


@pytest.mark.parametrize(
    ("count", "words"),
    [
        (0, "0 bytes"),
        (1, "1 byte"),
        (999, "999 bytes"),
        (1_468_006, "1.47 MB (1,468,006 bytes)"),
        (999_999, "1 MB (999,999 bytes)"),
        (5 * 10**16, "50 PB (50,000,000,000,000,000 bytes)"),
    ],
)
def test_sizes_are_for_people_and_exact(count: int, words: str) -> None:
    """A size is told roughly and to the byte."""
    assert wording.size(count) == words
