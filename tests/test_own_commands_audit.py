"""An audit of what an organisation's own commands made: by our jobs, and by cron without us."""

from pathlib import Path

import pytest
from commands import DOCKER, ESTATE, PASSPHRASE, run

from restoreproof import signing
from restoreproof.clock import system_clock
from restoreproof.engines.git_command import run_git
from restoreproof.evidence import Evidence, parse

POLICY = (
    ESTATE.replace("components:", "negative_control: {budget: 1m}\ncomponents:")
    + """\
  ours:
    engine: git
    source: {repository: source}
    coverage: [data]
    schedule: {full: 10 3 * * *}
    retention: {days: 30}
    commands:
      full: git -C source bundle create --quiet {store}/$(date +%Y%m%dT%H%M%S).bundle --all
      restore: git clone --quiet --mirror {store}/{name} {restored}
      verify: git -C source bundle verify --quiet $(ls {store}/*.bundle | tail -n 1)
      backups: '*.bundle'
      points: {pattern: '(?P<time>\\d{8}T\\d{6})'}
      store: ours
  cron:
    engine: git
    source: {repository: source}
    coverage: [data]
    commands:
      restore: [git, clone, --quiet, --mirror, '{store}/{name}', '{restored}']
      backups: '*.bundle'
      points: {pattern: '(?P<time>\\d{8}T\\d{6})'}
      store: cron
"""
)


@pytest.fixture(scope="module")
def audited(tmp_path_factory: pytest.TempPathFactory) -> tuple[Evidence, str, Path]:
    """The evidence and the page of one audit, and where it was made."""
    place = tmp_path_factory.mktemp("audited")
    signing.create_identity(place / "identity", PASSPHRASE.encode(), now=system_clock())
    run_git(["init", "--quiet", "--initial-branch=main", str(place / "source")])
    (place / "source" / "site.yml").write_text("[]\n")
    run_git(["add", "."], place / "source")
    who = ["-c", "user.name=x", "-c", "user.email=x@example.com"]
    run_git([*who, "commit", "--quiet", "-m", "first"], place / "source")
    for name in ("ours", "cron"):
        (place / name).mkdir()
    cron = place / "cron" / "20261101T031000.bundle"
    run_git(["bundle", "create", "--quiet", str(cron), "--all"], place / "source")
    (place / "policy.yaml").write_text(POLICY)
    outcome = run(place, "audit", "policy.yaml", "--out", "archive", **DOCKER)
    assert outcome.code == 1, outcome.printed
    (found,) = (place / "archive").glob("*/evidence.json")
    page = found.with_name("report.html").read_text()
    return parse(found.read_bytes(), where=str(found)), page + outcome.printed, place


def test_a_job_by_command_is_proven(audited: tuple[Evidence, str, Path]) -> None:
    """Its content is equal, and the evidence has how the command ended and what it stored."""
    evidence, told, _ = audited
    (backup,) = (one for one in evidence.backups if one.component == "ours")

    answers = {one.id: one.verdict for one in evidence.checks if one.component == "ours"}
    control = next(one for one in evidence.negative_controls if one.component == "ours")
    assert not control.unproven, control.unproven
    by = {one.damage: one for one in control.tried}
    assert by["store-emptied"].detected_by and by["store-halved"].detected_by
    assert "VLT-001" in by["store-byte-flipped"].detected_by
    assert "VLT-001" in by["store-file-removed"].detected_by
    assert answers["JOB-001"] == answers["VLT-001"] == answers["RST-002"] == "passed"
    assert backup.command is not None
    assert backup.command.exit_status == 0
    assert backup.command.stored_files == 1
    assert backup.command.stored_bytes > 0
    assert backup.command.proof == "of 3 items 3 exactly"
    assert "Made by the organisation's own commands" in told
    assert "of 3 items 3 exactly" in told


def test_what_cron_made_is_restored_and_its_content_unproven(
    audited: tuple[Evidence, str, Path],
) -> None:
    """It comes back, and that nobody looked at the source then is said and is no pass."""
    evidence, told, _ = audited
    (backup,) = (one for one in evidence.backups if one.component == "cron")
    answers = {one.id: one for one in evidence.checks if one.component == "cron"}

    assert answers["RST-001"].verdict == "passed"
    assert answers["RST-002"].verdict == "unproven"
    assert "nobody looked at the source" in answers["RST-002"].reason
    assert backup.command is not None
    assert backup.command.exit_status is None
    assert "found, made elsewhere" in told
    assert not [job for job in evidence.jobs if job.component == "cron"]


def test_pruning_never_touches_the_store(audited: tuple[Evidence, str, Path]) -> None:
    """What we know of a backup may go; the organisation's file stays."""
    place = audited[2]
    (kept,) = (place / "ours").iterdir()
    policy = POLICY.replace("retention: {days: 30}", "retention: {count: 1}")
    (place / "policy.yaml").write_text(policy)
    assert run(place, "backup", "policy.yaml", "ours", **DOCKER).code == 0

    outcome = run(place, "prune", "policy.yaml", "--apply")

    assert "1 backup removed" in outcome.printed
    assert kept.exists()
    assert len(list((place / "ours").iterdir())) == 2


def test_restore_to_a_point_of_the_store(audited: tuple[Evidence, str, Path]) -> None:
    """`restore` runs the organisation's own command, and writes out what came back."""
    place = audited[2]
    outcome = run(place, "restore", "policy.yaml", "cron", "--output", "out", **DOCKER)

    assert outcome.code == 3, outcome.printed
    assert (place / "out" / "repository.git").is_dir()
