"""Cadence: are restores tested as often as promised, and is nothing left out of it?"""

import pytest


@pytest.mark.check("CAD-001", severity="high", proves=("restore-test",))
def test_restores_are_tested_as_often_as_promised(component, objectives, in_words, observe):
    """A restore of the component was tested within the time that the policy promises.

    The time since an earlier run in the archive restored it last, or, if none did, since its
    first backup.
    """
    standing = component.standing
    if standing.tested_last is None:
        # No test can be late where nothing could be restored: unproven, RST-001 says the rest.
        pytest.skip("there never was a backup")
    since = standing.lost_at - standing.tested_last
    tested = standing.earlier.last_test_of(component.name) == standing.tested_last
    what = "the last restore test" if tested else "the first backup, with no restore test since"
    observe(
        examined=1 + len(standing.earlier.runs),
        expected=f"at most {in_words(objectives.restore_test_every)} between restore tests",
        seen=f"{in_words(since, objectives.restore_test_every)} since {what},"
        f" {standing.tested_last:%Y-%m-%d %H:%M} UTC",
        remedy="have `restoreproof audit POLICY` run by itself: see `restoreproof schedule`",
    )
    assert since <= objectives.restore_test_every
    if not component.attempts:
        # A run that restored nothing knows of no test: unproven.
        pytest.skip("this run restored nothing of it")


@pytest.mark.check("CAD-002", severity="medium", proves=("restore-test",))
def test_no_run_died(component, observe):
    """Every run since the last report came to its end, and its evidence is as it was sealed."""
    problems = component.standing.died()
    observe(
        examined=1 + len(component.standing.earlier.runs) + len(problems),
        expected="runs with a report",
        seen="; ".join(problems) or f"{len(component.standing.earlier.runs)} earlier runs, whole",
        remedy="read the run.log in its folder in the archive, and mend what ended it",
    )
    assert not problems


@pytest.mark.check("CAD-003", severity="low", proves=("restore-test",))
def test_every_backup_has_its_turn(component, in_words, objectives, observe):
    """Every backup is restored by some run, alone or as part of a chain.

    Looked at are those that runs had their time for: stored longer ago than the time between
    two restore tests, and not longer than twice that.
    """
    if not component.backups:
        # Of no backup at all it cannot be said that all were restored: unproven.
        pytest.skip("there is no backup")
    never = component.standing.never_restored(component.restored_now())
    observe(
        examined=len(component.backups),
        expected=f"each restored by a run within {in_words(objectives.restore_test_every)}",
        seen=f"never restored: {', '.join(never)}" if never else "none was left out",
        remedy="audit more often, or with 'audit: {restore: all}'",
    )
    assert not never
