"""What the scenarios do to a vault, to its content and to a source: a function each."""

import shutil
import subprocess
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path

from tampering import lose_object

from restoreproof import damage_content, damage_git
from restoreproof.damage import Change, VaultCopy
from restoreproof.manifest import BackupPruned, RunFailed, ScheduleSeen

MYSQL, INFLUXDB, GIT = "mysql", "influxdb", "ansible"
ARTIFACTS = {MYSQL: "dump.sql.zst", INFLUXDB: "portable.tar.zst", GIT: "repository.bundle.zst"}


def nothing(_copy: VaultCopy) -> None:
    """The backups are as they were."""


def flip_byte(component: str) -> Callable[[VaultCopy], None]:
    """One byte in the middle of the stored artifact is another."""

    def damage(copy: VaultCopy) -> None:
        backup, artifact = copy.newest(component), ARTIFACTS[component]
        middle = (backup.folder / artifact).stat().st_size // 2
        copy.flip_byte(backup, artifact, middle)

    return damage


def rewrite(component: str, change: Change, artifact: str = "") -> Callable[[VaultCopy], None]:
    """The content was another when it was stored."""
    name = artifact or ARTIFACTS[component]
    return lambda copy: copy.rewrite(copy.newest(component), name, change)


def backdate(component: str, by: timedelta) -> Callable[[VaultCopy], None]:
    """The backup is older."""
    return lambda copy: copy.backdate(copy.newest(component), by)


def one_more(copy: VaultCopy, before: timedelta) -> None:
    """There is a backup before the newest, older by so much."""
    newest = copy.newest(GIT)
    copy.add_earlier(newest, before)


def two_more(copy: VaultCopy) -> None:
    """There are backups of two and of three days ago."""
    for days in (2, 3):
        one_more(copy, timedelta(days=days))


def three_of_long_ago(copy: VaultCopy) -> None:
    """There are backups of the month before last, more than one run draws from."""
    for days in (40, 41, 42):
        one_more(copy, timedelta(days=days))


def lose_tag(copy: VaultCopy) -> None:
    """The newest backup has a tag no more that the one before it has."""
    one_more(copy, timedelta(minutes=1))
    rewrite(GIT, damage_git.drop_reference("refs/tags/v1.1"))(copy)


def add_spoiled_tag(copy: VaultCopy) -> None:
    """The repository has a tag whose signature does not fit it, by a key that the policy names."""
    key, signers = copy.root.parent / "key", copy.root.parent / "signers"
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "test", "-f", str(key)]
    subprocess.run(command, check=True)
    public = key.with_suffix(".pub").read_text(encoding="utf-8")
    signers.write_text(f"restoreproof@localhost {public}", encoding="utf-8")
    rewrite(GIT, damage_git.add_spoiled_tag(key))(copy)


def prune_one(copy: VaultCopy, *, killed: bool = False) -> None:
    """A backup of a minute before the newest was pruned, or was about to be."""
    newest = copy.newest(GIT)
    pruned = copy.add_earlier(newest, timedelta(minutes=1))
    at = newest.entry.finished_at
    copy.vault.catalog.note(
        BackupPruned, component=GIT, backup=pruned.id, at=at, rule="the newest 1"
    )
    if not killed:
        shutil.rmtree(pruned.folder)


def note_failed_run(copy: VaultCopy) -> None:
    """A run failed half an hour before the newest backup."""
    at = copy.newest(GIT).entry.started_at - timedelta(minutes=30)
    copy.vault.catalog.note(
        RunFailed, component=GIT, kind="full", started_at=at, ended_at=at, problem="disk full"
    )


def note_schedule_of_earlier(copy: VaultCopy) -> None:
    """The schedule was in force three days before its first run."""
    (seen,) = (
        event
        for event in copy.vault.catalog.events()
        if isinstance(event, ScheduleSeen) and event.component == INFLUXDB
    )
    copy.vault.catalog.note(
        ScheduleSeen,
        component=INFLUXDB,
        kinds=seen.kinds,
        time_zone=seen.time_zone,
        seen_at=seen.seen_at - timedelta(days=3),
    )


def age_heartbeats(copy: VaultCopy) -> None:
    """The heartbeats in the dump are of another year."""
    backup = copy.newest(MYSQL)
    old = f"'{backup.entry.recovery_point:%Y}-".encode()
    change = damage_content.replace_in_rows("heartbeat", old, b"'2020-")
    copy.rewrite(backup, ARTIFACTS[MYSQL], change)


def spoil_statement(dump: bytes) -> bytes:
    """Write a word that no server knows into the dump."""
    return dump.replace(b"CREATE TABLE `heartbeat`", b"CREATE TABEL `heartbeat`")


def lose_object_at_source(repository: Path, place: Path) -> Mapping[str, str]:
    """A repository that answers, and in which one file of the newest version is gone."""
    broken = place / "broken.git"
    shutil.copytree(repository, broken)
    lose_object(broken, "HEAD:site.yml")
    return {"AGAMA_REPOSITORY": str(broken)}


def stretch(component: str, by: timedelta) -> Callable[[VaultCopy], None]:
    """The job took longer."""

    def damage(copy: VaultCopy) -> None:
        backup = copy.newest(component)
        copy.restate(backup, finished_at=backup.entry.finished_at + by)

    return damage
