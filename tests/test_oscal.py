"""The assessment results are OSCAL that other tools take, without references to nothing."""

import json
from argparse import Namespace
from collections.abc import Callable
from typing import Any

import pytest
import samples
from test_report_hostile import hostile
from trestle.core.validator_factory import validator_factory
from trestle.oscal import OSCAL_VERSION
from trestle.oscal.assessment_results import Model

from restoreproof import oscal
from restoreproof.evidence import Evidence
from restoreproof.oscal_references import dangling
from restoreproof.verdicts import Verdict


def document(evidence: Evidence) -> Any:
    """The assessment results as they are read back."""
    return json.loads(oscal.assessment_results(evidence))


def nothing() -> Evidence:
    """A run that saw nothing at all."""
    members = ("components", "promises", "checks", "jobs", "backups", "attempts", "exclusions")
    changes: dict[str, Any] = dict.fromkeys(members, ())
    return samples.seal(samples.agama(), verdict=Verdict.UNPROVEN, **changes)


def repeated() -> Evidence:
    """A run whose records repeat themselves, under names that OSCAL knows no spelling of."""
    evidence = samples.agama()
    promises = (
        *evidence.promises,
        *(one.model_copy(update={"id": f"Größe 数据/{n % 2}"}) for n, one in
          enumerate(evidence.promises)),
    )  # fmt: skip
    twice = {"promises": promises * 2, "checks": evidence.checks * 2}
    return samples.seal(evidence, **twice)


@pytest.mark.parametrize(
    "make",
    [
        samples.agama,
        samples.compliant,
        nothing,
        repeated,
        lambda: samples.large(components=9, checks=90, findings=9),
        lambda: hostile(samples.agama()),
    ],
    ids=["agama", "compliant", "nothing", "repeated", "large", "hostile"],
)
def test_trestle_finds_it_valid(make: Callable[[], Evidence]) -> None:
    """Model, repeated names and links, by the library of OSCAL's community; references by us."""
    content = document(make())
    results = Model.model_validate(content).assessment_results

    assert validator_factory.get(Namespace(mode="all")).model_is_valid(results, quiet=True)
    assert dangling(content) == ()
    assert results.metadata.oscal_version.root.root == OSCAL_VERSION == oscal.VERSION


def test_same_evidence_gives_the_same_bytes() -> None:
    """Nothing but the evidence decides what is in it."""
    assert oscal.assessment_results(samples.agama()) == oscal.assessment_results(samples.agama())


def test_what_could_not_be_told_is_not_satisfied() -> None:
    """Every promise has a finding; only a proven one is satisfied, and unproven has a name."""
    evidence = samples.agama()
    (result,) = document(evidence)["assessment-results"]["results"]
    status = {one["target"]["target-id"]: one["target"]["status"] for one in result["findings"]}

    for promise in evidence.promises:
        found = status[f"promise.{promise.id}"]
        assert (found["state"] == "satisfied") == (promise.verdict is Verdict.PASSED)
        assert found["reason"] == {"passed": "pass", "failed": "fail"}.get(promise.verdict, "other")
        assert found["remarks"].startswith(promise.verdict)


def test_no_check_is_lost() -> None:
    """Every answer is an observation, and each of them is behind a finding."""
    evidence = samples.seal(samples.agama(), promises=())
    (result,) = document(evidence)["assessment-results"]["results"]
    behind = {
        one["observation-uuid"]
        for finding in result["findings"]
        for one in finding["related-observations"]
    }

    assert len(result["observations"]) == len(evidence.checks)
    assert behind == {one["uuid"] for one in result["observations"]}
    satisfied = [one["target"]["status"]["state"] == "satisfied" for one in result["findings"]]
    assert 0 < sum(satisfied) < len(satisfied)


def of_first(kind: str) -> Callable[[Any], Any]:
    return lambda content: content["assessment-results"]["results"][0][kind][0]


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda c: of_first("observations")(c).update(uuid="other"), "nothing is named"),
        (
            lambda c: of_first("observations")(c)["subjects"][0].update({"subject-uuid": "other"}),
            "nothing is named other",
        ),
        (
            lambda c: of_first("observations")(c)["relevant-evidence"][0].update(href="#other"),
            "nothing is named other",
        ),
        (
            lambda c: c["assessment-results"]["import-ap"].update(href="#other"),
            "nothing is named other",
        ),
        (
            lambda c: of_first("findings")(c)["target"].update({"target-id": "other"}),
            "no objective is other",
        ),
        (
            lambda c: of_first("findings")(c).update(uuid=of_first("observations")(c)["uuid"]),
            "two things are named",
        ),
    ],
    ids=["observation", "subject", "evidence", "plan", "objective", "twice"],
)
def test_references_to_nothing_are_found(damage: Callable[[Any], None], words: str) -> None:
    """Each of these validates as OSCAL all the same, which is why we look ourselves."""
    content = document(samples.agama())
    damage(content)

    assert any(words in one for one in dangling(content))
