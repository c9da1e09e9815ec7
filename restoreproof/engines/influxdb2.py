"""InfluxDB 2.x: full backups over HTTP and increments of the shards that changed.

A full backup holds the key-value store, the SQL store and every shard, so a restored server has
the source's organizations, buckets, tasks, dashboards and tokens under their own identifiers.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import datetime

import httpx

from restoreproof.engines import influxdb2_heartbeat
from restoreproof.engines.contract import (
    BackupContent,
    BackupContext,
    BackupToRestore,
    Engine,
    Restored,
    SourceContext,
    Until,
)
from restoreproof.engines.influxdb2_backup import (
    Shard,
    back_up_metadata,
    back_up_shard,
    digest_of_shard,
    flush,
    shards_of,
)
from restoreproof.engines.influxdb2_client import Influx2Client, Influx2Refused
from restoreproof.engines.influxdb2_configuration import SECOND
from restoreproof.engines.influxdb2_content import Windows, at_rest, buckets, fingerprint
from restoreproof.engines.influxdb2_restored import PORT, RestoredInfluxDB2
from restoreproof.engines.influxdb2_source import (
    InfluxDB2Source,
    chosen,
    connect,
    newest_heartbeat,
    probe,
    source_of,
)
from restoreproof.engines.server_configuration import (
    require_configuration,
    store_configuration,
)
from restoreproof.fingerprint import Fingerprint
from restoreproof.images import Image
from restoreproof.outcomes import BackupFailed, RestoreFailed
from restoreproof.references import SourceModel
from restoreproof.sandbox import Sandboxes

SETTINGS = {
    "INFLUXD_REPORTING_DISABLED": "true",
    # Tasks that came back would write into what is being proven, and reach out.
    "INFLUXD_NO_TASKS": "true",
    # The estate's retention would delete restored points while they are proven.
    "INFLUXD_STORAGE_RETENTION_CHECK_INTERVAL": "87600h",
    "INFLUXD_LOG_LEVEL": "error",
}


class InfluxDB2(Engine[InfluxDB2Source]):
    """InfluxDB 2.x."""

    name = "influxdb2"
    method = (
        "Number and SHA-256 digest of every value older than the agreed lateness, with its type, "
        "equal before and after the backup; newer values by number; series, fields, tags; what "
        "organizations own. Increments: metadata and the shards whose files changed since"
    )
    needs_image = True
    covers = frozenset({"data", "configuration"})
    kinds = frozenset({"full", "incremental"})
    source_model = InfluxDB2Source
    # A restore replaces the server's tokens, and a command would have to tell by which.
    takes_commands = False
    restores_instants = False

    def gap(self, source: SourceModel, kind: str) -> str:
        assert isinstance(source, InfluxDB2Source)
        if kind == "configuration" and source.configuration is None:
            return SECOND.no_place
        return super().gap(source, kind)

    def exclusions(self, source: SourceModel) -> tuple[str, ...]:
        assert isinstance(source, InfluxDB2Source)
        settings = ("settings in the environment of the server (INFLUXD_...)",)
        only = (f"points of other buckets than {', '.join(source.buckets)}",)
        return (
            "instants inside an increment: points do not tell when they were written",
            "points written or deleted inside the lateness window are only counted",
            "points that retention may delete within the hour of a backup may be missing",
            "tokens are restored, and compared by description and rights, never by value",
            *(only if source.buckets else ()),
            *(settings if source.configuration else ()),
        )

    def probe(self, context: SourceContext) -> None:
        probe(context)
        require_configuration(context, source_of(context).configuration, SECOND)

    def back_up(self, context: BackupContext) -> BackupContent:
        source, clock = source_of(context.of), context.of.clock
        try:
            with closing(connect(context.of)) as client:
                selected = chosen(buckets(client), source)
                windows = Windows.at(clock(), source.lateness, selected.values())
                flush(client, context, selected)
                before = fingerprint(client, selected.values(), windows, clock())
                recovery_point = clock()
                manifests = back_up_metadata(client, context)
                shards = shards_of(manifests, selected)
                digests = self._back_up_shards(client, context, shards)
                configuration, configuration_facts = store_configuration(
                    context, source.configuration, SECOND
                )
                after = fingerprint(client, selected.values(), windows, clock())
                version = client.version()
        except (httpx.HTTPError, Influx2Refused) as error:
            raise BackupFailed(f"the source refused: {error}") from None
        position = json.dumps(digests, sort_keys=True)
        content = at_rest(before, after)
        items = (*content.items, *configuration)
        return BackupContent(
            recovery_point=recovery_point,
            fingerprint=Fingerprint.of(content.method, content.taken_at, items),
            source_version=f"InfluxDB {version}",
            source_identity=context.of.text(source.url),
            position=position,
            facts={
                "windows": windows.text(),
                "buckets": " ".join(selected),
                **configuration_facts,
                **({"base_position": context.base.position} if context.base else {}),
            },
        )

    def newest_heartbeat(self, context: SourceContext) -> datetime | None:
        with closing(connect(context)) as client:
            return newest_heartbeat(client, context.source)

    def beat(self, context: SourceContext) -> None:
        influxdb2_heartbeat.beat(context, context.clock())

    def clear_heartbeats(self, context: SourceContext) -> int:
        return influxdb2_heartbeat.clear(context)

    @contextmanager
    def provision(
        self,
        source: SourceModel,
        image: Image | None,
        sandboxes: Sandboxes,
        full: BackupToRestore | None = None,
    ) -> Iterator[Restored]:
        assert image is not None

        with sandboxes.server(
            image,
            command=lambda _: ("influxd",),
            environment=lambda _: SETTINGS,
            socket_name=None,
            port=PORT,
        ) as sandbox:
            assert sandbox.address is not None
            host, port = sandbox.address
            with closing(Influx2Client(f"http://{host}:{port}")) as client:
                sandbox.until(lambda: _answers(client), what="the InfluxDB server")
                yield RestoredInfluxDB2(sandbox, client)

    def load(self, restored: Restored, backup: BackupToRestore) -> None:
        assert isinstance(restored, RestoredInfluxDB2)
        restored.load(backup)

    def replay(
        self, restored: Restored, increment: BackupToRestore, until: Until | None = None
    ) -> None:
        assert isinstance(restored, RestoredInfluxDB2)
        if until is not None:
            raise RestoreFailed("an increment of InfluxDB does not tell when it was written")
        restored.load(increment)

    @staticmethod
    def _back_up_shards(
        client: Influx2Client, context: BackupContext, shards: Iterable[Shard]
    ) -> dict[str, str]:
        """Store the shards that the base does not hold as they are; digests of all of them."""
        known: Mapping[str, str] = json.loads(context.base.position) if context.base else {}
        digests = {}
        for shard in shards:
            digest, base = None, known.get(str(shard.id))
            if base is not None:
                digest = digest_of_shard(client, context, shard)
            if digest is None or digest != base:
                digest = back_up_shard(client, context, shard)
            if digest is not None:
                digests[str(shard.id)] = digest
        return digests


def _answers(client: Influx2Client) -> bool:
    try:
        return bool(client.get("/health")["status"] == "pass")
    except (httpx.HTTPError, Influx2Refused, ValueError, KeyError):
        return False


engine = InfluxDB2()
