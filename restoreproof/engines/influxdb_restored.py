"""An InfluxDB 1.x server in its sandbox: what it answers, and what it holds."""

import tempfile
from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime
from functools import partial
from pathlib import Path

import httpx

from restoreproof.engines.contract import BackupToRestore, Restored
from restoreproof.engines.influxdb_client import InfluxClient, InfluxRefused, name
from restoreproof.engines.influxdb_configuration import FIRST
from restoreproof.engines.influxdb_files import Found, files_of, held_in
from restoreproof.engines.influxdb_fingerprint import (
    METHOD,
    OWN_DATABASE,
    Content,
    Measurement,
    closed_item,
    read,
    retention_policies,
    standing,
    user_databases,
)
from restoreproof.engines.influxdb_layout import Layout, Window
from restoreproof.engines.influxdb_looks import Place, without
from restoreproof.engines.influxdb_metadata import KINDS
from restoreproof.engines.influxdb_points import Field, Points
from restoreproof.engines.influxdb_source import newest_heartbeat
from restoreproof.engines.server_configuration import ConfigurationCheck, check_configuration
from restoreproof.engines.server_metadata import MetadataCheck, metadata_check
from restoreproof.engines.stored_configuration import configuration_items, restore_configuration
from restoreproof.fingerprint import Comparisons, Fingerprint
from restoreproof.outcomes import RestoreFailed
from restoreproof.references import SourceModel
from restoreproof.sandbox import PREFIX, Sandbox

SHARD_IS_OPENING = ("shard is disabled", "engine is closed")
PROBE = "restoreproof_probe"
LEFT_OUT = ("--exclude=_series", "--exclude=index", f"--exclude={OWN_DATABASE}")


class RestoredInfluxDB(Restored):
    """An InfluxDB server in its sandbox. ``layout`` and ``position`` are of what was restored.

    ``content`` is what was read of it last: the next recovery point of a chain is mostly that.
    """

    def __init__(self, sandbox: Sandbox, client: InfluxClient) -> None:
        self.sandbox = sandbox
        self.client = client
        self.server_version = f"InfluxDB {client.version()}"
        self.identity = str(sandbox.container.id)
        self.isolation = sandbox.isolation
        self.limits = sandbox.limits.describe()
        self.layout: Layout | None = None
        self.content: Content | None = None
        self.position = ""
        self.facts: dict[str, str] = {}

    def take(self, backup: BackupToRestore) -> None:
        """Stand from now on where a backup was made. Raise RestoreFailed."""
        if not backup.overtaken:
            restore_configuration(self.sandbox, backup)
        if "layout" in backup.facts:
            self.layout = Layout.model_validate_json(backup.facts["layout"])
        self.position = backup.position
        self.facts = dict(backup.facts)

    def answer(self) -> str:
        try:
            databases = user_databases(self.client)
            self.until_shards_answer(databases)
        except (httpx.HTTPError, InfluxRefused) as error:
            self.sandbox.require_running()
            raise RestoreFailed(f"the restored server does not answer: {error}") from None
        return f"read the newest point of every series of {len(databases)} databases"

    def until_shards_answer(self, databases: tuple[str, ...]) -> None:
        """Wait for the shards: influxd restores first and opens them afterwards."""
        for database in databases:
            self.sandbox.until(partial(self._shards_answer, database), what=database)

    def _shards_answer(self, database: str) -> bool:
        try:
            for policy in retention_policies(self.client, database):
                source = f"{name(database, policy)}./.*/"
                self.client.query(f"SELECT LAST(*) FROM {source}", database)
        except InfluxRefused as error:
            if any(words in str(error) for words in SHARD_IS_OPENING):
                return False
            raise
        return True

    def fingerprint(self, expected: Fingerprint) -> Fingerprint:
        assert self.layout is not None
        try:
            databases = user_databases(self.client)
            known = self.content or self._by_files(self.layout)
            content = read(self.client, databases, self.layout, known)
            # What a finding says are the server's own words.
            if doubted := _other_than(expected, content):
                content = read(self.client, databases, self.layout, without(content, doubted))
            self.content = content
        except (httpx.HTTPError, InfluxRefused) as error:
            self.sandbox.require_running()
            raise RestoreFailed(f"the restored content cannot be read: {error}") from None
        configuration = configuration_items(self.sandbox, self.facts)
        return Fingerprint.of(METHOD, expected.taken_at, (*content.items(), *configuration))

    def _by_files(self, layout: Layout) -> Content:
        """What the server's files say of its points, as far as they tell all."""
        started, writes = standing(self.client)
        whole = files_of(self.client)
        found: Found = {}
        for data in {str(files.place.parents[2]) for files in whole.values()}:
            archive = self.sandbox.stream(["tar", "-C", data, *LEFT_OUT, "-cf", "-", "."])
            with tempfile.TemporaryDirectory(prefix=PREFIX) as folder:
                found |= held_in(archive, layout, Path(folder), whole)
        points: dict[Measurement, dict[Window, Points]] = defaultdict(dict)
        values: dict[Measurement, dict[Window, Mapping[Field, int]]] = defaultdict(dict)
        for (*of, window), held in found.items():
            measurement = Measurement(*of)
            points[measurement][window], values[measurement][window] = held.points, held.values
        return Content(layout, points, values, {}, (), started, writes)

    def newest_heartbeat(self, source: SourceModel) -> datetime | None:
        return newest_heartbeat(self.client, source)

    def reach(self, folder: Path) -> Mapping[str, str]:
        host, port = self.sandbox.address or ("localhost", 8086)
        return {
            "host": host,
            "port": str(port),
            "socket": str(self.sandbox.socket or ""),
            "container": str(self.sandbox.container.name),
        }

    def access(self, folder: Path) -> tuple[str, ...]:
        host, port = self.sandbox.address or ("localhost", 8086)
        socket = f"--unix-socket {self.sandbox.socket} " if self.sandbox.socket else ""
        name = self.sandbox.container.name
        return (
            f"{self.server_version} in container {name}: {self.isolation}",
            f"ask: curl -G {socket}http://{host}:{port}/query --data-urlencode 'q=SHOW DATABASES'",
            f"or:  docker exec -it {name} influx",
        )

    def write_and_read(self) -> bool:
        """Write a point into a new database and read it back."""
        try:
            self.client.query(f"CREATE DATABASE {name(PROBE)}")
            self.client.write(PROBE, "probe value=1i 1")
            found = self.client.query('SELECT "value" FROM "probe"', PROBE)
            self.client.query(f"DROP DATABASE {name(PROBE)}")
        except (httpx.HTTPError, InfluxRefused) as error:
            raise RestoreFailed(f"the restored server takes no writes: {error}") from None
        return [row[1].text for series in found for row in series.values] == ["1"]

    def check_metadata(self, expected: Fingerprint, comparison: Comparisons) -> MetadataCheck:
        """Compare what surrounds the points: policies, queries, subscriptions, users."""
        return metadata_check(("database", *KINDS), expected, comparison)

    def check_configuration(self) -> ConfigurationCheck:
        """Ask the restored server whether it accepts the configuration. Raise RestoreFailed."""
        return check_configuration(self.sandbox, self.facts, FIRST)


def _other_than(expected: Fingerprint, content: Content) -> frozenset[Place]:
    """Windows in which other points were seen than are expected."""
    known = {item.key: item for item in expected.items}
    seen = (
        (closed_item(measurement, window, points), (measurement, window))
        for measurement, windows in content.points.items()
        for window, points in windows.items()
    )
    return frozenset(
        place
        for item, place in seen
        if item.key in known
        and (known[item.key].count, known[item.key].digest) != (item.count, item.digest)
    )
