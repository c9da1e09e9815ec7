"""What the catalog says of a component's runs: made, failed and missed, and the gaps between.

Everything is worked out from the catalog's lines, so that an auditor can do it again.
"""

from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from itertools import pairwise

from restoreproof.engines.contract import STREAMED
from restoreproof.manifest import (
    BackupGone,
    BackupPruned,
    CatalogEntry,
    CatalogEvent,
    CatalogMended,
    RunFailed,
    RunMissed,
    ScheduleSeen,
)
from restoreproof.schedule import due_between

TOLERANCE = timedelta(minutes=15)
"""How late a run may begin and still be the one that was due."""
CLOCK_TOLERANCE = timedelta(minutes=1)
"""How far a clock may be off before what it dated proves nothing."""
INCREMENTAL = "incremental"


@dataclass(frozen=True)
class MissedRun:
    """A run that was due and did not begin in time."""

    kind: str
    due_at: datetime


@dataclass(frozen=True)
class Gap:
    """The time from one recovery point to the next, or to the end of what is looked at."""

    after: CatalogEntry
    before: CatalogEntry | None
    length: timedelta


@dataclass(frozen=True)
class RunHistory:
    """The catalog's lines about one component, in their order."""

    component: str
    events: tuple[CatalogEvent, ...]

    @classmethod
    def of(cls, events: Iterable[CatalogEvent], component: str) -> "RunHistory":
        """The history of one of a catalog's components."""
        return cls(
            component,
            tuple(
                event
                for event in events
                if not isinstance(event, CatalogMended) and event.component == component
            ),
        )

    @cached_property
    def stored(self) -> tuple[CatalogEntry, ...]:
        """Every backup that was ever stored, also those that were removed since."""
        return tuple(event for event in self.events if isinstance(event, CatalogEntry))

    @cached_property
    def failed(self) -> tuple[RunFailed, ...]:
        """Every run that ended without a backup."""
        return tuple(event for event in self.events if isinstance(event, RunFailed))

    @cached_property
    def plans(self) -> tuple[ScheduleSeen, ...]:
        """The schedules that the component has had."""
        return tuple(event for event in self.events if isinstance(event, ScheduleSeen))

    @cached_property
    def removed(self) -> frozenset[str]:
        """The backups that were pruned or found gone."""
        removals = (e for e in self.events if isinstance(e, BackupPruned | BackupGone))
        return frozenset(event.backup for event in removals)

    def runs_since(self, due_at: datetime, until: datetime) -> tuple[CatalogEntry, ...]:
        """Runs that began since an instant and whose backups there are to be.

        One that is dated after ``until`` was made by a wrong clock and proves nothing.
        """
        return tuple(
            entry
            for entry in self.stored
            if entry.kind != STREAMED
            and entry.backup not in self.removed
            and due_at <= entry.started_at <= until + CLOCK_TOLERANCE
        )

    def failed_within(self, begin: datetime, end: datetime) -> tuple[RunFailed, ...]:
        """Runs that began in a period and ended without a backup."""
        return tuple(run for run in self.failed if begin <= run.started_at <= end)

    def missed_within(self, begin: datetime, end: datetime) -> tuple[MissedRun, ...]:
        """Runs that were due in a period, by the schedule of that time, and did not begin."""
        found = []
        ends = [*(plan.seen_at for plan in self.plans[1:]), end]
        for plan, changed_at in zip(self.plans, ends, strict=False):
            first, last = max(begin, plan.seen_at), min(end, changed_at)
            full = due_between(plan.kinds["full"], plan.time_zone, first, last)
            found += self._not_begun("full", full)
            if increments := plan.kinds.get(INCREMENTAL):
                due = due_between(increments, plan.time_zone, first, last)
                # What is due as a full backup too is made as one.
                found += self._not_begun(INCREMENTAL, sorted(set(due) - set(full)))
        return tuple(sorted(found, key=lambda run: run.due_at))

    def missed_and_not_noted(self, now: datetime) -> tuple[MissedRun, ...]:
        """Missed runs, up to those that could still begin in time, that no line tells of."""
        noted: dict[str, datetime] = {}
        for event in self.events:
            if isinstance(event, RunMissed):
                noted[event.kind] = event.last_due_at
        begin = self.plans[0].seen_at if self.plans else now
        missed = self.missed_within(begin, now - TOLERANCE)
        return tuple(m for m in missed if m.kind not in noted or m.due_at > noted[m.kind])

    def gaps(self, begin: datetime, end: datetime) -> tuple[Gap, ...]:
        """The times between recovery points that reach into a period, and the age of the newest.

        Recovery points after ``end`` are left out. Where a stream covers the time between two
        there is no gap.
        """
        points = sorted(
            (entry for entry in self.stored if entry.recovery_point <= end),
            key=lambda entry: entry.recovery_point,
        )
        found = []
        for after, before in zip(points, [*points[1:], None], strict=True):
            until = before.recovery_point if before else end
            if until >= begin and not (before and before.kind == STREAMED):
                found.append(Gap(after, before, until - after.recovery_point))
        return tuple(found)

    def backward_steps(self) -> tuple[tuple[CatalogEntry, CatalogEntry], ...]:
        """Neighbours in the catalog of which the later began well before the earlier."""
        entries = [entry for entry in self.stored if not entry.entered_late]
        return tuple(
            (earlier, later)
            for earlier, later in pairwise(entries)
            if later.started_at < earlier.started_at - CLOCK_TOLERANCE
        )

    def _not_begun(self, kind: str, due: list[datetime]) -> list[MissedRun]:
        begun = self._begun[kind]
        missed = []
        for due_at in due:
            place = bisect_left(begun, due_at)
            if place == len(begun) or begun[place] > due_at + TOLERANCE:
                missed.append(MissedRun(kind, due_at))
        return missed

    @cached_property
    def _begun(self) -> dict[str, list[datetime]]:
        """When runs began that would do for what was due; a failed one was not missed."""
        runs = [(e.started_at, e.kind) for e in self.stored if e.kind != STREAMED]
        runs += [(run.started_at, run.kind) for run in self.failed]
        full = sorted(at for at, kind in runs if kind == "full")
        return {"full": full, INCREMENTAL: sorted(at for at, _ in runs)}
