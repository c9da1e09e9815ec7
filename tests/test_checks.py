"""Questions and answers: none is forgotten, and a pass that saw nothing is none."""

from datetime import timedelta
from pathlib import Path

import pytest
from audits import LOST, POLICY, components

from restoreproof import redaction, resources
from restoreproof.audit import SILENT, AuditOptions, AuditRun
from restoreproof.checks import HOLLOW, Answer, Observation, Question, questions, record
from restoreproof.evidence import CheckRecord
from restoreproof.progress import Progress
from restoreproof.signing import create_identity
from restoreproof.suite_index import Declaration, Scope, read_suites
from restoreproof.verdicts import Severity, Verdict

QUESTION = Question("ABC-001", "wiki", "wiki-1")


def declaration(**changes: object) -> Declaration:
    """A check of every recovery point."""
    facts = {
        "id": "ABC-001", "severity": Severity.HIGH, "engines": (), "coverage": None,
        "when": None, "only": "", "proves": ("content",), "scope": Scope.TARGET,
        "title": "A claim.", "description": "Why.", "file": "test_one.py",
        "function": "test_claim",
    }  # fmt: skip
    return Declaration(**(facts | changes))  # type: ignore[arg-type]


def asked(tmp_path: Path, backups: dict[str, int], *declared: Declaration) -> list[Question]:
    """All questions that these checks ask of the sample components."""
    audited, _ = components(tmp_path, backups)
    return [question for _, question in questions(declared, audited)]


def seen(examined: int) -> Observation:
    """What a check noted."""
    observation = Observation()
    observation(examined=examined, expected=3, seen="three", remedy="none")
    return observation


def test_answer_is_recorded() -> None:
    """What the check declares, what was asked and what came of it stand in one record."""
    answer = Answer(Verdict.PASSED, "", timedelta(seconds=2), seen(3))

    found = record(declaration(), QUESTION, answer)

    assert (found.id, found.component, found.backup) == ("ABC-001", "wiki", "wiki-1")
    assert (found.title, found.description) == ("A claim.", "Why.")
    assert (found.verdict, found.reason, found.examined) == (Verdict.PASSED, "", 3)
    assert (found.expected, found.seen, found.remedy) == ("3", "three", "none")
    assert found.proves == ("content",)
    assert found.duration == timedelta(seconds=2)


@pytest.mark.parametrize("examined", [0, -1])
def test_pass_that_looked_at_nothing_is_unproven(examined: int) -> None:
    """A check that examined nothing proved nothing, however green it was."""
    for observation in (Observation(), seen(examined)):
        found = record(declaration(), QUESTION, Answer(Verdict.PASSED, observation=observation))
        assert found.verdict is Verdict.UNPROVEN
        assert found.reason == HOLLOW


@pytest.mark.parametrize("verdict", [Verdict.FAILED, Verdict.ERROR, Verdict.UNPROVEN])
def test_other_verdicts_stay_what_they_are(verdict: Verdict) -> None:
    """A failure that looked at nothing is still a failure, with its own reason."""
    found = record(declaration(), QUESTION, Answer(verdict, "its own reason"))

    assert (found.verdict, found.reason) == (verdict, "its own reason")


def test_component_question_has_no_backup() -> None:
    """A question about a component names no backup."""
    answer = Answer(Verdict.PASSED, observation=seen(1))

    assert record(declaration(), Question("ABC-001", "wiki"), answer).backup is None


def test_later_observation_replaces_the_earlier() -> None:
    """What is noted last, just before the assertion, is what the report shows."""
    observation = seen(3)
    observation(examined=1, expected="a", seen="b")

    assert observation == Observation(1, "a", "b", "")


def test_secrets_do_not_reach_the_record(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a server said, no secret stands in expected, seen, remedy or reason."""
    monkeypatch.setattr(redaction, "_secrets", {"hunter2!"})
    observation = Observation(1, "x hunter2!", "y hunter2!", "z hunter2!")

    found = record(
        declaration(), QUESTION, Answer(Verdict.ERROR, "hunter2!", timedelta(), observation)
    )

    assert "hunter2!" not in found.model_dump_json()


def test_every_target_is_asked(tmp_path: Path) -> None:
    """A check of recovery points is asked of each one, the newest first."""
    assert asked(tmp_path, {"playbooks": 3, "wiki": 1}, declaration()) == [
        Question("ABC-001", "playbooks", "playbooks-1"),
        Question("ABC-001", "playbooks", "playbooks-2"),
        Question("ABC-001", "playbooks", "playbooks-3"),
        Question("ABC-001", "wiki", "wiki-1"),
    ]


def test_check_of_the_newest_is_asked_once(tmp_path: Path) -> None:
    """A check of the newest recovery point leaves the others alone."""
    found = asked(tmp_path, {"playbooks": 3, "wiki": 2}, declaration(only="newest"))

    assert [question.backup for question in found] == ["playbooks-1", "wiki-1"]


@pytest.mark.parametrize("only", ["newest", "fingerprinted", ""])
def test_component_without_backups_is_still_asked(tmp_path: Path, only: str) -> None:
    """Where there is no backup the question stands, so that the silence is noticed."""
    found = asked(tmp_path, {"wiki": 1}, declaration(only=only))

    assert Question("ABC-001", "playbooks") in found
    assert len(found) == 2


def test_component_check_is_asked_once_each(tmp_path: Path) -> None:
    """A check of components is asked once of each, however many backups there are."""
    found = asked(tmp_path, {"playbooks": 3}, declaration(scope=Scope.COMPONENT))

    assert found == [Question("ABC-001", "playbooks"), Question("ABC-001", "wiki")]


@pytest.mark.parametrize(
    ("narrowed", "expected"),
    [
        ({"engines": ("git",)}, {"playbooks", "wiki"}),
        ({"engines": ("mysql",)}, set()),
        ({"coverage": "playbook"}, {"playbooks"}),
        ({"coverage": "data"}, {"wiki"}),
        ({"when": "schedule"}, {"playbooks"}),
        ({"when": "jobs"}, set()),
    ],
)
def test_check_applies_where_it_says(
    tmp_path: Path, narrowed: dict[str, str], expected: set[str]
) -> None:
    """Engine, coverage and condition narrow where a check is asked."""
    found = asked(tmp_path, {"playbooks": 1, "wiki": 1}, declaration(**narrowed))

    assert {question.component for question in found} == expected


def test_no_question_stands_twice(tmp_path: Path) -> None:
    """The real suites ask each question once, and every component something."""
    real = read_suites(resources.folder("suites")).declarations
    found = asked(tmp_path, {"playbooks": 2, "wiki": 2}, *real)

    assert len(found) == len(set(found))
    assert {question.component for question in found} == {"playbooks", "wiki"}


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AuditRun:
    """A run that knows its components, of which one has no backup, and has no answer yet."""
    create_identity(tmp_path, b"correct horse", now=LOST)
    monkeypatch.setenv("PASSPHRASE", "correct horse")
    audited, _ = components(tmp_path, {"wiki": 2})
    signing = "signing: {identity: signer.p12, passphrase: '${PASSPHRASE}'}\n"
    (tmp_path / "policy.yaml").write_text(POLICY + signing)
    options = AuditOptions(policy=tmp_path / "policy.yaml", archive=tmp_path / "archive")
    made = AuditRun(options, Progress(), lambda: LOST)
    made.components = audited
    return made


def recorded(run: AuditRun, question: Question) -> CheckRecord:
    """What the run says of one question."""
    (found,) = (
        check
        for check in run.checks()
        if (check.id, check.component, check.backup or "")
        == (question.check, question.component, question.backup)
    )
    return found


def test_silence_is_unproven(run: AuditRun) -> None:
    """A check that gave no answer is in the record, and its reason says so."""
    assert {check.verdict for check in run.checks()} == {Verdict.UNPROVEN}

    silent = recorded(run, Question("RST-001", "wiki", "wiki-2"))
    assert silent.reason == SILENT
    assert silent.examined == 0


def test_silence_for_want_of_a_backup_says_so(run: AuditRun) -> None:
    """Where there was nothing to restore, that is the reason."""
    found = recorded(run, Question("RST-001", "playbooks"))

    assert (found.verdict, found.reason) == (Verdict.UNPROVEN, "there is no backup to restore")


def test_silence_of_a_broken_suite_is_an_error(run: AuditRun) -> None:
    """A suite that could not be collected leaves no doubt about why it is silent."""
    run.broken_suites["test_restore.py"] = "the suite could not be collected: NameError"

    found = recorded(run, Question("RST-001", "wiki", "wiki-2"))

    assert found.verdict is Verdict.ERROR
    assert "NameError" in found.reason
    assert recorded(run, Question("VLT-001", "wiki")).verdict is Verdict.UNPROVEN


@pytest.mark.parametrize(
    "order",
    [
        (Verdict.PASSED, Verdict.FAILED),
        (Verdict.FAILED, Verdict.PASSED),
        (Verdict.FAILED, Verdict.ERROR, Verdict.PASSED),
        (Verdict.UNPROVEN, Verdict.ERROR, Verdict.FAILED, Verdict.UNPROVEN),
    ],
)
def test_worst_answer_counts(run: AuditRun, order: tuple[Verdict, ...]) -> None:
    """Of several answers to one question no better one hides the worst."""
    question = Question("RST-001", "wiki", "wiki-2")
    for verdict in order:
        run.answer(question, Answer(verdict, str(verdict), observation=seen(1)))

    assert recorded(run, question).verdict is Verdict.FAILED
    assert recorded(run, question).reason == "failed"


def test_run_records_every_question_once(run: AuditRun) -> None:
    """There are as many records as questions, whatever was answered."""
    asked_now = [question for _, question in questions(run.index.declarations, run.components)]
    run.answer(asked_now[0], Answer(Verdict.PASSED, observation=seen(1)))
    run.answer(Question("ZZZ-999", "wiki"), Answer(Verdict.PASSED, observation=seen(1)))

    found = run.checks()

    assert len(found) == len(asked_now)
    assert sum(check.verdict is Verdict.PASSED for check in found) == 1
