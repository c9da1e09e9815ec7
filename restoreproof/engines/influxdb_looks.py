"""An InfluxDB server looked at before and after something that backs it up in its own way.

Points of windows that closed before stood still if nobody wrote into their shards since.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import closing
from dataclasses import replace

import httpx

from restoreproof.engines.contract import BackupContent, SourceContext
from restoreproof.engines.influxdb_client import InfluxClient, InfluxRefused
from restoreproof.engines.influxdb_files import Found
from restoreproof.engines.influxdb_fingerprint import (
    METHOD,
    Content,
    Measurement,
    overlaps,
    read,
    touched_since,
    user_databases,
)
from restoreproof.engines.influxdb_layout import Window, as_fact, layout_of
from restoreproof.engines.influxdb_points import Points
from restoreproof.engines.influxdb_source import connect, source_of
from restoreproof.fingerprint import Comparison, Fingerprint, Item, settled
from restoreproof.outcomes import BackupFailed

UNKNOWN = Points(0, 0, frozenset(), "")
"""Equal to no points that were read."""
SMALL = 20_000
"""So many points cost a server less than a tenth of a second."""
Place = tuple[Measurement, Window]
MOVED = "changed at the source during the backup; widen source.lateness"


def around(context: SourceContext, during: Callable[[], None]) -> BackupContent:
    """What a backup has to hold that something else makes. Raise BackupFailed."""
    source, clock = source_of(context), context.clock
    try:
        with closing(connect(context)) as client:
            databases = source.databases or user_databases(client)
            if not databases:
                raise BackupFailed("the source holds no database, so nothing can be proven")
            boundary = (clock() - source.lateness).replace(microsecond=0)
            layout = layout_of(client, databases, boundary, boundary - source.overlap, None)
            before, taken_at = read(client, databases, layout), clock()
            version = client.version()
        # It may take hours, and no connection waits that long.
        during()
        with closing(connect(context)) as client:
            after = read(client, databases, layout, before)
    except (httpx.HTTPError, InfluxRefused) as error:
        raise BackupFailed(f"the source refused: {error}") from None
    taken = Fingerprint.of(METHOD, taken_at, moved(before, after))
    return BackupContent(
        recovery_point=taken_at,
        fingerprint=taken,
        source_version=f"InfluxDB {version}",
        source_identity=context.text(source.url),
        position=f"content {taken.digest}",
        facts={"databases": "\n".join(databases), "layout": as_fact(layout)},
    )


def read_after(
    client: InfluxClient, databases: tuple[str, ...], before: Content, files: Found
) -> tuple[Content, Content]:
    """A look before a backup that only counted old points, completed; and one after it.

    Files of the backup tell the points of a shard that took no writes, where they hold as many
    values as the server counts. One window of each measurement is read from the server too: where
    the two do not agree, files tell nothing.
    """
    held = _by_files(before, files)
    asked = _small_windows(before, held)
    after = read(client, databases, before.layout, without(held, asked))
    still = _still(before, after)
    if any(after.at(*one) != held.at(*one) for one in asked & still):
        held = before
        after = read(client, databases, before.layout, before)
    points = {measurement: dict(windows) for measurement, windows in before.points.items()}
    for one in _places(before.values) - _places(before.points):
        measurement, window = one
        of = after if one in still else held
        points[measurement][window] = of.at(*one) or UNKNOWN
    return replace(before, points=points), after


def without(content: Content, taken: Collection[Place]) -> Content:
    """The same without the points of some windows."""
    points = {
        of: {window: points for window, points in windows.items() if (of, window) not in taken}
        for of, windows in content.points.items()
    }
    return replace(content, points=points)


def _by_files(before: Content, files: Found) -> Content:
    """What a look that only counted has of points, as files hold it."""
    points = {measurement: dict(windows) for measurement, windows in before.points.items()}
    for measurement, window in _places(before.values) - _places(before.points):
        held = files.get((*measurement.of, window))
        if held is not None and held.values == before.values[measurement][window]:
            points[measurement][window] = held.points
    return replace(before, points=points)


def _small_windows(before: Content, held: Content) -> frozenset[Place]:
    """Of each measurement the newest window that files tell and that costs little to ask for."""
    told = _places(held.points) - _places(before.points)
    small = [(of, one) for of, one in told if max(held.values[of][one].values()) <= SMALL]
    return frozenset(dict(sorted(small, key=lambda place: place[1].end or 0)).items())


def _places(by_window: Mapping[Measurement, Mapping[Window, object]]) -> frozenset[Place]:
    return frozenset((of, window) for of, windows in by_window.items() for window in windows)


def _still(before: Content, after: Content) -> frozenset[Place]:
    """Windows in which as many values are after as before, and no shard took a write."""
    touched = touched_since(before, after.started, after.writes)
    return frozenset(
        (measurement, window)
        for measurement, windows in before.values.items()
        for window, counts in windows.items()
        if counts == after.values.get(measurement, {}).get(window)
        and not overlaps(window, (one for one in touched if measurement.lies_in(one)))
    )


def moved(before: Content, after: Content) -> Iterator[Item]:
    """The items of two looks, with what changed in between left undecided."""
    later = {item.key: item for item in after.items()}
    for item in settled(before.items(), later.values(), MOVED):
        known = later.get(item.key)
        if item.comparison is Comparison.AT_LEAST and item.count is not None:
            # What was deleted meanwhile need not come back.
            count = min(item.count, (known.count if known else None) or 0)
            yield item.model_copy(update={"count": count})
        else:
            yield item
