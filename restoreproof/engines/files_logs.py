"""Reads restored logs: whole, also rotated and compressed, without a hole, up to the backup."""

import bz2
import gzip
import io
import lzma
import re
import zlib
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from fnmatch import fnmatchcase
from typing import IO
from zoneinfo import ZoneInfo

import zstandard

from restoreproof.engines.files_source import Logs
from restoreproof.engines.files_tree import Found, printable

SEARCHED = 200
"""Within how many characters of a line its time stands."""
LONGEST_LINE_BYTES = 1024 * 1024
MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
ISO = re.compile(r"(?<!\d)(\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d)(?:[.,]\d+)?\s?(Z|[+-]\d\d:?\d\d)?")
COMMON = re.compile(r"\[(\d\d)/([A-Z][a-z]{2})/(\d{4}):(\d\d):(\d\d):(\d\d) ([+-]\d{4})\]")
SYSLOG = re.compile(r"^([A-Z][a-z]{2}) ([ \d]\d) (\d\d):(\d\d):(\d\d)\b")
AHEAD = timedelta(days=1)
"""How far a line may be dated after the backup before its year is taken for the one before."""
READABLE = (OSError, EOFError, lzma.LZMAError, zlib.error, zstandard.ZstdError)
SHOWN = 5


@dataclass(frozen=True)
class LogCheck:
    """How many lines with a time were read, what is wrong, and which logs tell no times."""

    examined: int
    files: int
    complaints: tuple[str, ...]
    unknown: tuple[str, ...]


@dataclass(frozen=True)
class Span:
    """The first and the last time in one file of a log."""

    name: str
    first: datetime
    last: datetime


def check_logs(restored: Iterable[Found], logs: Logs, recovery_point: datetime) -> LogCheck:
    """Read the logs among restored files, which were backed up from that instant on."""
    reader = _Reader(logs, recovery_point)
    spans: dict[str, list[Span]] = defaultdict(list)
    files: dict[str, int] = dict.fromkeys(logs.paths, 0)
    for found in restored:
        if found.content is None:
            continue
        for pattern in logs.paths:
            if fnmatchcase(found.node.path, pattern):
                files[pattern] += 1
                if (span := reader.read(found)) is not None:
                    spans[pattern].append(span)
                break
    unknown = []
    for pattern, number in files.items():
        if not number:
            reader.complaints.append(f"{pattern}: no such file came back")
        elif pattern in spans:
            reader.complaints += _between(spans[pattern], logs, recovery_point)
        else:
            unknown.append(pattern)
    more = len(reader.complaints) - SHOWN
    shown = reader.complaints[:SHOWN] + ([f"and {more:,} more"] if more > 0 else [])
    return LogCheck(reader.lines, sum(files.values()), tuple(shown), tuple(unknown))


def _between(spans: list[Span], logs: Logs, recovery_point: datetime) -> Iterator[str]:
    """Holes between files of one log, and between its end and the backup."""
    ordered = sorted(spans, key=lambda span: (span.first, span.last))
    end = ordered[0]
    for span in ordered[1:]:
        if span.first - end.last > logs.largest_gap:
            yield f"{end.name} ends at {_at(end.last)}, {span.name} begins at {_at(span.first)}"
        end = max(end, span, key=lambda one: one.last)
    if recovery_point - end.last > logs.largest_gap:
        yield (f"{end.name} ends at {_at(end.last)}, {recovery_point - end.last} before the backup")


class _Reader:
    """Reads files of logs line by line."""

    def __init__(self, logs: Logs, recovery_point: datetime) -> None:
        self.lines = 0
        self.complaints: list[str] = []
        self._logs, self._recovery_point = logs, recovery_point
        self._zone: tzinfo = ZoneInfo(logs.time_zone)
        self._pattern = re.compile(logs.pattern) if logs.pattern else None

    def read(self, found: Found) -> Span | None:
        """The times in one file; None if it tells none."""
        name = printable(found.node.path)
        first = last = None
        try:
            for line in _lines(found):
                at = self._time(line)
                if at is None:
                    continue
                self.lines += 1
                if last is not None and at - last > self._logs.largest_gap:
                    self.complaints.append(f"{name}: nothing between {_at(last)} and {_at(at)}")
                first = first or at
                last = max(last, at) if last else at
        except READABLE as error:
            words = getattr(error, "strerror", None) or str(error) or "it breaks off"
            self.complaints.append(f"{name} cannot be read to its end: {words}")
        return Span(name, first, last) if first and last else None

    def _time(self, line: str) -> datetime | None:
        """The time of a line; None for one that goes on with the line before."""
        found = None
        with suppress(ValueError, OverflowError):
            if self._pattern is not None:
                if match := self._pattern.search(line):
                    found = datetime.strptime(match[1], self._logs.format)  # noqa: DTZ007  # below
            elif match := ISO.search(line, 0, SEARCHED):
                found = datetime.fromisoformat(match[1] + (match[2] or ""))
            elif match := SYSLOG.match(line):
                month, day, *clock = match.groups()
                year = self._recovery_point.year
                known = [year, MONTHS.index(month) + 1, int(day), *map(int, clock)]
                found = datetime(*known, tzinfo=self._zone)  # type: ignore[misc, arg-type]  # six numbers
                if found - self._recovery_point > AHEAD:
                    found = found.replace(year=year - 1)
            elif match := COMMON.search(line, 0, SEARCHED):
                day, month, year_, hour, minute, second, zone = match.groups()
                text = f"{year_}-{MONTHS.index(month) + 1:02d}-{day}T{hour}:{minute}:{second}{zone}"
                found = datetime.fromisoformat(text)
        if found is None:
            return None
        # Nobody counts across a change of the clocks in a zone of its own.
        return (found if found.tzinfo else found.replace(tzinfo=self._zone)).astimezone(UTC)


def _at(instant: datetime) -> str:
    return f"{instant:%Y-%m-%d %H:%M:%S} UTC"


def _lines(found: Found) -> Iterator[str]:
    assert found.content is not None
    content = _unpacked(found.node.path, found.content)
    while line := content.readline(LONGEST_LINE_BYTES):
        yield line[: 4 * SEARCHED].decode("utf-8", "replace")


def _unpacked(path: str, content: IO[bytes]) -> io.BufferedIOBase:
    """What a compressed file holds; its end is asked for, so that half of one is noticed."""
    suffix = path.rpartition(".")[2]
    raw = io.BufferedReader(content)  # type: ignore[type-var]  # an unbuffered file
    if suffix == "gz":
        return gzip.GzipFile(fileobj=raw)
    if suffix == "bz2":
        return bz2.BZ2File(raw)
    if suffix in ("xz", "lzma"):
        return lzma.LZMAFile(raw)
    if suffix in ("zst", "zstd"):
        return io.BufferedReader(_Zstd(raw))
    return raw


class _Zstd(io.RawIOBase):
    """A zstd stream whose end is asked for, which the library's own reader does not do."""

    def __init__(self, content: IO[bytes]) -> None:
        self._content = content
        self._unpacking = zstandard.ZstdDecompressor().decompressobj()
        self._rest = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]  # as io calls it
        while not self._rest:
            chunk = self._unpacking.unused_data or self._content.read(4096)
            if self._unpacking.eof and chunk:
                self._unpacking = zstandard.ZstdDecompressor().decompressobj()
            elif not chunk:
                if not self._unpacking.eof:
                    raise EOFError("it breaks off")
                return 0
            self._rest = self._unpacking.decompress(chunk)
        part = self._rest[: len(buffer)]
        buffer[: len(part)] = part
        self._rest = self._rest[len(part) :]
        return len(part)
