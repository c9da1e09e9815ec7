"""Cron arithmetic: when backups are due, and the longest gap a schedule allows."""

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from itertools import chain, pairwise
from zoneinfo import ZoneInfo

from cronsim import CronSim

from restoreproof.policy import Schedule

HORIZON = timedelta(days=400)
"""Long enough to see every month and both clock changes."""
DAY = timedelta(days=1)
MOST_DAYS = 50 * 366
"""After so many days without one no due time is looked for any more."""
MINUTE = timedelta(minutes=1)
SECOND = timedelta(seconds=1)
Crons = str | Sequence[str]
"""One cron expression, or several of which each counts."""


def due_times(expressions: Crons, time_zone: str, start: datetime) -> Iterator[datetime]:
    """All instants after ``start`` at which cron expressions are due, in UTC, each once."""
    newest, day = start, start.astimezone(ZoneInfo(time_zone)).date() - DAY
    for number in range(MOST_DAYS):
        for due in sorted(_due_on(expressions, time_zone, day + number * DAY)):
            if due > newest:
                newest = due
                yield due


def last_due(expressions: Crons, time_zone: str, before: datetime) -> datetime:
    """The latest instant before ``before`` at which cron expressions were due, in UTC."""
    today = before.astimezone(ZoneInfo(time_zone)).date()
    days = (_due_on(expressions, time_zone, today - number * DAY) for number in range(MOST_DAYS))
    return next(max(earlier) for due in days if (earlier := [one for one in due if one < before]))


def due_between(
    expressions: Crons, time_zone: str, begin: datetime, end: datetime
) -> list[datetime]:
    """All instants from ``begin`` up to but not at ``end``, in UTC and in order, each once."""
    zone = ZoneInfo(time_zone)
    found: set[datetime] = set()
    day, last = begin.astimezone(zone).date() - DAY, end.astimezone(zone).date()
    while day <= last:
        found |= _due_on(expressions, time_zone, day)
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


def _due_on(expressions: Crons, time_zone: str, day: date) -> set[datetime]:
    """All instants of a local day, in UTC."""
    found: set[datetime] = set()
    for expression in _several(expressions):
        cron, shape = _parsed(expression)
        if day.month not in cron.months or not cron.match_day(day):
            continue
        begin, end = _midnight(time_zone, day), _midnight(time_zone, day + DAY)
        if end - begin == DAY:
            found.update(begin + after for after in shape)
        else:
            found.update(_due_on_a_change(expression, time_zone, day))
    return found


def _due_on_a_change(expression: str, time_zone: str, day: date) -> Iterator[datetime]:
    """All instants of a day on which the clocks change, as Debian's cron has it.

    Jobs of fixed hours run once: in a repeated hour the first time, in a skipped one right
    after it. Jobs with a star for minute or hour follow the clock. CronSim searches hour by
    hour, and so loses jobs where clocks change by half an hour.
    """
    cron, shape = _parsed(expression)
    zone, begin, end = (
        ZoneInfo(time_zone),
        _midnight(time_zone, day),
        _midnight(time_zone, day + DAY),
    )
    if any(part.startswith("*") for part in expression.split()[:2]):
        for number in range((end - begin) // MINUTE):
            local = (begin + number * MINUTE).astimezone(zone)
            if local.hour in cron.hours and local.minute in cron.minutes:
                yield begin + number * MINUTE
        return
    for after in shape:
        hour, minute = divmod(after // MINUTE, 60)
        wanted = datetime.combine(day, time(hour, minute))
        due = wanted.replace(tzinfo=zone).astimezone(UTC)
        while due.astimezone(zone).replace(tzinfo=None) != wanted:
            # The clocks skip it.
            wanted += MINUTE
            due = wanted.replace(tzinfo=zone).astimezone(UTC)
        yield due


@cache
def _parsed(expression: str) -> tuple[CronSim, tuple[timedelta, ...]]:
    """A cron expression, and how long after midnight it is due on a day on which it is due."""
    cron = CronSim(expression, datetime(2026, 1, 1, tzinfo=UTC))
    times = (hour * 60 + minute for hour in cron.hours for minute in cron.minutes)
    return cron, tuple(after * MINUTE for after in sorted(times))


@cache
def _midnight(time_zone: str, day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(time_zone)).astimezone(UTC)
