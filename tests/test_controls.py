"""Every check supports a control, every control has checks, and no mapping claims too much."""

import re

import pytest
import samples

from restoreproof import controls, report, resources
from restoreproof.controls import Control, Framework, unknown_checks
from restoreproof.errors import UserError
from restoreproof.suite_index import read_suites
from restoreproof.verdicts import Verdict

KNOWN = frozenset(one.id for one in read_suites(resources.folder("suites")).declarations)
FRAMEWORKS = (
    "cis-v8", "dora", "hipaa", "iso-27001", "nis2", "nist-800-53", "pci-dss", "soc-2",
)  # fmt: skip


def test_there_is_a_mapping_for_every_framework() -> None:
    """Eight frameworks, and no file besides."""
    assert controls.names() == FRAMEWORKS


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_mapping_names_only_checks_that_exist(name: str) -> None:
    """A check that was renamed or removed cannot go on as evidence on paper."""
    assert unknown_checks(controls.load(name), KNOWN) == ()


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_mapping_says_what_is_not_shown_and_claims_no_compliance(name: str) -> None:
    """Each control has an id of its own, its limits, and nowhere the word that is not ours."""
    framework = controls.load(name)
    identifiers = [control.id for control in framework.controls]

    assert len(set(identifiers)) == len(identifiers)
    for control in framework.controls:
        assert len(control.not_shown) > 20
        assert control.not_shown != control.requirement
        words = f"{control.requirement} {control.not_shown}".lower()
        assert "complian" not in words
        assert "certif" not in words


def test_no_check_is_without_a_control() -> None:
    """Whatever the suites ask is asked for a reason that some framework knows."""
    mapped = {
        check
        for check in KNOWN
        if any(c.concerns(check) for name in FRAMEWORKS for c in controls.load(name).controls)
    }

    assert KNOWN - mapped == set()


def test_unknown_checks_are_found() -> None:
    """The test above can fail: an id and a family that are none are named."""
    control = Control(
        id="1", requirement="r", checks=("RST-001", "RST-999", "XYZ-*"), not_shown="n"
    )
    framework = Framework(name="f", note="n", controls=(control,))

    assert unknown_checks(framework, KNOWN) == ("RST-999", "XYZ-*")


def test_only_the_frameworks_that_the_policy_picks_are_printed() -> None:
    """With the worst answer of each check, and in the words that are ours to say."""
    evidence = samples.agama()
    assert 'id="controls"' not in report.page(evidence)

    picked = evidence.policy.model_copy(update={"frameworks": ("soc-2", "iso-27001")})
    page = report.page(samples.seal(evidence, policy=picked))
    section = page[page.index('id="controls"') : page.index('id="method"')]
    assert "SOC 2" in section
    assert "8.13" in section
    assert "NIST" not in section
    assert "✗&nbsp;RST-001" in section
    assert "✗ speaks against" in section
    assert "passed" not in re.sub("<[^>]*>", "", section)
    assert "Evidence supporting controls" in section
    assert "What they do not show" in section


def test_a_control_is_as_good_as_its_worst_check() -> None:
    """And without any answer nothing is shown for it."""
    evidence = samples.compliant()
    picked = evidence.policy.model_copy(update={"frameworks": ("pci-dss",)})
    ((_, supports),) = controls.supporting(samples.seal(evidence, policy=picked))

    verdicts = {support.control.id: support.verdict for support in supports}
    assert verdicts == {
        "12.10.1": Verdict.PASSED,
        "12.10.2": Verdict.PASSED,
        "10.3.3": Verdict.PASSED,
    }
    worse = evidence.checks[1].model_copy(update={"verdict": Verdict.FAILED})
    worsened = samples.seal(evidence, policy=picked, checks=(worse, *evidence.checks))
    ((_, supports),) = controls.supporting(worsened)
    assert supports[0].verdict is Verdict.FAILED
    nothing = samples.seal(evidence, policy=picked, checks=())
    ((_, supports),) = controls.supporting(nothing)
    assert {support.verdict for support in supports} == {Verdict.UNPROVEN}


def test_a_framework_that_is_none_is_a_mistake() -> None:
    """Its name is told, and which there are."""
    with pytest.raises(UserError, match="no mapping of controls to iso-9001"):
        controls.load("iso-9001")
