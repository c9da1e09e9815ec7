"""The answers that a check, a promise and a run can have, and how much a failure matters."""

from collections.abc import Iterable
from enum import StrEnum


class Verdict(StrEnum):
    """The answer of a check or a run, from best to worst."""

    PASSED = "passed"
    UNPROVEN = "unproven"
    ERROR = "error"
    FAILED = "failed"

    @property
    def rank(self) -> int:
        """0 for the best answer, rising with how bad it is."""
        return list(Verdict).index(self)

    @property
    def exit_code(self) -> int:
        """The exit code of an audit that ends with this verdict."""
        return {Verdict.PASSED: 0, Verdict.FAILED: 1}.get(self, 3)


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """The worst verdict wins; of no verdicts at all nothing is proven."""
    return max(verdicts, key=lambda verdict: verdict.rank, default=Verdict.UNPROVEN)


class Severity(StrEnum):
    """How much a failing check matters, worst first."""

    CRITICAL = "critical"
    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"
