"""InfluxDB 1.x against influxd itself, both sides in one run: one JSON line a figure.

``tox run -e benchmark -- influxdb [--points N]``; machines are noisy, so quote the ratios and not
the seconds. Where the time of an audit goes is told on standard error.
"""

import argparse
import dataclasses
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import httpx
from mysql_bench import Figure, timed
from testcontainers.core.container import DockerContainer

from restoreproof.clock import system_clock
from restoreproof.demo.servers import address, publish, wait_until
from restoreproof.engines.contract import Restored, SourceContext
from restoreproof.engines.influxdb import engine
from restoreproof.engines.influxdb_client import InfluxClient
from restoreproof.engines.influxdb_restored import RestoredInfluxDB
from restoreproof.engines.influxdb_source import InfluxDBSource
from restoreproof.execution import engine_trouble
from restoreproof.fingerprint import compare
from restoreproof.images import Image, ensure
from restoreproof.jobs import run_job
from restoreproof.restore import restoring, select, to_restore
from restoreproof.sandbox import Limits, Sandboxes
from restoreproof.vault import StoredBackup, Vault

IMAGE = "restoreproof/influxdb:1.6"
POINTS, SERIES, BATCH = 10_000_000, 1000, 20_000
FIRST, DAYS = 1_700_000_000, 60
LIMITS = Limits(memory_bytes=3 * 1024**3)
RUNS = 3
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
        _audit(_context(image, url, backup, Path(folder)))
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
        return
    with tempfile.TemporaryDirectory() as folder, _filled(image, chosen.points) as (url, backup):
        for figure in _measure(_context(image, url, backup, Path(folder))):
            print(json.dumps(dataclasses.asdict(figure)), flush=True)


def _measure(context: SourceContext) -> Iterator[Figure]:
    assert isinstance(context.source, InfluxDBSource)
    with timed() as peer:
        _by_hand(context)
    ours, increment = _audit(context)
    yield Figure("audit_ratio", round(ours / peer[0], 3), 1.3, ours, peer[0])
    yield Figure("increment_ratio", round(increment / ours, 3), 0.5, increment, ours)
    place = context.folder / "memory"
    place.mkdir()
    asked = ["--audit", context.source.url, context.source.backup, str(place)]
    ran = subprocess.run([sys.executable, __file__, *asked], check=True, stdout=subprocess.PIPE)
    yield Figure("peak_rss_bytes", float(ran.stdout.splitlines()[-1]), 250e6)
    slowest = 0.0
    for _ in range(RUNS):
        with timed() as seconds:
            server = engine.provision(context.source, context.image, context.sandboxes)
            server.__enter__()
        server.__exit__(None, None, None)
        slowest = max(slowest, *seconds)
    yield Figure("sandbox_ready_seconds", round(slowest, 2), 1, slowest)


def _audit(context: SourceContext) -> tuple[float, float]:
    """Back up, restore and prove; then the same with an increment of a point in each series.

    Return how long either took.
    """
    begun = time.monotonic()
    vault = Vault(str(context.folder / "vault"))
    vault.prepare()
    result = run_job(engine, context, vault, "benchmark", None)
    assert result.backup is not None, result.problem
    _tell("backup and its fingerprint", result.duration.total_seconds())
    (target,) = select("benchmark", (result.backup,), "newest")
    with restoring(
        target, engine, context.source, context.image, context.sandboxes, system_clock
    ) as attempt:
        for phase in attempt.phases:
            _tell(phase.name, phase.duration.total_seconds())
        with timed() as seconds:
            assert attempt.comparison.equal, (attempt.failure, attempt.comparison)
        _tell("fingerprint of what came back", seconds[0])
        ended = time.monotonic()
        return ended - begun, _increment(context, vault, result.backup, attempt.restored)


def _increment(
    context: SourceContext, vault: Vault, base: StoredBackup, restored: Restored | None
) -> float:
    """Back up a point more of each series, replay it where its base came back, and prove it."""
    assert isinstance(context.source, InfluxDBSource) and restored is not None
    at = (FIRST + DAYS * 86400) * 1_000_000_000 + time.time_ns() % 1_000_000_000
    with closing(InfluxClient.over_network(context.source.url)) as client:
        client.write("bench", "\n".join(f"cpu,host=h{n} usage=1.5 {at}" for n in range(SERIES)))
    begun = time.monotonic()
    result = run_job(engine, context, vault, "benchmark", base)
    assert result.backup is not None, result.problem
    _tell("an increment and its fingerprint", result.duration.total_seconds())
    described = result.backup.manifest()
    engine.replay(restored, to_restore(result.backup, described))
    restored.answer()
    with timed() as seconds:
        seen = restored.fingerprint(described.fingerprint)
    assert compare(described.fingerprint, seen).equal
    _tell("fingerprint of what came back", seconds[0])
    return time.monotonic() - begun


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
            _fill(client, points)
        yield url, backup


def _fill(client: InfluxClient, points: int) -> None:
    drawn, begun = random.Random(4), time.monotonic()  # noqa: S311  # no secret
    each = max(1, points // SERIES)
    step = max(1, DAYS * 86400 // each)
    lines: list[str] = []
    for number in range(each):
        at = (FIRST + number * step) * 1_000_000_000
        lines += [f"cpu,host=h{n} usage={drawn.random() * 100:.4f} {at}" for n in range(SERIES)]
        if len(lines) >= BATCH or number == each - 1:
            client.write("bench", "\n".join(lines))
            lines = []
    _tell(f"writing {each * SERIES:,} points", time.monotonic() - begun)


def _answers(client: InfluxClient) -> bool:
    try:
        return bool(client.version())
    except httpx.HTTPError:
        return False


def _tell(what: str, seconds: float) -> None:
    print(f"{seconds:8.2f} s  {what}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
