"""Healthy backups of a written InfluxDB 2.x server (30 with --thorough): no false alarm."""

import random
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from time import time_ns

from influxdb2_bench import Bench, bench, delete
from influxdb2_source import SHORT, TORTURE, InfluxDB2Torture
from mysql_bench import seed, tell
from sources import SECRET

from restoreproof.engines.contract import Restored
from restoreproof.engines.influxdb2_client import Influx2Client
from restoreproof.fingerprint import compare
from restoreproof.restore import to_restore
from restoreproof.vault import StoredBackup

LONGEST_CHAIN = 5
PAUSE_SECONDS = 0.02
DAYS = 4
DAY = 24 * 3600 * 10**9


def test_rounds_under_load(tmp_path: Path, rounds: int) -> None:
    """Every backup comes back equal, full or increment, whatever was written meanwhile."""
    tell(f"FAULT_SEED={seed()}")
    drawn = random.Random(seed())
    alarms: list[str] = []
    kinds: list[str] = []
    with bench(tmp_path) as made:
        torture = made.torture
        context = torture.context(made.sandboxes)
        with _load(torture, drawn.randrange(2**32)) as worked:
            while len(kinds) < rounds:
                server = made.engine.provision(torture.good, torture.image, made.sandboxes)
                with server as restored:
                    chain: list[StoredBackup] = []
                    for _ in range(drawn.randrange(2, LONGEST_CHAIN + 1)):
                        _disturb(torture, drawn)
                        chain.append(made.stored(chain[-1] if chain else None, context.source))
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


@contextmanager
def _load(made: InfluxDB2Torture, drawn_from: int) -> Iterator[list[int]]:
    """Points of now and of a moment ago, written until the block ends; how many there were."""
    stop, worked = threading.Event(), [0]

    def work() -> None:
        drawn = random.Random(drawn_from)
        while not stop.wait(PAUSE_SECONDS):
            at = time_ns() - drawn.randrange(200_000_000)
            lines = [f"now,n={n} v={drawn.random()!r},i={worked[0]}i {at}" for n in range(5)]
            lines.append(f'fresh_{worked[0] // 200} v=1i,s="" {at}')
            client.write(made.home, drawn.choice((TORTURE, SHORT)), ["\n".join(lines).encode()])
            worked[0] += 1

    with closing(Influx2Client(made.url, SECRET)) as client, ThreadPoolExecutor(1) as pool:
        working = pool.submit(work)
        try:
            yield worked
        finally:
            stop.set()
        working.result()
