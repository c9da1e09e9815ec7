"""How a policy names an InfluxDB 2.x server, and whether it can be backed up."""

from collections.abc import Mapping
from contextlib import closing
from datetime import datetime, timedelta
from typing import Self

import httpx
from pydantic import BaseModel, ConfigDict, model_validator

from restoreproof.durations import Duration
from restoreproof.engines.contract import SourceContext
from restoreproof.engines.influxdb2_client import UNAUTHORISED, Influx2Client, Influx2Refused
from restoreproof.engines.influxdb2_content import EVER, Bucket, buckets, flux_text
from restoreproof.engines.influxdb2_points import EPOCH, nanoseconds, newest_time
from restoreproof.engines.server_files import ServerFilesSource
from restoreproof.errors import SourceUnavailable
from restoreproof.references import Secret, SourceModel

METADATA = "/api/v2/backup/metadata"


class HeartbeatWriter(SourceModel):
    """A token that may read and write the heartbeat's bucket and nothing else."""

    token: Secret


class Heartbeat(BaseModel):
    """A measurement to which the estate writes one point a beat, with the beat's own time.

    With a ``writer`` it is ours alone, and ``restoreproof heartbeat`` writes to it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    bucket: str
    measurement: str
    writer: HeartbeatWriter | None = None


class InfluxDB2Source(SourceModel):
    """How to reach the server: its address and an operator token, which a full backup needs.

    Metadata is always backed up whole. With ``buckets`` of one ``organization`` only their points
    are; without, those of all buckets, the server's own too. ``lateness`` is how late a point may
    arrive: windows that closed before it are compared exactly. ``configuration`` says where
    config.toml is.
    """

    url: str
    token: Secret
    organization: str = ""
    buckets: tuple[str, ...] = ()
    lateness: Duration = timedelta(minutes=5)
    heartbeat: Heartbeat | None = None
    configuration: ServerFilesSource | None = None

    @model_validator(mode="after")
    def _buckets_have_an_organization(self) -> Self:
        if (self.buckets or self.heartbeat) and not self.organization:
            raise ValueError("names of buckets need their 'organization' beside them")
        if self.heartbeat and self.buckets and self.heartbeat.bucket not in self.buckets:
            raise ValueError(
                f"heartbeats in {self.heartbeat.bucket} would not be backed up; add it to 'buckets'"
            )
        return self


def source_of(context: SourceContext) -> InfluxDB2Source:
    """The source section of a component of this engine."""
    assert isinstance(context.source, InfluxDB2Source)
    return context.source


def connect(context: SourceContext) -> Influx2Client:
    """A client of the source. Raise SecretMissing."""
    source = source_of(context)
    return Influx2Client(context.text(source.url), context.secret(source.token))


def chosen(found: Mapping[str, Bucket], source: InfluxDB2Source) -> dict[str, Bucket]:
    """Those of the buckets, by identifier, whose points are to be backed up."""
    return {
        identifier: bucket
        for identifier, bucket in found.items()
        if not source.organization
        or (
            bucket.organization == source.organization
            and (not source.buckets or bucket.name in source.buckets)
        )
    }


def probe(context: SourceContext) -> None:
    """Raise SourceUnavailable if the source cannot be backed up."""
    source, where = source_of(context), f"component {context.component}"
    url, version = context.text(source.url), ""
    with closing(connect(context)) as client:
        try:
            version = client.version()
            if not version.startswith("2."):
                raise _another_version(version, where)
            # The answer's head tells whether the token may have it; its body is not read.
            with client.download(METADATA):
                pass
            found = buckets(client)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            mend = "start the server, or correct source.url in the policy"
            raise SourceUnavailable(
                f"InfluxDB at {url} cannot be reached: {error}", where=where, mend=mend
            ) from None
        except Influx2Refused as error:
            what = "refused the token" if error.status in UNAUTHORISED else "refused"
            mend = "give an operator token in source.token: a full backup needs one"
            raise SourceUnavailable(
                f"InfluxDB at {url} {what}: {error}", where=where, mend=mend
            ) from None
    _require(source, found, where)


def _another_version(version: str, where: str) -> SourceUnavailable:
    first = version.startswith("1.")
    return SourceUnavailable(
        f"the source is InfluxDB {version or 'of an unknown version'}, not 2.x",
        where=where,
        mend="write engine: influxdb" if first else "correct source.url in the policy",
    )


def _require(source: InfluxDB2Source, found: Mapping[str, Bucket], where: str) -> None:
    if source.organization and source.organization not in {
        bucket.organization for bucket in found.values()
    }:
        what = f"no organization {source.organization} at the source, or none with a bucket"
        mend = "correct source.organization in the policy"
        raise SourceUnavailable(what, where=where, mend=mend)
    wanted = {*source.buckets, *([source.heartbeat.bucket] if source.heartbeat else ())}
    there = {one.name for one in found.values() if one.organization == source.organization}
    if missing := wanted - there:
        what = f"no bucket {', '.join(sorted(missing))} in organization {source.organization}"
        mend = "correct source.buckets or source.heartbeat in the policy"
        raise SourceUnavailable(what, where=where, mend=mend)


def newest_heartbeat(client: Influx2Client, source: SourceModel) -> datetime | None:
    """The newest heartbeat of a server; None if there is none or the source names none."""
    assert isinstance(source, InfluxDB2Source)
    heartbeat = source.heartbeat
    if heartbeat is None:
        return None
    try:
        for bucket in buckets(client).values():
            if (bucket.organization, bucket.name) == (source.organization, heartbeat.bucket):
                measurement = flux_text(heartbeat.measurement)
                query = (
                    f"{bucket.points(*EVER)} |> filter(fn: (r) => r._measurement == {measurement})"
                    ' |> last() |> group() |> keep(columns: ["_time"]) |> max(column: "_time")'
                )
                with client.flux(bucket.organization_id, query) as answer:
                    newest = newest_time(answer)
                if newest is not None:
                    return EPOCH + timedelta(microseconds=nanoseconds(newest) // 1000)
    except (httpx.HTTPError, Influx2Refused):
        return None
    return None
