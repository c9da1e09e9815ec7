"""What a catalog says of runs: missed, failed, gaps and steps back, worked out from its lines."""

from datetime import timedelta

from histories import DAY, HOUR, MONDAY, SECOND, WEEKLY, failed, history, planned, stored

from restoreproof.engines.contract import STREAMED
from restoreproof.manifest import BackupPruned
from restoreproof.policy import Schedule
from restoreproof.run_history import TOLERANCE, MissedRun

SUNDAY = MONDAY + 6 * DAY
WEEK = [stored(MONDAY), *(stored(MONDAY + days * DAY, "incremental") for days in range(1, 7))]


def test_week_in_which_every_run_began_in_time_missed_none() -> None:
    """Seven runs for seven due instants."""
    assert not history(planned(MONDAY), more=WEEK).missed_within(MONDAY, SUNDAY + HOUR)


def test_each_missing_run_is_told_with_its_kind() -> None:
    """Whichever run of the week is left out, exactly that one was missed."""
    for left_out in range(7):
        made = [run for number, run in enumerate(WEEK) if number != left_out]
        found = history(planned(MONDAY), more=made).missed_within(MONDAY, SUNDAY + HOUR)
        kind = "incremental" if left_out else "full"
        assert found == (MissedRun(kind, MONDAY + left_out * DAY),)


def test_late_run_was_missed_and_one_in_time_was_not() -> None:
    """A run counts for an instant up to a quarter of an hour after it, and not before it."""
    for after, missed in (
        (-SECOND, 1),
        (timedelta(), 0),
        (TOLERANCE, 0),
        (TOLERANCE + SECOND, 1),
    ):
        found = history(planned(MONDAY - HOUR), stored(MONDAY + after))
        assert len(found.missed_within(MONDAY - HOUR, MONDAY + HOUR)) == missed, after


def test_increment_is_no_full_and_a_full_is_more_than_an_increment() -> None:
    """What was due as a full backup is missed if an increment was made in its place."""
    found = history(planned(MONDAY), stored(MONDAY, "incremental"), stored(MONDAY + DAY))

    assert found.missed_within(MONDAY, MONDAY + DAY + HOUR) == (MissedRun("full", MONDAY),)


def test_failed_run_was_not_missed() -> None:
    """It began in time; that it failed is told apart."""
    found = history(planned(MONDAY), failed(MONDAY), stored(MONDAY + HOUR))

    assert not found.missed_within(MONDAY, MONDAY + 2 * HOUR)
    assert [run.problem for run in found.failed_within(MONDAY, MONDAY + DAY)] == ["no route"]
    assert not found.failed_within(MONDAY + SECOND, MONDAY + DAY)


def test_schedule_counts_from_when_it_was_seen() -> None:
    """A new schedule makes no run of the past a missed one, and the old one ends with it."""
    hourly = Schedule.model_validate({"full": "10 16 * * 1", "incremental": "0 * * * *"})
    found = history(planned(MONDAY), stored(MONDAY), planned(MONDAY + 2 * HOUR, hourly))
    due = [run.due_at for run in found.missed_within(MONDAY - 30 * DAY, MONDAY + 4 * HOUR)]

    assert [f"{at:%H:%M}" for at in due] == ["19:00", "20:00"]
    assert not history(stored(MONDAY)).missed_within(MONDAY, SUNDAY)


def test_stream_sealed_in_time_is_no_run() -> None:
    """A backup that was made of a stream looked at no source and does not do for a full one."""
    found = history(planned(MONDAY), stored(MONDAY, STREAMED))

    assert [run.kind for run in found.missed_within(MONDAY, MONDAY + HOUR)] == ["full"]


def test_gaps_are_between_recovery_points_and_up_to_the_end() -> None:
    """A week of daily backups has gaps of a day, and the newest has its age."""
    end = SUNDAY + 5 * HOUR
    gaps = history(more=WEEK).gaps(MONDAY, end)

    assert [gap.length for gap in gaps] == [DAY] * 6 + [5 * HOUR - SECOND]
    assert gaps[-1].before is None
    assert [gap.length for gap in history(more=WEEK).gaps(SUNDAY, end)] == [
        DAY,
        5 * HOUR - SECOND,
    ]


def test_gap_around_a_backup_that_was_pruned_is_none() -> None:
    """What was stored at the time counts, also if it was removed since."""
    pruned = BackupPruned.model_validate(
        {
            "sequence": 1, "previous_sha256": "0" * 64, "component": "database",
            "backup": WEEK[1].backup, "at": SUNDAY, "rule": "7 days",
        }
    )  # fmt: skip
    assert max(gap.length for gap in history(pruned, more=WEEK).gaps(MONDAY, SUNDAY)) == DAY


def test_stream_covers_the_time_up_to_its_end() -> None:
    """Between a backup and the stream that was sealed onto it there is no gap."""
    found = history(stored(MONDAY), stored(MONDAY + 3 * DAY, STREAMED), stored(MONDAY + 4 * DAY))

    assert [gap.length for gap in found.gaps(MONDAY, MONDAY + 4 * DAY + 2 * SECOND)] == [
        DAY, SECOND,
    ]  # fmt: skip


def test_clock_that_was_set_back_shows() -> None:
    """A backup that began well before the one that was stored before it, and only that."""
    back = history(stored(MONDAY), stored(MONDAY - HOUR))
    assert [later.started_at for _, later in back.backward_steps()] == [MONDAY - HOUR]
    assert not history(stored(MONDAY), stored(MONDAY - 30 * SECOND)).backward_steps()
    assert not history(stored(MONDAY), stored(MONDAY - HOUR, entered_late=True)).backward_steps()
    assert not history(more=WEEK).backward_steps()


def test_schedule_of_these_tests_is_agamas() -> None:
    """Monday a full backup, the other days an increment."""
    assert WEEKLY.kinds == {"full": ("10 16 * * 1",), "incremental": ("10 16 * * 2-7",)}
