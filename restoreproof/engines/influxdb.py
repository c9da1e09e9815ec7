"""InfluxDB 1.x: portable backups and increments, restored where nothing can reach."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager
from datetime import datetime
from pathlib import Path

import httpx

from restoreproof.engines import influxdb_heartbeat
from restoreproof.engines.contract import (
    BackupContent,
    BackupContext,
    BackupToRestore,
    Engine,
    Restored,
    SourceContext,
    Until,
)
from restoreproof.engines.contract_exercise import LivingCopy
from restoreproof.engines.influxdb_client import InfluxClient, InfluxRefused
from restoreproof.engines.influxdb_configuration import FIRST
from restoreproof.engines.influxdb_exercise import BACKUP_PORT, living, serving
from restoreproof.engines.influxdb_export import (
    FOLDER,
    Plan,
    as_fact,
    plan_full,
    plan_increment,
    run_exports,
)
from restoreproof.engines.influxdb_files import Found, files_of, held_in
from restoreproof.engines.influxdb_fingerprint import METHOD, Content, read, user_databases
from restoreproof.engines.influxdb_layout import Layout, Shard, layout_of, shards
from restoreproof.engines.influxdb_layout import as_fact as layout_as_fact
from restoreproof.engines.influxdb_looks import around, moved, read_after
from restoreproof.engines.influxdb_memory import KNOWN, known_of, recalled
from restoreproof.engines.influxdb_metadata import read_metadata
from restoreproof.engines.influxdb_replay import METADATA, PORTABLE, load_full, replay_increment
from restoreproof.engines.influxdb_restored import RestoredInfluxDB
from restoreproof.engines.influxdb_source import (
    InfluxDBSource,
    connect,
    newest_heartbeat,
    probe,
    reach_source,
    source_of,
)
from restoreproof.engines.server_configuration import require_configuration, store_configuration
from restoreproof.fingerprint import Fingerprint
from restoreproof.images import Image
from restoreproof.outcomes import BackupFailed
from restoreproof.references import SourceModel
from restoreproof.sandbox import Sandbox, Sandboxes

PACK = ("tar", "-C", FOLDER, "-cf", "-", ".")


class InfluxDB(Engine[InfluxDBSource]):
    """InfluxDB 1.x."""

    name = "influxdb"
    method = (
        "Number and SHA-256 digest of every point older than the agreed lateness, unchanged "
        "from before to after the backup, of an increment also since its base where a shard took "
        "no writes and counts are the same; digested from the files of points where these are all "
        "that the server has of a shard and hold as many values as it counts, else from its "
        "answers; newer points by number; fields with types and number of values, series, tags, "
        "retention policies, continuous queries, subscriptions, users and privileges"
    )
    needs_image = True
    covers = frozenset({"data", "configuration"})
    kinds = frozenset({"full", "incremental"})
    source_model = InfluxDBSource
    restores_instants = False
    goes_on = True
    plays = True

    def gap(self, source: SourceModel, kind: str) -> str:
        assert isinstance(source, InfluxDBSource)
        if kind == "configuration" and source.configuration is None:
            return FIRST.no_place
        return super().gap(source, kind)

    def exclusions(self, source: SourceModel) -> tuple[str, ...]:
        return (
            "passwords of users, which come back only as meta.db of a stopped server",
            "points written or deleted inside the lateness window are only counted",
        )

    def probe(self, context: SourceContext) -> None:
        probe(context)
        require_configuration(context, source_of(context).configuration, FIRST)

    def back_up(self, context: BackupContext) -> BackupContent:
        source, image, clock = source_of(context.of), context.of.image, context.of.clock
        assert image is not None
        try:
            with (
                closing(connect(context.of)) as client,
                context.of.sandboxes.tools(image) as tools,
            ):
                databases = source.databases or user_databases(client)
                if not databases:
                    raise BackupFailed("the source holds no database, so nothing can be proven")
                base, base_layout = _base(context)
                boundary = (clock() - source.lateness).replace(microsecond=0)
                start = boundary - source.overlap
                layout = layout_of(client, databases, boundary, start, base_layout)
                old = _old(client, layout) if base is None else ()
                before = read(client, databases, layout, _read_before(context, base_layout), old)
                taken_at = clock()
                plan = plan_full(databases)
                if base is not None and base_layout is not None:
                    plan = plan_increment(databases, base, base_layout, before)
                metadata = read_metadata(client, databases)
                recovery_point = clock()
                _store(context, tools, plan)
                with context.artifact(METADATA) as sink:
                    sink.write(metadata.model_dump_json(indent=1).encode())
                configuration, configuration_facts = store_configuration(
                    context, source.configuration, FIRST
                )
                files = _files(context, tools, client, layout) if old else {}
                before, after = read_after(client, databases, before, files)
                with context.artifact(KNOWN) as sink:
                    sink.write(known_of(before))
                version = client.version()
        except (httpx.HTTPError, InfluxRefused) as error:
            raise BackupFailed(f"the source refused: {error}") from None
        items = (*moved(before, after), *configuration)
        taken = Fingerprint.of(METHOD, taken_at, items)
        facts = {
            "databases": "\n".join(databases),
            "layout": layout_as_fact(layout),
            "exports": as_fact(plan.exports),
            **configuration_facts,
        }
        if context.base is not None:
            facts["base_position"] = context.base.position
        return BackupContent(
            recovery_point=recovery_point,
            fingerprint=taken,
            source_version=f"InfluxDB {version}",
            source_identity=context.of.text(source.url),
            position=f"content {taken.digest}",
            facts=facts,
        )

    def around(
        self, context: SourceContext, during: Callable[[], None], moving: frozenset[str]
    ) -> BackupContent:
        return around(context, during)

    def reach(self, context: SourceContext, folder: Path) -> Mapping[str, str]:
        return reach_source(context, folder)

    def newest_heartbeat(self, context: SourceContext) -> datetime | None:
        with closing(connect(context)) as client:
            return newest_heartbeat(client, context.source)

    def beat(self, context: SourceContext) -> None:
        influxdb_heartbeat.beat(context, context.clock())

    def clear_heartbeats(self, context: SourceContext) -> int:
        return influxdb_heartbeat.clear(context)

    @contextmanager
    def provision(
        self,
        source: SourceModel,
        image: Image | None,
        sandboxes: Sandboxes,
        full: BackupToRestore | None = None,
    ) -> Iterator[Restored]:
        assert image is not None
        with (
            sandboxes.server(
                image,
                command=lambda _: (),
                environment=lambda socket: {**_environment(socket), **serving(sandboxes)},
                socket_name="influxdb.sock",
                port=8086,
                other_ports=(BACKUP_PORT,) if sandboxes.serving else (),
            ) as sandbox,
            closing(_client_of(sandbox)) as client,
        ):
            sandbox.until(lambda: _answers(client), what="the InfluxDB server")
            yield RestoredInfluxDB(sandbox, client)

    def load(self, restored: Restored, backup: BackupToRestore) -> None:
        assert isinstance(restored, RestoredInfluxDB)
        load_full(restored, backup)

    def replay(
        self, restored: Restored, increment: BackupToRestore, until: Until | None = None
    ) -> None:
        assert isinstance(restored, RestoredInfluxDB)
        assert until is None, "increments of InfluxDB hold no order of commits"
        replay_increment(restored, increment)

    def living(
        self, restored: Restored, context: SourceContext
    ) -> AbstractContextManager[LivingCopy]:
        return living(restored, context)


def _base(context: BackupContext) -> tuple[Fingerprint | None, Layout | None]:
    """What the base held, and how that was divided; None for a full backup."""
    if context.base is None:
        return None, None
    if context.base.source_identity != context.of.text(source_of(context.of).url):
        raise BackupFailed("the base is of another server: take a full backup")
    known = context.base.fingerprint
    if known is None or known.method != METHOD:
        raise BackupFailed("the base was fingerprinted in another way: take a full backup")
    return known, Layout.model_validate_json(context.base.facts["layout"])


def _old(client: InfluxClient, layout: Layout) -> tuple[Shard, ...]:
    """The shards that an application writes to no more, whose points the backup's files tell."""
    return tuple(shard for shard in shards(client) if shard.end <= layout.boundary)


def _files(context: BackupContext, tools: Sandbox, client: InfluxClient, layout: Layout) -> Found:
    whole = files_of(client)
    with context.of.sandboxes.folder() as folder:
        return held_in(tools.stream(PACK), layout, folder, whole)


def _read_before(context: BackupContext, layout: Layout | None) -> Content | None:
    return recalled(context.base, layout) if context.base and layout else None


def _store(context: BackupContext, tools: Sandbox, plan: Plan) -> None:
    run_exports(tools, context.of.text(source_of(context.of).backup), plan)
    with context.artifact(PORTABLE) as sink:
        stream = tools.stream(PACK)
        for chunk in stream:
            sink.write(chunk)
        if stream.result().exit_code != 0:
            raise BackupFailed(f"tar: {stream.result().complaint}")


def _environment(socket: str | None) -> Mapping[str, str]:
    known = {
        "INFLUXDB_REPORTING_DISABLED": "true",
        # The estate's retention would delete restored points while they are proven.
        "INFLUXDB_RETENTION_ENABLED": "false",
        "INFLUXDB_CONTINUOUS_QUERIES_ENABLED": "false",
        "INFLUXDB_SUBSCRIBER_ENABLED": "false",
        "INFLUXDB_MONITOR_STORE_ENABLED": "false",
        # What the source was allowed to hold has to come back.
        "INFLUXDB_DATA_MAX_SERIES_PER_DATABASE": "0",
        "INFLUXDB_DATA_MAX_VALUES_PER_TAG": "0",
        "INFLUXDB_COORDINATOR_WRITE_TIMEOUT": "10m",
        "INFLUXDB_DATA_QUERY_LOG_ENABLED": "false",
    }
    if socket is None:
        return known
    return known | {
        "INFLUXDB_HTTP_UNIX_SOCKET_ENABLED": "true",
        "INFLUXDB_HTTP_BIND_SOCKET": socket,
    }


def _client_of(sandbox: Sandbox) -> InfluxClient:
    if sandbox.socket is not None:
        return InfluxClient.over_socket(sandbox.socket)
    assert sandbox.address is not None
    host, port = sandbox.address
    return InfluxClient.over_network(f"http://{host}:{port}")


def _answers(client: InfluxClient) -> bool:
    try:
        return bool(client.version())
    except httpx.HTTPError:
        return False


engine = InfluxDB()
