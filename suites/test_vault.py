"""Backup jobs and what they stored: is it there, and is every byte as it was written?"""

import pytest


@pytest.mark.check("JOB-001", severity="critical", when="jobs", proves=("content",))
def test_backup_job_completes(component, observe):
    """The backup job of this run completed.

    A job counts only if every program in it ended without an error, the stored content is
    whole, and the catalog names it.
    """
    for job in component.jobs:
        job.require_answer()
    problems = [job.problem for job in component.jobs if job.backup is None]
    observe(
        examined=len(component.jobs),
        expected="a stored backup",
        seen="; ".join(problems) or f"stored {component.jobs[-1].backup.id}",
        remedy="mend what the tool complains of, and run the job again",
    )
    assert not problems


@pytest.mark.check("JOB-002", severity="high", proves=("full", "rpo"))
def test_no_earlier_run_failed(component, observe):
    """No backup job failed since a restore had to be tested last.

    A later success does not undo a run without a backup: for that time there was none.
    """
    failed = component.standing.failed_runs
    told = [f"{run.kind} of {run.started_at:%Y-%m-%d %H:%M} UTC: {run.problem}" for run in failed]
    observe(
        examined=max(1, len(component.standing.runs)),
        expected="runs that stored a backup",
        seen="; ".join(told) or f"{len(component.standing.runs)} earlier runs, none failed",
        remedy="find out what the cause was, and whether it can come again",
    )
    assert not failed


@pytest.mark.check("VLT-002", severity="critical", proves=("integrity", "retention", "versions"))
def test_vault_holds_what_the_catalog_says(component, observe):
    """The vault holds the backups that its catalog tells of, and no other.

    A backup that was deleted by hand is missing, and one whose line was cut off the catalog lies
    there unknown.
    """
    problems = component.standing.disagreements()
    count = len(component.backups)
    if not count and not problems:
        pytest.skip("neither vault nor catalog has a backup")
    observe(
        examined=max(count, len(problems)),
        expected="what the catalog tells of",
        seen="; ".join(problems) or f"{count} backups, all of them in the catalog",
        remedy="find out who changed the vault; put back what was deleted, and then let"
        " `restoreproof catalog repair POLICY` make the catalog true again",
    )
    assert not problems


@pytest.mark.check(
    "VLT-001",
    severity="critical",
    proves=("content", "integrity"),
)
def test_stored_artifacts_are_intact(component, observe):
    """Every stored artifact is byte for byte what was written.

    The SHA-256 of each artifact is compared with its manifest, and each manifest with the
    catalog: for every backup of the component and not only for those that are restored, or for
    those whose turn it is where the policy has them checked by turns.
    """
    examined, damages = 0, []
    for backup in component.standing.to_check:
        files, damaged = backup.damage()
        examined += files
        damages += damaged
    observe(
        examined=examined,
        expected="every SHA-256 as recorded",
        seen="; ".join(map(str, damages)) or f"{examined} files as recorded",
        remedy="take the backup again, and find out what changed the stored files",
    )
    assert not damages


@pytest.mark.check("VLT-003", severity="high", when="checks_by_turns", proves=("integrity",))
def test_every_backup_was_checked_in_its_time(component, in_words, observe):
    """No backup went unchecked for longer than the policy says.

    From the evidence of earlier runs; a backup is checked when it is stored, too.
    """
    if not component.backups:
        pytest.skip("there is no backup")
    longest = component.standing.unchecked_for()
    observe(
        examined=len(component.backups),
        expected=f"each checked within {in_words(component.check_within)}",
        seen=f"longest time without a check: {in_words(longest, component.check_within)}",
        remedy="audit more often: see `restoreproof schedule`",
    )
    assert longest <= component.check_within
