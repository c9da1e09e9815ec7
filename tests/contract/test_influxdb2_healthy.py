"""Healthy backups of a written InfluxDB 2.x server (30 with --thorough): no false alarm."""

import random
from contextlib import closing
from pathlib import Path
from time import time_ns

from influxdb2_bench import bench, delete
from influxdb2_source import SHORT, TORTURE, InfluxDB2Torture
from influxdb_rounds import LATENESS, raise_no_alarm
from sources import SECRET

from restoreproof.engines.influxdb2_client import Influx2Client

DAYS = 4
DAY = 24 * 3600 * 10**9


def test_rounds_under_load(tmp_path: Path, rounds: int) -> None:
    """Every backup comes back equal, full or increment, whatever was written meanwhile."""
    with bench(tmp_path) as made, closing(Influx2Client(made.torture.url, SECRET)) as client:
        torture = made.torture
        source = torture.named(buckets=torture.good.buckets, lateness=LATENESS)

        def write(drawn: random.Random, at: int, lines: list[str], fresh: str) -> None:
            content = "\n".join((*lines, f'{fresh},s="" {at}')).encode()
            client.write(torture.home, drawn.choice((TORTURE, SHORT)), [content])

        raise_no_alarm(
            rounds,
            made.engine,
            lambda: made.engine.provision(source, torture.image, made.sandboxes),
            lambda base: made.stored(base, source),
            lambda drawn: _disturb(torture, drawn),
            write,
        )


def _disturb(made: InfluxDB2Torture, drawn: random.Random) -> None:
    """What happens to older points between two backups: late, deleted, overwritten, new fields."""
    at = time_ns() - drawn.randrange(1, DAYS) * DAY - drawn.randrange(1000) * 10**9
    match drawn.randrange(6):
        case 0:
            made.write(TORTURE, f"late,n={drawn.randrange(3)} v={drawn.random()!r} {at}")
        case 1:
            delete(made.client, made.home, TORTURE, f'late" AND n="{drawn.randrange(3)}')
        case 2:
            made.write(TORTURE, f"wide f{drawn.randrange(9)}={drawn.randrange(9)}i {at}")
        case 3:
            made.write(SHORT, f'late,n=1 s="{drawn.random()}\r\n",e="" {at}')
        case 4:
            made.write(TORTURE, f"late,n=1 v={drawn.random()!r} {at - at % DAY}")
        case _:
            delete(made.client, made.home, SHORT, "late")
