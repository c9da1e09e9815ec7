"""Backup, restore and proof of one full backup, against the script that everybody writes."""

import subprocess
from collections.abc import Iterator
from contextlib import closing
from typing import Any

from mysql_bench import Bench, Figure, timed
from pymysql.connections import Connection

from mysql_figures.logical_restore import with_client
from restoreproof import engines
from restoreproof.clock import system_clock
from restoreproof.engines.mysql_connection import quoted, rows
from restoreproof.engines.mysql_dialect import spoken
from restoreproof.engines.mysql_dump import dump_command
from restoreproof.engines.mysql_restored import RestoredMySQL
from restoreproof.engines.mysql_source import place_source_options
from restoreproof.jobs import run_job
from restoreproof.restore import restoring, select
from restoreproof.vault import Vault

MOST = 0.7


def measure(bench: Bench) -> Iterator[Figure]:
    """The same server is backed up, restored and compared by both."""
    with timed() as peer:
        _script(bench)
    with timed() as ours:
        _audit(bench)
    yield Figure("audit_ratio", round(ours[0] / peer[0], 3), MOST, ours[0], peer[0])


def _audit(bench: Bench) -> None:
    engine, vault = engines.load("mysql"), Vault(str(bench.folder / "audit"))
    vault.prepare()
    backup = run_job(engine, bench.context, vault, "benchmark", None).backup
    assert backup is not None
    (target,) = select("benchmark", (backup,), "newest")
    context = bench.context
    with restoring(
        target, engine, context.source, bench.image, context.sandboxes, system_clock
    ) as attempt:
        assert attempt.comparison.equal, attempt.failure


def _script(bench: Bench) -> None:
    """mysqldump | zstd > file; start a server; zstd -dc file | mysql; CHECKSUM TABLE twice."""
    engine, sandboxes = engines.load("mysql"), bench.context.sandboxes
    dump = bench.folder / "script.zst"
    with sandboxes.tools(bench.image) as tools, dump.open("wb") as file:
        place_source_options(tools, bench.context)
        packing = subprocess.Popen(["zstd", "-3", "-c"], stdin=subprocess.PIPE, stdout=file)
        assert packing.stdin is not None
        with closing(bench.connect()) as source:
            command = dump_command(("bench",), spoken(source), binary_log=True)
        stream = tools.stream(command)
        for chunk in stream:
            packing.stdin.write(chunk)
        packing.stdin.close()
        assert packing.wait() == 0
        assert stream.result().exit_code == 0
    with engine.provision(bench.context.source, bench.image, sandboxes) as restored:
        assert isinstance(restored, RestoredMySQL)
        with_client(dump, restored)
        with closing(bench.connect()) as source:
            assert _checksums(source) == _checksums(restored.connection)


def _checksums(connection: "Connection[Any]") -> list[Any]:
    tables = rows(
        connection,
        "SELECT table_name FROM information_schema.tables WHERE table_schema = 'bench'"
        " ORDER BY table_name",
    )
    names = ", ".join(quoted("bench", str(name)) for (name,) in tables)
    return rows(connection, f"CHECKSUM TABLE {names}")
