"""What all records of evidence share: frozen models, exact keys, times in UTC, durations."""

from datetime import timedelta
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict


def _to_milliseconds(value: timedelta) -> timedelta:
    """More digits would claim more than the clocks give, and JSON writers differ over them."""
    return timedelta(milliseconds=round(value / timedelta(milliseconds=1)))


Duration = Annotated[timedelta, AfterValidator(_to_milliseconds)]


class Record(BaseModel):
    """Base of all evidence: frozen, strict about keys, times in UTC, durations in seconds."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", populate_by_name=True, ser_json_timedelta="float"
    )
