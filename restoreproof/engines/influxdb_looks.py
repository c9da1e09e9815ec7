"""An InfluxDB server looked at before and after something that backs it up in its own way.

Points of windows that closed before stood still if nobody wrote into their shards since.
"""

from collections.abc import Callable, Iterator
from contextlib import closing

import httpx

from restoreproof.engines.contract import BackupContent, SourceContext
from restoreproof.engines.influxdb_client import InfluxRefused
from restoreproof.engines.influxdb_fingerprint import METHOD, Content, read, user_databases
from restoreproof.engines.influxdb_layout import as_fact, layout_of
from restoreproof.engines.influxdb_source import connect, source_of
from restoreproof.fingerprint import Comparison, Fingerprint, Item, settled
from restoreproof.outcomes import BackupFailed

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
