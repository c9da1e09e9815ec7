"""A strong digest of points, whether a server's words or its files gave them.

Of each field of a series its times and its values are hashed as 64 bits each, so that a float is
known to its last bit; neither the order of series and fields nor the parts in which they come
matter.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from restoreproof.engines.influxdb_client import InfluxRefused

Field = tuple[str, str]
"""A field's key and its type."""
Tags = tuple[tuple[str, str], ...]
Times = NDArray[np.int64]
TYPES: dict[str, Any] = {
    "float": np.float64, "integer": np.int64, "unsigned": np.uint64, "boolean": np.bool_,
}  # fmt: skip
BELOW_ZERO = re.compile(rb",-0[],]")


@dataclass(frozen=True)
class Points:
    """What was read: number of points and of series, the tags that they have, and a digest."""

    count: int
    series: int
    tags: frozenset[str]
    digest: str


@dataclass
class SeriesHash:
    """The points of one series, as they come in the order of time."""

    measurement: str
    tags: Tags
    count: int = 0
    values: dict[Field, int] = field(default_factory=dict)
    hashes: "dict[Field, tuple[hashlib._Hash, hashlib._Hash]]" = field(default_factory=dict)

    def add(self, of: Field, times: Times, values: Sequence[Any] | NDArray[Any]) -> None:
        """Take in values of one field; texts are bytes."""
        if of not in self.hashes:
            self.hashes[of] = hashlib.sha256(), hashlib.sha256()
        by_time, by_value = self.hashes[of]
        self.values[of] = self.values.get(of, 0) + len(times)
        by_time.update(np.ascontiguousarray(times, np.int64).data)
        if of[1] in TYPES:
            by_value.update(np.ascontiguousarray(values, TYPES[of[1]]).data)
        else:
            for text in values:
                by_value.update(len(text).to_bytes(8) + text)

    def digest(self) -> bytes:
        """Digest of the series and all of its fields."""
        key = json.dumps([self.measurement, self.tags]).encode()
        whole = hashlib.sha256(len(key).to_bytes(8) + key)
        for of in sorted(self.hashes):
            by_time, by_value = self.hashes[of]
            told = "\0".join((*of, str(self.values[of]))).encode()
            whole.update(len(told).to_bytes(8) + told + by_time.digest() + by_value.digest())
        return whole.digest()


@dataclass
class Tally:
    """What was seen of one measurement in one window."""

    count: int = 0
    tags: set[str] = field(default_factory=set)
    digests: list[bytes] = field(default_factory=list)
    values: dict[Field, int] = field(default_factory=dict)

    def add(self, series: SeriesHash) -> None:
        """Count a whole series in."""
        self.count += series.count
        self.tags.update(name for name, _ in series.tags)
        self.digests.append(series.digest())
        for of, count in series.values.items():
            self.values[of] = self.values.get(of, 0) + count

    def points(self) -> Points:
        """All of it."""
        total = hashlib.sha256(b"".join(sorted(self.digests))).hexdigest()
        return Points(self.count, len(self.digests), frozenset(self.tags), total)


def read_points(
    lines: Iterable[bytes], columns: Sequence[Field], statements: int = 1
) -> list[Points]:
    """Read the answers to so many ``SELECT columns ... GROUP BY *``, as the server wrote them.

    Raise InfluxRefused for an answer that is not whole.
    """
    readers = [_Reader(columns) for _ in range(statements)]
    for line in lines:
        answer = _parsed(line)
        for result in (*answer.get("results", ()), answer):
            if "error" in result:
                raise InfluxRefused(result["error"])
        for result in answer.get("results", ()):
            reader = readers[result["statement_id"]]
            for series in result.get("series", ()):
                reader.add(series)
                reader.cut_off = bool(series.get("partial") or result.get("partial"))
    if any(reader.cut_off for reader in readers):
        raise InfluxRefused("the server ended its answer in the middle")
    return [reader.points() for reader in readers]


@dataclass
class _Reader:
    columns: Sequence[Field]
    tally: Tally = field(default_factory=Tally)
    series: SeriesHash | None = None
    cut_off: bool = False

    def add(self, part: dict[str, Any]) -> None:
        # A tag that a series has not is listed without a value.
        tags = tuple(sorted((name, text) for name, text in part.get("tags", {}).items() if text))
        of = (part["name"], tags)
        if self.series is None or of != (self.series.measurement, self.series.tags):
            self._finish()
            self.series = SeriesHash(*of)
        times, *values = zip(*part["values"], strict=True)
        self.series.count += len(times)
        for column, kept in zip(self.columns, values, strict=True):
            if None in kept:
                there = [at for at, value in enumerate(kept) if value is not None]
                if there:
                    self._take(column, [times[at] for at in there], [kept[at] for at in there])
            else:
                self._take(column, times, kept)

    def _take(self, column: Field, times: Sequence[int], values: Sequence[Any]) -> None:
        assert self.series is not None
        if column[1] not in TYPES:
            values = [text.encode() for text in values]
        self.series.add(column, np.array(times, np.int64), values)

    def _finish(self) -> None:
        if self.series is not None:
            self.tally.add(self.series)

    def points(self) -> Points:
        self._finish()
        return self.tally.points()


def _parsed(line: bytes) -> Any:
    # The zero below zero is written like an integer, and would lose its sign.
    if BELOW_ZERO.search(line):
        return json.loads(line, parse_int=lambda text: -0.0 if text == "-0" else int(text))
    return json.loads(line)
