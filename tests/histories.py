"""Histories of runs to try out on, made line by line."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from restoreproof.catalog import BEGINNING
from restoreproof.manifest import CatalogEntry, CatalogEvent, RunFailed, ScheduleSeen
from restoreproof.policy import Schedule
from restoreproof.run_history import RunHistory

MONDAY = datetime(2026, 7, 6, 16, 10, tzinfo=UTC)
DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
SECOND = timedelta(seconds=1)
WEEKLY = Schedule.model_validate({"full": "10 16 * * 1", "incremental": "10 16 * * 2-7"})
CHAIN = {"sequence": 1, "previous_sha256": BEGINNING, "component": "database"}


def stored(at: datetime, kind: str = "full", **changes: Any) -> CatalogEntry:
    """A backup that began then, and whose recovery point is a second later."""
    facts = {
        "backup": f"database-{at:%m%dT%H%M%S}-{kind}",
        "engine": "mysql",
        "kind": kind,
        "started_at": at,
        "finished_at": at + 3 * SECOND,
        "recovery_point": at + SECOND,
        "manifest_sha256": "ab" * 32,
    }
    return CatalogEntry.model_validate({**CHAIN, **facts, **changes})


def failed(at: datetime, kind: str = "full", problem: str = "no route") -> RunFailed:
    """A run that began then and failed five seconds later."""
    times = {"started_at": at, "ended_at": at + 5 * SECOND}
    return RunFailed.model_validate({**CHAIN, **times, "kind": kind, "problem": problem})


def planned(at: datetime, schedule: Schedule = WEEKLY) -> ScheduleSeen:
    """The schedule as it was first seen then."""
    facts = {"kinds": schedule.kinds, "time_zone": schedule.time_zone, "seen_at": at}
    return ScheduleSeen.model_validate({**CHAIN, **facts})


def history(*events: CatalogEvent, more: Iterable[CatalogEvent] = ()) -> RunHistory:
    """What these lines of a catalog say."""
    return RunHistory("database", (*events, *more))
