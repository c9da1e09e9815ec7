"""What the organisation's own command did for one backup, as evidence has it."""

from pydantic import Field

from restoreproof.evidence_base import Duration, Record


class CommandRecord(Record):
    """A run of a command, or a backup that was found; then exit status and duration are None.

    ``content_bytes`` is what was handed to the tool, ``stored_files`` and ``stored_bytes`` what
    this backup alone has in the organisation's ``store``. ``proof`` says of how much the content
    could be compared, and how.
    """

    store: str
    point: str
    exit_status: int | None
    duration: Duration | None = Field(alias="duration_seconds")
    content_bytes: int
    stored_files: int
    stored_bytes: int
    proof: str
