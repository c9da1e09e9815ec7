"""The vault keeps what it was given, byte for byte, and never shows half of a backup."""

import random
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import zstandard
from vaults import CONTENT, interrupted, manifest, open_vault, store

from restoreproof import catalog, incoming, storage, vault
from restoreproof.errors import OutputUnwritable, UserError
from restoreproof.outcomes import BackupFailed, RestoreFailed
from restoreproof.vault import INCOMING, StoredBackup, Vault

TESTS = Path(__file__).parent


def content_of(backup: StoredBackup) -> dict[str, bytes]:
    """What a stored backup gives back, each artifact checked first."""
    found = {}
    for artifact in backup.manifest().artifacts:
        backup.check(artifact)
        found[artifact.name.removesuffix(".zst")] = b"".join(backup.read(artifact))
    return found


def folders(opened: Vault) -> set[str]:
    """The names of all backups that lie in a vault's folder, whether catalogued or not."""
    components = (one for one in opened.root.iterdir() if one.is_dir() and one.name != INCOMING)
    return {backup.name for component in components for backup in component.iterdir()}


def incoming_of(opened: Vault) -> list[str]:
    """What lies in the place for backups that are being written."""
    return [path.name for path in (opened.root / INCOMING).iterdir()]


def run(folder: Path, code: str) -> "subprocess.Popen[str]":
    """Another process that has the vault open as ``opened`` and says when it is done."""
    text = f"import os, sys, time\nfrom vaults import *\nopened = open_vault({str(folder)!r})\n"
    return subprocess.Popen(
        [sys.executable, "-c", text + code],
        cwd=TESTS,
        env={"PYTHONPATH": f"{TESTS.parent}:{TESTS}", "PYTHONDONTWRITEBYTECODE": "1"},
        stdout=subprocess.PIPE,
        text=True,
    )


@pytest.fixture
def opened(tmp_path: Path) -> Vault:
    """An empty vault."""
    return open_vault(tmp_path / "vault")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"x",
        b"INSERT INTO stars VALUES (1);\n" * 5,
        bytes(range(256)) * 40_000,
        b"\0" * 30_000_000,
    ],
)
def test_content_comes_back(opened: Vault, content: bytes) -> None:
    """Content of any size is given back as it was, and its size is known."""
    backup = store(opened, "mysql-1", {"dump.sql": content})

    assert content_of(backup) == {"dump.sql": content}
    (artifact,) = backup.manifest().artifacts
    assert artifact.content_bytes == len(content)
    assert artifact.stored_bytes == (backup.folder / artifact.name).stat().st_size
    assert backup.damage() == (2, ())


def test_content_in_any_pieces_is_the_same(opened: Vault) -> None:
    """How an engine cuts its stream leaves no trace in the content."""
    with opened.incoming("mysql-1") as incoming:
        with incoming.artifact("dump.sql") as writer:
            for piece in (b"", b"a", b"", b"bc" * 70_000, b"d"):
                writer.write(piece)
        backup = opened.publish(incoming, manifest("mysql-1", incoming))

    assert content_of(backup) == {"dump.sql": b"a" + b"bc" * 70_000 + b"d"}


def test_frames_carry_a_checksum_of_their_content(opened: Vault) -> None:
    """Without it zstd decodes a flipped bit into other content, and says nothing."""
    backup = store(opened, "mysql-1")

    for artifact in backup.manifest().artifacts:
        frame = (backup.folder / artifact.name).read_bytes()
        assert zstandard.get_frame_parameters(frame).has_checksum


def test_reading_takes_little_memory(tmp_path: Path) -> None:
    """Content that packs well, such as a gigabyte of zeros, is unpacked piece by piece."""
    process = run(
        tmp_path,
        "import resource\n"
        "with opened.incoming('mysql-1') as incoming:\n"
        "    with incoming.artifact('dump.sql') as writer:\n"
        "        for _ in range(64): writer.write(bytes(16 << 20))\n"
        "    backup = opened.publish(incoming, manifest('mysql-1', incoming))\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "sizes = sum(len(chunk) for chunk in backup.read(backup.manifest().artifacts[0]))\n"
        "after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "print(sizes >> 20, (after - before) >> 10)\n",
    )
    read, grown = process.communicate(timeout=60)[0].split()

    assert int(read) == 1024
    assert int(grown) < 300


def test_stored_files_are_read_only(opened: Vault) -> None:
    """Nothing that was stored invites to be written to."""
    backup = store(opened, "mysql-1")

    for path in backup.folder.iterdir():
        assert path.stat().st_mode & 0o777 == 0o444


def test_backups_are_listed_by_recovery_point(opened: Vault) -> None:
    """The oldest comes first, whenever it was stored, and other components stay out."""
    later = store(opened, "mysql-2", recovery_point="2026-07-08T00:00:00Z")
    earlier = store(opened, "mysql-1", recovery_point="2026-07-07T00:00:00Z")
    store(opened, "influxdb-1")

    assert opened.backups("mysql") == (earlier, later)
    assert opened.backups("unknown") == ()


def test_second_backup_of_a_name_is_refused(opened: Vault) -> None:
    """The first stays as it was, and nothing of the second is left."""
    first = store(opened, "mysql-1")

    with pytest.raises(BackupFailed, match="has a backup mysql-1 already"):
        store(opened, "mysql-1", {"dump.sql": b"other"})

    assert content_of(first) == CONTENT
    assert [entry.backup for entry in opened.catalog.entries()] == ["mysql-1"]
    assert incoming_of(opened) == []


def test_second_artifact_of_a_name_is_refused(opened: Vault) -> None:
    """An artifact is written once, and the first stays."""
    with opened.incoming("mysql-1") as incoming:
        with incoming.artifact("dump.sql") as writer:
            writer.write(b"first")
        with pytest.raises(OutputUnwritable, match="File exists"), incoming.artifact("dump.sql"):
            pass
        backup = opened.publish(incoming, manifest("mysql-1", incoming))

    assert content_of(backup) == {"dump.sql": b"first"}


def test_unpublished_backup_is_gone(opened: Vault) -> None:
    """A job that ends without a manifest leaves nothing."""
    with opened.incoming("mysql-1") as incoming, incoming.artifact("dump.sql") as writer:
        writer.write(b"content")

    assert incoming_of(opened) == []
    assert folders(opened) == set()


@pytest.mark.parametrize(
    "error",
    [KeyboardInterrupt("stop"), OSError(28, "No space left"), BackupFailed("mysqldump: broken")],
)
def test_error_at_any_line_leaves_a_whole_backup_or_none(
    tmp_path: Path, error: BaseException
) -> None:
    """Wherever a job ends early: catalogue and folders agree, and all they hold is whole."""
    files = {one.__file__ for one in (vault, incoming, catalog, storage)}
    step, going, outcomes = 0, True, set()
    while going:
        step += 1
        tried = open_vault(tmp_path / str(step))
        store(tried, "mysql-0")
        going = interrupted(lambda tried=tried: store(tried, "mysql-1"), files, step, error)

        catalogued = {entry.backup for entry in tried.catalog.entries()}
        assert catalogued == folders(tried), step
        assert incoming_of(tried) == [], step
        assert all(backup.damage() == (3, ()) for backup in tried.backups("mysql")), step
        outcomes.add(frozenset(catalogued))

    assert step > 80
    assert outcomes == {frozenset({"mysql-0"}), frozenset({"mysql-0", "mysql-1"})}


def test_full_disk_is_told_and_leaves_nothing(opened: Vault) -> None:
    """A write that the system refuses is one line, not a traceback."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, before[1]))
    try:
        with pytest.raises(OutputUnwritable, match="the vault cannot be written") as caught:
            store(opened, "mysql-1", {"dump.sql": bytes(range(256)), "noise": NOISE})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)

    assert caught.value.exit_code == 2
    assert incoming_of(opened) == []
    assert opened.catalog.entries() == ()


NOISE = random.Random(1).randbytes(800_000)  # noise, no secret
"""Content that does not pack: more than the 200,000 bytes of the disk above."""


def test_leftovers_of_the_dead_are_swept_and_of_the_living_kept(opened: Vault) -> None:
    """What a killed job left goes when the vault is opened again; what is being written stays."""
    living = run(opened.root, WRITING + "time.sleep(60)")
    killed = run(opened.root, WRITING + "os.kill(os.getpid(), 9)")
    assert living.stdout is not None
    try:
        assert living.stdout.readline() == "writing\n"
        killed.communicate(timeout=60)
        assert killed.returncode == -signal.SIGKILL
        assert len(incoming_of(opened)) == 2

        opened.prepare()

        assert incoming_of(opened) == [f"mysql-1.{living.pid}"]
        assert opened.catalog.entries() == ()
    finally:
        living.kill()
        living.communicate()


WRITING = """
with opened.incoming("mysql-1") as incoming, incoming.artifact("dump.sql") as writer:
    writer.write(b"half of it")
    print("writing", flush=True)
    """


@pytest.mark.parametrize("place", ["file", "file/below", "/proc/vault"])
def test_unwritable_vault_is_told(tmp_path: Path, place: str) -> None:
    """A place that cannot be written is named, and nothing is made there."""
    (tmp_path / "file").write_text("in the way")
    location = tmp_path / place

    with pytest.raises(OutputUnwritable, match="the vault cannot be written") as caught:
        open_vault(location)

    assert caught.value.where == str(location)
    assert caught.value.mend
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("location", ["s3://bucket/vault", "memory://vault", "nosuch://vault"])
def test_vault_that_is_no_folder_is_told(location: str) -> None:
    """Another kind of storage is refused by name, also where its library is missing."""
    with pytest.raises(UserError, match="not a local folder") as caught:
        Vault(location)

    assert location in str(caught.value)


def test_looking_at_a_vault_makes_nothing(tmp_path: Path) -> None:
    """An audit of what is there writes nothing, not even a folder."""
    looked = Vault(str(tmp_path / "vault"))

    assert looked.backups("mysql") == ()
    assert list(tmp_path.iterdir()) == []


def test_missing_artifact_in_read_is_a_result(opened: Vault) -> None:
    """A file that goes away between check and read is a restore that failed."""
    backup = store(opened, "mysql-1")
    (dump, _) = backup.manifest().artifacts
    (backup.folder / dump.name).unlink()

    with pytest.raises(RestoreFailed, match=r"dump\.sql\.zst"):
        list(backup.read(dump))
