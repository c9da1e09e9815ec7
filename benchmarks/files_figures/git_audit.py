"""Backup, restore and proof of a repository of 10,000 commits, against tar, zstd and sha256sum."""

import os
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from files_bench import by_hand
from mysql_bench import Figure, timed

from restoreproof import engines
from restoreproof.clock import system_clock
from restoreproof.engines.contract import SourceContext
from restoreproof.engines.git_command import run_git
from restoreproof.engines.git_place import GitSource
from restoreproof.engines.git_restored import RestoredGit
from restoreproof.jobs import run_job
from restoreproof.restore import restoring, select
from restoreproof.sandbox import Sandboxes
from restoreproof.vault import Vault

COMMITS, PATHS, SAMPLE = 10_000, 500, 40
LOOSE = 2_000
"""The newest commits, whose 18,000 objects are files of their own: nobody had git pack them."""
MOST = 1.5
ROUNDS = 5
SEED = 7


def measure(folder: Path) -> Iterator[Figure]:
    """The same repository by both, in turns, each time into fresh folders: of medians the ratio.

    What a disk does for others during a round is left out so; where it does so for minutes, the
    peer, which writes 8,000 small files, takes several times as long as on an idle one.
    """
    source = folder / "source.git"
    fill(source)
    taken: dict[str, list[float]] = {"peer": [], "ours": []}
    for number in range(ROUNDS):
        for side, run in (("peer", by_hand), ("ours", _audit)):
            # Neither side waits for what was written before it.
            os.sync()
            with timed() as seconds:
                run(source, folder / f"{side}-{number}")
            taken[side] += seconds
            print(f"round {number + 1}, {side}: {seconds[0]:.2f} s", file=sys.stderr)
    ours, peer = median(taken["ours"]), median(taken["peer"])
    yield Figure("git_audit_ratio", round(ours / peer, 3), MOST, ours, peer)


def fill(source: Path, commits: int = COMMITS) -> None:
    """A bare repository to which somebody pushed every day: a pack, and what came since."""
    run_git(["init", "--quiet", "--bare", "--initial-branch=main", str(source)])
    drawn = random.Random(SEED)  # noqa: S311  # repeatable, and no secret
    texts = {number: _text(drawn, 60) for number in range(PATHS)}
    for first, last, limit in ((0, commits - LOOSE, 100), (commits - LOOSE, commits, 10**9)):
        stream = b"".join(_commit(drawn, texts, number, first) for number in range(first, last))
        importing = ["git", "-C", str(source), "-c", f"fastimport.unpackLimit={limit}"]
        subprocess.run([*importing, "fast-import", "--quiet"], input=stream, check=True)


def _commit(drawn: random.Random, texts: dict[int, list[str]], number: int, first: int) -> bytes:
    at = 1_600_000_000 + number
    head = f"commit refs/heads/main\ncommitter Ada <ada@example.org> {at} +0000\n"
    message = f"change {number}"
    begun = "from refs/heads/main^0\n" if number == first and first else ""
    parts = [f"{head}data {len(message)}\n{message}\n{begun}"]
    for path in range(PATHS) if number == 0 else drawn.sample(range(PATHS), 2):
        texts[path][drawn.randrange(len(texts[path]))] = _text(drawn, 1)[0]
        content = "".join(texts[path])
        name = f"roles/role{path % 50}/tasks/part{path}.yml"
        parts.append(f"M 100644 inline {name}\ndata {len(content)}\n{content}\n")
    return "".join(parts).encode()


def _text(drawn: random.Random, lines: int) -> list[str]:
    step = "- name: step {:x} of {:x}\n"
    return [step.format(drawn.getrandbits(40), drawn.getrandbits(90)) for _ in range(lines)]


def _audit(source: Path, place: Path) -> None:
    """A job, a restore, the comparison, and what GIT-001 and GIT-002 ask."""
    engine, vault = engines.load("git"), Vault(str(place))
    vault.prepare()
    sandboxes = Sandboxes("benchmark")
    model = GitSource(repository=str(source))
    context = SourceContext("benchmark", model, None, place, sandboxes, system_clock)
    with timed() as job:
        backup = run_job(engine, context, vault, "benchmark", None).backup
    assert backup is not None
    (target,) = select("benchmark", (backup,), "newest")
    with restoring(target, engine, model, None, sandboxes, system_clock) as attempt:
        assert isinstance(attempt.restored, RestoredGit), attempt.failure
        with timed() as compared:
            assert attempt.comparison.equal
        with timed() as examined:
            found = attempt.restored.examined(attempt.restored.sample(SEED, SAMPLE))
            assert found.complaints == ""
            assert len(found.versions) == SAMPLE
            assert attempt.restored.differing(found.versions) == ()
        phases = {one.name: round(one.duration.total_seconds(), 2) for one in attempt.phases}
    steps = {"job": job, "comparison": compared, "fsck and versions": examined}
    phases |= {name: round(taken[0], 2) for name, taken in steps.items()}
    print(phases, file=sys.stderr)
