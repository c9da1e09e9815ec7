"""Turns criteria that were played into records of the evidence."""

from collections.abc import Iterator

from restoreproof.evidence_exercise import ExerciseRecord, StepRecord
from restoreproof.exercised import Exercised
from restoreproof.redaction import redact

MOST_PROBLEMS = 50


def exercise_records(component: str, played: tuple[Exercised, ...]) -> Iterator[ExerciseRecord]:
    """The records of a component; of its many problems the first."""
    for one in played:
        yield ExerciseRecord(
            component=component,
            criterion=one.criterion,
            accident=redact(one.accident),
            at=one.at,
            backup_kind=one.kind,
            until=one.until,
            recovery_duration=one.duration,
            steps=tuple(StepRecord(name=step.name, duration=step.duration) for step in one.phases),
            changes_made=one.written,
            changes_lost=one.lost,
            loss=one.loss,
            items_compared=one.examined,
            problems=tuple(redact(problem) for problem in one.problems[:MOST_PROBLEMS]),
            unproven=redact(one.unproven),
        )
