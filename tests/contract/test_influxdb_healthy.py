"""Healthy backups of a written InfluxDB server (30 with --thorough): no false alarm."""

import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import time_ns

from influxdb_bench import Bench, Server, ago, bench
from mysql_bench import seed, tell

from restoreproof.engines.contract import Restored
from restoreproof.fingerprint import compare
from restoreproof.restore import to_restore
from restoreproof.vault import StoredBackup

LONGEST_CHAIN = 5
PAUSE_SECONDS = 0.02
DAYS = 4
SETUP = (
    "CREATE DATABASE busy WITH DURATION 30d REPLICATION 1 SHARD DURATION 1d NAME short",
    "CREATE RETENTION POLICY long ON busy DURATION INF REPLICATION 1 SHARD DURATION 52w",
)


def test_rounds_under_load(tmp_path: Path, rounds: int) -> None:
    """Every backup comes back equal, full or increment, whatever was written meanwhile."""
    tell(f"FAULT_SEED={seed()}")
    drawn = random.Random(seed())
    alarms: list[str] = []
    kinds: list[str] = []
    with bench(tmp_path) as made:
        made.server.run(*SETUP)
        chain: list[StoredBackup] = []
        with _load(made.server, drawn.randrange(2**32)) as worked:
            while len(kinds) < rounds:
                with made.engine.provision(made.server.source(), None, made.sandboxes) as restored:
                    chain = []
                    for _ in range(drawn.randrange(2, LONGEST_CHAIN + 1)):
                        _disturb(made.server, drawn)
                        chain.append(made.store(chain[-1] if chain else None))
                        kinds.append(chain[-1].entry.kind)
                        alarms += _problems(made, restored, chain)
    tell(f"{kinds.count('full')} full, {kinds.count('incremental')} increments, {worked[0]} writes")
    assert alarms == []
    assert worked[0] > rounds
    assert min(kinds.count("full"), kinds.count("incremental")) > rounds // 10


def _problems(made: Bench, restored: Restored, chain: list[StoredBackup]) -> list[str]:
    manifest = chain[-1].manifest()
    backup = to_restore(chain[-1], manifest)
    (made.engine.load if len(chain) == 1 else made.engine.replay)(restored, backup)
    restored.answer()
    found = compare(manifest.fingerprint, restored.fingerprint(manifest.fingerprint))
    undecided = (f"undecided: {item.kind} {item.name}" for item in found.undecided)
    return [f"{chain[-1].id}: {one}" for one in (*map(str, found.differences), *undecided)]


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


@contextmanager
def _load(made: Server, drawn_from: int) -> Iterator[list[int]]:
    """Points of now and of a moment ago, written until the block ends; how many there were."""
    stop, worked = threading.Event(), [0]

    def work() -> None:
        drawn = random.Random(drawn_from)
        while not stop.wait(PAUSE_SECONDS):
            at = time_ns() - drawn.randrange(200_000_000)
            lines = [f"now,n={n} v={drawn.random()!r},i={worked[0]}i {at}" for n in range(5)]
            policy = drawn.choice(("short", "long"))
            made.write("busy", *lines, f"fresh_{worked[0] // 200} v=1i {at}", policy=policy)
            worked[0] += 1

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield worked
    finally:
        stop.set()
        thread.join()
