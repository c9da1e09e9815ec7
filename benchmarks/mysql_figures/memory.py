"""The most memory that our process takes for a backup and its restore, in a process of its own."""

import json
import resource
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from mysql_bench import Bench, Figure

from restoreproof import engines
from restoreproof.clock import system_clock
from restoreproof.engines.contract import SourceContext
from restoreproof.engines.mysql_source import MySQLSource
from restoreproof.images import Image, ensure
from restoreproof.jobs import run_job
from restoreproof.restore import restoring, select
from restoreproof.sandbox import Limits, Sandboxes
from restoreproof.vault import Vault

MOST_BYTES = 250e6


def measure(bench: Bench) -> Iterator[Figure]:
    """A backup, its restore and the comparison, by a process that does nothing else."""
    folder = bench.folder / "memory"
    folder.mkdir()
    told = {
        "folder": str(folder),
        "source": bench.context.source.model_dump(mode="json"),
        "image": bench.image.reference,
        "limits": asdict(bench.context.sandboxes.limits),
    }
    ran = subprocess.run(
        [sys.executable, "-m", "mysql_figures.memory", json.dumps(told)],
        cwd=Path(__file__).parent.parent,
        check=True,
        stdout=subprocess.PIPE,
    )
    yield Figure("peak_rss_bytes", float(ran.stdout.splitlines()[-1]), MOST_BYTES)


def _back_up_and_restore(
    folder: Path, source: MySQLSource, image: Image, sandboxes: Sandboxes
) -> int:
    engine, vault = engines.load("mysql"), Vault(str(folder / "vault"))
    vault.prepare()
    context = SourceContext("benchmark", source, image, folder, sandboxes, system_clock)
    backup = run_job(engine, context, vault, "benchmark", None).backup
    assert backup is not None
    print(f"{backup.manifest().content_bytes} bytes of content", file=sys.stderr)
    (target,) = select("benchmark", (backup,), "newest")
    with restoring(target, engine, source, image, sandboxes, system_clock) as attempt:
        assert attempt.comparison.equal, attempt.failure
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    given = json.loads(sys.argv[1])
    print(
        _back_up_and_restore(
            Path(given["folder"]),
            MySQLSource.model_validate(given["source"]),
            ensure(given["image"], print),
            Sandboxes("benchmark", Limits(**given["limits"])),
        )
    )
