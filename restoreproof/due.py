"""Which run of a component is due now, and what the catalog is told of its schedule."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby

from restoreproof.manifest import RunMissed, ScheduleSeen
from restoreproof.policy import Schedule
from restoreproof.run_history import INCREMENTAL, RunHistory
from restoreproof.schedule import SECOND, due_times, last_due
from restoreproof.vault import Vault

RETRY_AFTER = timedelta(hours=1)
"""How long after a run that failed it is tried again."""


@dataclass(frozen=True)
class DueRun:
    """A run that is due, and since when."""

    kind: str
    due_at: datetime


def due_now(schedule: Schedule, history: RunHistory, now: datetime) -> DueRun | None:
    """The run that is due and was not made; None if there is none, or it failed just now."""
    for kind, expressions in schedule.kinds.items():
        due_at = last_due(expressions, schedule.time_zone, now + SECOND)
        made = history.runs_since(due_at, now)
        if any(kind in (INCREMENTAL, entry.kind) for entry in made):
            continue
        failed = history.failed_within(due_at, now)
        if failed and now < failed[-1].ended_at + RETRY_AFTER:
            continue
        return DueRun(kind, due_at)
    return None


def next_due(schedule: Schedule, now: datetime) -> DueRun:
    """The run that will be due next; a full one before an increment."""
    coming = [
        DueRun(kind, next(due_times(expressions, schedule.time_zone, now)))
        for kind, expressions in schedule.kinds.items()
    ]
    return min(coming, key=lambda run: run.due_at)


def note_schedule(
    vault: Vault, component: str, schedule: Schedule | None, now: datetime
) -> RunHistory:
    """Tell the catalog of a new schedule and of missed runs; give the history as it is then."""
    history = RunHistory.of(vault.catalog.events(), component)
    if schedule is None:
        return history
    told = history.plans[-1] if history.plans else None
    noted = []
    for kind, missed in groupby(history.missed_and_not_noted(now), key=lambda run: run.kind):
        due = [run.due_at for run in missed]
        noted.append((kind, due))
    for kind, due in noted:
        vault.catalog.note(
            RunMissed,
            component=component,
            kind=kind,
            due_at=due[0],
            last_due_at=due[-1],
            count=len(due),
            noted_at=now,
        )
    if told is None or (told.kinds, told.time_zone) != (schedule.kinds, schedule.time_zone):
        vault.catalog.note(
            ScheduleSeen,
            component=component,
            kinds=schedule.kinds,
            time_zone=schedule.time_zone,
            seen_at=now,
        )
    return RunHistory.of(vault.catalog.events(), component)
