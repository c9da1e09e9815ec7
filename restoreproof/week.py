"""One week of a component: when its backups are due, and when more than the RPO would be lost."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from itertools import groupby, pairwise
from zoneinfo import ZoneInfo

from restoreproof.contradictions import Planned
from restoreproof.schedule import DAY, MINUTE
from restoreproof.worst_case import Run

DAYS = 7
SLOT = timedelta(minutes=30)
SLOTS = DAY // SLOT
SIGNS = {"full": "F", "incremental": "i"}
EXPOSED, COVERED = "!", "·"
LEGEND = f"F full, i increment, {EXPOSED} a failure would lose more than the RPO, {COVERED} no more"


@dataclass(frozen=True)
class Span:
    """A time in which a failure would lose more than the RPO."""

    begin: datetime
    end: datetime


@dataclass(frozen=True)
class Week:
    """Seven days from a Monday on, by the clocks of ``time_zone``; all instants are in UTC.

    ``begin`` is its Monday's midnight, ``end`` the next one's. ``exposed`` is in order.
    """

    begin: datetime
    end: datetime
    time_zone: str
    runs: tuple[Run, ...]
    exposed: tuple[Span, ...]

    def slots(self) -> Iterator[tuple[Run, int]]:
        """The first run of each half hour, a full backup before any other, and how many it has."""
        for _, group in groupby(self.runs, key=lambda run: (run.at - self.begin) // SLOT):
            runs = sorted(group, key=lambda run: (run.kind != "full", run.at))
            yield runs[0], len(runs)

    def picture(self) -> Iterator[str]:
        """The week for a terminal: a line a day, a sign each half hour."""
        hours = "".join(f"{hour:<{3 * SLOTS // 24}}" for hour in range(0, 24, 3))
        yield f"{'':12}{hours.rstrip()}"
        monday = self.begin.astimezone(ZoneInfo(self.time_zone)).date()
        for day in (monday + number * DAY for number in range(DAYS)):
            slots = (self._sign(begin, end) for begin, end in pairwise(self._bounds(day)))
            yield f"{day:%a %d %b}  {''.join(slots)}"
        yield f"{'':12}{LEGEND} ({self.time_zone})"

    def _bounds(self, day: date) -> list[datetime]:
        """Where the slots of a day begin; those of an hour that the clocks skip are empty."""
        bounds = [midnight(day + DAY, self.time_zone)]
        for number in reversed(range(SLOTS)):
            hour, minute = divmod(number * SLOT // MINUTE, 60)
            clock = time(hour, minute, tzinfo=ZoneInfo(self.time_zone))
            begin = datetime.combine(day, clock).astimezone(UTC)
            bounds.append(min(begin, bounds[-1]))
        return bounds[::-1]

    def _sign(self, begin: datetime, end: datetime) -> str:
        kinds = {run.kind for run in self.runs if begin <= run.at < end}
        if kinds:
            return SIGNS["full" if "full" in kinds else "incremental"]
        exposed = any(span.begin < end and begin < span.end for span in self.exposed)
        return EXPOSED if exposed else COVERED


def week_of(planned: Planned, now: datetime) -> Week | None:
    """The week that ``now`` is in; None if the policy gives no schedule."""
    schedule = planned.component.schedule
    if schedule is None:
        return None
    today = now.astimezone(ZoneInfo(schedule.time_zone)).date()
    monday = today - today.weekday() * DAY
    begin = midnight(monday, schedule.time_zone)
    end = midnight(monday + DAYS * DAY, schedule.time_zone)
    plan = replace(planned, now=begin).plan
    assert plan is not None
    rpo = planned.objectives.rpo
    spans = (
        ()
        if planned.streams
        else tuple(
            Span(max(loss.of.at + rpo, begin), min(loss.next.end, end))
            for loss in plan.losses
            if loss.amount > rpo
        )
    )
    shown = joined([span for span in spans if span.begin < span.end])
    return Week(begin, end, schedule.time_zone, plan.between(begin, end), shown)


def joined(spans: Sequence[Span]) -> tuple[Span, ...]:
    """Spans in order, those that touch made one."""
    found: list[Span] = []
    for span in spans:
        if found and span.begin <= found[-1].end:
            found[-1] = Span(found[-1].begin, max(found[-1].end, span.end))
        else:
            found.append(span)
    return tuple(found)


def midnight(day: date, time_zone: str) -> datetime:
    """The instant at which a day begins."""
    return datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(time_zone)).astimezone(UTC)
