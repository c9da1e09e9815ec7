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


@pytest.mark.check(
    "VLT-001",
    severity="critical",
    proves=("content", "integrity"),
)
def test_stored_artifacts_are_intact(component, observe):
    """Every stored artifact is byte for byte what was written.

    The SHA-256 of each artifact is compared with its manifest, and each manifest with the
    catalog, for every backup of the component and not only for those that are restored.
    """
    examined, damages = 0, []
    for backup in component.backups:
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
