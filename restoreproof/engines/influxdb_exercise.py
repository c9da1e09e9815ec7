"""The accidents that can befall a living copy of an InfluxDB 1.x server, and its writer."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import httpx

from restoreproof.engines.contract import BackupToRestore, Restored, SourceContext
from restoreproof.engines.contract_exercise import (
    EXERCISE,
    Accident,
    CannotBePlayed,
    LivingCopy,
)
from restoreproof.engines.influxdb_client import InfluxRefused, Literal, Series, name
from restoreproof.engines.influxdb_fingerprint import (
    fingerprint,
    retention_policies,
    user_databases,
)
from restoreproof.engines.influxdb_layout import Layout, fields
from restoreproof.engines.influxdb_restored import RestoredInfluxDB
from restoreproof.engines.influxdb_source import InfluxDBSource
from restoreproof.fingerprint import Fingerprint, Item
from restoreproof.outcomes import RestoreFailed
from restoreproof.sandbox import Sandboxes

BACKUP_PORT = 8088
WRITTEN, BALLAST = "written", "ballast"
BALLAST_POINTS = 100
BALLAST_AGE = timedelta(hours=1)
NUMBERS = ("float", "integer")
POINTS_A_SERIES = 100
"""How much of each series a bad statement overwrites: enough to be seen, and done at once."""
MOST_POINTS = 1_000_000
"""Larger measurements are left alone: an exercise is not to take longer than the restore."""
TRIES = 20
BATCH = 5000
Typed = list[tuple[str, str]]


@dataclass(frozen=True)
class Measured:
    """A measurement with the retention policies that hold points of it, and their fields."""

    database: str
    name: str
    policies: tuple[tuple[str, tuple[tuple[str, str], ...]], ...]

    @property
    def part(self) -> str:
        """The measurement in words."""
        return f"{self.database}.{self.name}"

    @property
    def one_type_each(self) -> bool:
        """Whether no field has values of two types, of which one would come back as another."""
        return all(len({key for key, _ in typed}) == len(typed) for _, typed in self.policies)

    def holds(self, item: str) -> bool:
        """Whether an item of a fingerprint, by its name, is of the measurement."""
        labels = (f"{self.database}.{policy}.{self.name}" for policy, _ in self.policies)
        return any(item == label or item.startswith((f"{label} ", f"{label}.")) for label in labels)


class LivingInfluxDB(LivingCopy):
    """An InfluxDB server that was restored and takes points."""

    restored: RestoredInfluxDB

    def __init__(self, restored: RestoredInfluxDB, context: SourceContext) -> None:
        self.restored, self.context, self.client = restored, context, restored.client
        self._befallen: dict[str, Measured] = {}
        # Jobs of the copy back up its data alone, whatever came back beside it.
        restored.facts = {}

    def prepare(self) -> None:
        with self._words():
            for database in user_databases(self.client):
                for policy in retention_policies(self.client, database):
                    # A server takes no point that is older than its policy, not even one put back.
                    of = f"{name(policy)} ON {name(database)}"
                    self.client.query(f"ALTER RETENTION POLICY {of} DURATION INF")
            self.client.query(f"CREATE DATABASE {name(EXERCISE)}")
            begin = self._now() - BALLAST_AGE // timedelta(microseconds=1) * 1000
            points = (f"{BALLAST} n={number}i {begin + number}" for number in range(BALLAST_POINTS))
            self.client.write(EXERCISE, "\n".join(points))

    def write(self, number: int) -> None:
        with self._words():
            self.client.write(EXERCISE, f"{WRITTEN} n={number}i {self._now() + number}")

    def written(self, restored: Restored) -> frozenset[int]:
        assert isinstance(restored, RestoredInfluxDB)
        with self._words():
            found = restored.client.query(f'SELECT "n" FROM {name(WRITTEN)}', EXERCISE)
        return frozenset(int(row[1].text) for series in found for row in series.values)

    def corrupt(self) -> Accident:
        with self._words():
            for measured in [*self._measured()[:TRIES], self._ballast()]:
                for policy, typed in measured.policies:
                    for key in (key for key, kind in typed if kind in NUMBERS):
                        if self._set_to_nothing(measured, policy, key):
                            self._befallen[measured.part] = measured
                            told = f"one statement overwrote {key} of {measured.part} with 0"
                            return Accident(told, measured.part)
        raise CannotBePlayed("no measurement has a field that could be overwritten")

    def _set_to_nothing(self, measured: Measured, policy: str, key: str) -> bool:
        place, field = name(measured.database, policy, measured.name), name(key)
        asked = f"SELECT COUNT({field}) FROM {place} WHERE {field} > 0 OR {field} < 0"
        if not self.client.query(asked, measured.database):
            return False
        statement = f"SELECT {field} * 0 AS {field} INTO {place} FROM {place}"
        statement += f" GROUP BY * LIMIT {POINTS_A_SERIES}"
        try:
            self.client.query(statement, measured.database)
        except InfluxRefused:
            return False
        return True

    def delete(self, but: str) -> Accident:
        with self._words():
            fitting = (one for one in self._measured()[:TRIES] if self._fits(one))
            free = (one for one in (*fitting, self._ballast()) if one.part != but)
            measured = next(free, None)
            if measured is None:
                raise CannotBePlayed("there is no other measurement that could be dropped")
            self._befallen[measured.part] = measured
            self.client.query(f"DROP MEASUREMENT {name(measured.name)}", measured.database)
        return Accident(f"the measurement {measured.part} was dropped", measured.part)

    def _fits(self, measured: Measured) -> bool:
        """Whether a measurement holds points, and not too many of them to be put back."""
        held = 0
        for policy, typed in measured.policies:
            place = name(measured.database, policy, measured.name)
            asked = f"SELECT COUNT({name(typed[0][0])}) FROM {place}"
            for series in self.client.query(asked, measured.database):
                held += sum(int(row[1].text) for row in series.values)
        return measured.one_type_each and 0 < held <= MOST_POINTS

    def put_back(self, accident: Accident, restored: Restored, folder: Path) -> None:
        assert isinstance(restored, RestoredInfluxDB)
        measured = self._befallen[accident.part]
        with self._words():
            for policy, typed in measured.policies:
                wanted = ", ".join(f"{name(key)}::{kind}" for key, kind in typed)
                place = name(measured.database, policy, measured.name)
                statement = f"SELECT {wanted} FROM {place} GROUP BY *"
                batch: list[str] = []
                for series in restored.client.stream(statement, measured.database):
                    for line in _lines(series, typed):
                        batch.append(line)
                        if len(batch) >= BATCH:
                            self.client.write(measured.database, "\n".join(batch), policy)
                            batch.clear()
                if batch:
                    self.client.write(measured.database, "\n".join(batch), policy)

    def is_of(self, kind: str, name: str, part: str) -> bool:
        return self._befallen[part].holds(name)

    def is_busy(self, item: Item) -> bool:
        return Measured(EXERCISE, WRITTEN, (("autogen", ()),)).holds(item.name)

    def fingerprint(self, like: BackupToRestore) -> Fingerprint:
        with self._words():
            layout = Layout.model_validate_json(like.facts["layout"])
            databases = user_databases(self.client)
            return fingerprint(self.client, databases, layout, like.fingerprint.taken_at)

    def _measured(self) -> list[Measured]:
        """The measurements of the estate, those with the fewest fields last."""
        found: dict[tuple[str, str], dict[str, Typed]] = {}
        source = self.context.source
        assert isinstance(source, InfluxDBSource)
        for database in source.databases or user_databases(self.client):
            if database == EXERCISE:
                continue
            for policy in retention_policies(self.client, database):
                for measured, typed in fields(self.client, database, policy).items():
                    found.setdefault((database, measured), {})[policy] = typed
        every = [
            Measured(*key, tuple((policy, tuple(typed)) for policy, typed in held.items()))
            for key, held in found.items()
        ]
        return sorted(every, key=lambda one: (-len(one.policies[0][1]), one.part))

    def _ballast(self) -> Measured:
        return Measured(EXERCISE, BALLAST, (("autogen", (("n", "integer"),)),))

    def _now(self) -> int:
        return int(self.context.clock().timestamp() * 1_000_000) * 1000

    @contextmanager
    def _words(self) -> Iterator[None]:
        try:
            yield
        except (httpx.HTTPError, InfluxRefused) as error:
            self.restored.sandbox.require_running()
            raise RestoreFailed(f"the living copy refused: {error}") from None


@contextmanager
def living(restored: Restored, context: SourceContext) -> Iterator[LivingInfluxDB]:
    """The living copy that a restored server is, in sandboxes that serve."""
    assert isinstance(restored, RestoredInfluxDB)
    assert isinstance(context.source, InfluxDBSource)
    databases = context.source.databases
    source = InfluxDBSource(
        url="http://" + _address(restored.sandbox.address),
        backup=_address(restored.sandbox.others.get(BACKUP_PORT)),
        databases=(*databases, EXERCISE) if databases else (),
        # Nobody else writes to it, so no point comes late.
        lateness=timedelta(microseconds=1),
        overlap=context.source.overlap,
    )
    with closing(restored.client):
        yield LivingInfluxDB(
            restored, replace(context, source=source, coverage=frozenset({"data"}))
        )


def serving(sandboxes: Sandboxes) -> dict[str, str]:
    """Variables of a server that can be backed up from outside its container."""
    return {"INFLUXDB_BIND_ADDRESS": f":{BACKUP_PORT}"} if sandboxes.serving else {}


def _address(address: tuple[str, int] | None) -> str:
    assert address is not None
    return ":".join(map(str, address))


def _lines(series: Series, typed: tuple[tuple[str, str], ...]) -> Iterator[str]:
    """The points of a series as line protocol."""
    tags = "".join(f",{_key(key)}={_key(value)}" for key, value in series.tags if value)
    for at, *values in series.values:
        told = [
            f"{_key(key)}={_value(value, kind)}"
            for (key, kind), value in zip(typed, values, strict=True)
            if value is not None
        ]
        if told:
            yield f"{_measurement(series.name)}{tags} {','.join(told)} {at.text}"


def _value(value: object, kind: str) -> str:
    if isinstance(value, Literal):
        return f"{value.text}i" if kind == "integer" else value.text
    if isinstance(value, bool):
        return "true" if value else "false"
    text = str(value).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"'


def _key(text: str) -> str:
    return _measurement(text).replace("=", "\\=")


def _measurement(text: str) -> str:
    return text.replace(",", "\\,").replace(" ", "\\ ")
