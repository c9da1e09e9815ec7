"""When backups are due, and the longest gap that a schedule allows."""

from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from restoreproof import resources
from restoreproof.policy import Schedule
from restoreproof.policy_file import read_policy
from restoreproof.schedule import describe, due_times, last_due, longest_gap, longest_interval

START = datetime(2026, 7, 1, tzinfo=UTC)
DAY = timedelta(days=1)
MINUTE = timedelta(minutes=1)
WEEKS = timedelta(weeks=4)


@st.composite
def cron(draw: st.DrawFn) -> tuple[str, tuple[set[int], set[int], set[int]]]:
    """An expression that fires every week, and the minutes, hours and weekdays it means."""
    minutes = draw(st.sets(st.integers(0, 59), min_size=1, max_size=3))
    hours = draw(st.one_of(st.none(), st.sets(st.integers(0, 23), min_size=1, max_size=3)))
    days = draw(st.one_of(st.none(), st.sets(st.integers(1, 7), min_size=1, max_size=4)))

    def field(values: set[int] | None) -> str:
        return "*" if values is None else ",".join(map(str, sorted(values)))

    meant = (minutes, hours or set(range(24)), days or set(range(1, 8)))
    return f"{field(minutes)} {field(hours)} * * {field(days)}", meant


def simulated(
    meant: tuple[set[int], set[int], set[int]], begin: datetime, end: datetime
) -> list[datetime]:
    """Every instant of a span at which cron would fire, found by looking at every minute."""
    minutes, hours, days = meant
    found, now = [], begin
    while now < end:
        if now.minute in minutes and now.hour in hours and now.isoweekday() in days:
            found.append(now)
        now += MINUTE
    return found


@settings(max_examples=25, deadline=None)
@given(cron(), st.integers(0, 7 * 24 * 60 - 1))
def test_due_times_are_those_of_a_simulation(
    one: tuple[str, tuple[set[int], set[int], set[int]]], offset: int
) -> None:
    """A month of due times, and the one before, are those that every single minute gives."""
    expression, meant = one
    begin = START + offset * MINUTE
    expected = simulated(meant, begin + MINUTE, begin + WEEKS)

    assert list(islice(due_times(expression, "UTC", begin), len(expected))) == expected
    assert last_due(expression, "UTC", begin + WEEKS) == expected[-1]


@settings(max_examples=25, deadline=None)
@given(cron(), st.none() | cron(), st.integers(0, 7 * 24 * 60 - 1))
def test_longest_gap_is_that_of_a_simulation(
    full: tuple[str, tuple[set[int], set[int], set[int]]],
    incremental: tuple[str, tuple[set[int], set[int], set[int]]] | None,
    offset: int,
) -> None:
    """Over weeks that repeat, the longest gap is the one that every single minute gives."""
    begin = START + offset * MINUTE
    schedule = Schedule(full=full[0], incremental=incremental[0] if incremental else None)
    fired = set(simulated(full[1], begin, begin + WEEKS))
    fired |= set(simulated(incremental[1], begin, begin + WEEKS)) if incremental else set()

    assert longest_gap(schedule, begin) == longest_interval(sorted(fired))


def test_agama_has_a_gap_of_a_day() -> None:
    """The sample estate's two expressions give one recovery point a day at 16:10."""
    policy = read_policy(resources.folder("fixtures") / "agama" / "policy.yaml").policy
    schedule = policy.components["mysql"].schedule
    assert schedule is not None

    for hours in range(0, 7 * 24, 5):
        assert longest_gap(schedule, START + timedelta(hours=hours)) == DAY


@pytest.mark.parametrize(
    "start",
    [
        datetime(2026, 7, 6, 16, 10, tzinfo=UTC),
        datetime(2026, 7, 6, 16, 10, 0, 1, tzinfo=UTC),
        datetime(2026, 7, 6, 16, 9, 59, 999_999, tzinfo=UTC),
    ],
)
def test_gap_is_the_same_at_the_instant_of_a_backup(start: datetime) -> None:
    """Looking just when a backup is due neither loses that backup nor counts it twice."""
    assert longest_gap(Schedule(full="10 16 * * *"), start) == DAY


@pytest.mark.parametrize(
    ("expression", "gap"),
    [
        ("0 0 29 2 *", datetime(2028, 2, 29, tzinfo=UTC) - datetime(2024, 2, 29, tzinfo=UTC)),
        ("0 0 1 1 *", 365 * DAY),
        ("0 0 1 * *", 31 * DAY),
        ("0 3 * * 0", 7 * DAY),
        ("*/15 * * * *", 15 * MINUTE),
    ],
)
def test_rare_schedule_has_a_long_gap(expression: str, gap: timedelta) -> None:
    """A schedule that fires less than once in the year looked at has no gap of nothing."""
    assert longest_gap(Schedule(full=expression), START) == gap


def test_a_day_has_25_hours_once_a_year() -> None:
    """Where clocks are set back, a daily backup has a gap of 25 hours."""
    assert longest_gap(Schedule(full="10 16 * * *", time_zone="Europe/Paris"), START) == (
        timedelta(hours=25)
    )
    assert longest_gap(Schedule(full="10 16 * * *"), START) == timedelta(hours=24)


def test_due_times_follow_the_zone() -> None:
    """16:10 in Paris is 14:10 UTC in summer and 15:10 UTC in winter."""
    around = datetime(2026, 10, 24, tzinfo=UTC)
    saturday, sunday = islice(due_times("10 16 * * *", "Europe/Paris", around), 2)

    assert saturday == datetime(2026, 10, 24, 14, 10, tzinfo=UTC)
    assert sunday == datetime(2026, 10, 25, 15, 10, tzinfo=UTC)


@pytest.mark.parametrize("zone", ["Europe/Paris", "America/New_York", "Australia/Lord_Howe"])
@pytest.mark.parametrize("expression", ["30 2 * * *", "*/20 * * * *", "0 3 * * *", "10 16 * * 1"])
def test_due_times_rise_over_every_clock_change(zone: str, expression: str) -> None:
    """No due time stands twice or before another, also where an hour is skipped or repeated."""
    for due in (
        list(islice(due_times(expression, zone, datetime(2026, month, 20, tzinfo=UTC)), 1500))
        for month in (2, 3, 9, 10)
    ):
        assert all(earlier < later for earlier, later in pairwise(due))
        assert all(instant.tzinfo is UTC for instant in due)


def test_job_of_a_skipped_hour_still_runs() -> None:
    """A backup due at 02:30 on the night without that hour is not left out."""
    night = datetime(2026, 3, 28, 12, tzinfo=UTC)
    (due,) = islice(due_times("30 2 * * *", "Europe/Paris", night), 1)

    assert due.astimezone(ZoneInfo("Europe/Paris")).date() == datetime(2026, 3, 29).date()  # noqa: DTZ001


def test_last_due_is_strictly_before() -> None:
    """A backup that is due this very instant was not yet due before it."""
    due = datetime(2026, 7, 6, 16, 10, tzinfo=UTC)

    assert last_due("10 16 * * *", "UTC", due) == due - DAY
    assert last_due("10 16 * * *", "UTC", due + timedelta(microseconds=1)) == due


@pytest.mark.parametrize("instants", [[], [START]])
def test_fewer_than_two_instants_have_no_interval(instants: list[datetime]) -> None:
    """Nothing lies between less than two."""
    assert longest_interval(instants) == timedelta()


def test_schedule_is_said_in_words() -> None:
    """A reader of the report is not asked to know cron."""
    assert describe("10 16 * * 1", "UTC") == "At 16:10 on Monday (UTC)"
