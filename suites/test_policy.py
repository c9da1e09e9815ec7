"""The policy itself: does it contradict itself, by arithmetic, whatever the backups are like?"""

import pytest


@pytest.mark.check("POL-001", severity="high", when="schedule", proves=("full", "incremental"))
def test_jobs_do_not_overlap(component, observe):
    """Every backup job is over before the next one is due.

    The longest job known of each kind, against every pair of neighbours in a year of the
    schedule. Two jobs of one component do not run at the same time, so the second is missed.
    """
    _holds(component.ruling("POL-001"), observe)


@pytest.mark.check("POL-002", severity="high", when="plans_increments", proves=("incremental",))
def test_increments_have_a_full_backup_to_stand_on(component, observe):
    """Increments have a full backup to stand on: one is due at least once in a year."""
    _holds(component.ruling("POL-002"), observe)


@pytest.mark.check(
    "POL-003", severity="critical", when="limits_retention", proves=("retention", "versions")
)
def test_retention_keeps_whole_chains(component, observe):
    """A full backup is kept until the next one is stored, with its increments.

    Otherwise increments lose what they stand on, or the vault is empty for a while.
    """
    _holds(component.ruling("POL-003"), observe)


@pytest.mark.check(
    "POL-004", severity="medium", when="limits_retention_twice", proves=("retention", "versions")
)
def test_retention_says_one_thing(component, observe):
    """What the retention says twice can be kept as one promise.

    A backup that either a number of days or a number of versions keeps is kept. Days, and for
    good, contradict each other.
    """
    _holds(component.ruling("POL-004"), observe)


@pytest.mark.check("POL-005", severity="high", when="plans_audits", proves=("restore-test",))
def test_audits_are_planned_as_often_as_promised(component, observe):
    """Audits are planned as often as restores are promised to be tested."""
    _holds(component.ruling("POL-005"), observe)


def _holds(ruling, observe):
    observe(
        examined=1,
        expected=ruling.expected,
        seen=f"{ruling.seen}: {ruling.basis}",
        remedy=ruling.mend,
    )
    assert ruling.holds
