"""Digests of points from annotated CSV, as Flux streams it: in constant memory, type by type.

A table of the stream holds one field of one series in time order. Its rows are hashed as they
stand, without what comes before the time: the number that the table has in this answer, and the
ends of the window that was asked for.
"""

import csv
import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property

from restoreproof.engines.influxdb2_client import Influx2Refused

END = b"\r\n"
NUMBERING = 3
"""A column for annotations, the result's name, the table's number."""
WINDOW = ("_start", "_stop")
OWN_COLUMNS = {*WINDOW, "_time", "_value", "_field", "_measurement"}
MODULUS = 1 << 256
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Table:
    """One field of one series: its key, and the type of its values as Flux names it."""

    measurement: str
    field: str
    tags: tuple[tuple[str, str], ...]
    type: str

    @property
    def series(self) -> bytes:
        """A digest of the series that the field belongs to."""
        return hashlib.sha256(json.dumps([self.measurement, self.tags]).encode()).digest()[:16]


@dataclass
class Tally:
    """What was seen of one measurement: values, series, fields with types, tags, a digest.

    Digests of tables are added up, so the order in which a server sends them does not matter.
    """

    values: int = 0
    total: int = 0
    series: set[bytes] = field(default_factory=set)
    fields: dict[str, set[str]] = field(default_factory=dict)
    tags: set[str] = field(default_factory=set)

    def add(self, table: Table, values: int, digest: bytes) -> None:
        """Count a table in."""
        self.values += values
        self.total = (self.total + int.from_bytes(digest)) % MODULUS
        self.series.add(table.series)
        self.fields.setdefault(table.field, set()).add(table.type)
        self.tags.update(name for name, _ in table.tags)

    def note(self, spelt_out: "Tally") -> None:
        """Let the digest depend on values that were read once more, spelt out."""
        self.total = (self.total + int(spelt_out.digest, 16)) % MODULUS

    @property
    def digest(self) -> str:
        """Lower-case hex digest of all values, whatever the order of series."""
        return hashlib.sha256(
            f"{self.values}:{len(self.series)}:{self.total:x}".encode()
        ).hexdigest()


def tally(chunks: Iterable[bytes]) -> dict[str, Tally]:
    """What a stream holds of each measurement. Raise Influx2Refused if it ends in an error."""
    found: dict[str, Tally] = {}
    for table, values, digest in _tables(chunks):
        found.setdefault(table.measurement, Tally()).add(table, values, digest)
    return found


def values(chunks: Iterable[bytes]) -> Iterator[tuple[Table, str, str]]:
    """Every value with its table and its time. Raise Influx2Refused if it ends in an error."""
    for run in _runs(chunks):
        table = run.table()
        for row in run.rows.split(END) if run.values > 1 else (run.rows,):
            cells = run.columns.cells(row)
            yield table, cells["_time"], cells["_value"]


def newest_time(chunks: Iterable[bytes]) -> str | None:
    """The only time in an answer; None if the answer is empty. Raise Influx2Refused."""
    return next((run.columns.cells(run.rows)["_time"] for run in _runs(chunks)), None)


def nanoseconds(time: str) -> int:
    """A time as Flux writes it, in whole nanoseconds since 1970."""
    whole, _, fraction = time.removesuffix("Z").partition(".")
    seconds = (datetime.fromisoformat(f"{whole}+00:00") - EPOCH) // timedelta(seconds=1)
    return seconds * 1_000_000_000 + int(f"{fraction:0<9}")


def _tables(chunks: Iterable[bytes]) -> Iterator[tuple[Table, int, bytes]]:
    """Every table with the number of its values and the digest of key and rows."""
    prefix, table, digest, values = b"", None, hashlib.sha256(), 0
    for run in _runs(chunks):
        if table is None or run.prefix != prefix:
            if table is not None:
                yield table, values, digest.digest()
            prefix, table, values = run.prefix, run.table(), 0
            key = [table.measurement, table.field, table.tags, table.type]
            digest = hashlib.sha256(json.dumps(key).encode())
        digest.update(run.content)
        values += run.values
    if table is not None:
        yield table, values, digest.digest()


@dataclass(frozen=True)
class _Columns:
    """The head of a section: names of columns and their types."""

    names: tuple[str, ...]
    types: tuple[str, ...]

    @cached_property
    def leading(self) -> int:
        """How many columns come before those that say something of the points."""
        behind = NUMBERING + len(WINDOW)
        return behind if self.names[NUMBERING:behind] == WINDOW else NUMBERING

    def cells(self, row: bytes) -> dict[str, str]:
        return dict(zip(self.names[NUMBERING:], _cells(row)[NUMBERING:], strict=True))

    def table(self, row: bytes) -> Table:
        values = self.cells(row)
        tags = ((name, text) for name, text in values.items() if name not in OWN_COLUMNS)
        return Table(
            measurement=values["_measurement"],
            field=values["_field"],
            tags=tuple(sorted((name, text) for name, text in tags if text)),
            type=self.types[NUMBERING:][self.names[NUMBERING:].index("_value")],
        )


@dataclass(frozen=True)
class _Run:
    """Rows of one table that stand together.

    ``prefix`` is how each of them begins, which says nothing of the points. ``content`` is the
    rows without it.
    """

    columns: _Columns
    prefix: bytes
    rows: bytes
    content: bytes
    values: int

    def table(self) -> Table:
        first = self.rows if self.values == 1 else self.rows.split(END, 1)[0]
        return self.columns.table(first)


def _runs(chunks: Iterable[bytes]) -> Iterator[_Run]:
    types: tuple[str, ...] = ()
    columns: _Columns | None = None
    for piece, quoted in _pieces(chunks):
        if not piece:
            columns = None
        rest = piece
        while rest:
            if rest.startswith(b"#") or columns is None:
                line, _, rest = rest.partition(END)
                cells = tuple(_cells(line))
                if cells[0] == "#datatype":
                    types, columns = cells, None
                elif not line.startswith(b"#"):
                    columns = _Columns(cells, types)
                continue
            if columns.names[1:2] == ("error",):
                raise Influx2Refused(_cells(rest)[1])
            prefix = rest[: _prefix_length(rest, columns.leading)]
            if quoted:
                rows, rest = rest, b""
                yield _Run(columns, prefix, rows, b"\n" + rows[len(prefix) :], 1)
                continue
            last = rest.rfind(END + prefix)
            end = rest.find(END, max(last + len(END), 0))
            rows, rest = (rest, b"") if end < 0 else (rest[:end], rest[end + len(END) :])
            parts = (END + rows).replace(END + prefix, b"\n")
            yield _Run(columns, prefix, rows, parts, parts.count(b"\n"))


def _pieces(chunks: Iterable[bytes]) -> Iterator[tuple[bytes, bool]]:
    """Whole lines without the last line's end; an empty piece ends a section.

    Where a quotation mark is in sight every line is a piece of its own, since a text may hold
    the end of a line; else there are as many lines in a piece as came together.
    """
    for block in _blocks(chunks):
        if b'"' in block:
            yield from ((line, True) for line in _lines(block))
            continue
        for number, piece in enumerate(block.split(END + END)):
            if number:
                yield b"", False
            # A block that begins with the end of a line begins with an empty one.
            if piece.startswith(END):
                yield b"", False
            if stripped := piece.strip(END):
                yield stripped, False


def _blocks(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The stream cut where a line ends. Raise Influx2Refused if it ends within one."""
    pending = b""
    for chunk in chunks:
        pending += chunk
        cut = pending.rfind(END)
        while cut >= 0 and pending.count(b'"', 0, cut) % 2:
            cut = pending.rfind(END, 0, cut)
        if cut >= 0:
            yield pending[: cut + len(END)]
            pending = pending[cut + len(END) :]
    if pending:
        raise Influx2Refused(f"the answer breaks off: {pending[:200].decode('utf-8', 'replace')}")


def _lines(block: bytes) -> Iterator[bytes]:
    """The lines of a block, where one goes on until its quotation marks are closed."""
    line = b""
    for part in block.removesuffix(END).split(END):
        line = line + END + part if line else part
        if line.count(b'"') % 2 == 0:
            yield line
            line = b""


def _cells(line: bytes) -> list[str]:
    return next(csv.reader([line.decode()]))


def _prefix_length(rows: bytes, columns: int) -> int:
    at = -1
    for _ in range(columns):
        at = rows.find(b",", at + 1)
        if at < 0:
            raise Influx2Refused(f"no table: {rows[:200].decode('utf-8', 'replace')}")
    return at + 1
