"""Cron arithmetic: when backups are due, and the longest gap a schedule allows."""

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import cache
from heapq import merge
from itertools import chain, pairwise
from zoneinfo import ZoneInfo

from cronsim import CronSim

from restoreproof.policy import Schedule

HORIZON = timedelta(days=400)
"""Long enough to see every month and both clock changes."""
DAY = timedelta(days=1)
MINUTE = timedelta(minutes=1)
SECOND = timedelta(seconds=1)
Crons = str | Sequence[str]
"""One cron expression, or several of which each counts."""


def due_times(expressions: Crons, time_zone: str, start: datetime) -> Iterator[datetime]:
    """All instants after ``start`` at which cron expressions are due, in UTC, each once."""
    newest = start
    for due in merge(*(_due_times(one, time_zone, start) for one in _several(expressions))):
        if due > newest:
            newest = due
            yield due


def last_due(expressions: Crons, time_zone: str, before: datetime) -> datetime:
    """The latest instant before ``before`` at which cron expressions were due, in UTC."""
    local = before.astimezone(ZoneInfo(time_zone))
    return max(
        next(CronSim(one, local, reverse=True)).astimezone(UTC) for one in _several(expressions)
    )


def due_between(
    expressions: Crons, time_zone: str, begin: datetime, end: datetime
) -> list[datetime]:
    """All instants from ``begin`` up to but not at ``end``, in UTC and in order, each once.

    The same as ``due_times`` gives, and much faster where there are many.
    """
    zone = ZoneInfo(time_zone)
    last = end.astimezone(zone).date()
    found: set[datetime] = set()
    for expression in _several(expressions):
        day = begin.astimezone(zone).date() - DAY
        while day <= last:
            found.update(_due_on(expression, time_zone, day))
            day += DAY
    return sorted(due for due in found if begin <= due < end)


def longest_gap(schedule: Schedule, start: datetime) -> timedelta:
    """The longest time between two recovery points that a schedule allows within a year.

    The gaps into which the year's beginning and end fall count whole, so a schedule that is
    due once in four years has a gap of four years.
    """
    every = tuple(chain.from_iterable(schedule.kinds.values()))
    return longest_interval(due_over_a_year(every, schedule.time_zone, start))


def due_over_a_year(expressions: Crons, time_zone: str, start: datetime) -> list[datetime]:
    """All instants of a year, with the last one before it and the first one after it."""
    begin = last_due(expressions, time_zone, start + SECOND)
    end = next(due_times(expressions, time_zone, start + HORIZON - SECOND))
    return due_between(expressions, time_zone, begin, end + SECOND)


def longest_interval(instants: Sequence[datetime]) -> timedelta:
    """The longest time between neighbours; nothing if there are fewer than two."""
    return max((later - earlier for earlier, later in pairwise(instants)), default=timedelta())


def describe(expressions: Crons, time_zone: str) -> str:
    """Cron expressions in words, such as 'At 16:10 on Monday (UTC)'."""
    said = [
        CronSim(one, datetime(2026, 1, 1, tzinfo=UTC)).explain() for one in _several(expressions)
    ]
    return f"{'; '.join(said)} ({time_zone})"


def _several(expressions: Crons) -> Sequence[str]:
    return (expressions,) if isinstance(expressions, str) else expressions


def _due_times(expression: str, time_zone: str, start: datetime) -> Iterator[datetime]:
    local = start.astimezone(ZoneInfo(time_zone))
    return (due.astimezone(UTC) for due in CronSim(expression, local))


def _due_on(expression: str, time_zone: str, day: date) -> list[datetime]:
    """All instants of a local day, in UTC. Days without a clock change need no search."""
    cron, shape = _parsed(expression)
    midnight = _midnight(time_zone, day)
    if not (_is_plain(time_zone, day) and _is_plain(time_zone, day - DAY)):
        found, end = [], _midnight(time_zone, day + DAY)
        for due in _due_times(expression, time_zone, midnight - SECOND):
            if due >= end:
                break
            found.append(due)
        return found
    if day.month not in cron.months or not cron.match_day(day):
        return []
    return [midnight + after for after in shape]


@cache
def _parsed(expression: str) -> tuple[CronSim, tuple[timedelta, ...]]:
    """A cron expression, and how long after midnight it is due on a day on which it is due."""
    cron = CronSim(expression, datetime(2026, 1, 1, tzinfo=UTC))
    times = (hour * 60 + minute for hour in cron.hours for minute in cron.minutes)
    return cron, tuple(after * MINUTE for after in sorted(times))


@cache
def _midnight(time_zone: str, day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(time_zone)).astimezone(UTC)


def _is_plain(time_zone: str, day: date) -> bool:
    """Whether no clock is changed on this day."""
    return _midnight(time_zone, day + DAY) - _midnight(time_zone, day) == DAY
