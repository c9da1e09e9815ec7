"""How the points of an InfluxDB server are divided by time for its fingerprint.

A window ends where a shard does, where what a backup compares exactly ends, and where the next
increment begins to export by time: so a late point shows in which shard it lies. Layouts are
kept with a backup, since what is restored has to be divided in the same way, and an increment
keeps all cuts of its base, so that digests of both can be compared.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from pydantic import BaseModel, ConfigDict

from restoreproof.engines.influxdb_client import InfluxClient, Literal, name

SECOND = 1_000_000_000
TIME = re.compile(r"(?P<whole>[^.Z]+)(?:\.(?P<fraction>\d+))?Z")


@dataclass(frozen=True)
class Shard:
    """A shard of the server, from ``start`` up to before ``end``, in nanoseconds since 1970."""

    id: int
    database: str
    policy: str
    start: int
    end: int


@dataclass(frozen=True)
class Window:
    """A range of time, from ``start`` up to before ``end``; None where it has no end."""

    start: int | None
    end: int | None

    @property
    def condition(self) -> str:
        """What a point in it fulfils, in InfluxQL."""
        parts = [f"time >= {self.start}"] if self.start is not None else []
        parts += [f"time < {self.end}"] if self.end is not None else []
        return " AND ".join(parts) or "true"

    def overlaps(self, start: int, end: int) -> bool:
        """Whether any time in it lies in another range."""
        return (self.end is None or self.end > start) and (self.start is None or self.start < end)

    def __str__(self) -> str:
        start = "" if self.start is None else f"from {instant_text(self.start)} "
        return start + ("on" if self.end is None else f"to {instant_text(self.end)}")


class Layout(BaseModel):
    """Windows of a fingerprint, and what was measured; times in nanoseconds since 1970.

    Points before ``boundary`` are compared exactly. An increment on this backup exports all
    that is newer than ``exported_from``. ``cuts`` are by database and retention policy,
    ``measurements`` by database.
    """

    # Backups of earlier versions say more.
    model_config = ConfigDict(frozen=True, extra="ignore")

    boundary: int
    exported_from: int
    cuts: Mapping[str, Mapping[str, tuple[int, ...]]] = {}
    measurements: Mapping[str, tuple[str, ...]] = {}

    def closed(self, database: str, policy: str) -> Iterator[Window]:
        """The windows that are compared exactly, without a gap, the oldest first."""
        cuts = self.cuts.get(database, {}).get(policy, ())
        start = None
        for end in (*(cut for cut in cuts if cut < self.boundary), self.boundary):
            yield Window(start, end)
            start = end

    @property
    def open(self) -> Window:
        """The window in which points may still arrive."""
        return Window(self.boundary, None)


def shards(client: InfluxClient) -> tuple[Shard, ...]:
    """All shards of a server."""
    found = []
    for series in client.query("SHOW SHARDS"):
        for row in series.values:
            known = dict(zip(series.columns, row, strict=True))
            found.append(
                Shard(
                    int(_text(known["id"])),
                    str(known["database"]),
                    str(known["retention_policy"]),
                    parsed(str(known["start_time"])),
                    parsed(str(known["end_time"])),
                )
            )
    return tuple(found)


def layout_of(
    client: InfluxClient,
    databases: tuple[str, ...],
    boundary: datetime,
    exported_from: datetime,
    base: Layout | None = None,
) -> Layout:
    """The layout of a server as it is now; with ``base`` one that divides finer than that."""
    ends = {nanoseconds(boundary), nanoseconds(exported_from)}
    if base is not None:
        ends |= {base.boundary, base.exported_from}
    known = shards(client)
    cuts: dict[str, dict[str, tuple[int, ...]]] = {}
    measurements: dict[str, tuple[str, ...]] = {}
    for database in databases:
        cuts[database], measured = {}, set[str]()
        for policy in column(client, f"SHOW RETENTION POLICIES ON {name(database)}", "name"):
            own = [one for one in known if (one.database, one.policy) == (database, policy)]
            found = ends | {one.start for one in own} | {one.end for one in own}
            if base is not None:
                found |= set(base.cuts.get(database, {}).get(policy, ()))
            cuts[database][policy] = tuple(sorted(found))
            measured.update(fields(client, database, policy))
        measurements[database] = tuple(sorted(measured))
    return Layout(
        boundary=nanoseconds(boundary),
        exported_from=nanoseconds(exported_from),
        cuts=cuts,
        measurements=measurements,
    )


def as_fact(layout: Layout) -> str:
    """A layout as text for a manifest."""
    return json.dumps(layout.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))


def nanoseconds(instant: datetime) -> int:
    """Whole nanoseconds since 1970, in integers: a float has too few digits."""
    return int(instant.timestamp()) * SECOND + instant.microsecond * 1000


def parsed(text: str) -> int:
    """Nanoseconds since 1970 of a time as the server writes it."""
    match = TIME.fullmatch(text)
    assert match is not None, text
    whole = datetime.fromisoformat(match["whole"]).replace(tzinfo=UTC)
    seconds = round((whole - datetime.fromtimestamp(0, UTC)).total_seconds())
    return seconds * SECOND + int((match["fraction"] or "").ljust(9, "0"))


def instant_text(at: int) -> str:
    """An instant in words, in UTC: the day alone where it begins then."""
    seconds, rest = divmod(at, SECOND)
    days, inside = divmod(seconds, 86400)
    day = f"{datetime.fromordinal(719163 + days):%Y-%m-%d}"
    if not inside and not rest:
        return day
    fraction = f".{rest:09d}" if rest else ""
    return f"{day}T{inside // 3600:02d}:{inside // 60 % 60:02d}:{inside % 60:02d}{fraction}Z"


def column(client: InfluxClient, statement: str, wanted: str, database: str = "") -> list[str]:
    """One column of an answer."""
    return [
        str(row[series.columns.index(wanted)])
        for series in client.query(statement, database)
        for row in series.values
    ]


def fields(client: InfluxClient, database: str, policy: str) -> dict[str, list[tuple[str, str]]]:
    """The fields of each measurement of a retention policy, with types, sorted."""
    # Without a policy only those of the default one are told.
    found = client.query(f"SHOW FIELD KEYS FROM {name(database, policy)}./.*/", database)
    return {
        series.name: sorted((str(key), str(kind)) for key, kind in series.values)
        for series in found
    }


def _text(value: object) -> str:
    return value.text if isinstance(value, Literal) else str(value)
