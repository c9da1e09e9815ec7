"""Loading a dump into an empty server, against ``zstd -dc dump | mysql`` into the same sandbox."""

import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from mysql_bench import Bench, Figure, timed

from restoreproof import engines
from restoreproof.clock import system_clock
from restoreproof.engines.contract import BackupToRestore, Restored
from restoreproof.engines.mysql_connection import rows
from restoreproof.engines.mysql_dump import OPTIONS_FILE
from restoreproof.engines.mysql_fingerprint import METHOD
from restoreproof.engines.mysql_load import DUMP
from restoreproof.engines.mysql_restored import RestoredMySQL
from restoreproof.fingerprint import Fingerprint
from restoreproof.jobs import run_job
from restoreproof.vault import StoredBackup, Vault

MOST = 0.55


def measure(bench: Bench) -> Iterator[Figure]:
    """One load of each kind, of the same stored dump, with the same content in the end."""
    engine = engines.load("mysql")
    vault = Vault(str(bench.folder / "logical-restore"))
    vault.prepare()
    backup = run_job(engine, bench.context, vault, "benchmark", None).backup
    assert backup is not None
    peer, there = _load(bench, partial(with_client, dump_of(backup)))
    ours, here = _load(bench, partial(_with_engine, backup))
    assert here == there
    yield Figure("logical_restore_ratio", round(ours / peer, 3), MOST, ours, peer)


def dump_of(backup: StoredBackup) -> Path:
    """The stored dump, as zstd wrote it."""
    return backup.folder / f"{DUMP}.zst"


def _load(bench: Bench, load: partial[None]) -> tuple[float, list[object]]:
    engine = engines.load("mysql")
    with engine.provision(bench.context.source, bench.image, bench.context.sandboxes) as restored:
        assert isinstance(restored, RestoredMySQL)
        with timed() as seconds:
            load(restored)
        content: list[object] = [
            rows(restored.connection, "CHECKSUM TABLE bench.large, bench.small_007"),
            rows(restored.connection, "SHOW CREATE TABLE bench.large"),
        ]
    return seconds[0], content


def _with_engine(backup: StoredBackup, restored: Restored) -> None:
    (dump,) = (one for one in backup.manifest().artifacts if one.name == f"{DUMP}.zst")
    engines.load("mysql").load(
        restored,
        BackupToRestore(
            position="",
            source_version=restored.server_version,
            facts={},
            fingerprint=Fingerprint.of(METHOD, system_clock(), ()),
            read=lambda _: backup.read(dump),
            read_stored=lambda _: backup.read_stored(dump),
        ),
    )


def with_client(dump: Path, restored: RestoredMySQL) -> None:
    """``zstd -dc dump | mysql``."""
    command = (
        "mysql",
        f"--defaults-extra-file={OPTIONS_FILE}",
        f"--socket={restored.socket}",
        "--binary-mode",
        "--default-character-set=utf8mb4",
    )
    with subprocess.Popen(["zstd", "-dc", str(dump)], stdout=subprocess.PIPE) as unpacking:
        assert unpacking.stdout is not None
        chunks = iter(partial(unpacking.stdout.read, 1024**2), b"")
        assert restored.sandbox.run(command, feed=chunks).exit_code == 0
