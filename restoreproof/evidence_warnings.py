"""What a policy leaves to be desired without contradicting itself, as records of the evidence."""

from restoreproof.evidence_base import Record


class WarningRecord(Record):
    """Something to look at, of a component or, without one, of the estate.

    No verdict hangs on it.
    """

    component: str | None
    what: str
    mend: str
