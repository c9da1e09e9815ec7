"""Amounts of data as policies write them: ``500MB``, ``1.5TB``."""

import re
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, WithJsonSchema

UNITS = {"B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12, "PB": 10**15}
SIZE = re.compile(r"(\d+(?:\.\d+)?)(B|kB|MB|GB|TB|PB)")


def parse_size(value: object) -> object:
    """``500MB`` and the like in bytes. Raise ValueError otherwise."""
    known = SIZE.fullmatch(value) if isinstance(value, str) else None
    if known is None:
        raise ValueError("not a size: write a number and a unit, such as 500MB, 20GB or 1.5TB")
    return round(float(known[1]) * UNITS[known[2]])


def _positive(value: int) -> int:
    if value <= 0:
        raise ValueError("a size must be more than nothing")
    return value


Size = Annotated[
    int,
    BeforeValidator(parse_size),
    AfterValidator(_positive),
    WithJsonSchema({"type": "string", "pattern": f"^{SIZE.pattern}$"}),
]
