"""Promises: every one of the policy is judged, and none is kept by silence."""

from pathlib import Path

import pytest
from audits import POLICY, check_record, policy_document

from restoreproof import engines, resources
from restoreproof.evidence import CheckRecord
from restoreproof.policy import COVERAGE_KINDS, Policy
from restoreproof.policy_file import read_policy
from restoreproof.promises import REQUIRED, REQUIRED_OF_ENGINE, Promise, judge, promises, uncovered
from restoreproof.suite_index import read_suites
from restoreproof.verdicts import Verdict

SUITES = read_suites(resources.folder("suites")).declarations
DATA = Promise("data", "wiki", "data is backed up")
EVERYTHING = """\
estate: Harbour
restoration_criteria:
  - {name: corruption, text: rows are wrong}
  - {name: deletion, text: a table is gone}
  - {name: failure, text: the server is gone}
objectives: {rpo: 1h, rto: 4h, restore_test_every: 31d}
integrity_checks: every-audit
vault: {location: vault}
components:
"""


def made(policy: Policy) -> list[Promise]:
    """All promises that a policy makes."""
    return [
        promise
        for name, component in policy.components.items()
        for promise in promises(name, component, policy, engines.load(component.engine))
    ]


def everything(folder: Path) -> list[Promise]:
    """Every kind of promise that a policy can make, with and without a Git retention."""
    sources = {
        "files": "{paths: [/x]}",
        "git": "{repository: x}",
        "mysql": "{host: x, user: x, password: 'file:x'}",
        "influxdb": "{url: x, backup: x}",
        "influxdb2": "{url: x, token: 'file:x'}",
    }
    text = EVERYTHING
    for engine in engines.names():
        for until in ("days: 30", "until: deleted-by-hand"):
            text += (
                f"  {engine}-{until[0]}:\n"
                f"    {{engine: {engine}, image: x, source: {sources[engine]},\n"
                f"     coverage: [{', '.join(COVERAGE_KINDS)}], retention: {{{until}}},\n"
                "     schedule: {full: 0 0 * * *, incremental: 0 * * * *, continuous: true}}\n"
            )
    return made(policy_document(folder, text).policy)


def answered(*identifiers: str, **changes: object) -> list[CheckRecord]:
    """Checks of the suites that passed."""
    return [
        check_record(one.id, Verdict.PASSED, proves=one.proves, **changes)
        for one in SUITES
        if one.id in identifiers
    ]


def test_agama_makes_every_promise_of_its_document() -> None:
    """Coverage, both schedules, objectives, integrity, versions and the monthly test are there."""
    policy = read_policy(resources.folder("fixtures") / "agama" / "policy.yaml").policy
    found: dict[str, list[str]] = {}
    for promise in made(policy):
        found.setdefault(promise.component, []).append(promise.key)

    criteria = ["negative-control", "corruption", "deletion", "failure"]
    every = ["full", "incremental", "rpo", "rto", "integrity", *criteria, "restore-test"]
    assert found["mysql"] == ["data", "configuration", "logs", *every]
    assert found["influxdb"] == ["data", "configuration", *every]
    assert found["ansible"] == [
        "playbook", "inventory", "configuration", "rpo", "rto", "integrity", "versions",
        *criteria, "restore-test",
    ]  # fmt: skip


def test_promise_without_means_is_told_as_a_gap(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the engine does not do is promised all the same, with the reason why it is unproven."""
    monkeypatch.setattr(type(engines.load("git")), "kinds", frozenset({"full"}))
    found = {
        (promise.component, promise.key): promise.gap for promise in made(
            policy_document(tmp_path, POLICY).policy
        )
    }  # fmt: skip

    assert "logs" in found["wiki", "logs"]
    for key in ("retention", "restore-test"):
        assert found["wiki", key] == ""
    assert found["playbooks", "incremental"]
    for key in ("full", "rpo", "rto", "integrity", "playbook", "inventory", "versions"):
        assert found["playbooks", key] == ""


def test_every_gap_is_unproven(tmp_path: Path) -> None:
    """No answer of any check keeps a promise that has a gap."""
    all_passed = [check for component in ("git-d", "mysql-d") for check in
                  answered(*(one.id for one in SUITES), component=component)]  # fmt: skip
    gaps = [promise for promise in everything(tmp_path) if promise.gap]

    assert gaps
    for promise in gaps:
        judged = judge(promise, all_passed)
        assert judged.verdict is Verdict.UNPROVEN
        assert judged.reason == promise.gap


def test_required_checks_exist() -> None:
    """Each check that a promise requires is in the suites, and gives evidence for it."""
    by_id = {one.id: one for one in SUITES}
    for key, required in REQUIRED.items():
        for identifier in required:
            assert identifier in by_id, identifier
            proves = set(by_id[identifier].proves)
            assert proves & {key, *(["content"] if key in COVERAGE_KINDS else [])}, identifier
    for (engine, key), required in REQUIRED_OF_ENGINE.items():
        for identifier in required:
            assert engine in by_id[identifier].engines, identifier
            assert key in by_id[identifier].proves, identifier


def test_engines_own_checks_are_required_of_it_alone() -> None:
    """Configuration of a MySQL server needs MYS-004, that of a repository three others."""
    content = answered("VLT-001", "RST-001", "RST-002")
    for engine, own in (("mysql", ("MYS-004",)), ("git", ("GIT-005", "GIT-008", "GIT-012"))):
        promise = Promise("configuration", "wiki", "x", engine=engine)

        assert judge(promise, content).reason == f"no answer from {', '.join(own)}"
        assert judge(promise, [*content, *answered(*own)]).verdict is Verdict.PASSED


@pytest.mark.parametrize(
    ("named", "key", "check"),
    [
        ("vault_passwords: ['file:x']", "configuration", "GIT-012"),
        ("signers: x", "versions", "GIT-011"),
    ],
)
def test_what_the_source_names_is_asked_for(
    tmp_path: Path, named: str, key: str, check: str
) -> None:
    """Passwords and signers that a policy names have to be tried; silence there is no pass."""

    def judged(source: str) -> tuple[Verdict, str]:
        text = EVERYTHING + (
            f"  wiki: {{engine: git, source: {{{source}}}, coverage: [configuration],\n"
            "         retention: {until: deleted-by-hand}}\n"
        )
        promise = next(
            one for one in made(policy_document(tmp_path, text).policy) if one.key == key
        )
        others = (one.id for one in SUITES if one.id != check)
        told = judge(promise, answered(*others, component="wiki"))
        return told.verdict, told.reason

    assert judged("repository: x") == (Verdict.PASSED, "")
    assert judged(f"repository: x, {named}") == (Verdict.UNPROVEN, f"no answer from {check}")


def test_configuration_without_a_place_is_a_gap(tmp_path: Path) -> None:
    """Where the policy does not say where the option files are, the reason says how to mend it."""
    gaps = {promise.key: promise.gap for promise in everything(tmp_path)
            if promise.component == "mysql-d"}  # fmt: skip

    assert "give source.configuration" in gaps["configuration"]
    assert gaps["data"] == gaps["logs"] == ""


def test_every_check_counts_for_a_promise(tmp_path: Path) -> None:
    """A check that no promise of any policy asks for would run for nothing."""
    keys = {promise.key for promise in everything(tmp_path)} | {"content"}

    for declaration in SUITES:
        assert set(declaration.proves) <= keys, declaration.id
        assert declaration.proves, declaration.id


def test_every_promise_is_required_or_a_gap(tmp_path: Path) -> None:
    """A promise that something can prove names the checks without which it is unproven."""
    for promise in everything(tmp_path):
        assert promise.gap or promise.key in REQUIRED, promise


def test_promise_is_kept_by_all_its_checks() -> None:
    """With every required check passed the promise is kept, and the checks are named."""
    judged = judge(DATA, answered("VLT-001", "RST-001", "RST-002"))

    assert judged.id == "wiki.data"
    assert (judged.verdict, judged.reason) == (Verdict.PASSED, "")
    assert judged.checks == ("RST-001", "RST-002", "VLT-001")


@pytest.mark.parametrize("silent", ["VLT-001", "RST-001", "RST-002"])
def test_silence_of_a_required_check_leaves_it_unproven(silent: str) -> None:
    """Whichever required check is missing, the promise is unproven, and the check is named."""
    rest = {"VLT-001", "RST-001", "RST-002", "RST-003"} - {silent}

    judged = judge(DATA, answered(*rest))

    assert judged.verdict is Verdict.UNPROVEN
    assert judged.reason == f"no answer from {silent}"


@pytest.mark.parametrize("verdict", [Verdict.UNPROVEN, Verdict.ERROR, Verdict.FAILED])
def test_worst_answer_decides(verdict: Verdict) -> None:
    """One bad answer among good ones decides, also of a check that is not required."""
    bad = check_record("MYS-001", verdict)

    judged = judge(DATA, [*answered("VLT-001", "RST-001", "RST-002"), bad])

    assert (judged.verdict, judged.reason) == (verdict, "see MYS-001")


def test_failure_is_not_hidden_by_silence() -> None:
    """Where one check failed and another is silent, the promise is broken, not unproven."""
    judged = judge(DATA, [check_record("RST-001", Verdict.FAILED)])

    assert judged.verdict is Verdict.FAILED
    assert judged.reason == "no answer from VLT-001, RST-002"


def test_other_components_prove_nothing() -> None:
    """The answers about one component say nothing of another."""
    judged = judge(DATA, answered("VLT-001", "RST-001", "RST-002", component="mysql"))

    assert judged.verdict is Verdict.UNPROVEN
    assert judged.checks == ()


def test_other_promises_prove_nothing() -> None:
    """A check that gives evidence for the RTO says nothing of the data."""
    judged = judge(DATA, answered("RTO-001", "RPO-001"))

    assert judged.checks == ()
    assert judged.verdict is Verdict.UNPROVEN


def test_content_counts_for_coverage_alone() -> None:
    """What proves content proves each kind of coverage, and no objective."""
    content = [check_record(one, Verdict.PASSED) for one in ("VLT-001", "RST-001", "RST-002")]

    assert judge(DATA, content).verdict is Verdict.PASSED
    assert judge(Promise("rpo", "wiki", "x"), content).verdict is Verdict.UNPROVEN


def test_promise_that_nothing_examines_is_unproven() -> None:
    """A promise without a required check is not kept for want of a complaint."""
    judged = judge(Promise("unheard-of", "wiki", "x"), answered("RST-001"))

    assert (judged.verdict, judged.reason) == (Verdict.UNPROVEN, "no check gives evidence of it")


def test_what_the_document_names_and_nobody_backs_up_is_broken(tmp_path: Path) -> None:
    """A component that is missing, and coverage that one lacks, are broken promises by name."""
    named = "promised_coverage: {playbooks: [playbook], wiki: [data, playbook], web: [data]}\n"
    policy = policy_document(tmp_path, named + POLICY).policy
    wiki, web = uncovered(policy)

    assert {wiki.verdict, web.verdict} == {Verdict.FAILED}
    assert (wiki.id, wiki.component) == ("wiki.promised-coverage", "wiki")
    assert "lacks playbook" in wiki.reason
    assert "no component of the policy backs up web" in web.reason
    assert list(uncovered(policy_document(tmp_path).policy)) == []


def test_component_left_out_is_unproven() -> None:
    """A component that the run did not look at keeps no promise."""
    judged = judge(DATA, answered("VLT-001", "RST-001", "RST-002"), audited=False)

    assert judged.verdict is Verdict.UNPROVEN
    assert "left out" in judged.reason
