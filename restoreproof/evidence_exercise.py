"""Restoration criteria that were played on a living copy, as records of the evidence."""

from datetime import datetime

from pydantic import Field

from restoreproof.evidence_base import Duration, Record


class StepRecord(Record):
    """One step on the way back."""

    name: str
    duration: Duration = Field(alias="duration_seconds")


class ExerciseRecord(Record):
    """What came of one criterion on one component; no loss means that it could not be told."""

    component: str
    criterion: str
    accident: str
    at: datetime | None
    backup_kind: str
    until: str
    """The instant or transaction at which the restore stopped; empty for all of the backup."""
    recovery_duration: Duration = Field(alias="recovery_duration_seconds")
    steps: tuple[StepRecord, ...]
    changes_made: int
    """How many changes of ours had been acknowledged before the accident."""
    changes_lost: int
    loss: Duration | None = Field(alias="loss_seconds")
    items_compared: int
    problems: tuple[str, ...]
    unproven: str
