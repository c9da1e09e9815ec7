"""Recovery points: how much would be lost, as promised, as kept and as measured?"""

import pytest


@pytest.mark.check("RPO-001", severity="critical", proves=("rpo",))
def test_schedule_can_meet_the_objective(component, objectives, in_words, observe):
    """The backup schedule can meet the recovery point objective (RPO).

    The longest gap that the schedule allows, and the longest job known, is what may be lost
    when everything goes as promised.
    """
    promised = component.rpo_promised
    if promised.value is None:
        # Without a schedule no gap is promised, and none can be held against the objective.
        pytest.skip(promised.basis)
    observe(
        examined=1,
        expected=f"at most {in_words(objectives.rpo)}",
        seen=f"{in_words(promised.value, objectives.rpo)} may be lost: {promised.basis}",
        remedy=component.ruling("RPO-001").mend,
    )
    assert promised.value <= objectives.rpo


@pytest.mark.check("RPO-002", severity="critical", proves=("rpo",))
def test_recovery_points_are_close_enough(component, objectives, in_words, observe):
    """There was always a recovery point within the recovery point objective (RPO).

    From the catalog: the age of the newest at the instant at which the restore was decided, and
    the times between recovery points since a restore had to be tested last. The longest counts.
    """
    kept = component.rpo_kept
    observe(
        examined=len(component.backups),
        expected=f"at most {in_words(objectives.rpo)}",
        seen=kept.basis
        if kept.value is None
        else f"{in_words(kept.value, objectives.rpo)}: {kept.basis}",
        remedy="run the backup job, and find out why it did not run",
    )
    assert kept.value is not None
    assert kept.value <= objectives.rpo


@pytest.mark.check("RPO-003", severity="critical", proves=("rpo",), only="newest")
def test_measured_loss_is_within_objective(restored, audited, objectives, in_words, observe):
    """Restored data shows a loss within the recovery point objective (RPO).

    The newest heartbeat in the restored data against the last that the source had written.
    Neither a file's date nor a job's clock takes part.
    """
    measured = audited.rpo_measured
    if measured.value is None:
        # Without a heartbeat on either side nothing in the data tells what was lost.
        pytest.skip(measured.basis)
    observe(
        examined=1,
        expected=f"at most {in_words(objectives.rpo)} lost",
        seen=f"{in_words(measured.value, objectives.rpo)} lost: {measured.basis}",
        remedy="back up more often, or stream the changes all the time",
    )
    assert measured.value <= objectives.rpo


@pytest.mark.check("RPO-004", severity="high", proves=("rpo",))
def test_clocks_that_dated_backups_can_be_relied_on(component, observe):
    """No backup was dated by a clock that was wrong.

    None is dated in the future, and none that was stored after another began before it: ages and
    gaps are worked out from these dates.
    """
    problems = component.standing.wrong_times()
    observe(
        examined=len(component.history.stored),
        expected="dates that only go forward, up to now",
        seen="; ".join(problems) or f"{len(component.history.stored)} backups in order",
        remedy="set the clock right, and take a full backup at once",
    )
    assert not problems


@pytest.mark.check("SCH-001", severity="high", when="schedule", proves=("full",))
def test_full_backup_was_made_when_due(component, observe):
    """A full backup was made since the schedule last asked for one."""
    _was_made_since(component.last_full_due, component.fulls, observe)


@pytest.mark.check("SCH-002", severity="high", when="wants_increments", proves=("incremental",))
def test_increment_was_made_when_due(component, observe):
    """A backup was made since the schedule last asked for an increment."""
    _was_made_since(component.last_increment_due, component.backups, observe)


@pytest.mark.check(
    "SCH-003", severity="high", when="schedule", proves=("full", "incremental", "rpo")
)
def test_no_run_was_missed(component, observe):
    """Every run that was due began in time.

    Since a restore had to be tested last, by the schedule that was in force at the time, as the
    catalog notes it; a run that was caught up later was missed all the same.
    """
    if not component.history.plans:
        pytest.skip("the catalog does not tell since when there is this schedule")
    missed = component.standing.missed_runs
    told = [f"{run.kind} backup due {run.due_at:%Y-%m-%d %H:%M} UTC" for run in missed]
    observe(
        examined=max(1, len(component.standing.runs) + len(missed)),
        expected="every run that was due",
        seen=_shortened(told, "runs missed") or "none was missed",
        remedy="have `restoreproof backup POLICY --due` run all the time: see `restoreproof"
        " schedule`",
    )
    assert not missed


@pytest.mark.check("INC-001", severity="critical", when="wants_increments", proves=("incremental",))
def test_increments_stand_on_the_backup_before(component, observe):
    """Every increment begins exactly where the backup that it stands on ends.

    Every link of every chain is in the catalog, and each increment recorded the position of
    its base: nothing is missing in between.
    """
    if not component.increments:
        # No chain was looked at; whether an increment was due is what SCH-002 asks.
        pytest.skip("the vault holds no increment")
    problems = component.broken_chains()
    observe(
        examined=len(component.increments),
        expected="whole chains",
        seen="; ".join(problems) or f"{len(component.increments)} increments in whole chains",
        remedy="take a full backup at once: the increments after the gap cannot be restored",
    )
    assert not problems


def _shortened(told, what):
    """The first of many things, with their number."""
    return f"{len(told)} {what}: {', '.join(told[:5])}{' ...' * (len(told) > 5)}" if told else ""


def _was_made_since(due, backups, observe):
    newest = backups[-1].entry.started_at if backups else None
    observe(
        examined=1,
        expected=f"one since {due:%Y-%m-%d %H:%M} UTC",
        seen=f"the newest began {newest:%Y-%m-%d %H:%M} UTC" if newest else "no backup",
        remedy="run the job, and find out why it did not run when it was due",
    )
    assert newest is not None
    assert newest >= due
