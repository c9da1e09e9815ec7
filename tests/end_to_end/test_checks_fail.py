"""Never a check that cannot fail: each is seen failing on a fault, and passing without one."""

from collections.abc import Mapping
from concurrent.futures import Future
from pathlib import Path

import pytest
from runs import COMMAND, Agama, Finished, run
from scenario import EXPECTED, JOINING, RETENTION, Case, Scenario
from scenarios import SCENARIOS
from vault_faults import GIT, INFLUXDB, MYSQL

from restoreproof.resources import folder
from restoreproof.suite_index import Scope, read_suites
from restoreproof.verdicts import Verdict

CHECKS = {declaration.id: declaration for declaration in read_suites(folder("suites")).declarations}
CHAINED = {"INC-001", "RST-004", "STR-001"}
"""Needs an increment: seen to fail and to pass in ``test_chains``."""
FILES = {"FIL-001", "FIL-002", "FIL-003"}
"""Agama has no component of files: seen to fail and to pass in ``test_files``."""
ELSEWHERE = {"CAD-002", "NEG-001"}
"""CAD-002 needs a run that was killed: seen to fail in ``test_interrupts``. NEG-001 says of the
other checks that they could not tell: seen to do so, and to pass, in ``test_damaged_copies``."""
OPTIONAL = {
    "MYS-006", "NEG-001", "GIT-011", "GIT-012", "RTO-002", "POL-003", "POL-004", "POL-005",
    "RET-002", "VLT-003",
}  # fmt: skip
"""Asked only where a policy wants it, as Agama's does not: seen to pass in the last tests here."""
ALWAYS = {(MYSQL, "RPO-001"), (INFLUXDB, "RPO-001")}
"""What fails without any fault: Agama's schedule cannot meet Agama's objective."""


def test_every_check_has_a_scenario_in_which_it_fails() -> None:
    """The table of faults names every check that the suites declare, and no other."""
    assert {scenario.check for scenario in SCENARIOS} | CHAINED | FILES | ELSEWHERE == set(CHECKS)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=str)
def test_check_fails_on_its_fault(scenario: Scenario, cases: Mapping[str, "Future[Case]"]) -> None:
    """The check fails, says why, names component and backup, and no other check is troubled."""
    case = cases[scenario.title].result()
    finished, check = case.finished, CHECKS[scenario.check]

    expected = {scenario.check, *scenario.also}
    expected |= {known for component, known in ALWAYS if component == scenario.component}
    failed = {(identifier, scenario.component) for identifier in expected}
    assert finished.with_verdict(Verdict.FAILED) == failed, finished.output
    assert not finished.with_verdict(Verdict.ERROR)
    assert finished.code == 1
    assert finished.evidence.verdict is Verdict.FAILED

    (record,) = finished.checks(scenario.check, scenario.component)
    assert scenario.seen in f"{record.expected} {record.seen} {record.reason}"
    assert record.expected and record.seen and record.remedy
    backup = case.backup.id if check.scope is Scope.TARGET else None
    assert record.backup == backup
    line = f"failed  {check.id} {backup or scenario.component}: {check.title}"
    assert line in finished.output
    if scenario.check == "VLT-001":
        assert case.backup.id in record.seen
        assert case.backup.id in finished.output


# Agama's own schedule fails RPO-001; a test below shows it passing.
@pytest.mark.parametrize("check", sorted(set(CHECKS) - {"RPO-001"} - CHAINED - FILES - OPTIONAL))
def test_check_passes_without_a_fault(check: str, healthy: Finished) -> None:
    """On healthy backups the check passes for every component, having examined something."""
    records = [record for record in healthy.evidence.checks if record.id == check]

    assert records
    for record in records:
        assert record.verdict is Verdict.PASSED, f"{record.component}: {record.seen}"
        assert record.examined > 0
        assert record.expected and record.seen


GENEROUS = Scenario(
    "RPO-001", INFLUXDB, "objective that the schedule meets", "", policy=("rpo: 1h", "rpo: 25h")
)


@pytest.mark.parametrize("scenario", [GENEROUS], ids=str)
def test_schedule_that_meets_the_objective_passes(
    scenario: Scenario, cases: Mapping[str, "Future[Case]"]
) -> None:
    """With an objective of 25 hours the daily schedule passes, so RPO-001 is no constant."""
    finished = cases[scenario.title].result().finished

    assert not finished.with_verdict(Verdict.FAILED), finished.output
    assert ("RPO-001", INFLUXDB) in finished.with_verdict(Verdict.PASSED)


@pytest.mark.parametrize("scenario", [GENEROUS], ids=str)
def test_a_report_is_made_later_where_none_was_wanted(
    scenario: Scenario, cases: Mapping[str, "Future[Case]"], agama: Agama
) -> None:
    """An audit without a report leaves evidence, of which the key's owner makes a signed one."""
    folder = cases[scenario.title].result().finished.folder
    assert not (folder / "report.pdf").exists()
    policy = folder.parent.with_name("policy.yaml")
    pdf = folder.parent.with_name("report.pdf")
    made = [*COMMAND, "report", folder / "evidence.json", "--policy", policy, "--to", pdf]
    trust = Path(agama.environment["AGAMA_IDENTITY"]).with_name("ca.pem")

    assert run(made, agama.environment, folder.parent).code == 0
    verified = run([*COMMAND, "verify", pdf, "--trust", trust], {}, folder.parent)

    assert verified.code == 0, verified.output


WANTED = Scenario("MYS-006", MYSQL, "restored server joins its source", "", policy=JOINING)


@pytest.mark.parametrize("scenario", [WANTED], ids=str)
def test_restored_server_joins_its_source(
    scenario: Scenario, cases: Mapping[str, "Future[Case]"]
) -> None:
    """Where the policy wants it, the restored server catches up with the estate as it is now."""
    finished = cases[scenario.title].result().finished

    assert finished.with_verdict(Verdict.FAILED) == {("RPO-001", MYSQL)}, finished.output
    (record,) = finished.checks("MYS-006", MYSQL)
    assert record.verdict is Verdict.PASSED, record.reason
    assert "transactions fetched in" in record.seen


FITTING = "    schedule: {full: [0 * * * *, 30 * * * *]}\n    retention: {days: 2, count: 96}"
SOUND = Scenario(
    "POL-003", GIT, "repository with a sound schedule", "", policy=(RETENTION, FITTING)
)
MONTHLY = Scenario(
    "POL-005",
    GIT,
    "audits every month, and a size that can be restored in time",
    "",
    policy=(
        "audit:\n  restore: all ",
        "promised_coverage: {web: [data]}\naudit:\n  schedule: 0 4 1 * *\n  restore: all ",
    ),
    policy_too=EXPECTED,
)
BY_TURNS = Scenario(
    "VLT-003",
    GIT,
    "stored bytes checked by turns",
    "",
    policy=("integrity_checks: every-audit", "integrity_checks: 7d"),
)


@pytest.mark.parametrize("scenario", [SOUND, MONTHLY, BY_TURNS], ids=str)
def test_policy_without_a_contradiction_passes(
    scenario: Scenario, cases: Mapping[str, "Future[Case]"]
) -> None:
    """Where the policy says more than Agama's and does not contradict itself, that passes too."""
    finished = cases[scenario.title].result().finished
    passed = finished.with_verdict(Verdict.PASSED)

    assert not finished.with_verdict(Verdict.FAILED), finished.output
    wanted = {
        SOUND.title: {"RPO-001", "POL-001", "POL-003", "POL-004", "RET-002"},
        MONTHLY.title: {"POL-005", "RTO-002"},
        BY_TURNS.title: {"VLT-001", "VLT-003"},
    }
    assert {(check, GIT) for check in wanted[scenario.title]} <= passed


@pytest.mark.parametrize("scenario", [MONTHLY], ids=str)
def test_what_nobody_backs_up_is_not_compliant(
    scenario: Scenario, cases: Mapping[str, "Future[Case]"]
) -> None:
    """What the document names and the policy leaves out breaks a promise, with no check failed."""
    finished = cases[scenario.title].result().finished

    assert finished.code == 1
    assert finished.evidence.verdict is Verdict.FAILED
    assert "no component of the policy backs up web" in finished.evidence.verdict_reason
