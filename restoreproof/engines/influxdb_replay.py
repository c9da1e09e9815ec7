"""Puts backups of InfluxDB 1.x into a sandbox: a full one, then increments on top of it.

influxd restores into a new database alone. So an increment comes back into one beside, and is
copied from there shard by shard, since a field has one type within a shard. What it replaces is
taken away first: points that were deleted at the source would be there still. That makes it
repeatable. Meanwhile every retention policy keeps points for ever: a server takes none that is
older than its policy, not even a copy.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

import httpx

from restoreproof.engines.contract import BackupToRestore
from restoreproof.engines.influxdb_client import InfluxRefused, name
from restoreproof.engines.influxdb_export import EXPORTS, FOLDER, Export
from restoreproof.engines.influxdb_fingerprint import user_databases
from restoreproof.engines.influxdb_layout import Shard, Window, fields, shards
from restoreproof.engines.influxdb_metadata import Metadata, policies_of, put_back, set_policies
from restoreproof.engines.influxdb_restored import RestoredInfluxDB
from restoreproof.outcomes import RestoreFailed

PORTABLE, METADATA = "portable.tar", "metadata.json"
BESIDE = "restoreproof_increment_"
LONGEST = 2**63 - 1
# To start a program in a container costs more than restoring a small export, so one does it all.
# It names the export that it is at. Without any shard there is nothing to copy; influxd 1.6 makes
# a database then, and complains that nothing changed.
RESTORE = f"""
rm -rf {FOLDER} && mkdir -p {FOLDER} && tar -C {FOLDER} -xf - || exit 1
empty() {{ [ -e "$folder" ] && ! ls "$folder"/*.tar.gz > /dev/null 2>&1; }}
while [ $# -gt 0 ]; do
    echo "$1"
    folder={FOLDER}/$1
    if [ "$2" = "$3" ] || ! empty; then
        words=$(influxd restore -portable -db "$2" -newdb "$3" "$folder" 2>&1) || empty ||
            {{ echo "$words" >&2; exit 1; }}
    fi
    rm -rf "$folder"
    shift 3
done
rm -rf {FOLDER}
"""


def load_full(restored: RestoredInfluxDB, backup: BackupToRestore) -> None:
    """Fill an empty server. Raise RestoreFailed with the server's words."""
    metadata = _metadata(backup)
    with _refusals(restored, "the server cannot be filled"):
        _restore(restored, backup, {export: export.database for export in _exports(backup)})
    _finish(restored, backup, metadata)


def replay_increment(restored: RestoredInfluxDB, increment: BackupToRestore) -> None:
    """Bring a server forward by one increment. Raise RestoreFailed with the server's words."""
    begins = increment.facts.get("base_position", "")
    if restored.position not in (begins, increment.position):
        raise RestoreFailed("the increment does not begin where the backup before it ends")
    metadata, exports = _metadata(increment), _exports(increment)
    whole = {export.database for export in exports if export.whole}
    with _refusals(restored, "the increment cannot be copied"):
        for database in user_databases(restored.client):
            if database not in metadata.databases or database in whole:
                restored.client.query(f"DROP DATABASE {name(database)}")
        into = {
            export: export.database if export.whole else f"{BESIDE}{export.folder}"
            for export in exports
            if export.folder
        }
        _restore(restored, increment, into)
        for database in metadata.databases:
            own = [one for one in exports if one.database == database and not one.whole]
            _keep_for_ever(restored, metadata, database)
            _clear(restored, database, own)
            for export in own:
                if export in into:
                    _copy(restored, export, into[export])
    _finish(restored, increment, metadata)


@contextmanager
def _refusals(restored: RestoredInfluxDB, what: str) -> Iterator[None]:
    try:
        yield
    except (httpx.HTTPError, InfluxRefused) as error:
        restored.sandbox.require_running()
        raise RestoreFailed(f"{what}: {error}") from None


def _finish(restored: RestoredInfluxDB, backup: BackupToRestore, metadata: Metadata) -> None:
    with _refusals(restored, "the metadata cannot be put back"):
        put_back(restored.client, metadata)
    restored.take(backup)


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


def _restore(
    restored: RestoredInfluxDB, backup: BackupToRestore, into: Mapping[Export, str]
) -> None:
    """Restore exports, each into a database that is not there yet, and wait until they answer."""
    sandbox = restored.sandbox
    told = [text for one, to in into.items() for text in (one.folder, one.database, to)]
    done = sandbox.run(["sh", "-c", RESTORE, "sh", *told], feed=backup.read(PORTABLE))
    if done.exit_code != 0:
        sandbox.require_running()
        *_, at = done.output.split() or [""]
        of = next((f"influxd restore of {one.database}" for one in into if one.folder == at), "tar")
        raise RestoreFailed(f"{of}: {done.complaint}")
    there = set(user_databases(restored.client))
    if missing := {one.database for one in into if one.whole} - there:
        raise RestoreFailed(f"influxd made no database {', '.join(sorted(missing))}")
    restored.until_shards_answer(tuple(there.intersection(into.values())))


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


def _copy(restored: RestoredInfluxDB, export: Export, beside: str) -> None:
    client = restored.client
    assert export.start is not None
    for shard in shards(client):
        if shard.database != beside or shard.end <= export.start:
            continue
        window = Window(max(shard.start, export.start), min(shard.end, LONGEST))
        statements = [
            f"SELECT * INTO {name(export.database, shard.policy, measurement)}"
            f" FROM {name(beside, shard.policy, measurement)}"
            f" WHERE {window.condition} GROUP BY *"
            for measurement in fields(client, beside, shard.policy)
        ]
        if statements:
            client.query("; ".join(statements), beside)
    client.query(f"DROP DATABASE {name(beside)}")
