"""A stream through the real command line: RPO kept, and seen to be missing where it is not."""

import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from runs import COMMAND, POLICY, UNPLAYED, Agama, Finished, audit_command, left_by, run, started
from vault_faults import MYSQL

from restoreproof.damage import VaultCopy
from restoreproof.verdicts import Verdict

WANTED = "incremental: 10 16 * * 2-7    # Tuesday to Sunday, 16:10"


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Agama's policy with binary logs streamed in place of increments."""
    text = POLICY.read_text(encoding="utf-8").replace(*UNPLAYED)
    assert WANTED in text
    path = tmp_path_factory.mktemp("policy") / "policy.yaml"
    path.write_text(text.replace(WANTED, "continuous: true", 1), encoding="utf-8")
    return path


def _audit(agama: Agama, vault: Path, policy: Path, place: Path) -> Finished:
    archive = place / "archive"
    command = audit_command(archive, "--no-backup", "--component", MYSQL, policy=policy)
    return run(command, agama.with_vault(vault), archive)


def test_a_stream_keeps_the_objective(
    agama: Agama, copy_of_vault: Callable[[], VaultCopy], policy: Path, tmp_path: Path
) -> None:
    """What was streamed until it was stopped comes back, and the promised loss is kept."""
    copy = copy_of_vault()
    command = (*COMMAND, "stream", policy, MYSQL)
    with started(command, agama.with_vault(copy.root), tmp_path) as streaming:
        streaming.wait_for(lambda: "storing" in streaming.text(), "a log")
        with agama.estate.workload():
            stored = next((copy.root / "streams" / MYSQL).glob("*/*.0*"))
            before = stored.stat().st_size
            streaming.wait_for(lambda: stored.stat().st_size > before, "a transaction")
        caught_up = stored.with_name("caught-up")
        noted = caught_up.read_text() if caught_up.exists() else ""
        streaming.wait_for(lambda: caught_up.exists() and caught_up.read_text() != noted, "an end")
        streaming.send(signal.SIGINT)
        done = streaming.finished()
    assert done.code == 0, done.output
    assert "stopped: what was streamed is stored" in done.output
    assert left_by(done.process) == []

    finished = _audit(agama, copy.root, policy, tmp_path)

    assert finished.with_verdict(Verdict.FAILED) == set(), finished.output
    passed = finished.with_verdict(Verdict.PASSED)
    for check in ("STR-001", "RST-001", "RST-002", "RST-004", "MYS-001", "RPO-001", "RPO-003"):
        assert (check, MYSQL) in passed, finished.output
    full, streamed = VaultCopy(copy.root).vault.backups(MYSQL)
    assert (full.entry.kind, streamed.entry.kind) == ("full", "streamed")
    assert {one.backup for one in finished.checks("RST-002", MYSQL)} == {full.id}
    (promise,) = (one for one in finished.evidence.promises if one.id == f"{MYSQL}.continuous")
    assert promise.verdict is Verdict.PASSED


def test_a_stream_that_never_ran_fails(
    agama: Agama, copy_of_vault: Callable[[], VaultCopy], policy: Path, tmp_path: Path
) -> None:
    """STR-001 fails where nothing was streamed, and says what to do."""
    finished = _audit(agama, copy_of_vault().root, policy, tmp_path)

    assert finished.code == 1
    assert ("STR-001", MYSQL) in finished.with_verdict(Verdict.FAILED)
    (record,) = finished.checks("STR-001", MYSQL)
    assert record.seen == "nothing was streamed"
    assert "restoreproof stream" in record.remedy


def test_nothing_to_stream_is_a_mistake(agama: Agama, tmp_path: Path) -> None:
    """A policy that streams nothing is one line and exit code 2."""
    done = run((*COMMAND, "stream", POLICY), agama.environment, tmp_path)

    assert done.code == 2
    assert "continuous: true" in done.output
