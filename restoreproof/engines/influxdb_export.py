"""What `influxd backup` is asked for: everything, or what an increment needs of it.

An increment holds all points since a little before its base, by time, and besides it every older
shard whose points are not what they were: points that came late, were deleted or overwritten. Both
are known from the fingerprints of base and increment, so nothing has to be hoped for.
"""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

from pydantic import BaseModel, ConfigDict, TypeAdapter

from restoreproof.engines.influxdb_fingerprint import (
    CLOSED,
    Content,
    Measurement,
    closed_item,
    item_name,
)
from restoreproof.engines.influxdb_layout import Layout, Shard, Window, instant_text
from restoreproof.fingerprint import Fingerprint, Item
from restoreproof.outcomes import BackupFailed
from restoreproof.sandbox import Sandbox

FOLDER = "/var/tmp/restoreproof"  # noqa: S108  # inside a container of ours alone
LATEST = 9_223_372_036 * 1_000_000_000
"""The last whole second that a server can name."""
PATIENCE_SECONDS = 60.0
PAUSE_SECONDS = 1.0
TOMBSTONES, REFUSED = 4, 5
# Unpacks every shard to nowhere: a backup that races with a compaction can hold half of one, and
# one by time always does where points of a shard are marked as deleted. influxd's restore heeds
# no such mark and brings those points back, but a compaction removes them within seconds.
EXPORT = f"""
folder=$1
shift
rm -rf "$folder" && mkdir -p {FOLDER} || exit 1
words=$("$@" "$folder" 2>&1) || {{ echo "$words" >&2; exit {REFUSED}; }}
marked=0
for shard in "$folder"/*.tar.gz; do
    [ -e "$shard" ] || continue
    names=$(tar -tzf "$shard") || exit 1
    case $names in *.tombstone*) marked={TOMBSTONES} ;; esac
done
exit $marked
"""


class Export(BaseModel):
    """One call of `influxd backup`, in a folder of its own, and what its content replaces.

    A whole database where there is neither ``policy`` nor ``start``; of one policy, what lies
    from ``start`` up to before ``end``, in nanoseconds since 1970; without a ``policy`` what lies
    there in all of them. Without ``folder`` there is nothing left at the source.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    database: str
    policy: str = ""
    start: int | None = None
    end: int | None = None
    folder: str = ""

    @property
    def whole(self) -> bool:
        """Whether it replaces the database."""
        return self.start is None


EXPORTS = TypeAdapter(tuple[Export, ...])


@dataclass(frozen=True)
class Plan:
    """The exports that an increment is made of, with the shards of those that name one."""

    exports: tuple[Export, ...]
    shards: Mapping[str, Shard]


def plan_full(databases: tuple[str, ...]) -> Plan:
    """Every database as a whole."""
    exports = (Export(database=one, folder=str(at)) for at, one in enumerate(databases))
    return Plan(tuple(exports), {})


def plan_increment(
    databases: tuple[str, ...], base: Fingerprint, base_layout: Layout, now: Content
) -> Plan:
    """What the base lacks of the source as it is now, and what it has too much."""
    exports: list[Export] = []
    of: dict[str, Shard] = {}
    before = {item.key: item for item in base.items}
    for database in databases:
        if ("database", database) not in before or _policies_changed(database, before, now):
            exports.append(Export(database=database, folder=str(len(exports))))
            continue
        replaced = {
            shard
            for policy, window in changed_windows(database, before, base_layout, now)
            for shard in _replaced(database, policy, window, now)
        }
        for shard in sorted(replaced, key=lambda one: (one.policy, one.start)):
            folder = str(len(exports)) if shard.id else ""
            exports.append(
                Export(
                    database=database,
                    policy=shard.policy,
                    start=shard.start,
                    end=shard.end,
                    folder=folder,
                )
            )
            if folder:
                of[folder] = shard
        folder = str(len(exports))
        start = base_layout.exported_from
        exports.append(Export(database=database, start=start, end=LATEST, folder=folder))
    return Plan(tuple(exports), of)


def changed_windows(
    database: str, before: Mapping[tuple[str, str], Item], base: Layout, now: Content
) -> Iterator[tuple[str, Window]]:
    """Retention policy and window of all that is older than the export by time and changed."""
    names = set(chain(*(one.measurements.get(database, ()) for one in (base, now.layout))))
    for policy in now.layout.cuts.get(database, {}):
        for window in now.layout.closed(database, policy):
            if window.end is None or window.end > base.exported_from:
                continue
            for measured in names:
                measurement = Measurement(database, policy, measured)
                points = now.points.get(measurement, {}).get(window)
                item = closed_item(measurement, window, points) if points else None
                was = before.get((CLOSED, item_name(measurement, window)))
                if was != item:
                    yield policy, window
                    break


def _replaced(database: str, policy: str, window: Window, now: Content) -> Iterator[Shard]:
    """The shards in which a window lies; one without an identifier where none is left."""
    start = window.start if window.start is not None else -LATEST
    assert window.end is not None
    found = [
        shard
        for shard in now.writes
        if (shard.database, shard.policy) == (database, policy)
        and window.overlaps(shard.start, shard.end)
    ]
    yield from found or [Shard(0, database, policy, start, window.end)]


def _policies_changed(database: str, before: Mapping[tuple[str, str], Item], now: Content) -> bool:
    """Whether retention policies came, went or have other shards, so that cuts do not match."""
    kind = "retention policy"
    of = f"{database}."
    was = {item for key, item in before.items() if key[0] == kind and key[1].startswith(of)}
    return was != {item for item in now.metadata if item.kind == kind and item.name.startswith(of)}


def run_exports(tools: Sandbox, address: str, plan: Plan) -> None:
    """Run `influxd backup` for each export and test what it stored. Raise BackupFailed."""
    for export in plan.exports:
        if not export.folder:
            continue
        folder = f"{FOLDER}/{export.folder}"
        command = ["influxd", "backup", "-portable", "-host", address, "-database", export.database]
        if shard := plan.shards.get(export.folder):
            command += ["-rp", export.policy, "-shard", str(shard.id)]
        elif export.start is not None and export.end is not None:
            # With a start alone the newest shard comes back empty.
            command += ["-start", _rfc3339(export.start), "-end", _rfc3339(export.end)]
        _export(tools, command, folder, export.database)


def _export(tools: Sandbox, command: Sequence[str], folder: str, database: str) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        done = tools.run(["sh", "-c", EXPORT, "sh", folder, *command])
        if done.exit_code == REFUSED:
            raise BackupFailed(f"influxd backup of {database}: {done.complaint}")
        if done.exit_code == 0:
            return
        if time.monotonic() > deadline:
            # Deleted points that are still in it show when it is restored and compared.
            if done.exit_code == TOMBSTONES:
                return
            raise BackupFailed(f"influxd backup left half a shard: {done.complaint}")
        time.sleep(PAUSE_SECONDS)


def as_fact(exports: tuple[Export, ...]) -> str:
    """Exports as text for a manifest."""
    return json.dumps([one.model_dump(mode="json", exclude_defaults=True) for one in exports])


def _rfc3339(at: int) -> str:
    text = instant_text(at)
    return text if "T" in text else f"{text}T00:00:00Z"
