"""A strong digest of an InfluxDB server's points, taken from its own words in constant memory.

A server writes a point's time and values always in the same way: whole digits of every integer,
the shortest text that gives a float exactly. So what it wrote is hashed as it stands, series by
series, and never read into numbers, which costs more than all the rest.
"""

import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from restoreproof.engines.influxdb_client import InfluxRefused

VALUES, END = b'"values":[[', b"]]"
CUT_OFF = b'"partial":true}]}'
TEXT = re.compile(rb'"(?:[^"\\]|\\.)*"')
# A field that came into being later is one more column without a value, at the end.
TRAILING = re.compile(rb'("(?:[^"\\]|\\.)*")|(?:,null)+(?=\]|\Z)')


@dataclass(frozen=True)
class Points:
    """What was read: number of points and of series, the tags that they have, and a digest."""

    count: int
    series: int
    tags: frozenset[str]
    digest: str


def read_points(lines: Iterable[bytes], statements: int = 1) -> list[Points]:
    """Read the answers to so many ``SELECT ... GROUP BY *``, as ``InfluxClient.lines`` gives them.

    Neither the parts into which the server cut them nor the order of series matter, nor columns
    at the end without any value. Raise InfluxRefused for an answer that is not whole.
    """
    readers = [_Reader() for _ in range(statements)]
    for line in lines:
        at = line.find(VALUES)
        if at < 0:
            _require_no_error(line)
            continue
        (result,) = json.loads(line[:at].rstrip(b",") + b"}]}]}")["results"]
        reader = readers[result["statement_id"]]
        reader.add(result["series"][0], line[at + len(VALUES) : line.rindex(END)])
        reader.cut_off = line.endswith(CUT_OFF)
    if any(reader.cut_off for reader in readers):
        raise InfluxRefused("the server ended its answer in the middle")
    return [reader.points() for reader in readers]


@dataclass
class _Reader:
    count: int = 0
    tags: set[str] = field(default_factory=set)
    digests: list[bytes] = field(default_factory=list)
    key: bytes = b""
    rows: "hashlib._Hash | None" = None
    cut_off: bool = False

    def add(self, head: dict[str, object], rows: bytes) -> None:
        tags = head.get("tags") or {}
        assert isinstance(tags, dict)
        # A tag that a series has not is listed without a value.
        known = sorted((name, value) for name, value in tags.items() if value)
        key = json.dumps([head.get("name"), known]).encode()
        if self.rows is None or key != self.key:
            self._finish()
            self.key, self.rows = key, hashlib.sha256()
            self.tags.update(name for name, _ in known)
        else:
            self.rows.update(b"],[")
        bare = TEXT.sub(b"", rows) if b'"' in rows else rows
        self.count += bare.count(b"],[") + 1
        self.rows.update(TRAILING.sub(rb"\1", rows) if b",null" in bare else rows)

    def _finish(self) -> None:
        if self.rows is not None:
            whole = len(self.key).to_bytes(8, "big") + self.key + self.rows.digest()
            self.digests.append(hashlib.sha256(whole).digest())

    def points(self) -> Points:
        self._finish()
        total = hashlib.sha256(b"".join(sorted(self.digests))).hexdigest()
        return Points(self.count, len(self.digests), frozenset(self.tags), total)


def _require_no_error(line: bytes) -> None:
    answer = json.loads(line)
    for result in (*answer.get("results", ()), answer):
        if "error" in result:
            raise InfluxRefused(result["error"])
