"""What an InfluxDB 1.x server holds: a digest of every point, and the schema around them.

InfluxDB has no snapshot. So points older than a boundary before the backup are digested before
it, and what changed by its end is undecided: what did not change must come back exactly. Newer
points are only counted: at least as many must come back. Whether points changed is asked for the
price of counting them: a shard that took writes, and a window in which a field has another number
of values since something was deleted, are read again, and nothing else is.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from restoreproof.engines.influxdb_client import InfluxClient, Literal, name
from restoreproof.engines.influxdb_layout import Layout, Shard, Window, column, fields, shards
from restoreproof.engines.influxdb_metadata import metadata_items
from restoreproof.engines.influxdb_points import Field, Points, read_points
from restoreproof.fingerprint import Comparison, Fingerprint, Item

METHOD = "influxdb-points-sha256-v3"
OWN_DATABASE = "_internal"
CLOSED, SERIES, OPEN = "points", "series", "points of the open window"


@dataclass(frozen=True, order=True)
class Measurement:
    """One measurement of one retention policy."""

    database: str
    policy: str
    name: str

    @property
    def of(self) -> tuple[str, str, str]:
        """Database, retention policy and name."""
        return self.database, self.policy, self.name

    @property
    def label(self) -> str:
        """The measurement's name in a fingerprint."""
        return f"{self.database}.{self.policy}.{self.name}"

    def lies_in(self, shard: Shard) -> bool:
        """Whether a shard can hold points of it."""
        return (shard.database, shard.policy) == (self.database, self.policy)

    @property
    def source(self) -> str:
        """The measurement in InfluxQL."""
        # FROM takes no retention policy with every version unless the database is named too.
        return name(self.database, self.policy, self.name)


@dataclass(frozen=True)
class Content:
    """What was read of a server: its points by window, how many values each field has, and more.

    ``writes`` is how many points each shard has taken since the server ``started``.
    """

    layout: Layout
    points: Mapping[Measurement, Mapping[Window, Points]]
    values: Mapping[Measurement, Mapping[Window, Mapping[Field, int]]]
    newer: Mapping[Measurement, int]
    metadata: tuple[Item, ...]
    started: str
    writes: Mapping[Shard, int]

    def at(self, measurement: Measurement, window: Window) -> Points | None:
        """The points of a measurement in a window."""
        return self.points.get(measurement, {}).get(window)

    def items(self) -> Iterator[Item]:
        """All of it as items of a fingerprint."""
        yield from self.metadata
        for measurement, by_window in self.values.items():
            total: Counter[Field] = sum(map(Counter, by_window.values()), Counter())
            for (key, kind), count in total.items():
                yield Item(kind="field", name=f"{measurement.label}.{key} ({kind})", count=count)
        for measurement, windows in self.points.items():
            for tag in sorted(set().union(*(points.tags for points in windows.values()))):
                yield Item(kind="tag", name=f"{measurement.label}.{tag}")
            for window, points in windows.items():
                yield closed_item(measurement, window, points)
                label = item_name(measurement, window)
                yield Item(kind=SERIES, name=label, count=points.series)
        for measurement, count in self.newer.items():
            at_least = Comparison.AT_LEAST
            yield Item(kind=OPEN, name=measurement.label, count=count, comparison=at_least)


def item_name(measurement: Measurement, window: Window) -> str:
    """How the points of a window are named in a fingerprint."""
    return f"{measurement.label} {window}"


def closed_item(measurement: Measurement, window: Window, points: Points) -> Item:
    """The item of a window that is compared exactly."""
    label = item_name(measurement, window)
    return Item(kind=CLOSED, name=label, count=points.count, digest=points.digest)


def user_databases(client: InfluxClient) -> tuple[str, ...]:
    """All databases that are not the server's own, sorted."""
    return tuple(sorted(set(column(client, "SHOW DATABASES", "name")) - {OWN_DATABASE}))


def retention_policies(client: InfluxClient, database: str) -> list[str]:
    """The names of a database's retention policies, in the server's order."""
    return column(client, f"SHOW RETENTION POLICIES ON {name(database)}", "name")


def fingerprint(
    client: InfluxClient, databases: tuple[str, ...], layout: Layout, taken_at: datetime
) -> Fingerprint:
    """The fingerprint of a server that nobody writes to."""
    return Fingerprint.of(METHOD, taken_at, read(client, databases, layout).items())


def read(
    client: InfluxClient,
    databases: tuple[str, ...],
    layout: Layout,
    before: Content | None = None,
    counted: Collection[Shard] = (),
) -> Content:
    """Read a server; with ``before`` only what changed on it since.

    Windows in shards that are only to be ``counted`` have values, and no points.
    """
    started, writes = standing(client)
    touched = touched_since(before, started, writes) if before else ()
    points: dict[Measurement, dict[Window, Points]] = {}
    values: dict[Measurement, Mapping[Window, Mapping[Field, int]]] = {}
    newer: dict[Measurement, int] = {}
    for measurement, typed, held, still in _measurements(
        client, databases, layout, writes, touched
    ):
        counts = _values(client, measurement, typed, held)
        found: dict[Window, Points] = {}
        if before is not None:
            had, known = before.values.get(measurement, {}), before.points.get(measurement, {})
            same = (one for one in counts if one in still and counts[one] == had.get(one))
            found = {window: known[window] for window in same if window in known}
        digested = [one for one in writes if one not in counted and measurement.lies_in(one)]
        wanted = [one for one in counts if one not in found and overlaps(one, digested)]
        *closed, opened = _points(client, measurement, typed, [*wanted, layout.open])
        found |= {window: one for window, one in zip(wanted, closed, strict=True) if one.count}
        if opened.count:
            newer[measurement] = opened.count
        if counts:
            values[measurement], points[measurement] = counts, found
    metadata = tuple(metadata_items(client, databases))
    return Content(layout, points, values, newer, metadata, started, writes)


def _measurements(
    client: InfluxClient,
    databases: tuple[str, ...],
    layout: Layout,
    shards_there: Iterable[Shard],
    touched: Iterable[Shard],
) -> Iterator[tuple[Measurement, list[Field], list[Window], frozenset[Window]]]:
    """Each measurement with its fields, the closed windows that can hold points, and those still.

    A point lies in a shard, and where nobody wrote it lies there still.
    """
    for database in databases:
        for policy in retention_policies(client, database):
            of = (database, policy)
            windows = list(layout.closed(*of))
            own, wrote = (
                [shard for shard in among if (shard.database, shard.policy) == of]
                for among in (shards_there, touched)
            )
            held = [one for one in windows if overlaps(one, own)]
            still = frozenset(one for one in windows if not overlaps(one, wrote))
            for measured, typed in fields(client, database, policy).items() if own else ():
                yield Measurement(database, policy, measured), typed, held, still


def overlaps(window: Window, shards: Iterable[Shard]) -> bool:
    """Whether a point of a window can lie in one of shards."""
    return any(window.overlaps(shard.start, shard.end) for shard in shards)


def _points(
    client: InfluxClient,
    measurement: Measurement,
    columns: Sequence[Field],
    windows: list[Window],
) -> list[Points]:
    """The points of each window: per series in time order."""
    wanted = ", ".join(f"{name(key)}::{kind}" for key, kind in columns)
    statements = [
        f"SELECT {wanted} FROM {measurement.source} WHERE {window.condition} GROUP BY *"
        for window in windows
    ]
    lines = client.lines("; ".join(statements), measurement.database)
    return read_points(lines, columns, len(statements))


def _values(
    client: InfluxClient, measurement: Measurement, typed: list[Field], windows: list[Window]
) -> dict[Window, dict[Field, int]]:
    """How many values each field has in each window; what has none is left out."""
    counted = ", ".join(f"COUNT({name(key)}::{kind})" for key, kind in typed)
    statements = [
        f"SELECT {counted} FROM {measurement.source} WHERE {window.condition}" for window in windows
    ]
    found: dict[Window, dict[Field, int]] = {}
    for window, told in zip(windows, client.each(statements, measurement.database), strict=True):
        for series in told:
            ((_, *values),) = series.values
            counts = {
                one: int(value.text)
                for one, value in zip(typed, values, strict=True)
                if isinstance(value, Literal)
            }
            found[window] = {one: count for one, count in counts.items() if count}
    return {window: counts for window, counts in found.items() if counts}


def standing(client: InfluxClient) -> tuple[str, dict[Shard, int]]:
    """When the server started, and how many points each shard took since; -1 if none tells."""
    started = "".join(column(client, "SHOW DIAGNOSTICS FOR 'system'", "started"))
    known = {shard.id: shard for shard in shards(client)}
    found = dict.fromkeys(known.values(), -1)
    for series in client.query("SHOW STATS FOR 'shard'"):
        shard = known.get(int(dict(series.tags)["id"]))
        if shard is not None:
            found[shard] = int(series.values[0][series.columns.index("writePointsOk")].text)
    return started, found


def touched_since(before: Content, started: str, now: Mapping[Shard, int]) -> tuple[Shard, ...]:
    """The shards that took writes, came or went since; a shard that does not tell may have.

    A server that started again meanwhile counts anew.
    """
    every = before.writes.keys() | now.keys()
    if not started or started != before.started:
        return tuple(every)
    return tuple(
        shard
        for shard in every
        if before.writes.get(shard, -1) != now.get(shard, -2) or now[shard] < 0
    )
