"""Which run is due now: once, the right kind, again after a failure, and whatever clocks did."""

from datetime import datetime, timedelta
from pathlib import Path

import pytest
from histories import DAY, HOUR, MONDAY, SECOND, WEEKLY, failed, history, stored
from vaults import open_vault, store

from restoreproof.due import RETRY_AFTER, DueRun, due_now, next_due, note_schedule
from restoreproof.manifest import BackupGone, CatalogEvent, RunMissed
from restoreproof.policy import Schedule
from restoreproof.run_history import TOLERANCE

TUESDAY = MONDAY + DAY
MINUTE = timedelta(minutes=1)


def gone(backup: str) -> CatalogEvent:
    """A backup that was found gone."""
    return BackupGone(
        sequence=1, previous_sha256="0" * 64, component="database", backup=backup,
        noted_at=TUESDAY,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("events", "now", "expected"),
    [
        ((), MONDAY - HOUR, DueRun("full", MONDAY - 7 * DAY)),
        ((), MONDAY, DueRun("full", MONDAY)),
        ((stored(MONDAY),), MONDAY + MINUTE, None),
        ((stored(MONDAY),), TUESDAY - SECOND, None),
        ((stored(MONDAY),), TUESDAY, DueRun("incremental", TUESDAY)),
        ((stored(MONDAY), stored(TUESDAY, "incremental")), TUESDAY + MINUTE, None),
        ((stored(MONDAY), stored(TUESDAY)), TUESDAY + MINUTE, None),
        ((stored(MONDAY),), MONDAY + 7 * DAY, DueRun("full", MONDAY + 7 * DAY)),
        ((stored(MONDAY),), TUESDAY + 3 * DAY, DueRun("incremental", TUESDAY + 3 * DAY)),
        ((stored(MONDAY, "incremental"),), MONDAY + MINUTE, DueRun("full", MONDAY)),
        # A failed run is tried again, and not at once.
        ((failed(MONDAY),), MONDAY + MINUTE, None),
        ((failed(MONDAY),), MONDAY + RETRY_AFTER + MINUTE, DueRun("full", MONDAY)),
        ((failed(MONDAY), stored(MONDAY + HOUR)), MONDAY + 2 * HOUR, None),
        # A backup of a clock that was far ahead does not put off the others for years.
        ((stored(MONDAY + 900 * DAY),), MONDAY, DueRun("full", MONDAY)),
        # One that somebody deleted is as good as none.
        ((stored(MONDAY), gone(stored(MONDAY).backup)), TUESDAY, DueRun("full", MONDAY)),
    ],
)
def test_what_is_due(
    events: tuple[CatalogEvent, ...], now: datetime, expected: DueRun | None
) -> None:
    """A full backup goes before an increment, and nothing is due twice."""
    assert due_now(WEEKLY, history(*events), now) == expected


def test_one_a_due_instant_over_a_year() -> None:
    """Asked every ten minutes, each of a year's due instants gives one run, in its minute."""
    schedule = Schedule.model_validate(
        {"full": "30 2 * * 0", "incremental": ["30 14 * * *"], "time_zone": "Europe/Paris"}
    )
    made: list[CatalogEvent] = []
    now = MONDAY
    while now < MONDAY + 60 * DAY:
        if due := due_now(schedule, history(more=made[-12:]), now):
            made.append(stored(now, due.kind))
            assert now - due.due_at < 10 * MINUTE or len(made) == 1
        now += 10 * MINUTE

    assert len(made) == 1 + 60 + 8


def test_next_due_is_the_nearest() -> None:
    """After Monday's full backup comes Tuesday's increment."""
    assert next_due(WEEKLY, MONDAY) == DueRun("incremental", TUESDAY)
    assert next_due(WEEKLY, MONDAY - HOUR) == DueRun("full", MONDAY)


def test_missed_runs_are_noted_once(tmp_path: Path) -> None:
    """A machine that was off for days: one line for the increments, and nothing more later."""
    vault = open_vault(tmp_path)
    note_schedule(vault, "database", WEEKLY, MONDAY)
    store(vault, "database-1", started_at=MONDAY, finished_at=MONDAY, recovery_point=MONDAY)
    now = MONDAY + 4 * DAY + HOUR
    for _ in range(2):
        note_schedule(vault, "database", WEEKLY, now)

    (missed,) = (one for one in vault.catalog.events() if isinstance(one, RunMissed))
    assert (missed.kind, missed.count, missed.noted_at) == ("incremental", 4, now)
    assert (missed.due_at, missed.last_due_at) == (TUESDAY, TUESDAY + 3 * DAY)
    assert len(vault.catalog.events()) == 3
    note_schedule(vault, "database", WEEKLY, now + DAY)
    assert len(vault.catalog.events()) == 4


def test_run_that_can_still_begin_in_time_is_not_missed(tmp_path: Path) -> None:
    """The catalog is told once it is too late, and a new schedule is told at once."""
    vault = open_vault(tmp_path)
    note_schedule(vault, "database", WEEKLY, MONDAY - HOUR)
    note_schedule(vault, "database", WEEKLY, MONDAY + TOLERANCE)
    assert len(vault.catalog.events()) == 1
    note_schedule(vault, "database", WEEKLY, MONDAY + TOLERANCE + SECOND)
    assert [event.event for event in vault.catalog.events()] == ["scheduled", "missed"]
    other = Schedule.model_validate({"full": "0 0 * * *"})
    for _ in range(2):
        note_schedule(vault, "database", other, MONDAY + HOUR)
    assert [event.event for event in vault.catalog.events()] == ["scheduled", "missed", "scheduled"]
    assert not note_schedule(vault, "wiki", None, MONDAY).events
