"""One audit of the whole sample estate, by the real command line: what it says and leaves."""

import subprocess
from datetime import timedelta
from pathlib import Path
from xml.etree import ElementTree

import pytest
from runs import COMMAND, POLICY, Agama, Finished, left_by, run, unplayed
from scenario import CRITERIA
from vault_faults import GIT, INFLUXDB, MYSQL

from restoreproof import engines
from restoreproof.policy_file import read_policy
from restoreproof.promises import promises
from restoreproof.vault import Vault
from restoreproof.verdicts import Verdict


def test_agama_is_not_compliant(healthy: Finished) -> None:
    """The audit ends with exit code 1 and prints the reason: the schedule cannot meet the RPO."""
    assert healthy.code == 1, healthy.output
    verdict = next(line for line in healthy.output.splitlines() if line.startswith("Verdict"))
    assert "NOT COMPLIANT" in verdict
    assert "RPO-001" in verdict
    assert "24 h may be lost: longest gap of the schedule" in verdict


def test_only_the_schedule_fails(healthy: Finished) -> None:
    """Nothing is found but the contradiction in the policy, and no answer is missing by mistake."""
    assert healthy.with_verdict(Verdict.FAILED) == {("RPO-001", MYSQL), ("RPO-001", INFLUXDB)}
    assert not healthy.with_verdict(Verdict.ERROR)
    # The repository has no schedule; a first backup is no increment.
    unproven = {("RPO-001", GIT), ("INC-001", MYSQL), ("INC-001", INFLUXDB)}
    assert healthy.with_verdict(Verdict.UNPROVEN) == unproven


def test_report_is_signed_and_says_the_verdict_first(healthy: Finished, agama: Agama) -> None:
    """The PDF is authentic for `verify`, and its first page says not compliant, and why."""
    pdf = healthy.folder / "report.pdf"
    trust = Path(agama.environment["AGAMA_IDENTITY"]).with_name("ca.pem")
    verified = run((*COMMAND, "verify", pdf, "--trust", trust), {}, healthy.archive)
    page = _text(pdf, "-f", "1", "-l", "1")

    assert verified.code == 0, verified.output
    assert "NOT COMPLIANT" in page.upper()
    assert "RPO" in page


def test_every_promise_is_listed(healthy: Finished) -> None:
    """Every promise of the policy is in evidence and PDF, also the ones that nothing proves."""
    policy = read_policy(POLICY).policy
    expected = {
        f"{name}.{promise.key}"
        for name, component in policy.components.items()
        for promise in promises(name, component, policy, engines.load(component.engine))
    }
    found = {record.id: record for record in healthy.evidence.promises}
    unproven = {name for name, record in found.items() if record.verdict is Verdict.UNPROVEN}
    document = " ".join(_text(healthy.folder / "report.pdf").split())

    assert set(found) == expected
    for promise in (f"{MYSQL}.incremental", f"{INFLUXDB}.incremental"):
        assert promise in unproven
    assert all(found[name].reason for name in unproven)
    for kind in ("incremental", "configuration", "logs"):
        assert kind in document


def test_promises_of_the_data_are_proven(healthy: Finished) -> None:
    """What was restored, compared and found to be of use is proven."""
    found = {record.id: record.verdict for record in healthy.evidence.promises}

    proven = [f"{MYSQL}.{kind}" for kind in ("data", "configuration", "logs")]
    proven += [
        f"{INFLUXDB}.data",
        f"{INFLUXDB}.configuration",
        f"{GIT}.playbook",
        f"{GIT}.inventory",
    ]
    assert {name: found[name] for name in proven} == dict.fromkeys(proven, Verdict.PASSED)


def test_loss_and_recovery_time_are_measured(healthy: Finished) -> None:
    """Both servers have a measured loss from their heartbeats, and every restore a timeline."""
    for component in healthy.evidence.components:
        if component.name != GIT:
            assert component.rpo_measured.value is not None
            assert 0 <= component.rpo_measured.value.total_seconds() < 3600
    assert len(healthy.evidence.attempts) == 3
    for attempt in healthy.evidence.attempts:
        assert attempt.succeeded
        assert [phase.name for phase in attempt.phases][-1] == "answer a query"
        # Start and length of the last phase are each rounded to a millisecond.
        rounding = abs(attempt.recovery_duration - attempt.phases[-1].end)
        assert rounding <= timedelta(milliseconds=1)


def test_criteria_are_exercised(healthy: Finished) -> None:
    """Each criterion was played on a copy of each component; loss and time are in the report."""
    played = {(one.component, one.criterion): one for one in healthy.evidence.exercises}
    document = " ".join(_text(healthy.folder / "report.pdf").split())

    names = ("corruption", "deletion", "failure")
    assert set(played) == {(one, name) for one in (MYSQL, INFLUXDB, GIT) for name in names}
    for one in played.values():
        assert one.problems == ()
        assert one.loss is not None
        assert one.items_compared > 5
    # Only of MySQL an instant inside an increment comes back.
    assert played[MYSQL, "corruption"].changes_lost == 0
    assert played[MYSQL, "corruption"].until
    for component in (INFLUXDB, GIT):
        assert played[component, "corruption"].changes_lost > 0
    assert "Restoration criteria, exercised" in document
    for warning in ("no copy of the vault off the site", "nobody answers for the policy"):
        assert warning in document


def test_junit_and_log_are_there(healthy: Finished) -> None:
    """junit.xml holds every check that was asked, and run.log begins with the run."""
    suite = ElementTree.parse(healthy.folder / "junit.xml").getroot()  # noqa: S314  # our own file
    log = (healthy.folder / "run.log").read_text(encoding="utf-8")

    assert len(list(suite.iter("testcase"))) == len(healthy.evidence.checks)
    assert f"run {healthy.evidence.run.id} of policy" in log
    assert {path.name for path in healthy.folder.iterdir()} == {
        "SHA256SUMS",
        "attestation.dsse.json",
        "evidence.json",
        "junit.xml",
        "oscal-assessment-results.json",
        "report.html",
        "report.pdf",
        "run.log",
    }


def test_run_is_in_the_ledger(healthy: Finished) -> None:
    """It is entered with its files, where its own evidence says, and verifies as sound."""
    place = healthy.evidence.ledger
    assert place is not None
    assert place.sequence == 1
    arguments = ("ledger", "verify", "--archive", healthy.archive)
    verified = run((*COMMAND, *arguments), {}, healthy.archive)
    assert verified.code == 0
    assert f"anchor      {place.sequence}:" in verified.output


def test_no_secret_is_anywhere(healthy: Finished, healthy_vault: Path, agama: Agama) -> None:
    """No password and no passphrase is in a file of the run, in the vault, or in the output."""
    texts = {"the output": healthy.output, "the PDF": _text(healthy.folder / "report.pdf")}
    files = [*healthy.folder.iterdir(), healthy_vault / "catalog.jsonl"]
    files += healthy_vault.rglob("manifest.json")
    for file in files:
        texts[str(file)] = file.read_bytes().decode("latin-1")
    for backup in (b for name in (MYSQL, INFLUXDB, GIT) for b in _backups(healthy_vault, name)):
        for artifact in backup.manifest().artifacts:
            name = f"{backup.entry.component} {artifact.name}"
            texts[name] = b"".join(backup.read(artifact)).decode("latin-1")

    assert len(texts) == 2 + 8 + 4 + (7 + 4 + 3)
    for whose, secret in agama.secrets.items():
        assert len(secret) >= 16
        for place, text in texts.items():
            assert secret not in text, f"{whose} in {place}"


def test_nothing_is_left_behind(healthy: Finished, healthy_vault: Path) -> None:
    """No container, network or folder of the run is left, and nothing unfinished in the vault."""
    assert healthy.evidence.environment.servers_left == 0
    assert left_by(healthy.process) == []
    assert list((healthy_vault / ".incoming").iterdir()) == []
    kept = {path.name for path in healthy.archive.iterdir()}
    assert kept == {healthy.evidence.run.id, "ledger.jsonl"}


@pytest.fixture(scope="session")
def by_pytest(agama: Agama, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """The same audit, asked for with pytest alone in the checkout."""
    place = tmp_path_factory.mktemp("pytest")
    archive = place / "archive"
    command = (COMMAND[0], "-m", "pytest", "suites", "--policy", unplayed(), "--out", archive)
    return run((*command, "-p", "no:cacheprovider"), agama.with_vault(place / "vault"), archive)


def test_pytest_gives_the_same_answers(healthy: Finished, by_pytest: Finished) -> None:
    """`pytest suites --policy` ends with the same code, verdict and answer to every question.

    It is spared what is played.
    """
    assert by_pytest.code == healthy.code, by_pytest.output
    assert by_pytest.evidence.verdict is healthy.evidence.verdict
    assert _answers(by_pytest) == _answers(healthy)
    assert (by_pytest.folder / "report.pdf").stat().st_size > 0


def _answers(finished: Finished) -> set[tuple[str, str | None, Verdict]]:
    return {
        (check.id, check.component, check.verdict)
        for check in finished.evidence.checks
        if check.id not in CRITERIA
    }


def _backups(vault: Path, component: str) -> list:
    return list(Vault(str(vault)).backups(component))


def _text(pdf: Path, *options: str) -> str:
    command = ["pdftotext", *options, str(pdf), "-"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout
