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
        seen=f"{in_words(promised.value)} may be lost: {promised.basis}",
        remedy=component.ruling("RPO-001").mend,
    )
    assert promised.value <= objectives.rpo


@pytest.mark.check("RPO-002", severity="critical", proves=("rpo",))
def test_newest_recovery_point_is_recent(component, objectives, in_words, observe):
    """The newest recovery point is within the recovery point objective (RPO).

    Its age at the instant at which the restore was decided, from the catalog.
    """
    kept = component.rpo_kept
    observe(
        examined=len(component.backups),
        expected=f"at most {in_words(objectives.rpo)} old",
        seen=f"{in_words(kept.value)} old" if kept.value is not None else kept.basis,
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
        seen=f"{in_words(measured.value)} lost: {measured.basis}",
        remedy="back up more often, or stream the changes all the time",
    )
    assert measured.value <= objectives.rpo


@pytest.mark.check("SCH-001", severity="high", when="schedule", proves=("full",))
def test_full_backup_was_made_when_due(component, observe):
    """A full backup was made since the schedule last asked for one."""
    _was_made_since(component.last_full_due, component.fulls, observe)


@pytest.mark.check("SCH-002", severity="high", when="wants_increments", proves=("incremental",))
def test_increment_was_made_when_due(component, observe):
    """A backup was made since the schedule last asked for an increment."""
    _was_made_since(component.last_increment_due, component.backups, observe)


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
