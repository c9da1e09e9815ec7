"""The negative control through the real command line: noticed, missed, turned off, interrupted."""

import hashlib
import signal
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

from runs import AGAMA_POLICY, Agama, Finished, audit_command, left_by, run, started
from vault_faults import GIT, INFLUXDB

from restoreproof.damage import VaultCopy
from restoreproof.evidence_negative_control import Outcome
from restoreproof.verdicts import Verdict

BUDGET = ("budget: 12s", "budget: 2m")


def _policy(place: Path) -> Path:
    """Agama's, with time enough on a busy machine."""
    text = AGAMA_POLICY.read_text(encoding="utf-8")
    assert BUDGET[0] in text
    policy = place / "policy.yaml"
    policy.write_text(text.replace(*BUDGET), encoding="utf-8")
    return policy


def _audit(agama: Agama, vault: Path, place: Path, tampering: str = "") -> Finished:
    archive = place / "archive"
    loaded = ("--", "-p", "tampering") if tampering else ()
    arguments = ("--no-backup", "--component", GIT, *loaded)
    command = audit_command(archive, *arguments, policy=_policy(place))
    return run(command, agama.with_vault(vault, TAMPERING=tampering), archive)


def _everything(vault: Path) -> Mapping[Path, str]:
    """All that lies in a vault, but for the locks that name who held them last."""
    files = (path for path in vault.rglob("*") if path.is_file() and path.suffix != ".lock")
    files = (path for path in files if path.name != ".lock")
    return {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_damage_is_noticed_and_the_report_shows_it(
    agama: Agama, copy_of_vault: Callable[[], VaultCopy], tmp_path: Path
) -> None:
    """Every damage is noticed; vault and catalog are as they were; the PDF prints the matrix."""
    vault = copy_of_vault().root
    before = _everything(vault)

    finished = _audit(agama, vault, tmp_path)

    (record,) = finished.checks("NEG-001", GIT)
    assert record.verdict is Verdict.PASSED, record.reason
    assert record.examined >= 20
    (control,) = finished.evidence.negative_controls
    assert control.with_outcome(Outcome.MISSED, Outcome.ERROR, Outcome.NOT_TRIED) == ()
    assert control.seed == finished.evidence.run.seed
    (promise,) = (p for p in finished.evidence.promises if p.id == f"{GIT}.negative-control")
    assert promise.verdict is Verdict.PASSED
    assert _everything(vault) == before
    assert left_by(finished.process) == []
    # No restore of a copy is a restore of the audit.
    assert len(finished.evidence.attempts) == 1
    command = ["pdftotext", "-layout", str(finished.folder / "report.pdf"), "-"]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert "Negative control: would damage have been noticed?" in text
    assert "one stored byte turned over" in text


def test_damage_that_goes_unnoticed_is_could_not_tell(
    agama: Agama, copy_of_vault: Callable[[], VaultCopy], tmp_path: Path
) -> None:
    """With a comparison that finds no difference all checks pass, and the run says otherwise."""
    finished = _audit(agama, copy_of_vault().root, tmp_path, "compare_nothing")

    assert not finished.with_verdict(Verdict.FAILED)
    assert ("RST-002", GIT) in finished.with_verdict(Verdict.PASSED)
    (record,) = finished.checks("NEG-001", GIT)
    assert record.verdict is Verdict.UNPROVEN
    assert "damages went unnoticed" in record.reason
    (component,) = (one for one in finished.evidence.components if one.name == GIT)
    assert component.verdict is Verdict.UNPROVEN
    assert finished.code == 3
    assert "undamaged copies" in record.seen
    assert "missed: no check failed" in finished.output


def test_turned_off_it_is_told_and_changes_no_verdict(healthy: Finished) -> None:
    """A policy without it has no such question, and the report's limits say what that means."""
    assert not [one for one in healthy.evidence.checks if one.id == "NEG-001"]
    assert healthy.evidence.negative_controls == ()
    assert any(
        one.startswith(f"{GIT}: the policy turns the negative control off")
        for one in healthy.evidence.exclusions
    )


def test_interrupt_leaves_no_copy(
    agama: Agama, copy_of_vault: Callable[[], VaultCopy], tmp_path: Path
) -> None:
    """Ctrl-C while a damaged copy is restored leaves neither copy nor server nor report."""
    vault, archive = copy_of_vault().root, tmp_path / "archive"
    before = _everything(vault)
    arguments = ("--no-backup", "--component", INFLUXDB)
    command = audit_command(archive, *arguments, policy=_policy(tmp_path))
    with started(command, agama.with_vault(vault), archive) as running:
        running.wait_for(lambda: "damaging copies" in running.text(), "negative control")
        running.wait_for(lambda: len(running.containers("sandbox")) > 0, "sandbox of a copy")
        running.send(signal.SIGINT)
        finished = running.finished()

    assert "interrupted" in finished.output, finished.output
    assert left_by(finished.process) == []
    assert list(archive.iterdir()) == []
    assert _everything(vault) == before
