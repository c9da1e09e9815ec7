"""The week of a schedule laid out for the report: seven rows of 24 hours, and the same in words."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from restoreproof.evidence_week import SpanRecord, WeekRecord
from restoreproof.wording import duration, plural

DAYS = 7
DAY = timedelta(days=1)
MOST_SAID = 6
"""Jobs of a day that are said one by one."""


@dataclass(frozen=True)
class Day:
    """One row. Places are parts of a day: 0 is its midnight, 1 the next one.

    ``jobs`` are place and kind, ``exposed`` begin and end.
    """

    label: str
    jobs: tuple[tuple[float, str], ...]
    exposed: tuple[tuple[float, float], ...]
    words: str


def days(week: WeekRecord) -> list[Day]:
    """The seven rows of a week, by the clocks of its time zone."""
    zone = ZoneInfo(week.time_zone)
    first = week.begin.astimezone(zone).date()
    return [_day(week, zone, first + number * DAY) for number in range(DAYS)]


def in_words(week: WeekRecord, rpo: timedelta) -> str:
    """What the picture shows, for those who do not see it."""
    said = "; ".join(f"{day.label}: {day.words}" for day in days(week))
    length = sum((span.end - span.begin for span in week.exposed), timedelta())
    stream = " Changes are stored as they happen." if week.continuous else ""
    return (
        f"Backup jobs of the week ({week.time_zone}). {said}.{stream} A failure would lose more"
        f" than {duration(rpo)} during {duration(length)} of {duration(week.end - week.begin)}."
    )


def _day(week: WeekRecord, zone: ZoneInfo, day: date) -> Day:
    local = [(one.at.astimezone(zone), one) for one in week.planned]
    mine = [(at, one) for at, one in local if at.date() == day]
    count = sum(one.jobs for _, one in mine)
    words = ", ".join(f"{one.kind} {at:%H:%M}" for at, one in mine)
    if count > MOST_SAID:
        words = plural(count, "job")
    return Day(
        label=f"{day:%a %d %b}",
        jobs=tuple((_place(at), one.kind) for at, one in mine),
        exposed=tuple(_clipped(week.exposed, zone, day)),
        words=words or "none",
    )


def _clipped(
    spans: tuple[SpanRecord, ...], zone: ZoneInfo, day: date
) -> Iterator[tuple[float, float]]:
    for span in spans:
        begin, end = span.begin.astimezone(zone), span.end.astimezone(zone)
        if begin.date() > day or end.date() < day:
            continue
        left = _place(begin) if begin.date() == day else 0.0
        right = _place(end) if end.date() == day else 1.0
        if left < right:
            yield left, right


def _place(local: datetime) -> float:
    since = timedelta(hours=local.hour, minutes=local.minute, seconds=local.second)
    return since / DAY
