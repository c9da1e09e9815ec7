"""What the figures of InfluxDB 1.x and 2.x share: points, one whole audit, and the measuring."""

import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence

from mysql_bench import Figure, timed

from restoreproof.clock import system_clock
from restoreproof.engines.contract import Engine, SourceContext
from restoreproof.jobs import run_job
from restoreproof.references import SourceModel
from restoreproof.restore import restoring, select
from restoreproof.sandbox import Limits
from restoreproof.vault import Vault

POINTS, SERIES, BATCH = 10_000_000, 1000, 20_000
FIRST, DAYS = 1_700_000_000, 60
LIMITS = Limits(memory_bytes=3 * 1024**3)
RUNS = 3


def measure(
    engine: Engine[SourceModel],
    context: SourceContext,
    by_hand: Callable[[SourceContext], None],
    program: Sequence[str],
) -> Iterator[Figure]:
    """All figures; ``program`` with a folder is one audit that prints its greatest memory."""
    with timed() as peer:
        by_hand(context)
    with timed() as ours:
        audit(engine, context)
    yield Figure("audit_ratio", round(ours[0] / peer[0], 3), 1.3, ours[0], peer[0])
    place = context.folder / "memory"
    place.mkdir()
    asked = [sys.executable, *program, str(place)]
    ran = subprocess.run(asked, check=True, stdout=subprocess.PIPE)
    yield Figure("peak_rss_bytes", float(ran.stdout.splitlines()[-1]), 250e6)
    slowest = 0.0
    for _ in range(RUNS):
        with timed() as seconds:
            server = engine.provision(context.source, context.image, context.sandboxes)
            server.__enter__()
        server.__exit__(None, None, None)
        slowest = max(slowest, *seconds)
    yield Figure("sandbox_ready_seconds", round(slowest, 2), 1, slowest)


def audit(engine: Engine[SourceModel], context: SourceContext) -> None:
    """Back up, restore and prove."""
    vault = Vault(str(context.folder / "vault"))
    vault.prepare()
    result = run_job(engine, context, vault, "benchmark", None)
    assert result.backup is not None, result.problem
    tell("backup and its fingerprint", result.duration.total_seconds())
    (target,) = select("benchmark", (result.backup,), "newest")
    with restoring(
        target, engine, context.source, context.image, context.sandboxes, system_clock
    ) as attempt:
        for phase in attempt.phases:
            tell(phase.name, phase.duration.total_seconds())
        with timed() as seconds:
            assert attempt.comparison.equal, (attempt.failure, attempt.comparison)
        tell("fingerprint of what came back", seconds[0])


def fill(write: Callable[[str], None], points: int) -> None:
    """Write points of one field, in as many series, over as many days, by time."""
    drawn, begun = random.Random(4), time.monotonic()  # noqa: S311  # no secret
    each = max(1, points // SERIES)
    step = max(1, DAYS * 86400 // each)
    lines: list[str] = []
    for number in range(each):
        at = (FIRST + number * step) * 1_000_000_000
        lines += [f"cpu,host=h{n} usage={drawn.random() * 100:.4f} {at}" for n in range(SERIES)]
        if len(lines) >= BATCH or number == each - 1:
            write("\n".join(lines))
            lines = []
    tell(f"writing {each * SERIES:,} points", time.monotonic() - begun)


def tell(what: str, seconds: float) -> None:
    """Say where the time went."""
    print(f"{seconds:8.2f} s  {what}", file=sys.stderr, flush=True)
