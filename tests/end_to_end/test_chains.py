"""A chain through the real command line: the increment that is due, restored and proven."""

from collections.abc import Callable
from pathlib import Path

import pytest
from runs import COMMAND, POLICY, Agama, Finished, audit_command, run
from vault_faults import MYSQL

from restoreproof.damage import VaultCopy
from restoreproof.verdicts import Verdict


@pytest.fixture(scope="module")
def chained(
    agama: Agama, copy_of_vault: Callable[[], VaultCopy], tmp_path_factory: pytest.TempPathFactory
) -> VaultCopy:
    """A vault in which an increment stands on the full backup."""
    copy = copy_of_vault()
    command = (*COMMAND, "backup", POLICY, MYSQL)
    with agama.estate.workload():
        done = run(command, agama.with_vault(copy.root), tmp_path_factory.mktemp("unused"))
    assert done.code == 0, done.output
    return copy


def _audit(agama: Agama, vault: Path, place: Path, tampering: str = "") -> Finished:
    archive = place / "archive"
    loaded = ("--", "-p", "tampering") if tampering else ()
    command = audit_command(archive, "--no-backup", "--component", MYSQL, *loaded)
    return run(command, agama.with_vault(vault, TAMPERING=tampering), archive)


def test_increment_that_is_due_is_made_and_proven(
    agama: Agama, chained: VaultCopy, tmp_path: Path
) -> None:
    """With a full backup there, the next one is an increment, and both boundaries come back."""
    full, increment = chained.vault.backups(MYSQL)
    assert (full.entry.kind, increment.entry.kind) == ("full", "incremental")
    assert increment.entry.base == full.id

    finished = _audit(agama, chained.root, tmp_path)

    assert finished.with_verdict(Verdict.FAILED) == {("RPO-001", MYSQL)}, finished.output
    assert {("INC-001", MYSQL), ("RST-004", MYSQL)} <= finished.with_verdict(Verdict.PASSED)
    (drawn,) = (one for one in finished.evidence.attempts if one.until)
    assert drawn.succeeded
    assert drawn.backup == increment.id
    assert drawn.seed == finished.evidence.run.seed
    (record,) = finished.checks("RST-004", MYSQL)
    assert "newest heartbeat" in record.seen
    for check in ("RST-001", "RST-002", "MYS-001"):
        records = finished.checks(check, MYSQL)
        assert {record.backup for record in records} == {full.id, increment.id}
        assert {record.verdict for record in records} == {Verdict.PASSED}
    replays = [phase.name for one in finished.evidence.attempts for phase in one.phases]
    assert replays.count("replay") == 2
    (promise,) = (one for one in finished.evidence.promises if one.id == f"{MYSQL}.incremental")
    assert promise.verdict is Verdict.PASSED


def test_increment_that_begins_elsewhere_fails(
    agama: Agama, chained: VaultCopy, tmp_path: Path
) -> None:
    """INC-001 fails on an increment that does not begin where its base ends, and names both."""
    copy = VaultCopy.of(chained.root, tmp_path / "copy")
    full, increment = copy.vault.backups(MYSQL)
    copy.restate(increment, facts={**increment.manifest().facts, "base_position": "elsewhere:1"})

    finished = _audit(agama, copy.root, tmp_path)

    assert finished.code == 1
    assert finished.with_verdict(Verdict.FAILED) == {
        ("INC-001", MYSQL),
        ("RST-004", MYSQL),
        ("RPO-001", MYSQL),
    }
    (record,) = finished.checks("INC-001", MYSQL)
    assert f"{increment.id} does not begin where {full.id} ends" in record.seen
    assert f"failed  INC-001 {MYSQL}" in finished.output


def test_chain_without_its_base_fails(agama: Agama, chained: VaultCopy, tmp_path: Path) -> None:
    """Without the full backup the increment does not come back, and the report names the base."""
    copy = VaultCopy.of(chained.root, tmp_path / "copy")
    full, increment = copy.vault.backups(MYSQL)
    copy.remove(full)

    finished = _audit(agama, copy.root, tmp_path)

    failed = {(one, MYSQL) for one in ("INC-001", "RST-001", "RST-004", "VLT-001", "RPO-001")}
    assert finished.with_verdict(Verdict.FAILED) == failed, finished.output
    (record,) = (one for one in finished.checks("RST-001", MYSQL) if one.backup == increment.id)
    assert full.id in record.seen


def test_instant_that_is_not_what_was_committed_fails(
    agama: Agama, chained: VaultCopy, tmp_path: Path
) -> None:
    """RST-004 fails on a copy that holds one transaction more than the ledger up to its instant."""
    finished = _audit(agama, chained.root, tmp_path, tampering="commit_one_more")

    assert finished.with_verdict(Verdict.FAILED) == {("RST-004", MYSQL), ("RPO-001", MYSQL)}
    (record,) = finished.checks("RST-004", MYSQL)
    assert "00000000-0000-0000-0000-000000000001:1" in record.seen
    assert "00000000-0000-0000-0000-000000000001:1" not in record.expected
