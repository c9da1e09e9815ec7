"""An InfluxDB 1.x server in its sandbox: what it answers, and what it holds."""

from collections.abc import Mapping
from datetime import datetime
from functools import partial
from pathlib import Path

import httpx

from restoreproof.engines.contract import BackupToRestore, Restored
from restoreproof.engines.influxdb_client import InfluxClient, InfluxRefused, name
from restoreproof.engines.influxdb_configuration import FIRST
from restoreproof.engines.influxdb_fingerprint import (
    METHOD,
    Content,
    read,
    retention_policies,
    user_databases,
)
from restoreproof.engines.influxdb_layout import Layout
from restoreproof.engines.influxdb_metadata import KINDS
from restoreproof.engines.influxdb_source import newest_heartbeat
from restoreproof.engines.server_configuration import ConfigurationCheck, check_configuration
from restoreproof.engines.server_metadata import MetadataCheck, metadata_check
from restoreproof.engines.stored_configuration import configuration_items, restore_configuration
from restoreproof.fingerprint import Comparisons, Fingerprint
from restoreproof.outcomes import RestoreFailed
from restoreproof.references import SourceModel
from restoreproof.sandbox import Sandbox

SHARD_IS_OPENING = ("shard is disabled", "engine is closed")
PROBE = "restoreproof_probe"


class RestoredInfluxDB(Restored):
    """An InfluxDB server in its sandbox. ``layout`` and ``position`` are of what was restored."""

    def __init__(self, sandbox: Sandbox, client: InfluxClient) -> None:
        self.sandbox = sandbox
        self.client = client
        self.server_version = f"InfluxDB {client.version()}"
        self.identity = str(sandbox.container.id)
        self.isolation = sandbox.isolation
        self.limits = sandbox.limits.describe()
        self.layout: Layout | None = None
        self._content: Content | None = None
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
            # Of the next recovery point of a chain most is what it was.
            content = self._content = read(self.client, databases, self.layout, self._content)
        except (httpx.HTTPError, InfluxRefused) as error:
            self.sandbox.require_running()
            raise RestoreFailed(f"the restored content cannot be read: {error}") from None
        configuration = configuration_items(self.sandbox, self.facts)
        return Fingerprint.of(METHOD, expected.taken_at, (*content.items(), *configuration))

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
