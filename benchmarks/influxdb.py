"""InfluxDB 1.x against influxd itself, both sides in one run: one JSON line a figure.

``tox run -e benchmark -- influxdb [--points N]``; machines are noisy, so quote the ratios and not
the seconds. Where the time of an audit goes is told on standard error.
"""

import argparse
import dataclasses
import json
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path

import httpx
from influxdb_bench import DAYS, FIRST, LIMITS, POINTS, SERIES, audit, fill, measure
from testcontainers.core.container import DockerContainer

from restoreproof.clock import system_clock
from restoreproof.demo.servers import address, publish, wait_until
from restoreproof.engines.contract import SourceContext
from restoreproof.engines.influxdb import engine
from restoreproof.engines.influxdb_client import InfluxClient
from restoreproof.engines.influxdb_restored import RestoredInfluxDB
from restoreproof.engines.influxdb_source import InfluxDBSource
from restoreproof.execution import engine_trouble
from restoreproof.images import Image, ensure
from restoreproof.sandbox import Sandboxes

IMAGE = "restoreproof/influxdb:1.6"
FOLDER = "/var/tmp/by-hand"  # noqa: S108  # inside a container of ours alone


def main() -> None:
    """Measure all figures, or the memory of one audit for the process that asks for it."""
    parser = argparse.ArgumentParser(prog="influxdb")
    parser.add_argument("--points", type=int, default=POINTS, help=f"points, in {SERIES} series")
    parser.add_argument("--audit", nargs=3, metavar=("URL", "BACKUP", "FOLDER"))
    chosen = parser.parse_args()
    image = ensure(IMAGE, lambda text: print(text, file=sys.stderr))
    if chosen.audit:
        url, backup, folder = chosen.audit
        audit(engine, _context(image, url, backup, Path(folder)))
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
        return
    with tempfile.TemporaryDirectory() as folder, _filled(image, chosen.points) as (url, backup):
        context = _context(image, url, backup, Path(folder))
        program = (__file__, "--audit", url, backup)
        for figure in measure(engine, context, _by_hand, program, partial(_add, url)):
            print(json.dumps(dataclasses.asdict(figure)), flush=True)


def _add(url: str) -> None:
    """A point more in each series."""
    at = (FIRST + DAYS * 86400) * 1_000_000_000 + time.time_ns() % 1_000_000_000
    with closing(InfluxClient.over_network(url)) as client:
        client.write("bench", "\n".join(f"cpu,host=h{n} usage=1.5 {at}" for n in range(SERIES)))


def _by_hand(context: SourceContext) -> None:
    """influxd backup into a file; start a server; influxd restore from the file."""
    assert isinstance(context.source, InfluxDBSource) and context.image is not None
    file = context.folder / "by-hand.tar"
    with context.sandboxes.tools(context.image) as tools, file.open("wb") as stored:
        made = tools.run(["influxd", "backup", "-portable", "-host", context.source.backup, FOLDER])
        assert made.exit_code == 0, made.complaint
        for chunk in tools.stream(["tar", "-C", FOLDER, "-cf", "-", "."]):
            stored.write(chunk)
    server = engine.provision(context.source, context.image, context.sandboxes)
    with server as restored, file.open("rb") as stored:
        assert isinstance(restored, RestoredInfluxDB)
        chunks = iter(lambda: stored.read(1024 * 1024), b"")
        script = f"mkdir {FOLDER} && tar -C {FOLDER} -xf -"
        assert restored.sandbox.run(["sh", "-c", script], feed=chunks).exit_code == 0
        done = restored.sandbox.run(["influxd", "restore", "-portable", FOLDER])
        assert done.exit_code == 0, done.complaint
        restored.answer()


def _context(image: Image, url: str, backup: str, folder: Path) -> SourceContext:
    source = InfluxDBSource(url=url, backup=backup)
    sandboxes = Sandboxes("benchmark", LIMITS)
    return SourceContext("benchmark", source, image, folder, sandboxes, system_clock)


@contextmanager
def _filled(image: Image, points: int) -> Iterator[tuple[str, str]]:
    """The URL and the backup port of a server with so many points."""
    container = publish(
        DockerContainer(image.reference), (8086, 8088), Sandboxes("benchmark").labels("benchmark")
    )
    container.with_env("INFLUXDB_BIND_ADDRESS", ":8088").with_env(
        "INFLUXDB_MONITOR_STORE_ENABLED", "false"
    )
    container.with_kwargs(
        labels=Sandboxes("benchmark").labels("benchmark"), mem_limit=LIMITS.memory_bytes
    )
    with engine_trouble(), container:
        host, port = address(container, 8086)
        backup = ":".join(map(str, address(container, 8088)))
        url = f"http://{host}:{port}"
        with closing(InfluxClient.over_network(url)) as client:
            wait_until(lambda: _answers(client), container, what="the InfluxDB server")
            client.query("CREATE DATABASE bench")
            fill(lambda lines: client.write("bench", lines), points)
        yield url, backup


def _answers(client: InfluxClient) -> bool:
    try:
        return bool(client.version())
    except httpx.HTTPError:
        return False


if __name__ == "__main__":
    main()
