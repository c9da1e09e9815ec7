"""InfluxDB 2.x against its API called by hand, both sides in one run: one JSON line a figure.

``tox run -e benchmark -- influxdb2 [--points N]``. By hand is what the ``influx`` tool does: the
metadata, then every shard into a file, and all of them into a new server. Where the time of an
audit goes is told on standard error.
"""

import argparse
import dataclasses
import json
import os
import re
import resource
import secrets
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import httpx
from influxdb_bench import LIMITS, SERIES, audit, fill, measure
from testcontainers.core.container import DockerContainer

from restoreproof.clock import system_clock
from restoreproof.demo.servers import address, publish, wait_until
from restoreproof.engines.contract import SourceContext
from restoreproof.engines.influxdb2 import engine
from restoreproof.engines.influxdb2_client import Influx2Client, Influx2Refused
from restoreproof.engines.influxdb2_restored import RestoredInfluxDB2
from restoreproof.engines.influxdb2_source import InfluxDB2Source
from restoreproof.execution import engine_trouble
from restoreproof.images import Image, ensure
from restoreproof.sandbox import Sandboxes

IMAGE, TOKEN, BUCKET = "influxdb:2.7", "RESTOREPROOF_BENCHMARK_TOKEN", "bench"
POINTS = 1_000_000


def main() -> None:
    """Measure all figures, or the memory of one audit for the process that asks for it."""
    parser = argparse.ArgumentParser(prog="influxdb2")
    parser.add_argument("--points", type=int, default=POINTS, help=f"points, in {SERIES} series")
    parser.add_argument("--audit", nargs=2, metavar=("URL", "FOLDER"))
    chosen = parser.parse_args()
    image = ensure(IMAGE, lambda text: print(text, file=sys.stderr))
    if chosen.audit:
        url, folder = chosen.audit
        audit(engine, _context(image, url, Path(folder)))
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
        return
    os.environ[TOKEN] = secrets.token_urlsafe(24)
    with tempfile.TemporaryDirectory() as folder, _filled(image, chosen.points) as url:
        context = _context(image, url, Path(folder))
        for figure in measure(engine, context, _by_hand, (__file__, "--audit", url)):
            print(json.dumps(dataclasses.asdict(figure)), flush=True)


def _by_hand(context: SourceContext) -> None:
    """Every shard into a file; start a server; all of it into that."""
    assert isinstance(context.source, InfluxDB2Source)
    place, token = context.folder / "by-hand", {"Authorization": f"Token {os.environ[TOKEN]}"}
    place.mkdir()
    with httpx.Client(base_url=context.source.url, headers=token, timeout=None) as http:  # noqa: S113  # as curl
        parts = _parts(http.get("/api/v2/backup/metadata"))
        shards = [
            shard["id"]
            for bucket in json.loads(parts["buckets"])
            for policy in bucket["retentionPolicies"]
            for group in policy["shardGroups"]
            for shard in group["shards"]
        ]
        for shard in shards:
            with http.stream("GET", f"/api/v2/backup/shards/{shard}") as answer:
                answer.raise_for_status()
                with (place / str(shard)).open("wb") as file:
                    for chunk in answer.iter_bytes():
                        file.write(chunk)
    with engine.provision(context.source, context.image, context.sandboxes) as restored:
        assert isinstance(restored, RestoredInfluxDB2)
        first = {"username": "me", "password": "for a moment", "org": "x", "bucket": "x"}
        made = restored.client.post("/api/v2/setup", first)
        client = restored.client.use(made["auth"]["token"])
        told = client.feed("/api/v2/restore/kv", [parts["kv"]]).json()
        client.use(told["token"]).feed("/api/v2/restore/sql", [parts["sql"]])
        for shard in shards:
            client.feed(f"/api/v2/restore/shards/{shard}", [(place / str(shard)).read_bytes()])
        assert client.listed("/api/v2/buckets", "buckets")


def _parts(answer: httpx.Response) -> dict[str, bytes]:
    """The parts of the metadata by name."""
    boundary = answer.headers["Content-Type"].partition("boundary=")[2].strip('"')
    found = {}
    for part in answer.raise_for_status().content.split(f"--{boundary}".encode())[1:-1]:
        head, _, content = part.partition(b"\r\n\r\n")
        named = re.search(rb'name="([^"]+)"', head)
        assert named is not None
        found[named[1].decode()] = content.removesuffix(b"\r\n")
    return found


def _context(image: Image, url: str, folder: Path) -> SourceContext:
    source = InfluxDB2Source(url=url, token=f"${{{TOKEN}}}")
    sandboxes = Sandboxes("benchmark", LIMITS)
    return SourceContext("benchmark", source, image, folder, sandboxes, system_clock)


@contextmanager
def _filled(image: Image, points: int) -> Iterator[str]:
    """The URL of a server with so many points."""
    container = DockerContainer(image.reference)
    publish(container, (8086,), Sandboxes("benchmark").labels("benchmark"))
    container.with_kwargs(
        labels=Sandboxes("benchmark").labels("benchmark"), mem_limit=LIMITS.memory_bytes
    )
    with engine_trouble(), container:
        host, port = address(container, 8086)
        url = f"http://{host}:{port}"
        with closing(Influx2Client(url)) as client:
            wait_until(lambda: _answers(client), container, what="the InfluxDB server")
            first = {"username": "me", "password": "for a moment", "org": "x", "bucket": BUCKET}
            made = client.post("/api/v2/setup", first | {"token": os.environ[TOKEN]})
            client.use(os.environ[TOKEN])
            organization = made["org"]["id"]
            fill(lambda lines: client.write(organization, BUCKET, [lines.encode()]), points)
        yield url


def _answers(client: Influx2Client) -> bool:
    try:
        return bool(client.get("/health")["status"] == "pass")
    except (httpx.HTTPError, Influx2Refused):
        return False


if __name__ == "__main__":
    main()
