"""How long a physical backup takes to come back, against its dump through zstd and mysql."""

import shlex
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace

from mysql_bench import Bench, Figure, timed

from restoreproof import engines
from restoreproof.clock import system_clock
from restoreproof.engines.mysql_connection import rows
from restoreproof.engines.mysql_dump import OPTIONS_FILE
from restoreproof.engines.mysql_restored import RestoredMySQL
from restoreproof.engines.mysql_source import MySQLSource, place_source_options
from restoreproof.jobs import run_job
from restoreproof.restore import Target, restoring
from restoreproof.vault import StoredBackup, Vault

BOUND = 0.2


def measure(bench: Bench) -> Iterator[Figure]:
    """From the stored archive to an answering server, and the same from a dump."""
    backup = _cloned(bench)
    target = Target("benchmark", backup, newest=True, population=(backup,))
    sandboxes, source = bench.context.sandboxes, bench.context.source
    with restoring(
        target, engines.load("mysql"), source, bench.image, sandboxes, system_clock
    ) as attempt:
        assert attempt.succeeded, attempt.failure
        ours = sum(
            phase.duration.total_seconds()
            for phase in attempt.phases
            if phase.name in ("start server", "load")
        )
        assert attempt.comparison.equal, attempt.comparison
    peer = _naive(bench)
    yield Figure("physical_restore_ratio", round(ours / peer, 3), BOUND, ours, peer)


def _cloned(bench: Bench) -> StoredBackup:
    with closing(bench.connect()) as connection:
        if not rows(connection, "SELECT 1 FROM information_schema.plugins"
                    " WHERE plugin_name = 'clone'"):  # fmt: skip
            rows(connection, "INSTALL PLUGIN clone SONAME 'mysql_clone.so'")
    vault = Vault(str(bench.folder / "physical"))
    vault.prepare()
    assert isinstance(bench.context.source, MySQLSource)
    source = bench.context.source.model_copy(update={"method": "clone"})
    context = replace(bench.context, source=source)
    result = run_job(engines.load("mysql"), context, vault, "benchmark", None)
    assert result.backup is not None, result.problem
    return result.backup


def _naive(bench: Bench) -> float:
    """Seconds of ``zstd -dc dump | mysql`` into an empty sandbox, its start included."""
    stored = bench.folder / "naive.sql.zst"
    with bench.context.sandboxes.tools(bench.image) as tools:
        place_source_options(tools, bench.context)
        dump = (
            f"mysqldump --defaults-extra-file={OPTIONS_FILE} --single-transaction --databases bench"
            " | zstd -q -3"
        )
        stream = tools.stream(["sh", "-c", dump])
        with stored.open("wb") as file:
            file.writelines(stream)
        assert stream.result().exit_code == 0, stream.result().complaint
    engine, sandboxes = engines.load("mysql"), bench.context.sandboxes
    with timed() as seconds:
        stack = engine.provision(bench.context.source, bench.image, sandboxes)
        restored = stack.__enter__()
        assert isinstance(restored, RestoredMySQL)
        client = ["mysql", f"--defaults-extra-file={OPTIONS_FILE}", f"--socket={restored.socket}"]
        with stored.open("rb") as file:
            loaded = restored.sandbox.run(
                ["sh", "-c", f"zstd -dc | {shlex.join(client)}"],
                feed=iter(lambda: file.read(1 << 20), b""),
            )
        assert loaded.exit_code == 0, loaded.complaint
    stack.__exit__(None, None, None)
    return seconds[0]
