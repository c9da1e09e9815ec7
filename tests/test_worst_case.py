"""The worst case of a schedule, against a simulation that looks at every minute of a year."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import chain, pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from restoreproof.policy import Schedule
from restoreproof.schedule import due_between, due_times, last_due
from restoreproof.worst_case import Plan

BEGIN = datetime(2026, 5, 20, tzinfo=UTC)
START = datetime(2026, 7, 3, 9, 4, tzinfo=UTC)
BLOCK, BLOCKS = 30, 2 * 24 * 470
MINUTE = timedelta(minutes=1)
NO_SHRINKING = (Phase.explicit, Phase.reuse, Phase.generate)
"""A year of minutes takes too long to be looked at for every smaller example."""
ZONES = ("UTC", "Europe/Paris", "America/New_York", "Australia/Lord_Howe")
WEEKLY = "10 16 * * 1"


@dataclass(frozen=True)
class Meant:
    """What an expression means: its minutes, hours (None: every), weekdays and days of the month.

    ``stars`` says that minute or hour is written with a star, which cron takes otherwise where
    clocks change.
    """

    text: str
    minutes: frozenset[int]
    hours: frozenset[int]
    weekdays: frozenset[int]
    days: frozenset[int]
    stars: bool

    def fits(self, minute_of_day: int, weekday: int, day: int) -> bool:
        """Whether cron would fire at a local time."""
        hour, minute = divmod(minute_of_day, 60)
        return minute in self.minutes and hour in self.hours and self.on(weekday, day)

    def on(self, weekday: int, day: int) -> bool:
        """Whether cron would fire on a day at all."""
        return weekday in self.weekdays and day in self.days


@st.composite
def expressions(draw: st.DrawFn) -> Meant:
    """An expression that fires at least every month."""
    steps = draw(st.sampled_from([None, None, 7, 15, 20, 55]))
    minutes = draw(st.frozensets(st.integers(0, 59), min_size=1, max_size=2))
    hours = draw(st.none() | st.frozensets(st.integers(0, 23), min_size=1, max_size=3))
    weekdays = draw(st.none() | st.frozensets(st.integers(1, 7), min_size=1, max_size=4))
    days = None if weekdays else draw(st.none() | st.frozensets(st.integers(1, 31), min_size=9))
    if steps:
        minutes = frozenset(range(0, 60, steps))

    def field(values: frozenset[int] | None) -> str:
        return "*" if values is None else ",".join(map(str, sorted(values)))

    minute = f"*/{steps}" if steps else field(minutes)
    return Meant(
        f"{minute} {field(hours)} {field(days)} * {field(weekdays)}",
        minutes,
        hours or frozenset(range(24)),
        weekdays or frozenset(range(1, 8)),
        days or frozenset(range(1, 32)),
        bool(steps) or hours is None,
    )


@cache
def clock(zone: str) -> list[tuple[int, int, int, bool, int]]:
    """Of every half hour: minute of the day, weekday, day, whether repeated, minutes skipped."""
    found, before = [], None
    for number in range(BLOCKS):
        local = (BEGIN + number * BLOCK * MINUTE).astimezone(ZoneInfo(zone))
        minute = local.hour * 60 + local.minute
        offset = local.utcoffset() or timedelta()
        skipped = max((offset - before) // MINUTE, 0) if before is not None else 0
        before = offset
        found.append((minute, local.isoweekday(), local.day, bool(local.fold), skipped))
    return found


def fired(meant: Meant, zone: str) -> Iterator[int]:
    """Every minute at which cron would fire, found by looking at every one.

    Jobs of a fixed hour run once where clocks are set back, and right after the hour that is
    skipped; others follow the clock.
    """
    for number, (minute, weekday, day, repeated, skipped) in enumerate(clock(zone)):
        if not meant.on(weekday, day) or (repeated and not meant.stars):
            continue
        missed = [] if meant.stars else range(minute - skipped, minute)
        for later in range(BLOCK):
            lost = later == 0 and any(meant.fits(one, weekday, day) for one in missed)
            if lost or meant.fits(minute + later, weekday, day):
                yield number * BLOCK + later


def instant(minute: int) -> datetime:
    """The instant of a minute of the simulation."""
    return BEGIN + minute * MINUTE


@settings(max_examples=15, deadline=None, phases=NO_SHRINKING)
@given(st.lists(expressions(), min_size=1, max_size=2), st.sampled_from(ZONES))
def test_due_instants_are_those_of_a_year_of_minutes(several: list[Meant], zone: str) -> None:
    """Of one or several expressions in any zone, with every clock change."""
    expected = sorted(set(chain.from_iterable(fired(meant, zone) for meant in several)))
    end = BEGIN + BLOCKS * BLOCK * MINUTE
    found = due_between([meant.text for meant in several], zone, BEGIN, end)

    assert found == [instant(minute) for minute in expected]


@settings(max_examples=15, deadline=None, phases=NO_SHRINKING)
@given(
    expressions(),
    st.none() | expressions(),
    st.integers(0, 200),
    st.integers(0, 90),
    st.sampled_from(ZONES),
)
def test_worst_case_is_that_of_a_year_of_minutes(
    full: Meant, incremental: Meant | None, long: int, short: int, zone: str
) -> None:
    """The loss before each backup is stored, minute by minute, and whether jobs overlap."""
    schedule = Schedule(
        full=full.text, incremental=incremental.text if incremental else None, time_zone=zone
    )
    plan = Plan(schedule, START, {"full": long * MINUTE, "incremental": short * MINUTE})
    jobs = dict.fromkeys(fired(incremental, zone), short) if incremental else {}
    jobs |= dict.fromkeys(fired(full, zone), long)
    begin, end = ((run.at - BEGIN) // MINUTE for run in (plan.runs[0], plan.runs[-1]))
    jobs = {at: took for at, took in jobs.items() if begin <= at <= end}

    assert [run.at for run in plan.runs] == [instant(at) for at in sorted(jobs)]
    assert begin <= (START - BEGIN) // MINUTE
    assert end >= begin + 365 * 24 * 60
    lost, at_once = simulated(jobs)
    assert plan.loss.amount == lost * MINUTE
    assert (plan.overlap is not None) == at_once


def simulated(jobs: dict[int, int]) -> tuple[int, bool]:
    """The most minutes that are lost at any minute, and whether two jobs run at once at any."""
    stored: dict[int, int] = {}
    for at, took in jobs.items():
        stored[at + took] = max(at, stored.get(at + took, -1))
    newest, most, busy_until, at_once = -1, 0, -1, False
    for minute in range(min(jobs), max(stored) + 1):
        if minute in stored and stored[minute] > newest:
            if newest >= 0:
                most = max(most, minute - newest)
            newest = stored[minute]
        if minute in jobs:
            at_once = at_once or minute < busy_until
            busy_until = max(busy_until, minute + jobs[minute])
    return most, at_once


def test_expressions_at_one_instant_are_one_job() -> None:
    """Where a skipped hour brings two expressions together, or both are due, one job is due."""
    night = datetime(2026, 3, 28, 12, tzinfo=UTC)
    several = ("0 2 * * *", "30 2 * * *", "0 3 * * *")
    due = due_between(several, "Europe/Paris", night, night + timedelta(hours=20))

    assert due == [datetime(2026, 3, 29, 1, tzinfo=UTC)]
    assert next(due_times(several, "Europe/Paris", night)) == due[0]
    (run,) = Plan(Schedule(full="0 3 * * *", incremental="0 * * * *"), night).between(
        night.replace(hour=3), night.replace(hour=3, minute=1)
    )
    assert run.kind == "full"


@pytest.mark.parametrize(
    ("zone", "expression", "after", "due"),
    [
        ("America/Nuuk", "30 23 * * *", (2026, 3, 28, 12), (2026, 3, 29, 1)),
        ("America/Nuuk", "*/30 22,23 * * *", (2026, 3, 29, 0, 30), (2026, 3, 29, 23)),
        ("America/Havana", "30 0 * * *", (2026, 11, 1, 4, 30), (2026, 11, 2, 5, 30)),
        ("America/Havana", "*/30 0 * * *", (2026, 11, 1, 4, 30), (2026, 11, 1, 5)),
        ("Africa/Cairo", "0 0 * * *", (2026, 4, 23, 12), (2026, 4, 23, 22)),
        ("Australia/Lord_Howe", "*/55 0,23 * * *", (2026, 10, 4, 10), (2026, 10, 4, 12)),
    ],
)
def test_clocks_may_change_at_midnight_or_by_half_an_hour(
    zone: str, expression: str, after: tuple[int, ...], due: tuple[int, ...]
) -> None:
    """Where the change is at midnight, or by half an hour, no job is lost and none done twice."""
    start, expected = datetime(*after, tzinfo=UTC), datetime(*due, tzinfo=UTC)  # type: ignore[arg-type,misc]

    assert next(due_times(expression, zone, start)) == expected
    assert last_due(expression, zone, expected + MINUTE) == expected


def test_chain_and_versions_are_counted() -> None:
    """A week of daily increments is a chain of seven; a month of days takes thirty backups."""
    plan = Plan(Schedule(full=WEEKLY, incremental="10 16 * * 2-7"), START, {"full": 3 * MINUTE})

    assert plan.longest_chain == 7
    assert plan.longest_need == timedelta(days=7, minutes=3)
    assert plan.versions(timedelta(days=30)) == 30
    assert plan.is_even
    assert Plan(plan.schedule, START, increments=False).longest_chain == 1


def test_engine_without_increments_makes_full_backups() -> None:
    """Its jobs take as long as full ones, and none has a chain."""
    schedule = Schedule(full=WEEKLY, incremental="10 16 * * 2-7")
    plan = Plan(schedule, START, {"full": 60 * MINUTE, "incremental": MINUTE}, increments=False)

    assert {run.kind for run in plan.runs} == {"full"}
    assert plan.loss.amount == timedelta(hours=25)
    assert all(later - earlier == timedelta(days=1) for earlier, later in pairwise(plan.fulls))
