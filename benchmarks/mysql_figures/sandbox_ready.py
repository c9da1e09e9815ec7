"""How long an empty server takes to answer: the middle of several starts, and the slowest."""

from collections.abc import Iterator

from mysql_bench import Bench, Figure, timed

from restoreproof import engines
from restoreproof.engines.mysql_image import version_in

RUNS = 9
MOST_SECONDS = 2


def measure(bench: Bench) -> Iterator[Figure]:
    """Starts one after the other; what else the machine does is in the slowest alone."""
    # Asked once in a process, by the job.
    version_in(bench.image, bench.context.sandboxes)
    taken = sorted(_start(bench) for _ in range(RUNS))
    for name, seconds in (
        ("sandbox_ready_seconds", taken[RUNS // 2]),
        ("sandbox_ready_slowest_seconds", taken[-1]),
    ):
        yield Figure(name, round(seconds, 2), MOST_SECONDS, seconds)


def _start(bench: Bench) -> float:
    engine = engines.load("mysql")
    with timed() as seconds:
        stack = engine.provision(bench.context.source, bench.image, bench.context.sandboxes)
        stack.__enter__()
    stack.__exit__(None, None, None)
    return seconds[0]
