"""Rounds of healthy backups of either InfluxDB, while points are written: what both share."""

import random
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from time import time_ns
from typing import Any

from background import meanwhile
from mysql_bench import seed, tell

from restoreproof.engines.contract import Restored
from restoreproof.fingerprint import compare
from restoreproof.restore import to_restore
from restoreproof.vault import StoredBackup

LONGEST_CHAIN = 5
PAUSE_SECONDS = 0.02
LATENESS = "5s"
"""On a busy machine a second can pass before a point that was just written is there."""

Write = Callable[[random.Random, int, list[str], str], None]
"""Write at an instant, where chance decides: lines, and the begin of one of a new measurement."""


def raise_no_alarm(
    rounds: int,
    engine: Any,
    provision: Callable[[], AbstractContextManager[Restored]],
    store: Callable[[StoredBackup | None], StoredBackup],
    disturb: Callable[[random.Random], None],
    write: Write,
) -> None:
    """Every backup comes back equal, full or increment, in chains on a server each."""
    tell(f"FAULT_SEED={seed()}")
    drawn = random.Random(seed())
    alarms: list[str] = []
    kinds: list[str] = []
    with _written(write, drawn.randrange(2**32)) as worked:
        while len(kinds) < rounds:
            with provision() as restored:
                chain: list[StoredBackup] = []
                for _ in range(drawn.randrange(2, LONGEST_CHAIN + 1)):
                    disturb(drawn)
                    chain.append(store(chain[-1] if chain else None))
                    kinds.append(chain[-1].entry.kind)
                    alarms += _problems(engine, restored, chain)
    tell(f"{kinds.count('full')} full, {kinds.count('incremental')} increments, {worked[0]} writes")
    assert alarms == []
    assert worked[0] > rounds
    assert min(kinds.count("full"), kinds.count("incremental")) > rounds // 10


def _problems(engine: Any, restored: Restored, chain: list[StoredBackup]) -> list[str]:
    manifest = chain[-1].manifest()
    backup = to_restore(chain[-1], manifest)
    (engine.load if len(chain) == 1 else engine.replay)(restored, backup)
    restored.answer()
    found = compare(manifest.fingerprint, restored.fingerprint(manifest.fingerprint))
    undecided = (f"undecided: {item.kind} {item.name}" for item in found.undecided)
    return [f"{chain[-1].id}: {one}" for one in (*map(str, found.differences), *undecided)]


@contextmanager
def _written(write: Write, drawn_from: int) -> Iterator[list[int]]:
    """Points of now and of a moment ago, written until the block ends; how many times."""
    worked = [0]

    def work(stop: threading.Event) -> None:
        drawn = random.Random(drawn_from)
        while not stop.wait(PAUSE_SECONDS):
            at = time_ns() - drawn.randrange(200_000_000)
            lines = [f"now,n={n} v={drawn.random()!r},i={worked[0]}i {at}" for n in range(5)]
            write(drawn, at, lines, f"fresh_{worked[0] // 200} v=1i")
            worked[0] += 1

    with meanwhile(work):
        yield worked
