"""Restoration criteria: which are played, which stay unproven, and how answers are judged."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import samples
from audits import LOST, components, policy_document
from sample_records import STARTED

from restoreproof import engines, exercises, report
from restoreproof.component_audit import ComponentAudit
from restoreproof.criteria import played, unplayed, why_not
from restoreproof.engines.contract_exercise import CRITERIA
from restoreproof.errors import SandboxTrouble
from restoreproof.evidence_exercise import ExerciseRecord
from restoreproof.evidence_warnings import WarningRecord
from restoreproof.exercised import Exercised
from restoreproof.exercises import Exercises, Stopped
from restoreproof.policy import Objectives, Policy
from restoreproof.promises import promises
from restoreproof.verdicts import Verdict

HOUR = timedelta(hours=1)
OBJECTIVES = Objectives(rpo=HOUR, rto=HOUR, restore_test_every=31 * 24 * HOUR)
POLICY = """\
estate: Harbour
objectives: {rpo: 1h, rto: 4h, restore_test_every: 31d}
restoration_criteria:
  - A sentence alone.
  - {name: deletion, text: A branch is gone.}
vault: {location: vault}
components:
  wiki: {engine: git, source: {repository: x}, coverage: [data]}
  metrics:
    {engine: influxdb2, image: x, source: {url: x, token: 'file:x'}, coverage: [data]}
"""
MET = Exercised(
    "corruption",
    accident="rows were changed",
    at=LOST,
    kind="incremental",
    until="a:1-7",
    duration=timedelta(seconds=4),
    written=10,
    loss=timedelta(),
    examined=7,
)


def policy(folder: Path, **changes: str) -> Policy:
    """The policy, with some texts replaced."""
    text = POLICY
    for old, new in changes.items():
        text = text.replace(f"{old}:", f"{new}\n{old}:", 1)
    return policy_document(folder, text).policy


def test_a_criterion_with_a_name_is_played_where_the_engine_can(tmp_path: Path) -> None:
    """Of a repository it is; of an engine that plays none it is unproven, with the reason."""
    made = policy(tmp_path)

    assert played(made, "wiki") == ("deletion",)
    assert played(made, "metrics") == ()
    assert why_not(made, "metrics") == "the influxdb2 engine plays no accidents yet"
    found = {
        (name, promise.key): promise
        for name, component in made.components.items()
        for promise in promises(name, component, made, engines.load(component.engine))
    }
    assert found["wiki", "deletion"].gap == ""
    assert found["wiki", "deletion"].required == ("CRT-002",)
    assert found["metrics", "deletion"].gap == why_not(made, "metrics")
    assert ("wiki", "corruption") not in found


def test_a_sentence_alone_is_a_promise_that_nothing_proves(tmp_path: Path) -> None:
    """It stays valid, and the report says how it could be played."""
    (promise,) = unplayed(policy(tmp_path))

    assert promise.verdict is Verdict.UNPROVEN
    assert promise.promise == "restored when: A sentence alone."
    assert "corruption, deletion or failure" in promise.reason


@pytest.mark.parametrize("chosen", ["none", "[metrics]"])
def test_what_is_left_out_is_unproven(tmp_path: Path, chosen: str) -> None:
    """``audit.exercise`` saves time, and the promise stays open."""
    made = policy(tmp_path, components=f"audit: {{exercise: {chosen}}}")

    assert played(made, "wiki") == ()
    assert why_not(made, "wiki") == "audit.exercise leaves the component out"
    assert played(policy(tmp_path, components="audit: {exercise: [wiki]}"), "wiki")


@pytest.mark.parametrize(
    ("changes", "verdict", "told"),
    [
        ({}, Verdict.PASSED, "back after 4 s, 0 changes of 10 lost (0 s), up to just before it"),
        ({"problems": ("table a.b: is missing",)}, Verdict.FAILED, "table a.b: is missing"),
        ({"loss": 2 * HOUR, "lost": 3}, Verdict.FAILED, "3 changes of 10 lost (2 h)"),
        ({"duration": 5 * HOUR}, Verdict.FAILED, "back after 5 h"),
        ({"unproven": "no table there"}, Verdict.UNPROVEN, ""),
        ({"examined": 0}, Verdict.UNPROVEN, ""),
        ({"problems": ("a",) * 5}, Verdict.FAILED, "a; a; a; and 2 more"),
        ({"criterion": "deletion", "until": "", "lost": 1, "loss": HOUR}, Verdict.PASSED,
         "as it was 1 h before, from the incremental backup before it"),
    ],
)  # fmt: skip
def test_answer_is_judged_by_content_loss_and_time(
    changes: dict[str, object], verdict: Verdict, told: str
) -> None:
    """All has to be equal, no more lost than the RPO, and it may take no longer than the RTO."""
    one = replace(MET, **changes)  # type: ignore[arg-type]

    assert one.verdict(OBJECTIVES) is verdict
    assert told in one.seen


def test_each_component_is_played_once_and_its_trouble_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever is asked how often: one play a component, and none of one that has no criteria."""
    calls: list[str] = []

    def play(audited: ComponentAudit, *_: object) -> tuple[Exercised, ...]:
        calls.append(audited.name)
        if audited.name == "wiki":
            raise SandboxTrouble("no room")
        return (MET,)

    monkeypatch.setattr(exercises, "play", play)
    opened, _ = components(tmp_path, {})
    playbooks, wiki = opened
    made = Exercises()
    playbooks.criteria = CRITERIA
    made.begin(opened, str)
    assert made.of(playbooks)["corruption"] is MET
    wiki.criteria = CRITERIA
    for _ in range(3):
        made.begin(opened, str)
        assert made.of(playbooks)
        with pytest.raises(SandboxTrouble, match="no room"):
            made.of(wiki)

    assert sorted(calls) == ["playbooks", "wiki"]
    assert made.known("playbooks") == (MET,)
    assert made.known("wiki") == made.known("nobody") == ()


def test_a_run_that_is_over_stops_what_is_played(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At its next step it ends, so that its servers are taken away."""
    made, told = Exercises(), list[str]()

    def play(_: object, __: object, tell: object) -> tuple[Exercised, ...]:
        tell("one")  # type: ignore[operator]  # it is a function
        made._stop.set()
        tell("two")  # type: ignore[operator]
        return ()

    monkeypatch.setattr(exercises, "play", play)
    (playbooks, _), _ = components(tmp_path, {})
    playbooks.criteria = CRITERIA
    made.begin([playbooks], told.append)
    with pytest.raises(Stopped):
        made.of(playbooks)
    made.stop()

    assert told == ["playbooks: one"]


def test_report_tells_loss_and_time_of_each_criterion_and_the_warnings() -> None:
    """What was met, what was not, and what could not be told, each in its row."""
    met = ExerciseRecord(
        component="mysql", criterion="corruption", accident="rows were changed", at=STARTED,
        backup_kind="incremental", until="a:1-7", recovery_duration=timedelta(seconds=4), steps=(),
        changes_made=10, changes_lost=3, loss=timedelta(seconds=90), items_compared=7,
        problems=(), unproven="",
    )  # fmt: skip
    broken = met.model_copy(update={"criterion": "failure", "problems": ("table a.b: is missing",)})
    silent = met.model_copy(update={"criterion": "deletion", "loss": None, "unproven": "no table"})
    warning = WarningRecord(component="mysql", what="no <second> copy", mend="make one")
    evidence = samples.seal(
        samples.agama(), exercises=(met, broken, silent), policy_warnings=(warning,)
    )
    page = " ".join(report.page(evidence).split())

    assert "Restoration criteria, exercised" in page
    assert "3 of 10 changes (1 min 30 s)" in page
    assert "✓ 7 items equal, up to just before it" in page
    assert "✗ table a.b: is missing" in page
    assert "could not be told" in page
    assert "? no table" in page
    assert "no &lt;second&gt; copy" in page
    assert "exercised" not in report.page(samples.agama())
    assert "Warnings about the policy" not in report.page(samples.agama())


def test_wait_for_an_image_stands_beside_the_recovery() -> None:
    """It has its own line, and neither the figure nor the picture of the recovery holds it."""
    evidence = samples.agama()
    waited = tuple(
        one.model_copy(update={"image_waited": timedelta(minutes=3)}) for one in evidence.attempts
    )
    page = report.page(samples.seal(evidence, attempts=waited))

    assert "before, 3 min for the image (not counted) · 1 find chain" in page
    assert all(one.recovery_duration < timedelta(minutes=1) for one in waited)
