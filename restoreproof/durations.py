"""Lengths of time as policies write them, ``1h30m``, and as people read them, ``1 h 30 min``."""

import re
from datetime import timedelta
from functools import reduce
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, WithJsonSchema

UNITS = {"d": "days", "h": "hours", "m": "minutes", "s": "seconds"}
DURATION = re.compile(r"(?:\d+[dhms])+")


def parse_duration(value: object) -> object:
    """``1h30m`` and the like as a timedelta; units d, h, m, s. Raise ValueError otherwise."""
    if isinstance(value, timedelta):
        return value
    if not isinstance(value, str) or not DURATION.fullmatch(value):
        raise ValueError("not a duration: write a number and a unit, such as 90s, 15m, 1h or 31d")
    parts = re.findall(r"(\d+)([dhms])", value)
    try:
        return reduce(
            lambda total, part: total + timedelta(**{UNITS[part[1]]: int(part[0])}),
            parts,
            timedelta(),
        )
    except OverflowError:
        raise ValueError("longer than any time there is: write fewer digits") from None


def _positive(value: timedelta) -> timedelta:
    if value <= timedelta():
        raise ValueError("a duration must be longer than nothing")
    return value


Duration = Annotated[
    timedelta,
    BeforeValidator(parse_duration),
    AfterValidator(_positive),
    WithJsonSchema({"type": "string", "pattern": f"^{DURATION.pattern}$"}),
]
