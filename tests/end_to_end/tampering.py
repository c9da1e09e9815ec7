"""A pytest plugin for tests: tampers with restored copies before the checks look at them.

It is loaded with ``-p tampering``; the variable ``TAMPERING`` names what is done.
"""

import os
import subprocess
import time
from collections.abc import Callable, Generator
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from restoreproof import exercise, restore
from restoreproof.damage import MARK, VaultCopy
from restoreproof.damage_git import drop_reference
from restoreproof.engines.git_command import run_git
from restoreproof.engines.git_restored import RestoredGit
from restoreproof.engines.influxdb import RestoredInfluxDB
from restoreproof.engines.mysql_connection import rows
from restoreproof.engines.mysql_restored import RestoredMySQL
from restoreproof.fingerprint import Comparisons
from restoreproof.jobs import JobResult, run_job
from restoreproof.restore import RestoreAttempt
from restoreproof.vault import StoredBackup

BUNDLE = "repository.bundle.zst"


def delete_row(attempt: RestoreAttempt) -> None:
    """One row is deleted from a restored table."""
    assert isinstance(attempt.restored, RestoredMySQL)
    rows(attempt.restored.connection, "DELETE FROM agama.logins LIMIT 1")


def pass_for_source(attempt: RestoreAttempt) -> None:
    """The restored copy says that it is the source."""
    assert attempt.restored is not None and attempt.manifest is not None
    attempt.restored.identity = attempt.manifest.source_identity


def refuse_writes(attempt: RestoreAttempt) -> None:
    """The restored server may not write into its own folder any more."""
    assert isinstance(attempt.restored, RestoredInfluxDB)
    done = attempt.restored.sandbox.run(["chown", "-R", "root:", "/var/lib/influxdb"])
    assert done.exit_code == 0, done.complaint


def lose_old_file(attempt: RestoreAttempt) -> None:
    """One file that only old versions have is gone from the restored repository."""
    assert isinstance(attempt.restored, RestoredGit)
    lose_object(attempt.restored.repository, f"{attempt.restored.commits()[-1]}:hosts.ini")


def lose_object(repository: Path, name: str) -> None:
    """Remove one object from a repository that holds all of them in packs."""
    (pack,) = repository.glob("objects/pack/*.pack")
    outside = pack.replace(repository.parent / pack.name)
    pack.with_suffix(".idx").unlink()
    with outside.open("rb") as stream:
        command = ["git", "-C", str(repository), "unpack-objects", "-q"]
        subprocess.run(command, stdin=stream, check=True)
    identifier = run_git(["rev-parse", name], repository).strip()
    (repository / "objects" / identifier[:2] / identifier[2:]).unlink()


def corrupt_table(attempt: RestoreAttempt) -> None:
    """The index file of a table that no fingerprint holds is cut off."""
    assert isinstance(attempt.restored, RestoredMySQL)
    connection = attempt.restored.connection
    rows(connection, "CREATE TABLE mysql.frail (id INT PRIMARY KEY) ENGINE=MyISAM")
    rows(connection, "INSERT INTO mysql.frail VALUES (1)")
    rows(connection, "FLUSH TABLES mysql.frail")
    cut = ["truncate", "-s", "512", "/var/lib/mysql/mysql/frail.MYI"]
    done = attempt.restored.sandbox.run(cut)
    assert done.exit_code == 0, done.complaint


def refuse_rows(attempt: RestoreAttempt) -> None:
    """The restored server takes no writes."""
    assert isinstance(attempt.restored, RestoredMySQL)
    rows(attempt.restored.connection, "SET GLOBAL super_read_only = ON")


def commit_one_more(attempt: RestoreAttempt) -> None:
    """One transaction more than the source committed up to the instant."""
    if attempt.target.until is None:
        return
    assert isinstance(attempt.restored, RestoredMySQL)
    for statement in (
        "SET SESSION gtid_next = '00000000-0000-0000-0000-000000000001:1'",
        "CREATE DATABASE one_more",
        "SET SESSION gtid_next = 'AUTOMATIC'",
    ):
        rows(attempt.restored.connection, statement)


def linger(attempt: RestoreAttempt) -> None:
    """Nothing is done, but a check goes on until it is interrupted."""


def compare_nothing(attempt: RestoreAttempt) -> None:
    """What was restored is left alone, but no comparison ever finds a difference."""


def spoil_job(number: int, damage: Callable[[VaultCopy, StoredBackup], None]) -> None:
    """Of the jobs that back a living copy up, what one of them stored is damaged."""
    made = count(1)

    def job(*arguments: Any) -> JobResult:
        result = run_job(*arguments)
        if next(made) != number:
            return result
        assert result.backup is not None
        root = result.backup.folder.parents[1]
        (root / MARK).touch()
        copy = VaultCopy(root)
        damage(copy, result.backup)
        return replace(result, backup=copy.newest(result.component))

    exercise.run_job = job


def without(reference: str) -> Callable[[VaultCopy, StoredBackup], None]:
    """The stored bundle lacked a reference."""
    return lambda copy, backup: copy.rewrite(backup, BUNDLE, drop_reference(reference))


SPOILING = {
    "lack_main": (1, without("refs/heads/main")),
    "lack_branch": (1, without("refs/heads/heartbeat")),
    "flip_last": (2, lambda copy, backup: copy.flip_byte(backup, BUNDLE)),
}
if os.environ.get("TAMPERING") in SPOILING:
    spoil_job(*SPOILING[os.environ["TAMPERING"]])

TAMPERING: dict[str, Callable[[RestoreAttempt], None]] = {
    done.__name__: done
    for done in (
        delete_row,
        pass_for_source,
        refuse_writes,
        lose_old_file,
        corrupt_table,
        refuse_rows,
        commit_one_more,
        linger,
        compare_nothing,
    )
}


def pytest_configure() -> None:
    if os.environ["TAMPERING"] == compare_nothing.__name__:
        restore.compare = lambda expected, *_: Comparisons(len(expected.items), (), ())


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(fixturedef: pytest.FixtureDef[Any]) -> Generator[None, object, object]:
    result = yield
    if fixturedef.argname in ("attempt", "instant"):
        assert isinstance(result, RestoreAttempt)
        TAMPERING.get(os.environ["TAMPERING"], linger)(result)
    return result


def pytest_runtest_call(item: pytest.Item) -> None:
    if os.environ["TAMPERING"] == "linger" and "attempt" in getattr(item, "fixturenames", ()):
        Path(os.environ["LINGERING"]).touch()
        time.sleep(600)
