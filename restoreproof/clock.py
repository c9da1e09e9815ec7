"""The one place that reads this machine's clock; everything else is handed a clock."""

from datetime import UTC, datetime


def system_clock() -> datetime:
    """The time of this machine, in UTC."""
    return datetime.now(UTC)
