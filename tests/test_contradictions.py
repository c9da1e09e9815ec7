"""Contradictions of policies: every one is found, by its rule, and none where there is none."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from audits import policy_document
from small_policies import CONTRADICTIONS, SOUND, Small

from restoreproof import engines, resources
from restoreproof.contradictions import Planned, Ruling, estate_rulings, rulings
from restoreproof.policy import PolicyDocument
from restoreproof.policy_file import read_policy

NOW = datetime(2026, 7, 3, 9, 4, 12, tzinfo=UTC)
AGAMA = resources.folder("fixtures") / "agama"
MINUTES = {kind: timedelta(minutes=3) for kind in ("full", "incremental")}


def ruled(document: PolicyDocument, durations: Mapping[str, timedelta]) -> list[Ruling]:
    """What every rule says of a policy."""
    policy = document.policy
    found = [
        ruling
        for name, component in policy.components.items()
        for ruling in rulings(
            Planned(name, component, policy.objectives, policy.audit,
                    engines.load(component.engine), NOW, durations)
        )
    ]  # fmt: skip
    return [*found, *estate_rulings(policy)]


def broken(document: PolicyDocument, durations: Mapping[str, timedelta]) -> list[Ruling]:
    """The rules that do not hold."""
    return [ruling for ruling in ruled(document, durations) if not ruling.holds]


@pytest.fixture
def full_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of repositories no increments are made, as of none by some engine of tomorrow."""
    monkeypatch.setattr(type(engines.load("git")), "kinds", frozenset({"full"}))


@pytest.mark.parametrize("small", CONTRADICTIONS.values(), ids=CONTRADICTIONS)
def test_contradiction_is_found(small: Small, tmp_path: Path) -> None:
    """The one contradiction is found by its rule, with its numbers and a mend, and no other."""
    (found,) = broken(policy_document(tmp_path, small.text), small.durations)

    assert found.rule == small.rule, found
    assert found.expected and found.seen and found.basis and found.mend
    assert any(character.isdigit() for character in found.seen) or small.rule == "POL-006"


@pytest.mark.parametrize("small", SOUND.values(), ids=SOUND)
def test_sound_policy_has_none(small: Small, tmp_path: Path) -> None:
    """A policy that can be kept is not complained of."""
    assert broken(policy_document(tmp_path, small.text), small.durations) == []


def test_there_are_enough_of_them() -> None:
    """Every rule is broken by some policy, and there are sound ones for comparison."""
    rules = {small.rule for small in CONTRADICTIONS.values()}

    assert rules == {"RPO-001", *(f"POL-00{number}" for number in range(1, 7))}
    assert len(CONTRADICTIONS) >= 25
    assert len(SOUND) >= 10


def test_agama_cannot_keep_its_own_objective() -> None:
    """An hour is promised and a day is what the schedule allows, with what would mend it."""
    mysql, influxdb = broken(read_policy(AGAMA / "policy.yaml"), MINUTES)

    assert (mysql.rule, mysql.component) == ("RPO-001", "mysql")
    assert mysql.seen == "increments every 24 h allow 24 h 3 min of loss against an RPO of 1 h"
    assert "stream the changes (`continuous: true`)" in mysql.mend
    assert "run increments at least every 55 min" in mysql.mend
    assert "longest gap of the schedule (24 h" in mysql.basis
    assert "the longest incremental job known (3 min)" in mysql.basis
    assert (influxdb.rule, influxdb.component) == ("RPO-001", "influxdb")
    assert "stream" not in influxdb.mend


def test_mended_agama_keeps_its_own_objective() -> None:
    """The mended policy has no contradiction, and promises what Agama's promises."""
    agama, mended = (read_policy(AGAMA / f"{name}.yaml") for name in ("policy", "agama-mended"))

    assert broken(mended, MINUTES) == []
    assert mended.policy.objectives == agama.policy.objectives
    for name, component in agama.policy.components.items():
        other = mended.policy.components[name]
        assert other.model_copy(update={"schedule": component.schedule}) == component


@pytest.mark.parametrize(
    ("rpo", "full", "interval"),
    [("1h", 3, "55 min"), ("1h", 0, "55 min"), ("12h", 20, "11 h"), ("10m", 1, "9 min"),
     ("90s", 0, "85 s"), ("3d", 60, "2 d 23 h")],
)  # fmt: skip
def test_mend_names_an_interval_that_mends(
    rpo: str, full: int, interval: str, tmp_path: Path, full_only: None
) -> None:
    """What is told to do leaves room for the job."""
    small = Small("RPO-001", "full: 0 3 1 * *", rpo, engine="git", full=full)
    (found,) = broken(policy_document(tmp_path, small.text), small.durations)

    assert f"at least every {interval} or" in found.mend.replace("1 min 25 s", "85 s")


@pytest.mark.parametrize(("full", "promise"), [(1 / 60, "25h"), (3, "25h"), (60, "25h")])
def test_mend_names_a_promise_that_is_kept(full: float, promise: str, tmp_path: Path) -> None:
    """A daily backup does not keep 24 h: the job takes time too, and both are told apart."""
    small = Small("RPO-001", "full: 0 3 * * *", "24h", engine="git", full=full)
    (found,) = broken(policy_document(tmp_path, small.text), small.durations)

    assert found.seen.startswith("full backups every 24 h allow 2")
    assert "allow 24 h of loss" not in found.seen
    assert found.mend.endswith(f"promise an RPO of {promise[:-1]} h")
    mended = Small("RPO-001", "full: 0 3 * * *", promise, engine="git", full=full)
    assert broken(policy_document(tmp_path, mended.text), mended.durations) == []


def test_job_longer_than_the_objective_is_to_be_faster(tmp_path: Path, full_only: None) -> None:
    """Where no interval helps, none is named."""
    small = Small("RPO-001", "full: 0 3 * * *", "1h", engine="git", full=61)
    (found,) = broken(policy_document(tmp_path, small.text), small.durations)

    assert "make full backups take less than the RPO" in found.mend
    assert "at least every" not in found.mend
