"""Ctrl-C and kill at any point: no container, no partial artifact, no folder is left."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from runs import COMMAND, Agama, Finished, Running, audit_command, labelled, left_by, run, started
from vault_faults import GIT, INFLUXDB, MYSQL

from restoreproof.damage import VaultCopy
from restoreproof.sandbox import LABEL
from restoreproof.vault import Vault
from restoreproof.verdicts import Verdict

INTERRUPTED = (130, -signal.SIGINT)
"""A shell says 130 for both: Python ends by the signal itself if that came while it ran exec()."""


def _nothing_is_left(finished: Finished, vault: Path, backups: int) -> None:
    assert finished.code in INTERRUPTED, finished.output
    assert "Traceback" not in finished.output
    assert "interrupted" in finished.output
    assert left_by(finished.process) == []
    assert list(finished.archive.iterdir()) == []
    incoming = vault / ".incoming"
    assert not incoming.exists() or list(incoming.iterdir()) == []
    catalogued = Vault(str(vault)).catalog.entries()
    stored = sorted(path.name for path in vault.glob("*/*") if path.parent.name != ".incoming")
    assert stored == sorted(entry.backup for entry in catalogued)
    assert len(stored) == backups


def test_interrupt_during_a_backup(agama: Agama, tmp_path: Path) -> None:
    """Ctrl-C while a dump is written leaves no container, no artifact and no report."""
    archive, vault = tmp_path / "archive", tmp_path / "vault"
    command = audit_command(archive, "--component", MYSQL)
    with started(command, agama.with_vault(vault), archive) as running:
        running.wait_for(lambda: running.containers("tools"), "container with the tools")
        running.wait_for(lambda: list(vault.glob(".incoming/*/*.zst")), "artifact")
        running.send(signal.SIGINT)
        finished = running.finished()

    _nothing_is_left(finished, vault, backups=0)


def test_interrupt_during_a_restore(
    agama: Agama, copy_of_vault: Callable[[], VaultCopy], tmp_path: Path
) -> None:
    """Ctrl-C while a server is started and loaded leaves no container, and the vault as it was."""
    archive, vault = tmp_path / "archive", copy_of_vault().root
    command = audit_command(archive, "--no-backup", "--component", MYSQL)
    with started(command, agama.with_vault(vault), archive) as running:
        running.wait_for(lambda: running.containers("sandbox"), "sandbox")
        running.send(signal.SIGINT)
        finished = running.finished()

    _nothing_is_left(finished, vault, backups=3)


@contextmanager
def _lingering(agama: Agama, vault: Path, place: Path) -> Iterator[Running]:
    """An audit with a restored server, in the middle of a check that does not end."""
    place.mkdir()
    archive, mark = place / "archive", place / "lingering"
    environment = agama.with_vault(vault, TAMPERING="linger", LINGERING=str(mark))
    arguments = ("--no-backup", "--component", INFLUXDB, "--", "-p", "tampering")
    with started(audit_command(archive, *arguments), environment, archive) as running:
        running.wait_for(mark.exists, "check that lingers")
        yield running


def test_interrupt_during_a_check_and_clean_after_a_kill(
    agama: Agama, copy_of_vault: Callable[[], VaultCopy], tmp_path: Path
) -> None:
    """`clean` removes what a killed run left and nothing of a living one; Ctrl-C ends that one."""
    vault = copy_of_vault().root
    with (
        _lingering(agama, vault, tmp_path / "killed") as killed,
        _lingering(agama, vault, tmp_path / "living") as living,
    ):
        killed.send(signal.SIGKILL)
        assert killed.finished().code == -signal.SIGKILL
        assert left_by(killed.process.pid), "a run that was killed cannot have cleaned up"

        cleaned = run((*COMMAND, "clean"), {}, tmp_path)

        assert cleaned.code == 0, cleaned.output
        assert "removed container" in cleaned.output
        assert left_by(killed.process.pid) == []
        assert living.containers("sandbox"), "the sandbox of a living run was removed"
        assert agama.estate.mysql.container in {one.name for one in labelled(f"{LABEL}=estate")}

        again = audit_command(killed.archive, "--no-backup", "--component", GIT)
        told = run(again, agama.with_vault(vault), killed.archive)
        (record,) = told.checks("CAD-002", GIT)
        assert told.with_verdict(Verdict.FAILED) == {("CAD-002", GIT)}, told.output
        assert "came to no end" in record.seen

        living.send(signal.SIGINT)
        finished = living.finished()
    _nothing_is_left(finished, vault, backups=3)


def test_polite_kill_cleans_up_too(
    agama: Agama, copy_of_vault: Callable[[], VaultCopy], tmp_path: Path
) -> None:
    """SIGTERM, as a service manager sends it, leaves as little behind as Ctrl-C."""
    vault = copy_of_vault().root
    with _lingering(agama, vault, tmp_path / "terminated") as running:
        running.process.terminate()
        finished = running.finished()

    _nothing_is_left(finished, vault, backups=3)
