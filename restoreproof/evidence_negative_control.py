"""Evidence of a negative control: what was damaged, and which checks saw it."""

from datetime import timedelta
from enum import StrEnum

from pydantic import Field

from restoreproof.evidence_base import Duration, Record


class Outcome(StrEnum):
    """What came of one damage, or of one undamaged copy."""

    DETECTED = "detected"
    MISSED = "missed"
    CLEAN = "clean"
    """An undamaged copy in which no check found anything: as it has to be."""
    NOT_CLEAN = "not clean"
    """An undamaged copy that did not pass: then what is seen in damaged ones proves nothing."""
    ERROR = "error"
    NOT_TRIED = "not tried"
    NOT_APPLICABLE = "not applicable"


class TrialRecord(Record):
    """One copy of a backup, damaged or not, and what the checks said of it.

    ``detected_by`` names checks that failed on it and passed on the undamaged copy,
    ``passed`` those that were asked and passed on both.
    """

    damage: str
    """The name of the damage; empty for an undamaged copy."""
    title: str
    layer: str
    backup: str
    done: str = ""
    outcome: Outcome
    detected_by: tuple[str, ...] = ()
    passed: tuple[str, ...] = ()
    reason: str = ""
    duration: Duration = Field(default=timedelta(), alias="duration_seconds")


class NegativeControlRecord(Record):
    """The negative control of one component."""

    component: str
    engine: str
    budget: Duration = Field(alias="budget_seconds")
    took: Duration = Field(alias="took_seconds")
    seed: int
    unproven: str = ""
    """Why it proves nothing; empty if it does."""
    trials: tuple[TrialRecord, ...]

    @property
    def controls(self) -> tuple[TrialRecord, ...]:
        """The undamaged copies."""
        return tuple(one for one in self.trials if not one.damage)

    @property
    def damages(self) -> tuple[TrialRecord, ...]:
        """The damaged copies, and what was not done."""
        return tuple(one for one in self.trials if one.damage)

    def with_outcome(self, *outcomes: Outcome) -> tuple[TrialRecord, ...]:
        """Damages with one of these outcomes."""
        return tuple(one for one in self.damages if one.outcome in outcomes)

    @property
    def tried(self) -> tuple[TrialRecord, ...]:
        """The damages that were done."""
        return self.with_outcome(Outcome.DETECTED, Outcome.MISSED, Outcome.ERROR)
