"""Locks: the second is told who holds one, and a process that was killed lets go of it."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from restoreproof.errors import VaultBusy
from restoreproof.vault import Vault

NOW = datetime(2026, 7, 6, 16, 10, tzinfo=UTC)
HOLD = """\
import sys, time
from datetime import UTC, datetime
from pathlib import Path
from restoreproof.vault import Vault
with Vault(sys.argv[1]).working_on("mysql", "backing up", datetime(2026, 7, 6, tzinfo=UTC)):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    """A vault that takes locks."""
    return Vault(str(tmp_path))


@contextmanager
def holding(vault: Vault) -> Iterator["subprocess.Popen[str]"]:
    """A process that works on the component mysql."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(vault.root)],
        stdout=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    ) as process:  # fmt: skip
        assert process.stdout
        assert process.stdout.readline() == "held\n"
        try:
            yield process
        finally:
            process.kill()


def test_second_is_told_who_holds_it_and_a_kill_lets_go(vault: Vault) -> None:
    """One line with process, machine and time; after ``kill -9`` the lock is free at once."""
    with holding(vault) as process:
        with (
            pytest.raises(VaultBusy) as caught,
            vault.working_on("mysql", "backing up", NOW),
        ):
            pass
        said = str(caught.value)
        assert f"process {process.pid} on {os.uname().nodename}, backing up mysql since" in said
        assert "2026-07-06T00:00:00+00:00" in said
        assert "\n" not in said
        assert caught.value.exit_code == 3
        with vault.working_on("influxdb", "backing up", NOW):
            pass
        process.send_signal(signal.SIGKILL)
        process.wait()
        with vault.working_on("mysql", "backing up", NOW):
            pass


def test_audits_read_together_and_pruning_waits_for_them(vault: Vault) -> None:
    """Two audits at once are no trouble; nothing is pruned while one restores, nor the reverse."""
    with (
        vault.reading("auditing", NOW),
        vault.reading("auditing", NOW),
        pytest.raises(VaultBusy, match="auditing since"),
        vault.pruning(NOW),
    ):
        pass
    with (
        vault.pruning(NOW),
        pytest.raises(VaultBusy, match="pruning"),
        vault.reading("auditing", NOW),
    ):
        pass


def test_vault_that_is_not_there_can_be_read(tmp_path: Path) -> None:
    """Where nobody can take a lock nobody prunes; a job needs its lock."""
    vault = Vault(str(tmp_path / "none"))
    with vault.reading("auditing", NOW):
        pass
    with pytest.raises(Exception, match="cannot be written"), vault.working_on("mysql", "x", NOW):
        pass


def test_holder_that_has_not_signed_yet_is_somebody(vault: Vault) -> None:
    """A lock file with nothing, or something else, in it is no crash."""
    with holding(vault):
        for content in ("", "[]", "{}", "\0"):
            (vault.root / ".mysql.lock").write_text(content)
            with (
                pytest.raises(VaultBusy, match="held by another process"),
                vault.working_on("mysql", "backing up", NOW),
            ):
                pass
