"""What is neither passed nor failed: silence, hollow passes, broken suites, user's mistakes."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from runs import POLICY, ROOT, UNPLAYED, Agama, Finished, audit_command, run
from vault_faults import GIT, MYSQL

from restoreproof.damage import VaultCopy
from restoreproof.verdicts import Verdict

BROKEN = '''
"""A suite that cannot be imported."""

import pytest
import no_module_of_this_name


@pytest.mark.check("BRK-001", severity="high", engine="git", proves=("content",))
def test_broken(restored, observe):
    """A check in a suite that cannot be imported."""
'''
HOLLOW = '''
"""Checks that say less than they seem to."""

import pytest


@pytest.mark.check("HOL-001", severity="high", engine="git", proves=("playbook",))
def test_hollow(restored):
    """A check that passes without looking at anything."""


@pytest.mark.check("HOL-002", severity="high", engine="git", proves=("inventory",))
def test_crashing(restored, observe):
    """A check with a mistake of its own."""
    observe(examined=1, expected="an answer", seen="none")
    restored.no_such_attribute
'''


@pytest.fixture(scope="module")
def deselected(
    agama: Agama, copy_of_vault: Callable[[], VaultCopy], tmp_path_factory: pytest.TempPathFactory
) -> Finished:
    """An audit in which the user left out every restore check."""
    archive = tmp_path_factory.mktemp("deselected")
    arguments = ("--no-backup", "--component", GIT, "--", "-k", "not RST")
    return run(audit_command(archive, *arguments), agama.with_vault(copy_of_vault().root), archive)


def test_deselected_check_is_unproven(deselected: Finished) -> None:
    """A check that was deselected is in the evidence as unproven, by name, and printed."""
    silent = {(check, GIT) for check in ("RST-001", "RST-002", "RST-003")}

    assert silent <= deselected.with_verdict(Verdict.UNPROVEN)
    assert ("VLT-001", GIT) in deselected.with_verdict(Verdict.PASSED)
    for check, component in silent:
        (record,) = deselected.checks(check, component)
        assert "deselected" in record.reason
        assert f"{check} {record.backup}" in deselected.output


def test_silence_is_no_pass(deselected: Finished) -> None:
    """With checks deselected and none failed, the answer is 'could not tell', exit code 3."""
    found = {record.id: record.verdict for record in deselected.evidence.promises}

    assert deselected.code == 3, deselected.output
    assert deselected.evidence.verdict is Verdict.UNPROVEN
    assert "COULD NOT TELL" in deselected.output
    assert found[f"{GIT}.playbook"] is Verdict.UNPROVEN


@pytest.fixture(scope="module")
def strange(
    agama: Agama, copy_of_vault: Callable[[], VaultCopy], tmp_path_factory: pytest.TempPathFactory
) -> Finished:
    """An audit by a copy of the checkout that has a broken suite and hollow checks."""
    place = tmp_path_factory.mktemp("checkout")
    for name in ("restoreproof", "suites", "reports/templates", "fixtures"):
        shutil.copytree(ROOT / name, place / name, ignore=shutil.ignore_patterns("__pycache__"))
    for path in (ROOT / "reports").iterdir():
        if path.is_dir() and path.name not in ("archive", "templates"):
            shutil.copytree(path, place / "reports" / path.name)
    (place / "suites" / "test_broken.py").write_text(BROKEN, encoding="utf-8")
    (place / "suites" / "test_hollow.py").write_text(HOLLOW, encoding="utf-8")
    archive = place / "archive"
    environment = agama.with_vault(copy_of_vault().root, PYTHONPATH=str(place))
    arguments = ("--no-backup", "--component", GIT)
    return run(audit_command(archive, *arguments), environment, archive, place)


def test_broken_suite_is_an_error(strange: Finished) -> None:
    """A check whose suite cannot be imported is an error that names the cause; others answer."""
    (record,) = strange.checks("BRK-001", GIT)

    assert record.verdict is Verdict.ERROR
    assert "no_module_of_this_name" in record.reason
    assert ("RST-002", GIT) in strange.with_verdict(Verdict.PASSED)
    assert strange.evidence.verdict is Verdict.ERROR
    assert strange.code == 3, strange.output


def test_check_that_crashes_is_an_error(strange: Finished) -> None:
    """A check that breaks says nothing about the backup: it is an error and no failure."""
    (record,) = strange.checks("HOL-002", GIT)

    assert record.verdict is Verdict.ERROR
    assert "no_such_attribute" in record.reason
    assert not strange.with_verdict(Verdict.FAILED)


def test_hollow_pass_is_unproven(strange: Finished) -> None:
    """A check that passes without having looked at anything proves nothing."""
    (record,) = strange.checks("HOL-001", GIT)
    found = {promise.id: promise.verdict for promise in strange.evidence.promises}

    assert record.verdict is Verdict.UNPROVEN
    assert "without looking" in record.reason
    assert found[f"{GIT}.playbook"] is not Verdict.PASSED
    assert f"unproven HOL-001 {record.backup}" in strange.output
    assert f"passed   HOL-001 {record.backup}" not in strange.output


def test_files_out_of_reach_are_unproven(agama: Agama, tmp_path: Path) -> None:
    """Where the policy names no place of the server's files, the report says how to mend it."""
    policy, archive = tmp_path / "policy.yaml", tmp_path / "archive"
    text = POLICY.read_text(encoding="utf-8").replace(*UNPLAYED)
    for kind in ("configuration", "logs"):
        text, count = re.subn(rf"\n      {kind}:.*\n        container:.*", "", text, count=1)
        assert count == 1
    policy.write_text(text, encoding="utf-8")
    command = audit_command(archive, "--component", MYSQL, policy=policy)

    finished = run(command, agama.with_vault(tmp_path / "vault"), archive)

    found = {record.id: record for record in finished.evidence.promises}
    (configuration,) = finished.checks("MYS-004", MYSQL)
    (logs,) = finished.checks("MYS-005", MYSQL)
    assert found[f"{MYSQL}.configuration"].verdict is Verdict.UNPROVEN
    assert "give source.configuration" in found[f"{MYSQL}.configuration"].reason
    assert (configuration.verdict, logs.verdict) == (Verdict.UNPROVEN, Verdict.UNPROVEN)
    assert "slow log: it goes to /var/lib/mysql/" in logs.reason
    assert "give source.logs" in logs.reason
    assert found[f"{MYSQL}.logs"].verdict is Verdict.UNPROVEN
    assert finished.with_verdict(Verdict.FAILED) == {("RPO-001", MYSQL)}


def test_damaged_catalog_is_no_verdict(
    agama: Agama, copy_of_vault: Callable[[], VaultCopy], tmp_path: Path
) -> None:
    """A catalog that was edited stops the audit with one line, exit code 3 and no report."""
    vault = copy_of_vault().root
    catalog = vault / "catalog.jsonl"
    catalog.write_text(catalog.read_text().replace('"sequence":2', '"sequence":3'))
    archive = tmp_path / "archive"

    finished = run(audit_command(archive, "--no-backup"), agama.with_vault(vault), archive)

    assert finished.code == 3
    (complaint,) = _complaints(finished)
    assert complaint.startswith(f"{catalog}:2: the catalog is damaged or was edited: ")
    assert complaint.endswith(" -- put back the catalog from a copy of the vault")
    assert not archive.exists() or list(archive.iterdir()) == []


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("AGAMA_MYSQL_PASSWORD", "a-wrong-password", "refused the login"),
        ("AGAMA_MYSQL_PORT", "1", "cannot be reached"),
        ("AGAMA_INFLUXDB_BACKUP", "127.0.0.1:1", "backup port 127.0.0.1:1 does not answer"),
        ("AGAMA_REPOSITORY", "/nowhere.git", "/nowhere.git"),
    ],
)
def test_source_that_refuses_is_the_users_mistake(
    agama: Agama, tmp_path: Path, variable: str, value: str, words: str
) -> None:
    """A source that cannot be backed up stops the run before anything is written: exit code 2."""
    archive, vault = tmp_path / "archive", tmp_path / "vault"
    environment = agama.with_vault(vault, **{variable: value})

    finished = run(audit_command(archive), environment, archive)

    (complaint,) = _complaints(finished)
    assert finished.code == 2
    assert words in complaint
    assert " -- " in complaint
    assert "a-wrong-password" not in finished.output
    assert not vault.exists()
    assert not archive.exists() or list(archive.iterdir()) == []


def _complaints(finished: Finished) -> list[str]:
    """What was printed beside the progress of the run."""
    lines = finished.output.splitlines()
    assert "Traceback" not in finished.output
    return [line for line in lines if line and not line.startswith("[")]
