"""How long an empty server takes until it answers."""

from collections.abc import Iterator

from mysql_bench import Bench, Figure, timed

from restoreproof import engines

RUNS = 3


def measure(bench: Bench) -> Iterator[Figure]:
    """The slowest of three starts."""
    engine, slowest = engines.load("mysql"), 0.0
    for _ in range(RUNS):
        with timed() as seconds:
            stack = engine.provision(bench.context.source, bench.image, bench.context.sandboxes)
            stack.__enter__()
        stack.__exit__(None, None, None)
        slowest = max(slowest, *seconds)
    yield Figure("sandbox_ready_seconds", round(slowest, 2), 2, slowest)
