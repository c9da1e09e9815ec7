"""Healthy backups of a written InfluxDB server (30 with --thorough): no false alarm."""

import random
from pathlib import Path

from influxdb_bench import Server, ago, bench
from influxdb_rounds import LATENESS, raise_no_alarm

DAYS = 4
SETUP = (
    "CREATE DATABASE busy WITH DURATION 30d REPLICATION 1 SHARD DURATION 1d NAME short",
    "CREATE RETENTION POLICY long ON busy DURATION INF REPLICATION 1 SHARD DURATION 52w",
)


def test_rounds_under_load(tmp_path: Path, rounds: int) -> None:
    """Every backup comes back equal, full or increment, whatever was written meanwhile."""
    with bench(tmp_path) as made:
        made.server.run(*SETUP)
        source = made.server.source(lateness=LATENESS)

        def write(drawn: random.Random, at: int, lines: list[str], fresh: str) -> None:
            policy = drawn.choice(("short", "long"))
            made.server.write("busy", *lines, f"{fresh} {at}", policy=policy)

        raise_no_alarm(
            rounds,
            made.engine,
            lambda: made.engine.provision(source, None, made.sandboxes),
            lambda base: made.store(base, source=source),
            lambda drawn: _disturb(made.server, drawn),
            write,
        )


def _disturb(made: Server, drawn: random.Random) -> None:
    """What happens to older points between two backups: late, deleted, overwritten, new fields."""
    at = ago(days=drawn.randrange(1, DAYS), seconds=drawn.randrange(1000))
    match drawn.randrange(5):
        case 0:
            made.write("busy", f"late,n={drawn.randrange(3)} v={drawn.random()!r} {at}")
        case 1:
            made.run(f"DELETE FROM late WHERE time < {at}", database="busy")
        case 2:
            made.write("busy", f"wide f{drawn.randrange(9)}={drawn.randrange(9)}i {at}")
        case 3:
            made.write("busy", f'late,n=1 s="{drawn.random()}" {at}', policy="long")
        case _:
            made.run(f"DROP SERIES FROM late WHERE n = '{drawn.randrange(3)}'", database="busy")
