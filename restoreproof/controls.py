"""Which checks give evidence for which control of a framework, and what they do not show.

The mappings are data, ``reports/controls/*.yaml``, a file a framework. A check is named by its
id, or all of a family by its letters: ``RST-*``. Evidence supports a control; whether an
organisation complies is never ours to say.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from ruamel.yaml import YAML

from restoreproof.errors import UserError
from restoreproof.evidence import Evidence
from restoreproof.resources import folder
from restoreproof.verdicts import Verdict, worst

Words = Annotated[str, StringConstraints(min_length=1, strip_whitespace=True)]


class Control(BaseModel):
    """One control: its id, what it asks in our own words, and what our checks say of it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: Words
    requirement: Words
    checks: tuple[Words, ...] = Field(min_length=1)
    not_shown: Words

    def concerns(self, check: str) -> bool:
        """Whether a check of this id gives evidence for the control."""
        return any(fnmatchcase(check, pattern) for pattern in self.checks)


class Framework(BaseModel):
    """A framework with the controls that restoring backups can give evidence for."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Words
    note: Words
    controls: tuple[Control, ...] = Field(min_length=1)


@dataclass(frozen=True)
class Support:
    """What one run has for one control: its checks with the worst answer that each gave."""

    control: Control
    answers: tuple[tuple[str, Verdict], ...]

    @property
    def verdict(self) -> Verdict:
        """The worst answer; of no answer at all nothing is shown."""
        return worst(verdict for _, verdict in self.answers)


@cache
def load(name: str) -> Framework:
    """The framework whose mapping is in the file of this name. Raise UserError."""
    path = folder("reports") / "controls" / f"{name}.yaml"
    if name not in names():
        mend = f"choose from {', '.join(names())}"
        raise UserError(f"no mapping of controls to {name}", where="frameworks", mend=mend)
    content: Any = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    return Framework.model_validate(content)


def names() -> tuple[str, ...]:
    """All frameworks, by the names of their files."""
    return tuple(sorted(path.stem for path in (folder("reports") / "controls").glob("*.yaml")))


def supporting(evidence: Evidence) -> tuple[tuple[Framework, tuple[Support, ...]], ...]:
    """The frameworks that the policy picked, with what this run has for each control."""
    answers: dict[str, Verdict] = {}
    for check in evidence.checks:
        answers[check.id] = worst([check.verdict, answers.get(check.id, Verdict.PASSED)])
    return tuple(
        (framework, tuple(_support(control, answers) for control in framework.controls))
        for framework in map(load, evidence.policy.frameworks)
    )


def _support(control: Control, answers: dict[str, Verdict]) -> Support:
    mine = sorted(check for check in answers if control.concerns(check))
    return Support(control, tuple((check, answers[check]) for check in mine))


def unknown_checks(framework: Framework, known: Iterable[str]) -> tuple[str, ...]:
    """What a framework names that is no check, and no family of any."""
    checks = tuple(known)
    named = {pattern for control in framework.controls for pattern in control.checks}
    return tuple(
        sorted(one for one in named if not any(fnmatchcase(check, one) for check in checks))
    )
