"""A week of a schedule as evidence has it: its jobs, and when a failure would lose too much."""

from datetime import datetime

from restoreproof.evidence_base import Record


class PlannedRecord(Record):
    """Backup jobs that the schedule asks for in one half hour, at their first."""

    at: datetime
    kind: str
    jobs: int


class SpanRecord(Record):
    """A time from one instant to another."""

    begin: datetime
    end: datetime


class WeekRecord(Record):
    """A week of a schedule: its jobs, and when a failure would lose more than the RPO.

    It begins and ends at midnight by the clocks of ``time_zone``.
    """

    begin: datetime
    end: datetime
    time_zone: str
    continuous: bool
    planned: tuple[PlannedRecord, ...]
    exposed: tuple[SpanRecord, ...]
