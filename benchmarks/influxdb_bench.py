"""What the figures of InfluxDB 1.x and 2.x share: points, one whole audit, and the measuring."""

import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence

from mysql_bench import Figure, timed

from restoreproof.clock import system_clock
from restoreproof.engines.contract import Engine, Restored, SourceContext
from restoreproof.fingerprint import compare
from restoreproof.jobs import run_job
from restoreproof.references import SourceModel
from restoreproof.restore import restoring, select, to_restore
from restoreproof.sandbox import Limits
from restoreproof.vault import StoredBackup, Vault

POINTS, SERIES, BATCH = 10_000_000, 1000, 20_000
FIRST, DAYS = 1_700_000_000, 60
LIMITS = Limits(memory_bytes=3 * 1024**3)
RUNS = 3


def measure(
    engine: Engine[SourceModel],
    context: SourceContext,
    by_hand: Callable[[SourceContext], None],
    program: Sequence[str],
    add: Callable[[], None] | None = None,
) -> Iterator[Figure]:
    """All figures; ``program`` with a folder is one audit that prints its greatest memory.

    Where ``add`` writes more points, they are audited as an increment too.
    """
    with timed() as peer:
        by_hand(context)
    ours, increment = audit(engine, context, add)
    yield Figure("audit_ratio", round(ours / peer[0], 3), 1.3, ours, peer[0])
    if add is not None:
        yield Figure("increment_ratio", round(increment / ours, 3), 0.5, increment, ours)
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


def audit(
    engine: Engine[SourceModel], context: SourceContext, add: Callable[[], None] | None = None
) -> tuple[float, float]:
    """Back up, restore and prove; where there is more to ``add``, also an increment of that.

    Return how long either took, in seconds.
    """
    begun = time.monotonic()
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
        took = time.monotonic() - begun
        if add is None or attempt.restored is None:
            return took, 0.0
        add()
        with timed() as increment:
            _increment(engine, context, vault, result.backup, attempt.restored)
        return took, increment[0]


def _increment(
    engine: Engine[SourceModel],
    context: SourceContext,
    vault: Vault,
    base: StoredBackup,
    restored: Restored,
) -> None:
    """Back up an increment, replay it where its base came back, and prove it."""
    result = run_job(engine, context, vault, "benchmark", base)
    assert result.backup is not None, result.problem
    tell("an increment and its fingerprint", result.duration.total_seconds())
    described = result.backup.manifest()
    engine.replay(restored, to_restore(result.backup, described))
    restored.answer()
    with timed() as seconds:
        seen = restored.fingerprint(described.fingerprint)
    assert compare(described.fingerprint, seen).equal
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
