"""Replay of 100,000 small transactions: binary logs as relay logs against mysqlbinlog | mysql."""

import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace

from mysql_bench import Bench, Figure, timed

from restoreproof import engines
from restoreproof.engines.contract import BackupToRestore
from restoreproof.engines.mysql_connection import rows
from restoreproof.engines.mysql_dump import OPTIONS_FILE
from restoreproof.engines.mysql_restored import RestoredMySQL
from restoreproof.jobs import run_job
from restoreproof.restore import to_restore
from restoreproof.vault import StoredBackup, Vault

TRANSACTIONS = 100_000
WRITERS = 4
FOLDER = "/var/tmp/benchmark"  # noqa: S108  # inside a container of ours alone


def measure(bench: Bench) -> Iterator[Figure]:
    """A full backup and an increment of many small transactions, replayed twice."""
    context = replace(bench.context, component="replay")
    vault = Vault(str(bench.folder / "replay"))
    vault.prepare()
    engine = engines.load("mysql")
    with closing(bench.connect()) as connection:
        rows(connection, "SET GLOBAL sync_binlog = 0, GLOBAL innodb_flush_log_at_trx_commit = 0")
        rows(connection, "CREATE DATABASE IF NOT EXISTS replay")
        for number in range(WRITERS):
            rows(
                connection,
                f"CREATE TABLE replay.t{number} (id INT AUTO_INCREMENT PRIMARY KEY,"
                " account INT NOT NULL, word VARCHAR(60), KEY (account))",
            )
            rows(
                connection,
                f"CREATE PROCEDURE replay.write{number}(n INT) BEGIN"  # noqa: S608  # our own names
                f" WHILE n > 0 DO INSERT INTO replay.t{number} (account, word)"
                " VALUES (n MOD 1000, SHA2(n, 224)); SET n = n - 1; END WHILE; END",
            )
    full = _stored(engine, context, vault, None)
    with ThreadPoolExecutor(WRITERS) as pool:
        list(pool.map(lambda number: _write(bench, number), range(WRITERS)))
    increment = _stored(engine, context, vault, full)
    ours = _timed(bench, full, increment, engine.replay)
    peer = _timed(bench, full, increment, _pipe)
    yield Figure("replay_ratio", round(ours / peer, 3), 0.2, ours, peer)


def _write(bench: Bench, number: int) -> None:
    with closing(bench.connect()) as connection:
        rows(connection, f"CALL replay.write{number}({TRANSACTIONS // WRITERS})")


def _stored(engine, context, vault, base) -> StoredBackup:  # type: ignore[no-untyped-def]
    result = run_job(engine, context, vault, "benchmark", base)
    assert result.backup is not None, result.problem
    return result.backup


def _timed(
    bench: Bench,
    full: StoredBackup,
    increment: StoredBackup,
    replay: Callable[[RestoredMySQL, BackupToRestore], None],
) -> float:
    engine = engines.load("mysql")
    with engine.provision(bench.context.source, bench.image, bench.context.sandboxes) as restored:
        assert isinstance(restored, RestoredMySQL)
        engine.load(restored, to_restore(full, full.manifest()))
        with timed() as seconds:
            replay(restored, to_restore(increment, increment.manifest()))
        assert restored.position == increment.manifest().position
        print(restored.limits, file=sys.stderr)
    return seconds[0]


def _pipe(restored: RestoredMySQL, increment: BackupToRestore) -> None:
    unpack = f"mkdir {FOLDER} && tar -C {FOLDER} -xf -"
    logs = increment.facts["logs"]
    pipe = (
        f"set -o pipefail; cd {FOLDER} && mysqlbinlog {logs}"
        f" | mysql --defaults-extra-file={OPTIONS_FILE} --socket={restored.socket} --binary-mode"
    )
    for command, feed in (
        (["sh", "-c", unpack], increment.read("binary-logs.tar")),
        (["bash", "-c", pipe], None),
    ):
        done = restored.sandbox.run(command, feed=feed)
        assert done.exit_code == 0, done.complaint
