"""Cron arithmetic: when backups are due, and the longest gap a schedule allows."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from heapq import merge
from itertools import pairwise
from zoneinfo import ZoneInfo

from cronsim import CronSim

from restoreproof.policy import Schedule

HORIZON = timedelta(days=400)
"""Long enough to see every month and both clock changes."""


def due_times(expression: str, time_zone: str, start: datetime) -> Iterator[datetime]:
    """All instants after ``start`` at which a cron expression is due, in UTC."""
    local = start.astimezone(ZoneInfo(time_zone))
    return (due.astimezone(UTC) for due in CronSim(expression, local))


def last_due(expression: str, time_zone: str, before: datetime) -> datetime:
    """The latest instant before ``before`` at which a cron expression was due, in UTC."""
    local = before.astimezone(ZoneInfo(time_zone))
    return next(CronSim(expression, local, reverse=True)).astimezone(UTC)


def longest_gap(schedule: Schedule, start: datetime) -> timedelta:
    """The longest time between two recovery points that a schedule allows within a year.

    The gaps into which the year's beginning and end fall count whole, so a schedule that is
    due once in four years has a gap of four years.
    """
    zone, kinds = schedule.time_zone, schedule.kinds.values()
    just_after = start + timedelta(seconds=1)
    instants = [max(last_due(expression, zone, just_after) for expression in kinds)]
    for due in merge(*(due_times(expression, zone, start) for expression in kinds)):
        instants.append(due)
        if due >= start + HORIZON:
            break
    return longest_interval(instants)


def longest_interval(instants: Sequence[datetime]) -> timedelta:
    """The longest time between neighbours; nothing if there are fewer than two."""
    return max((later - earlier for earlier, later in pairwise(instants)), default=timedelta())


def describe(expression: str, time_zone: str) -> str:
    """A cron expression in words, such as 'At 16:10 on Monday (UTC)'."""
    return f"{CronSim(expression, datetime(2026, 1, 1, tzinfo=UTC)).explain()} ({time_zone})"
