"""An archive that an enemy wrote: nothing of it leaves the folder that it is restored into."""

import stat
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from files_place import Place, differences

from restoreproof.damage import Change
from restoreproof.damage_archives import add_member
from restoreproof.engines.files_restored import RestoredFiles
from restoreproof.restore import RestoreAttempt
from restoreproof.vault import StoredBackup


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """A folder with one file, and one outside of it."""
    made = Place(tmp_path_factory.mktemp("hostile"))
    (made.files / "inside").mkdir()
    (made.files / "inside" / "my.cnf").write_text("[mysqld]\n")
    (made.folder / "outside").write_text("untouched")
    return made


@pytest.fixture(scope="module")
def stored(place: Place) -> StoredBackup:
    """A backup of it."""
    return place.back_up()


@contextmanager
def hostile(place: Place, stored: StoredBackup, *changes: Change) -> Iterator[RestoreAttempt]:
    """The backup with more in its archive, restored."""
    with place.restored(stored, vault=place.damaged(stored, *changes)) as attempt:
        yield attempt
    assert (place.folder / "outside").read_text() == "untouched"


def member(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    """A member of a tar."""
    made = tarfile.TarInfo(name)
    made.type, made.linkname = kind, target
    return made


@pytest.mark.parametrize(
    ("name", "kind", "target", "words"),
    [
        ("files/../../outside", tarfile.REGTYPE, "", "leads out of the folder"),
        ("files{root}/../../../outside", tarfile.REGTYPE, "", "leads out of the folder"),
        ("{root}/../outside", tarfile.REGTYPE, "", "leads out of the folder"),
        ("files//outside", tarfile.REGTYPE, "", "leads out of the folder"),
        ("filesystem", tarfile.REGTYPE, "", "leads out of the folder"),
        ("files{root}/device", tarfile.CHRTYPE, "", "neither a file, a folder nor a link"),
        ("files{root}/block", tarfile.BLKTYPE, "", "neither a file, a folder nor a link"),
        ("files{root}/pipe", tarfile.FIFOTYPE, "", "neither a file, a folder nor a link"),
        ("files{root}/second", tarfile.LNKTYPE, "{out}", "neither a file, a folder nor a link"),
        ("files{root}/sparse", tarfile.GNUTYPE_SPARSE, "", "neither a file, a folder nor a link"),
    ],
)
def test_a_member_that_no_backup_holds_is_refused(
    place: Place, stored: StoredBackup, name: str, kind: bytes, target: str, words: str
) -> None:
    """A path that leads out, a device, a pipe, a hard link: the restore fails and names it."""
    named = name.format(root=place.files)
    bad = member(named, kind, target.format(out=place.folder / "outside"))

    with hostile(
        place, stored, add_member(bad, b"evil" if kind == tarfile.REGTYPE else b"")
    ) as one:
        assert one.restored is None
        assert one.failed_in == "load"
        assert words in one.failure


def test_nothing_is_written_through_a_link(place: Place, stored: StoredBackup) -> None:
    """A link that leads out is restored as it is and never followed, whatever comes after it."""
    out = member(f"files{place.files}/out", tarfile.SYMTYPE, str(place.folder))
    through = member(f"files{place.files}/out/outside")
    below = member(f"files{place.files}/inside/my.cnf/outside")

    with hostile(place, stored, add_member(out), add_member(through, b"evil")) as attempt:
        assert attempt.restored is not None
        # The folder that the file needs came first, so that the link replaces it and all in it.
        assert f"{place.files}/out was not backed up" in differences(attempt)[0]
    with hostile(place, stored, add_member(below, b"evil")) as attempt:
        assert "lies below what is no folder" in attempt.failure
    again = [add_member(out), add_member(member(f"files{place.files}/x", tarfile.SYMTYPE, "out"))]
    with hostile(place, stored, *again) as attempt:
        assert isinstance(attempt.restored, RestoredFiles)
        link = Path(f"{attempt.restored.folder}{place.files}/out")
        assert link.is_symlink() and link.readlink() == place.folder


def test_a_link_over_a_link_replaces_it(place: Place, stored: StoredBackup) -> None:
    """Of two links of one name the second replaces the first, and is not made where that leads."""
    first = member(f"files{place.files}/out", tarfile.SYMTYPE, str(place.folder))
    below = member(f"files{place.files}/out/outside", tarfile.SYMTYPE, "/etc/shadow")

    with hostile(place, stored, add_member(first), add_member(below)) as attempt:
        assert attempt.restored is None
        assert "lies below what is no folder" in attempt.failure
    assert not (place.folder / "outside").is_symlink()


def test_nothing_restored_may_run_as_another(place: Place, stored: StoredBackup) -> None:
    """The right to run as the owner is compared, and never given to a restored file."""
    evil = member(f"files{place.files}/shell")
    evil.mode = 0o6755

    with hostile(place, stored, add_member(evil, b"#!/bin/sh\n")) as attempt:
        assert isinstance(attempt.restored, RestoredFiles)
        placed = Path(f"{attempt.restored.folder}{place.files}/shell")
        assert stat.S_IMODE(placed.stat().st_mode) == 0o755
        assert any(f"{place.files}/shell was not backed up" in one for one in differences(attempt))


def test_a_bomb_ends_at_the_limits_of_the_policy(place: Place, stored: StoredBackup) -> None:
    """More bytes or files than the policy allows end the restore; zeros take no room meanwhile."""
    bomb = add_member(member(f"files{place.files}/bomb"), bytes(3_000_000))
    more = [add_member(member(f"files{place.files}/{number}")) for number in range(4)]
    tight = place.source(limits={"bytes": "2MB", "files": 6})

    with place.restored(stored, tight, place.damaged(stored, bomb)) as attempt:
        assert "more than 2,000,000 bytes" in attempt.failure
        assert "raise source.limits.bytes" in attempt.failure
    with place.restored(stored, tight, place.damaged(stored, *more)) as attempt:
        assert "more than 6 files" in attempt.failure
    with place.restored(stored, vault=place.damaged(stored, bomb)) as attempt:
        assert isinstance(attempt.restored, RestoredFiles)
        placed = Path(f"{attempt.restored.folder}{place.files}/bomb")
        assert placed.stat().st_size == 3_000_000
        assert placed.stat().st_blocks * 512 < 1_000_000
        assert differences(attempt)


def test_a_header_is_not_read_into_memory_whatever_its_size(
    place: Place, stored: StoredBackup
) -> None:
    """Headers that say they are larger than any is are refused before they are read."""
    for kind in (tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME):
        with hostile(place, stored, add_member(member("x", kind), bytes(2_000_000))) as attempt:
            assert "a header of 2,000,000 bytes" in attempt.failure


def test_a_mark_that_is_none_is_refused(place: Place, stored: StoredBackup) -> None:
    """Members that stand on a base which has no such file are refused, as are unknown marks."""
    for mark, words in (("base", "is not in the backup before"), ("evil", "which is none")):
        marked = member(f"files{place.files}/marked")
        marked.pax_headers = {"RESTOREPROOF.content": mark}
        with hostile(place, stored, add_member(marked)) as attempt:
            assert words in attempt.failure


def test_too_much_for_the_limits_is_not_stored_either(place: Place) -> None:
    """A job of more than the policy allows fails and says which limit it is."""
    result = place.job(place.source(limits={"bytes": "5B"}))

    assert result.backup is None
    assert "raise source.limits.bytes" in result.problem
