"""An InfluxDB 2.x server in its sandbox: filled over HTTP, and asked what it holds.

Restoring the key-value store replaces every token of the server with the source's, that of the
caller too. The answer names an operator token of the source, and with that the restore goes on:
it lives in this process and in the sandbox alone, and is masked in whatever is told.
"""

import json
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime

import httpx

from restoreproof.engines.contract import BackupToRestore, Restored
from restoreproof.engines.influxdb2_backup import BUCKETS, KEY_VALUES, SQL, flush_shard
from restoreproof.engines.influxdb2_client import Influx2Client, Influx2Refused
from restoreproof.engines.influxdb2_configuration import SECOND
from restoreproof.engines.influxdb2_content import (
    EVER,
    SURROUNDING,
    Bucket,
    Windows,
    buckets,
    fingerprint,
)
from restoreproof.engines.influxdb2_lines import imported
from restoreproof.engines.influxdb2_points import tally
from restoreproof.engines.influxdb2_source import newest_heartbeat
from restoreproof.engines.server_configuration import ConfigurationCheck, check_configuration
from restoreproof.engines.server_metadata import MetadataCheck, metadata_check
from restoreproof.engines.stored_configuration import configuration_items, restore_configuration
from restoreproof.fingerprint import Comparisons, Fingerprint
from restoreproof.outcomes import RestoreFailed
from restoreproof.redaction import remember
from restoreproof.references import SourceModel
from restoreproof.sandbox import Sandbox

PORT = 8086
OURS = "restoreproof"
SQLITE = b"SQLite format 3\0"
"""How every SQLite database begins."""


class RestoredInfluxDB2(Restored):
    """The server, empty at first."""

    def __init__(self, sandbox: Sandbox, client: Influx2Client) -> None:
        self.sandbox = sandbox
        self.client = client
        self.server_version = f"InfluxDB {client.version()}"
        self.identity = str(sandbox.container.id)
        self.isolation = sandbox.isolation
        self.limits = sandbox.limits.describe()
        self.windows: Windows | None = None
        self.chosen: tuple[str, ...] = ()
        self.facts: Mapping[str, str] = {}
        self._shards: dict[str, tuple[str, BackupToRestore]] = {}
        self._own_token = ""

    def load(self, backup: BackupToRestore) -> None:
        """Bring the server to what a backup says, with shards of the chain's earlier backups.

        The metadata is put in its place first, which drops every shard that was there: so a
        shard comes back as its newest archive alone, in whatever order backups are loaded.
        """
        if not backup.overtaken:
            restore_configuration(self.sandbox, backup)
        self.facts = backup.facts
        self.windows = Windows.of_text(backup.facts["windows"])
        self.chosen = tuple(backup.facts["buckets"].split())
        with self._asking("the server does not take the backup"):
            self._restore_metadata(backup)
            for shard, digest in json.loads(backup.position).items():
                self._restore_shard(shard, self._holder(shard, digest, backup))

    def _restore_metadata(self, backup: BackupToRestore) -> None:
        if not self._own_token:
            self._own_token = secrets.token_urlsafe(32)
            password = secrets.token_urlsafe(16)
            first = {"username": OURS, "password": password, "org": OURS, "bucket": OURS}
            self.client.post("/api/v2/setup", first | {"token": self._own_token})
            self.client.use(self._own_token)
        told = self.client.feed("/api/v2/restore/kv", backup.read(KEY_VALUES)).json()
        token = str(told.get("token") or "")
        if not token:
            raise RestoreFailed("the restored server names no operator token")
        remember(token)
        self.client.use(token)
        self.client.feed("/api/v2/restore/sql", as_sqlite(backup.read(SQL)))

    def _holder(self, shard: str, digest: str, backup: BackupToRestore) -> BackupToRestore:
        """The backup of the chain that holds a shard as this backup wants it."""
        if f"shard-{shard}.tar" in backup.names:
            self._shards[shard] = digest, backup
        known, holder = self._shards.get(shard, ("", backup))
        if known != digest:
            raise RestoreFailed(f"no backup of the chain holds shard {shard} as it has to be")
        return holder

    def _restore_shard(self, shard: str, holder: BackupToRestore) -> None:
        try:
            if f"shard-{shard}.lines" in holder.names:
                self._import(shard, holder)
            else:
                archive = holder.read(f"shard-{shard}.tar")
                self.client.feed(f"/api/v2/restore/shards/{shard}", archive)
        except Influx2Refused as error:
            raise RestoreFailed(f"the server does not take shard {shard}: {error}") from None

    def _import(self, shard: str, holder: BackupToRestore) -> None:
        """Write a shard's exported lines, also those that the bucket's retention would refuse."""
        manifests = json.loads(b"".join(holder.read(BUCKETS)))
        bucket, organization = next(
            (bucket["bucketID"], bucket["organizationID"])
            for bucket in manifests
            for policy in bucket["retentionPolicies"]
            for group in policy["shardGroups"]
            if int(shard) in {one["id"] for one in group["shards"]}
        )
        path = f"/api/v2/buckets/{bucket}"
        rules = self.client.get(path)["retentionRules"]
        self.client.change(path, {"retentionRules": [one | {"everySeconds": 0} for one in rules]})
        imported(self.client, organization, bucket, holder.read(f"shard-{shard}.lines"))
        self.client.change(path, {"retentionRules": rules})
        # What is compared is read from files, as at the source.
        flush_shard(self.client, int(shard))

    def answer(self) -> str:
        def ask() -> int:
            restored = self._chosen()
            for bucket in restored:
                query = f"{bucket.points(*EVER)} |> last()"
                with self.client.flux(bucket.organization_id, query) as answer:
                    tally(answer)
            return len(restored)

        with self._asking("the restored server does not answer"):
            return f"read the newest value of every series of {ask()} buckets"

    def fingerprint(self, expected: Fingerprint) -> Fingerprint:
        assert self.windows is not None
        with self._asking("the restored content cannot be read"):
            content = fingerprint(self.client, self._chosen(), self.windows, expected.taken_at)
        configuration = configuration_items(self.sandbox, self.facts)
        return Fingerprint.of(content.method, expected.taken_at, (*content.items, *configuration))

    def _chosen(self) -> list[Bucket]:
        """The buckets whose points were backed up, as far as they came back."""
        found = buckets(self.client)
        return [found[identifier] for identifier in self.chosen if identifier in found]

    def newest_heartbeat(self, source: SourceModel) -> datetime | None:
        return newest_heartbeat(self.client, source)

    def write_and_read(self) -> bool:
        """Write a point into a new bucket and read it back."""
        with self._asking("the restored server takes no writes"):
            found = self.client.listed("/api/v2/orgs", "orgs")
            if not found:
                raise RestoreFailed("the restored server has no organization to write for")
            organization = found[0]["id"]
            wanted = {"orgID": organization, "name": f"{OURS}_{secrets.token_hex(4)}"}
            made = self.client.post("/api/v2/buckets", wanted)
            try:
                self.client.write(organization, made["id"], [b"probe value=1i 1"])
                bucket = Bucket(made["id"], made["name"], "", organization, None)
                with self.client.flux(organization, bucket.points(*EVER)) as answer:
                    seen = tally(answer)
            finally:
                self.client.delete(f"/api/v2/buckets/{made['id']}")
        return [(name, one.values) for name, one in seen.items()] == [("probe", 1)]

    def check_metadata(self, expected: Fingerprint, comparison: Comparisons) -> MetadataCheck:
        """Compare what surrounds the points: organizations, buckets, tasks, tokens and the like."""
        return metadata_check(SURROUNDING, expected, comparison)

    def check_configuration(self) -> ConfigurationCheck:
        """Ask the restored server whether it accepts the configuration. Raise RestoreFailed."""
        return check_configuration(self.sandbox, self.facts, SECOND)

    @contextmanager
    def _asking(self, problem: str) -> Iterator[None]:
        """Raise RestoreFailed with the server's words if it refuses or goes away."""
        try:
            yield
        except (httpx.HTTPError, Influx2Refused) as error:
            self.sandbox.require_running()
            raise RestoreFailed(f"{problem}: {error}") from None


def as_sqlite(content: Iterator[bytes]) -> Iterator[bytes]:
    """The content, if it begins as an SQLite database does. The server takes nothing for one.

    Raise RestoreFailed if it does not.
    """
    first = b""
    for chunk in content:
        first += chunk
        if len(first) >= len(SQLITE):
            break
    if not first.startswith(SQLITE):
        raise RestoreFailed(f"{SQL} is no SQLite database")
    yield first
    yield from content
