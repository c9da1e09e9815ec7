"""Heartbeats that we write into a measurement of ours at an InfluxDB 2.x source: a point a beat."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta

import httpx

from restoreproof.engines.contract import SourceContext
from restoreproof.engines.influxdb2_client import Influx2Client, Influx2Refused
from restoreproof.engines.influxdb2_content import EVER, flux_text
from restoreproof.engines.influxdb2_content import nanoseconds as in_nanoseconds
from restoreproof.engines.influxdb2_lines import IN_NAMES
from restoreproof.engines.influxdb2_points import EPOCH, nanoseconds, newest_time, tally
from restoreproof.engines.influxdb2_source import Heartbeat, source_of
from restoreproof.errors import SourceUnavailable

MICROSECOND = timedelta(microseconds=1)


def beat(context: SourceContext, at: datetime) -> None:
    """Write one point at this instant. Raise SourceUnavailable with the server's words."""
    with _writing(context) as (client, organization, heartbeat):
        measurement = heartbeat.measurement.replace("\\", "\\\\").translate(IN_NAMES)
        line = f"{measurement} beat=1i {in_nanoseconds(at)}".encode()
        client.write(organization, heartbeat.bucket, [line], key="org")


def clear(context: SourceContext) -> int:
    """Remove every point but the newest and return how many. Raise SourceUnavailable."""
    with _writing(context) as (client, organization, heartbeat):
        with _asked(client, organization, heartbeat, EVER[1], " |> last()") as answer:
            newest = newest_time(answer)
        if newest is None:
            return 0
        with _asked(client, organization, heartbeat, nanoseconds(newest), "") as answer:
            removed = sum(seen.values for seen in tally(answer).values())
        # What is deleted reaches up to its end, that included.
        last = EPOCH + nanoseconds(newest) // 1000 * MICROSECOND - MICROSECOND
        name = heartbeat.measurement.replace("\\", "\\\\").replace('"', r"\"")
        wanted = {
            "start": "1677-09-21T00:12:44Z",
            "stop": last.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "predicate": f'_measurement="{name}"',
        }
        scope = str(httpx.QueryParams({"org": organization, "bucket": heartbeat.bucket}))
        client.post(f"/api/v2/delete?{scope}", wanted)
        return removed


@contextmanager
def _asked(
    client: Influx2Client, organization: str, heartbeat: Heartbeat, stop: int, further: str
) -> Iterator[Iterator[bytes]]:
    """The heartbeats before an instant. The writer may not know the bucket's identifier."""
    query = (
        f"from(bucket: {flux_text(heartbeat.bucket)})"
        f" |> range(start: time(v: {EVER[0]}), stop: time(v: {stop}))"
        f" |> filter(fn: (r) => r._measurement == {flux_text(heartbeat.measurement)}){further}"
    )
    with client.flux(organization, query, key="org") as answer:
        yield answer


@contextmanager
def _writing(context: SourceContext) -> Iterator[tuple[Influx2Client, str, Heartbeat]]:
    source = source_of(context)
    heartbeat = source.heartbeat
    assert heartbeat is not None
    assert heartbeat.writer is not None
    url, where = context.text(source.url), f"component {context.component}"
    token = context.secret(heartbeat.writer.token)
    try:
        with closing(Influx2Client(url, token)) as client:
            yield client, source.organization, heartbeat
    except Influx2Refused as error:
        mend = f"make bucket {heartbeat.bucket} and a token that may read and write it, for writer"
        what = f"heartbeat {heartbeat.measurement}: {error}"
        raise SourceUnavailable(what, where=where, mend=mend) from None
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        mend = "start the server, or correct source.url in the policy"
        what = f"InfluxDB at {url} cannot be reached: {error}"
        raise SourceUnavailable(what, where=where, mend=mend) from None
