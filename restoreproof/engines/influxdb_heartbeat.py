"""Heartbeats that we write into a measurement of ours at an InfluxDB 1.x source: a point a beat."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta

import httpx

from restoreproof.engines.contract import SourceContext
from restoreproof.engines.influxdb_client import InfluxClient, InfluxRefused, name
from restoreproof.engines.influxdb_source import Heartbeat, newest_heartbeat, source_of
from restoreproof.errors import SourceUnavailable

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def beat(context: SourceContext, at: datetime) -> None:
    """Write one point at this instant. Raise SourceUnavailable with the server's words."""
    with _writing(context) as (client, heartbeat):
        measurement = heartbeat.measurement.replace("\\", "\\\\")
        for special in ", ":
            measurement = measurement.replace(special, f"\\{special}")
        client.write(heartbeat.database, f"{measurement} beat=1i {_nanoseconds(at)}")


def clear(context: SourceContext) -> int:
    """Remove every point but the newest and return how many. Raise SourceUnavailable."""
    with _writing(context) as (client, heartbeat):
        newest = newest_heartbeat(client, context.source)
        if newest is None:
            return 0
        measurement, before = name(heartbeat.measurement), f"time < {_nanoseconds(newest)}"
        count = f"SELECT COUNT(*) FROM {measurement} WHERE {before}"
        found = client.query(count, heartbeat.database)
        client.query(f"DELETE FROM {measurement} WHERE {before}", heartbeat.database)
        return max((int(number.text) for one in found for number in one.values[0][1:]), default=0)


def _nanoseconds(at: datetime) -> int:
    return (at - EPOCH) // timedelta(microseconds=1) * 1000


@contextmanager
def _writing(context: SourceContext) -> Iterator[tuple[InfluxClient, Heartbeat]]:
    source = source_of(context)
    heartbeat = source.heartbeat
    assert heartbeat is not None
    assert heartbeat.writer is not None
    user = context.text(heartbeat.writer.user)
    password = context.secret(heartbeat.writer.password) if heartbeat.writer.password else ""
    url = context.text(source.url)
    where = f"component {context.component}"
    try:
        with closing(InfluxClient.over_network(url, user, password)) as client:
            yield client, heartbeat
    except InfluxRefused as error:
        mend = f'make the database, and GRANT ALL ON {name(heartbeat.database)} TO "{user}"'
        what = f"heartbeat {heartbeat.measurement}: {error}"
        raise SourceUnavailable(what, where=where, mend=mend) from None
    except httpx.HTTPError as error:
        mend = "start the server, or correct source.url in the policy"
        what = f"InfluxDB at {url} cannot be reached: {error}"
        raise SourceUnavailable(what, where=where, mend=mend) from None
