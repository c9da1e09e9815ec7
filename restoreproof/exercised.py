"""What came of a restoration criterion that was played: loss, time, and what is wrong."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from restoreproof.engines.contract_exercise import Criterion
from restoreproof.policy import Objectives
from restoreproof.restore import Phase
from restoreproof.verdicts import Verdict
from restoreproof.wording import duration, plural

SHOWN = 3


@dataclass(frozen=True)
class Exercised:
    """One criterion on one component.

    ``unproven`` says why it could not be told; ``problems`` is what came back otherwise than it
    was just before the accident, or did not come back at all.
    """

    criterion: Criterion
    accident: str = ""
    at: datetime | None = None
    kind: str = ""
    """The kind of the backup that was restored."""
    until: str = ""
    recovery_point: datetime | None = None
    phases: tuple[Phase, ...] = ()
    duration: timedelta = timedelta()
    written: int = 0
    """How many changes had been acknowledged before the accident."""
    lost: int = 0
    loss: timedelta | None = None
    """From the last change that came back to the last before the accident."""
    examined: int = 0
    problems: tuple[str, ...] = ()
    unproven: str = ""

    @property
    def seen(self) -> str:
        """What came of it, in words."""
        if self.loss is None:
            return "; ".join((*self.problems, *([self.unproven] if self.unproven else [])))
        lost = f"{plural(self.lost, 'change')} of {self.written} lost ({duration(self.loss)})"
        point = f"from the {self.kind} backup before it"
        if self.until:
            point = f"up to just before it, inside the {self.kind} backup"
        elif self.criterion == "failure":
            point = f"{point} and all that it stands on"
        if self.criterion == "deletion":
            # The copy went on: only what was done to the part itself can be lost.
            lost = f"as it was {duration(self.loss)} before" if self.lost else "as it was just then"
        found = "; ".join(self.problems[:SHOWN])
        more = f"; and {len(self.problems) - SHOWN} more" if len(self.problems) > SHOWN else ""
        compared = f"{plural(self.examined, 'item')} equal"
        back = f"{self.accident}; back after {duration(self.duration)}, {lost}, {point}"
        return f"{back}; {f'{found}{more}' if found else compared}"

    def verdict(self, objectives: Objectives) -> Verdict:
        """What is to be thought of it."""
        if self.missed(objectives):
            return Verdict.FAILED
        told = self.examined > 0 and not self.unproven
        return Verdict.PASSED if told else Verdict.UNPROVEN

    def missed(self, objectives: Objectives) -> tuple[str, ...]:
        """All that keeps the criterion from being met."""
        late = [f"it took {duration(self.duration)}"] if self.duration > objectives.rto else []
        much = [f"{duration(self.loss)} lost"] if self.loss and self.loss > objectives.rpo else []
        return (*self.problems, *late, *much)
