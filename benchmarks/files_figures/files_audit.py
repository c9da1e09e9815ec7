"""Backup, restore and proof of 50,000 files, against tar, zstd and sha256sum by hand."""

import json
import os
import random
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from files_bench import by_hand
from mysql_bench import Figure, timed

from restoreproof import engines
from restoreproof.clock import system_clock
from restoreproof.engines.contract import SourceContext
from restoreproof.engines.files_source import FilesSource
from restoreproof.jobs import run_job
from restoreproof.restore import restoring, select
from restoreproof.sandbox import Sandboxes
from restoreproof.vault import Vault

FILES, FOLDERS, TOTAL_BYTES = 50_000, 500, 2_000_000_000
MOST, MOST_BYTES = 1.5, 250e6
SEED = 7


def measure(folder: Path) -> Iterator[Figure]:
    """The same folder by both; ours in a process that does nothing else."""
    source = folder / "source"
    fill(source)
    # Neither side waits for what was written before it.
    os.sync()
    with timed() as peer:
        by_hand(source, folder / "hand")
    command = [sys.executable, "-m", "files_figures.files_audit", str(source), str(folder / "ours")]
    os.sync()
    # Python's own start and the folder's removal are left out: the script by hand has neither.
    ran = subprocess.run(
        command, cwd=Path(__file__).parent.parent, check=True, stdout=subprocess.PIPE
    )
    told = json.loads(ran.stdout.splitlines()[-1])
    ours = told["seconds"]
    print(told["phases"], file=sys.stderr)
    yield Figure("files_audit_ratio", round(ours / peer[0], 3), MOST, ours, peer[0])
    yield Figure("files_peak_rss_bytes", told["peak_rss_bytes"], MOST_BYTES)


def fill(source: Path, files: int = FILES, total_bytes: int = TOTAL_BYTES) -> None:
    """Files of many sizes: half of them text such as logs, half of them packed already."""
    drawn = random.Random(SEED)  # noqa: S311  # repeatable, and no secret
    lines = [
        f"2026-11-23T{hour:02d}:00:{second:02d}Z web[{drawn.randrange(9999)}]: GET /"
        f"{drawn.getrandbits(64):x} {drawn.choice((200, 304, 404))}\n"
        for hour in range(24)
        for second in range(60)
    ]
    text = "".join(lines).encode()
    for number in range(files):
        folder = source / f"{number % FOLDERS:03d}"
        folder.mkdir(parents=True, exist_ok=True)
        size = round(drawn.triangular(0, 2, 1) * total_bytes / files)
        if number % 2:
            content = drawn.randbytes(size)
        else:
            begin = drawn.randrange(len(text))
            content = (text[begin:] + text * (1 + size // len(text)))[:size]
        (folder / f"file-{number:05d}").write_bytes(content)


def _audit(source: Path, place: Path) -> None:
    engine, vault = engines.load("files"), Vault(str(place))
    vault.prepare()
    sandboxes = Sandboxes("benchmark")
    model = FilesSource(paths=(str(source),))
    context = SourceContext("benchmark", model, None, place, sandboxes, system_clock)
    with timed() as job:
        backup = run_job(engine, context, vault, "benchmark", None).backup
    assert backup is not None
    (target,) = select("benchmark", (backup,), "newest")
    with restoring(target, engine, model, None, sandboxes, system_clock) as attempt:
        with timed() as proof:
            assert attempt.comparison.equal, attempt.failure
        seconds = job[0] + attempt.duration.total_seconds() + proof[0]
        phases = {one.name: round(one.duration.total_seconds(), 2) for one in attempt.phases}
    phases |= {"job": round(job[0], 2), "proof": round(proof[0], 2)}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"seconds": seconds, "peak_rss_bytes": peak, "phases": phases}))


if __name__ == "__main__":
    _audit(Path(sys.argv[1]), Path(sys.argv[2]))
