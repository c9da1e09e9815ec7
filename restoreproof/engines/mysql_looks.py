"""A MySQL server looked at before and after something that backs it up in its own way.

Nobody but the tool itself is in the instant of its snapshot. A table that was equal before and
after and not written to in between was so all the time; of one that was written to, the rows stood
still that are the same on both sides.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import pymysql
from pymysql.connections import Connection

from restoreproof.breakdown import Breakdown, Part
from restoreproof.engines.contract import CLOCK_AHEAD, MOVED, BackupContent, SourceContext
from restoreproof.engines.mysql_accounts import read_accounts
from restoreproof.engines.mysql_connection import (
    CHANGED_MEANWHILE,
    among,
    rows,
    user_databases,
    value,
)
from restoreproof.engines.mysql_dialect import spoken
from restoreproof.engines.mysql_fingerprint import METHOD, content_items
from restoreproof.engines.mysql_replica import LAG, replication_lag
from restoreproof.engines.mysql_settings import meaning_of_data
from restoreproof.engines.mysql_snapshot import snapshot
from restoreproof.engines.mysql_source import clock_ahead, connect_source, source_of
from restoreproof.engines.mysql_tables import LISTED_IN_ALL, fresh_statistics
from restoreproof.fingerprint import Comparison, Fingerprint, Item
from restoreproof.outcomes import BackupFailed

TABLE = "table"
SECOND = timedelta(seconds=1)
TRIES = 3


@dataclass(frozen=True)
class Look:
    """The server in one instant, and when its tables were written to last, as far as is known."""

    taken_at: datetime
    source_time: datetime
    position: str
    items: tuple[Item, ...]
    written: Mapping[str, datetime]


def around(
    context: SourceContext, during: Callable[[], None], moving: frozenset[str]
) -> BackupContent:
    """What a backup has to hold that something else makes. Raise BackupFailed."""
    source = source_of(context)
    try:
        with closing(connect_source(context)) as connection:
            databases = source.databases or user_databases(connection)
            if not databases:
                raise BackupFailed("the source holds no database, so nothing can be proven")
            ahead, lag = clock_ahead(connection, context.clock), replication_lag(connection)
            before = _look(context, connection, databases)
            facts = {
                "databases": ", ".join(databases),
                "accounts": "yes" if source.accounts else "no",
                CLOCK_AHEAD: f"{ahead.total_seconds():.3f}",
                LAG: "unknown" if lag is None else f"{lag.total_seconds():g}",
                **meaning_of_data(connection),
            }
            version = str(value(connection, "SELECT VERSION()"))
            identity = str(value(connection, f"SELECT {spoken(connection).identity}"))
        # It may take hours, and no connection waits that long.
        during()
        with closing(connect_source(context)) as connection:
            after = _look(context, connection, databases, before.items)
    except pymysql.MySQLError as error:
        raise BackupFailed(f"the source refused: {error.args[-1]}") from None
    if source.heartbeat is not None:
        # The newest heartbeat in it is asked for by a check of its own.
        moving |= {source.heartbeat.table}
    items = _settled(before, after, moving)
    return BackupContent(
        # What a replica holds is as old as its lag.
        recovery_point=before.taken_at - (lag or timedelta()),
        fingerprint=Fingerprint.of(METHOD, before.taken_at, items),
        source_version=version,
        source_identity=identity,
        position=before.position,
        facts=facts,
    )


def _look(
    context: SourceContext,
    connection: "Connection[Any]",
    databases: Sequence[str],
    earlier: Sequence[Item] = (),
) -> Look:
    """One look; again if tables are made or dropped under it, since the command ran already."""
    for _ in range(TRIES - 1):
        try:
            return _look_once(context, connection, databases, earlier)
        except pymysql.MySQLError as error:
            if error.args[0] not in CHANGED_MEANWHILE:
                raise
    return _look_once(context, connection, databases, earlier)


def _look_once(
    context: SourceContext,
    connection: "Connection[Any]",
    databases: Sequence[str],
    earlier: Sequence[Item],
) -> Look:
    known = {item.name: item.breakdown for item in earlier if item.kind == TABLE}
    with snapshot(partial(connect_source, context), databases, context.clock, 0) as taken:
        taken.release()
        items = content_items(
            taken.readers,
            databases,
            taken.counters,
            held=taken.held,
            known=known,
            # A table that grew beyond a few rows since it was counted is busy, and needs its rows.
            most=LISTED_IN_ALL,
        )
    accounts = read_accounts(connection) if source_of(context).accounts else ()
    return Look(
        taken.taken_at,
        taken.source_time,
        taken.position,
        (*items, *(account.item for account in accounts)),
        _written(connection, databases),
    )


def _written(connection: "Connection[Any]", databases: Sequence[str]) -> dict[str, datetime]:
    """When each table was written to last, in UTC, to the second; not at all if not in it."""
    fresh_statistics(connection)
    statement = (
        "SELECT table_schema, table_name, update_time FROM information_schema.tables"
        f" WHERE update_time IS NOT NULL AND {among('table_schema', databases)}"
    )
    return {f"{one}.{two}": at for one, two, at in rows(connection, statement, databases)}


def _settled(before: Look, after: Look, moving: frozenset[str]) -> list[Item]:
    later = {item.key: item for item in after.items}
    items = [
        item.model_copy(update={"comparison": Comparison.OPTIONAL, "breakdown": None})
        for key, item in later.items()
        if key not in {one.key for one in before.items}
    ]
    still = bool(before.position) and before.position == after.position
    for item in before.items:
        found = later.get(item.key)
        if item.comparison is Comparison.AT_LEAST:
            # Counters only grow, but for a table that was made anew.
            least = min(item.count or 0, (found.count or 0) if found else 0)
            items.append(item.model_copy(update={"count": least}) if found else _moved(item))
        elif found is None:
            items.append(_moved(item))
        elif (found.count, found.digest) == (item.count, item.digest):
            last = after.written.get(item.name) if item.kind == TABLE else None
            touched = last is not None and last >= before.source_time.replace(tzinfo=None) - SECOND
            if touched and not still:
                items.append(_partly(item, found, item.name in moving))
            else:
                # A table outside of every snapshot stood still all the same.
                items.append(item.model_copy(update={"comparison": Comparison.EQUAL, "reason": ""}))
        elif item.kind == TABLE:
            items.append(_partly(item, found, item.name in moving))
        else:
            items.append(_moved(item))
    return items


def _moved(item: Item) -> Item:
    return item.model_copy(
        update={"comparison": Comparison.UNDECIDED, "reason": MOVED, "breakdown": None}
    )


def _partly(before: Item, after: Item, moving: bool) -> Item:
    """A table that was written to: the rows that are the same before and after stood still."""
    free = {"comparison": Comparison.AT_LEAST, "count": 0, "digest": "", "breakdown": None}
    if moving or before.count == 0:
        return before.model_copy(update=free)
    first, last = before.breakdown, after.breakdown
    parts = _stood_still(first, last) if first and last else ()
    count = sum(part.rows for part in parts if part.digest)
    if first is not None and not first.order:
        count = sum(part.rows for part in parts)
    if first is None or not count:
        return _moved(before)
    kept = first.model_copy(update={"parts": parts, "columns": ()})
    return before.model_copy(
        update={
            "comparison": Comparison.PARTS,
            "count": count,
            "digest": "",
            "breakdown": kept,
            "reason": f"{MOVED}: {count:,} of {before.count:,} rows stood still",
        }
    )


def _stood_still(before: Breakdown, after: Breakdown) -> tuple[Part, ...]:
    """The parts that are the same; of ranges all, those that moved without a digest."""
    if before.by is None or before.by != after.by or before.order != after.order:
        return ()
    there = {part.key: part for part in after.parts}
    if before.by == "ranges":
        return tuple(
            part if there.get(part.key) == part else part._replace(digest="")
            for part in before.parts
        )
    if not before.order:
        # Rows without a key are named by their hash.
        return tuple(
            part._replace(rows=min(part.rows, there[part.key].rows))
            for part in before.parts
            if part.key in there
        )
    return tuple(part for part in before.parts if there.get(part.key) == part)
