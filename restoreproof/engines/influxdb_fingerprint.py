"""What an InfluxDB 1.x server holds: a digest of every point, and the schema around them.

InfluxDB has no snapshot. So points older than a boundary before the backup are digested, once
before and once after it: equal digests mean that this window was closed, and then it must come
back exactly. Newer points are only counted: at least those seen before must come back.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from restoreproof.engines.influxdb_client import InfluxClient, Literal, Series, name
from restoreproof.fingerprint import Comparison, Fingerprint, Item

METHOD = "influxdb-points-sha256-v1"
OWN_DATABASE = "_internal"
CLOSED, OPEN = "points", "points of the open window"


@dataclass(frozen=True)
class Measurement:
    """One measurement of one retention policy."""

    database: str
    policy: str
    name: str

    @property
    def label(self) -> str:
        """The measurement's name in a fingerprint."""
        return f"{self.database}.{self.policy}.{self.name}"


def user_databases(client: InfluxClient) -> tuple[str, ...]:
    """All databases that are not the server's own, sorted."""
    return tuple(sorted(set(_column(client, "SHOW DATABASES", "name")) - {OWN_DATABASE}))


def retention_policies(client: InfluxClient, database: str) -> list[str]:
    """The names of a database's retention policies, in the server's order."""
    return _column(client, f"SHOW RETENTION POLICIES ON {name(database)}", "name")


def fingerprint(
    client: InfluxClient, databases: tuple[str, ...], boundary: datetime, taken_at: datetime
) -> Fingerprint:
    """The fingerprint with ``boundary`` between the closed and the open window."""
    return Fingerprint.of(METHOD, taken_at, _items(client, databases, nanoseconds(boundary)))


def nanoseconds(instant: datetime) -> int:
    """Whole nanoseconds since 1970, in integers: a float has too few digits."""
    return int(instant.timestamp()) * 1_000_000_000 + instant.microsecond * 1000


def _items(client: InfluxClient, databases: tuple[str, ...], boundary: int) -> Iterator[Item]:
    for database in databases:
        yield Item(kind="database", name=database)
        for series in client.query("SHOW CONTINUOUS QUERIES"):
            for row in series.values:
                if series.name == database:
                    yield _described("continuous query", f"{database}.{row[0]}", row)
        policies = client.query(f"SHOW RETENTION POLICIES ON {name(database)}")
        for row in (row for series in policies for row in series.values):
            policy = str(row[0])
            yield _described("retention policy", f"{database}.{policy}", row)
            yield from _measurements(client, database, policy, boundary)


def _measurements(
    client: InfluxClient, database: str, policy: str, boundary: int
) -> Iterator[Item]:
    for measured in sorted(set(_column(client, "SHOW MEASUREMENTS", "name", database))):
        measurement = Measurement(database, policy, measured)
        yield from _schema(client, measurement)
        count, digest = _points(client, measurement, f"time < {boundary}")
        yield Item(kind=CLOSED, name=measurement.label, count=count, digest=digest)
        newer, _ = _points(client, measurement, f"time >= {boundary}")
        yield Item(kind=OPEN, name=measurement.label, count=newer, comparison=Comparison.AT_LEAST)


def _schema(client: InfluxClient, measurement: Measurement) -> Iterator[Item]:
    # FROM takes no retention policy with every version unless the database is named too.
    source = name(measurement.database, measurement.policy, measurement.name)
    for kind, statement in (("field", "SHOW FIELD KEYS"), ("tag", "SHOW TAG KEYS")):
        for series in client.query(f"{statement} FROM {source}", measurement.database):
            for row in series.values:
                yield _described(kind, f"{measurement.label}.{row[0]}", row)


def _points(client: InfluxClient, measurement: Measurement, window: str) -> tuple[int, str]:
    """Number of points and digest of a window: per series in time order, series sorted."""
    source = name(measurement.database, measurement.policy, measurement.name)
    statement = f"SELECT * FROM {source} WHERE {window} GROUP BY *"
    count = 0
    digests: dict[str, hashlib._Hash] = {}
    for part in client.stream(statement, measurement.database):
        count += len(part.values)
        digest = digests.setdefault(repr(part.tags), hashlib.sha256())
        for row in part.values:
            digest.update(_canonical(part, row))
    total = hashlib.sha256()
    for key in sorted(digests):
        total.update(f"{len(key)}:{key}".encode() + digests[key].digest())
    return count, total.hexdigest()


def _canonical(series: Series, row: tuple[object, ...]) -> bytes:
    """A point as bytes: fields that it has not are left out, whatever columns there are."""
    parts = []
    for column, value in sorted(zip(series.columns, row, strict=True)):
        if value is not None:
            text = value.text if isinstance(value, Literal) else repr(value)
            parts.append(f"{len(column)}:{column}={len(text)}:{text}")
    return "\n".join(parts).encode() + b"\0"


def _described(kind: str, label: str, row: tuple[object, ...]) -> Item:
    digest = hashlib.sha256(repr(row).encode()).hexdigest()
    return Item(kind=kind, name=label, digest=digest)


def _column(client: InfluxClient, statement: str, column: str, database: str = "") -> list[str]:
    return [
        str(row[series.columns.index(column)])
        for series in client.query(statement, database)
        for row in series.values
    ]
