"""The answers of checks: what was observed, and the verdict that follows from it."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta

from restoreproof.component_audit import ComponentAudit
from restoreproof.evidence import CheckRecord
from restoreproof.redaction import redact
from restoreproof.suite_index import Declaration, Scope
from restoreproof.verdicts import Verdict

HOLLOW = "the check passed without looking at anything"


@dataclass(frozen=True)
class Question:
    """One check asked of one thing; ``backup`` is empty where it is asked of a component."""

    check: str
    component: str
    backup: str = ""


@dataclass
class Observation:
    """What a check looked at. ``examined`` is how many things; none is no proof."""

    examined: int = 0
    expected: str = ""
    seen: str = ""
    remedy: str = ""

    def __call__(self, *, examined: int, expected: object, seen: object, remedy: str = "") -> None:
        """Note what is about to be asserted; a later note replaces an earlier one."""
        self.examined = examined
        self.expected, self.seen = str(expected), str(seen)
        self.remedy = remedy


@dataclass
class Answer:
    """What came of running a check."""

    verdict: Verdict
    reason: str = ""
    duration: timedelta = timedelta()
    observation: Observation = field(default_factory=Observation)

    def judged(self) -> tuple[Verdict, str]:
        """The verdict that counts, with its reason: a pass that looked at nothing is none."""
        if self.verdict is Verdict.PASSED and self.observation.examined < 1:
            return Verdict.UNPROVEN, HOLLOW
        return self.verdict, self.reason


def record(declaration: Declaration, question: Question, answer: Answer) -> CheckRecord:
    """The evidence of one answer."""
    verdict, reason = answer.judged()
    return CheckRecord(
        id=declaration.id,
        title=declaration.title,
        description=declaration.description,
        severity=declaration.severity,
        component=question.component,
        backup=question.backup or None,
        verdict=verdict,
        examined=answer.observation.examined,
        expected=_told(answer.observation.expected),
        seen=_told(answer.observation.seen),
        remedy=_told(answer.observation.remedy),
        reason=_told(reason),
        proves=declaration.proves,
        duration=answer.duration,
    )


def _told(text: str) -> str:
    """Without secrets, and names of any bytes spelt so that every reader takes them."""
    return redact(text).encode(errors="backslashreplace").decode()


def questions(
    declarations: Iterable[Declaration], components: Iterable[ComponentAudit]
) -> Iterator[tuple[Declaration, Question]]:
    """Everything that has to be answered, so that silence is noticed.

    A component without any backup is still asked, and cannot answer.
    """
    components = tuple(components)
    for declaration in declarations:
        for audited in components:
            if not declaration.applies(audited):
                continue
            if declaration.scope is Scope.COMPONENT:
                yield declaration, Question(declaration.id, audited.name)
                continue
            targets = [target for target in audited.targets if declaration.asks(target)]
            for target in targets:
                yield declaration, Question(declaration.id, audited.name, target.backup.id)
            if not targets:
                yield declaration, Question(declaration.id, audited.name)
