"""Puts backups of InfluxDB 1.x into a sandbox: a full one, then increments on top of it.

influxd restores into a new database alone. So an increment comes back into one beside, and is
copied from there shard by shard, since a field has one type within a shard. What it replaces is
taken away first: points that were deleted at the source would be there still. That makes it
repeatable. Meanwhile every retention policy keeps points for ever: a server takes none that is
older than its policy, not even a copy.
"""

from collections.abc import Iterable

import httpx

from restoreproof.engines.contract import BackupToRestore
from restoreproof.engines.influxdb_client import InfluxRefused, name
from restoreproof.engines.influxdb_export import EXPORTS, FOLDER, Export
from restoreproof.engines.influxdb_fingerprint import user_databases
from restoreproof.engines.influxdb_layout import Shard, Window, column, shards
from restoreproof.engines.influxdb_metadata import Metadata, policies_of, put_back, set_policies
from restoreproof.engines.influxdb_restored import RestoredInfluxDB
from restoreproof.outcomes import RestoreFailed
from restoreproof.sandbox import Sandbox

PORTABLE, METADATA = "portable.tar", "metadata.json"
BESIDE = "restoreproof_increment"
LONGEST = 2**63 - 1


def load_full(restored: RestoredInfluxDB, backup: BackupToRestore) -> None:
    """Fill an empty server. Raise RestoreFailed with the server's words."""
    _unpack(restored.sandbox, backup)
    metadata = _metadata(backup)
    for export in _exports(backup):
        _restore(restored, export, export.database)
    _finish(restored, backup, metadata)


def replay_increment(restored: RestoredInfluxDB, increment: BackupToRestore) -> None:
    """Bring a server forward by one increment. Raise RestoreFailed with the server's words."""
    begins = increment.facts.get("base_position", "")
    if restored.position not in (begins, increment.position):
        raise RestoreFailed("the increment does not begin where the backup before it ends")
    _unpack(restored.sandbox, increment)
    metadata = _metadata(increment)
    exports = _exports(increment)
    whole = {export.database for export in exports if export.whole}
    try:
        for database in user_databases(restored.client):
            if database not in metadata.databases or database in whole:
                restored.client.query(f"DROP DATABASE {name(database)}")
        for export in exports:
            if export.whole:
                _restore(restored, export, export.database)
        restored.until_shards_answer(metadata.databases)
        for database in metadata.databases:
            own = [one for one in exports if one.database == database and not one.whole]
            _keep_for_ever(restored, metadata, database)
            _clear(restored, database, own)
            for export in own:
                _copy(restored, export)
    except (httpx.HTTPError, InfluxRefused) as error:
        restored.sandbox.require_running()
        raise RestoreFailed(f"the increment cannot be copied: {error}") from None
    _finish(restored, increment, metadata)


def _finish(restored: RestoredInfluxDB, backup: BackupToRestore, metadata: Metadata) -> None:
    try:
        put_back(restored.client, metadata)
    except (httpx.HTTPError, InfluxRefused) as error:
        restored.sandbox.require_running()
        raise RestoreFailed(f"the metadata cannot be put back: {error}") from None
    restored.sandbox.run(["rm", "-rf", FOLDER])
    restored.take(backup)


def _unpack(sandbox: Sandbox, backup: BackupToRestore) -> None:
    script = f"rm -rf {FOLDER} && mkdir -p {FOLDER} && tar -C {FOLDER} -xf -"
    unpacked = sandbox.run(["sh", "-c", script], feed=backup.read(PORTABLE))
    if unpacked.exit_code != 0:
        sandbox.require_running()
        raise RestoreFailed(f"tar: {unpacked.complaint}")


def _metadata(backup: BackupToRestore) -> Metadata:
    try:
        return Metadata.model_validate_json(b"".join(backup.read(METADATA)))
    except ValueError:
        raise RestoreFailed(f"{METADATA} cannot be read") from None


def _exports(backup: BackupToRestore) -> tuple[Export, ...]:
    try:
        return EXPORTS.validate_json(backup.facts["exports"])
    except (KeyError, ValueError):
        raise RestoreFailed("the backup does not say what it holds") from None


def _restore(restored: RestoredInfluxDB, export: Export, database: str) -> None:
    """Restore an export into a database that is not there yet."""
    sandbox, folder = restored.sandbox, f"{FOLDER}/{export.folder}"
    command = ["influxd", "restore", "-portable", "-db", export.database, "-newdb", database]
    done = sandbox.run([*command, folder])
    if done.exit_code == 0:
        return
    # influxd 1.6 makes a database without any shard and then complains that nothing changed.
    has_shards = sandbox.run(["sh", "-c", f"ls {folder}/*.tar.gz"]).exit_code == 0
    try:
        empty = not has_shards and database in user_databases(restored.client)
    except httpx.HTTPError:
        empty = False
    if not empty:
        sandbox.require_running()
        raise RestoreFailed(f"influxd restore of {export.database}: {done.complaint}")


def _keep_for_ever(restored: RestoredInfluxDB, metadata: Metadata, database: str) -> None:
    wanted = tuple(
        one.model_copy(update={"duration": "0s"})
        for one in metadata.policies
        if one.database == database
    )
    set_policies(restored.client, tuple(policies_of(restored.client, database)), wanted)


def _clear(restored: RestoredInfluxDB, database: str, exports: Iterable[Export]) -> None:
    """Take away what the exports replace."""
    exports = tuple(exports)
    for shard in shards(restored.client):
        if shard.database != database:
            continue
        ranges = [
            (export.start, export.end)
            for export in exports
            if export.policy in ("", shard.policy)
            and export.start is not None
            and export.end is not None
        ]
        if _covered(shard, ranges):
            restored.client.query(f"DROP SHARD {shard.id}")
    for export in exports:
        if not export.policy:
            statement = f"DELETE FROM /.*/ WHERE time >= {export.start}"
            restored.client.query(statement, database)


def _covered(shard: Shard, ranges: list[tuple[int, int]]) -> bool:
    """Whether all of a shard lies in ranges, which may touch or overlap."""
    reached = shard.start
    for start, end in sorted(ranges):
        if start <= reached:
            reached = max(reached, end)
    return reached >= shard.end


def _copy(restored: RestoredInfluxDB, export: Export) -> None:
    if not export.folder:
        return
    client = restored.client
    _restore(restored, export, BESIDE)
    restored.until_shards_answer((BESIDE,))
    measured = column(client, "SHOW MEASUREMENTS", "name", BESIDE)
    assert export.start is not None
    for shard in shards(client):
        if shard.database != BESIDE or shard.end <= export.start:
            continue
        window = Window(max(shard.start, export.start), min(shard.end, LONGEST))
        for measurement in measured:
            client.query(
                f"SELECT * INTO {name(export.database, shard.policy, measurement)}"
                f" FROM {name(BESIDE, shard.policy, measurement)}"
                f" WHERE {window.condition} GROUP BY *",
                BESIDE,
            )
    client.query(f"DROP DATABASE {name(BESIDE)}")
