"""``backup --due`` on a real repository and vault, by a clock that the test moves."""

import os
import shutil
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from git import Repo
from histories import DAY, HOUR, MONDAY, SECOND

from restoreproof import engines
from restoreproof.catalog_repair import repair
from restoreproof.due_jobs import run_due
from restoreproof.errors import SeveralProblems, VaultBusy
from restoreproof.jobs import JobResult, backup_id
from restoreproof.manifest import BackupGone, CatalogEntry, RunFailed, RunMissed
from restoreproof.progress import Progress
from restoreproof.vault import Vault

POLICY = """\
estate: Harbour
objectives: {rpo: 25h, rto: 4h, restore_test_every: 31d}
vault: {location: vault}
components:
  playbooks:
    engine: git
    source: {repository: playbooks}
    coverage: [playbook]
    schedule: {full: 10 16 * * 1, incremental: 10 16 * * 2-7}
  wiki:
    engine: git
    source: {repository: playbooks}
    coverage: [playbook]
"""


class Harbour:
    """An estate with a repository, and the time that it is there."""

    def __init__(self, folder: Path) -> None:
        self.policy = folder / "policy.yaml"
        self.policy.write_text(POLICY)
        self.repository = folder / "playbooks"
        self.vault = Vault(str(folder / "vault"))
        self.now = MONDAY
        with Repo.init(self.repository) as repository:
            (self.repository / "site.yml").write_text("- hosts: all\n")
            repository.index.add(["site.yml"])
            repository.index.commit("begin")

    def due(self, now: datetime) -> tuple[JobResult, ...]:
        """Run what is due at an instant."""
        self.now = now
        return run_due(self.policy, (), Progress(), lambda: self.now)

    def told(self, kind: type) -> list[object]:
        """Lines of the catalog of a kind."""
        return [event for event in self.vault.catalog.events() if isinstance(event, kind)]


@pytest.fixture
def harbour(tmp_path: Path) -> Harbour:
    """A repository that is backed up on schedule, and one without."""
    return Harbour(tmp_path)


def test_what_is_due_is_run_once(harbour: Harbour) -> None:
    """One backup on Monday however often it is asked, and one on Tuesday."""
    for after in (0, 1, 600, 86_399):
        harbour.due(MONDAY + after * SECOND)
    assert len(harbour.told(CatalogEntry)) == 1
    (result,) = harbour.due(MONDAY + DAY)
    assert result.backup
    assert len(harbour.told(CatalogEntry)) == 2
    assert not harbour.told(RunMissed)


def test_missed_run_is_caught_up_and_noted(harbour: Harbour) -> None:
    """After three days without the machine there is one backup, and a line about what was not."""
    harbour.due(MONDAY)
    (result,) = harbour.due(MONDAY + 3 * DAY + HOUR)

    assert result.backup
    (missed,) = harbour.told(RunMissed)
    assert isinstance(missed, RunMissed)
    assert (missed.count, missed.due_at) == (3, MONDAY + DAY)


def test_failed_run_is_noted_and_stays_after_a_success(harbour: Harbour) -> None:
    """A source that is away: a line with its words, tried again in an hour, and never removed."""
    away = harbour.repository.rename(harbour.repository.with_name("away"))
    with pytest.raises(SeveralProblems, match="playbooks"):
        harbour.due(MONDAY)
    assert not harbour.due(MONDAY + 5 * SECOND)
    away.rename(harbour.repository)
    (result,) = harbour.due(MONDAY + 2 * HOUR)

    assert result.backup
    (failed,) = harbour.told(RunFailed)
    assert isinstance(failed, RunFailed)
    assert failed.started_at == MONDAY
    assert "playbooks" in failed.problem


def test_job_that_fails_midway_is_noted(harbour: Harbour, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever ends a job, also Ctrl-C, the catalog tells of it."""
    errors: list[BaseException] = [KeyboardInterrupt()]

    def back_up(*_: object) -> None:
        raise errors.pop()

    monkeypatch.setattr(type(engines.load("git")), "back_up", back_up)
    with pytest.raises(KeyboardInterrupt):
        harbour.due(MONDAY)

    (failed,) = harbour.told(RunFailed)
    assert isinstance(failed, RunFailed)
    assert (failed.kind, failed.problem) == ("full", "interrupted")


def test_job_whose_process_died_is_noted(harbour: Harbour) -> None:
    """What ``kill -9`` left is dropped by the next job, with a line that says it failed."""
    harbour.due(MONDAY)
    died = MONDAY + DAY
    left = backup_id("playbooks", died, "full")
    (harbour.vault.root / ".incoming" / f"{left}.{2**22 + 1}").mkdir()
    (result,) = harbour.due(died + 2 * HOUR)

    assert result.backup
    (failed,) = harbour.told(RunFailed)
    assert isinstance(failed, RunFailed)
    assert (failed.component, failed.started_at) == ("playbooks", died)
    assert "died" in failed.problem
    # It began in time, so it was not missed.
    assert not harbour.told(RunMissed)


def test_second_run_says_who_holds_the_lock(harbour: Harbour) -> None:
    """While another process backs the component up, nothing is done and nothing is noted."""
    harbour.vault.prepare()
    with (
        harbour.vault.working_on("playbooks", "backing up", MONDAY),
        pytest.raises(VaultBusy, match=f"process {os.getpid()} on"),
    ):
        harbour.due(MONDAY)
    assert not harbour.vault.catalog.events()
    assert harbour.due(MONDAY + timedelta(minutes=10))[0].backup


def test_backup_that_is_damaged_when_read_again_is_a_failed_run(
    harbour: Harbour, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was written is read again at once: a disk that keeps something else shows."""
    publish = Vault.publish

    def to_a_bad_disk(vault: Vault, *arguments: object) -> object:
        stored = publish(vault, *arguments)  # type: ignore[arg-type]
        path = stored.folder / "repository.bundle.zst"
        content = path.read_bytes()
        path.unlink()
        path.write_bytes(content[:-1] + b"\0")
        return stored

    monkeypatch.setattr(Vault, "publish", to_a_bad_disk)
    (result,) = harbour.due(MONDAY)

    assert result.backup is None
    assert "damaged when it was read again" in result.problem
    assert "SHA-256 differs" in result.problem
    assert len(harbour.told(RunFailed)) == 1


def test_repair_enters_what_a_killed_job_could_not(harbour: Harbour) -> None:
    """Killed in the midst of its line: the torn end is kept aside, the backup is entered."""
    harbour.due(MONDAY)
    catalog = harbour.vault.catalog.path
    content = catalog.read_bytes()
    torn = content.splitlines()[-1][:-40]
    catalog.write_bytes(content[: content.rindex(torn)] + torn)
    told: list[str] = []

    assert repair(harbour.vault, MONDAY + HOUR, told.append)
    (entry,) = harbour.told(CatalogEntry)
    assert isinstance(entry, CatalogEntry)
    assert entry.entered_late
    (backup,) = harbour.vault.backups("playbooks")
    assert backup.damage() == (4, ())
    (aside,) = harbour.vault.root.glob("catalog.jsonl.torn-*")
    assert aside.read_bytes() == torn
    assert [line.partition(":")[0] for line in told] == ["the catalog's end had broken off", entry.backup]  # fmt: skip  # noqa: E501
    told.clear()
    assert repair(harbour.vault, MONDAY + HOUR, told.append)
    assert not told
    assert not harbour.due(MONDAY + HOUR)


def test_repair_enters_no_damaged_backup_and_notes_what_is_gone(harbour: Harbour) -> None:
    """What is not whole stays as it lies; what was deleted by hand is noted, and due again."""
    harbour.due(MONDAY)
    (backup,) = harbour.vault.backups("playbooks")
    stranger = backup.folder.with_name("playbooks-unknown")
    shutil.copytree(backup.folder, stranger)
    shutil.rmtree(backup.folder)
    told: list[str] = []

    assert not repair(harbour.vault, MONDAY + HOUR, told.append)
    assert stranger.exists()
    assert len(told) == 2
    assert len(harbour.told(BackupGone)) == 1
    assert harbour.vault.backups("playbooks") == ()
    assert harbour.due(MONDAY + HOUR)[0].backup


def test_component_without_a_schedule_is_never_due(harbour: Harbour) -> None:
    """It is passed over, and so is its lock."""
    harbour.due(MONDAY)
    assert not harbour.vault.backups("wiki")
