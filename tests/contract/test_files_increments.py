"""Increments of files: by content, with what is gone, every boundary restored."""

import os
import shutil
from pathlib import Path

import pytest
from files_place import Place, differences

from restoreproof.damage_archives import drop_entry
from restoreproof.engines.files_contents import lines_of
from restoreproof.engines.files_restored import RestoredFiles
from restoreproof.vault import StoredBackup

LARGE = 3_000_000


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """A folder with a bit of everything."""
    made = Place(tmp_path)
    for folder in ("kept", "going", "turning", "empty"):
        (made.files / folder).mkdir()
    for name in ("kept/same", "kept/changed", "kept/mode", "going/one", "going/two", "turning/in"):
        (made.files / name).write_text(name)
    (made.files / "large").write_bytes(os.urandom(LARGE))
    (made.files / "link").symlink_to("kept")
    (made.files / "plain").write_text("plain")
    return made


def change(place: Place) -> None:
    """Change everything in every way."""
    (place.files / "kept/changed").write_text("now")
    (place.files / "kept/mode").chmod(0o600)
    (place.files / "kept/new").write_text("new")
    shutil.rmtree(place.files / "going")
    shutil.rmtree(place.files / "turning")
    (place.files / "turning").write_text("a file now")
    (place.files / "link").unlink()
    (place.files / "link").mkdir()
    (place.files / "link" / "below").write_text("below")
    (place.files / "plain").unlink()
    (place.files / "plain").symlink_to("/etc/passwd")
    shutil.rmtree(place.files / "empty")
    (place.files / "empty").symlink_to("kept")
    with (place.files / "large").open("r+b") as file:
        file.seek(LARGE // 2)
        file.write(b"in the midst")


def stored_bytes(backup: StoredBackup) -> int:
    """How much the archive of a backup holds."""
    return next(a.content_bytes for a in backup.manifest().artifacts if "tar" in a.name)


def test_every_boundary_of_a_chain_comes_back(place: Place) -> None:
    """A full backup and increments after every kind of change: all equal at every boundary."""
    chain = [place.back_up()]
    chain.append(place.back_up(base=chain[-1]))
    change(place)
    chain.append(place.back_up(base=chain[-1]))
    (place.files / "kept/changed").unlink()
    chain.append(place.back_up(base=chain[-1]))

    assert [one.entry.kind for one in chain] == ["full", *["incremental"] * 3]
    assert stored_bytes(chain[1]) == 1024, "nothing changed, and something was stored"
    assert stored_bytes(chain[3]) < 10_000
    for backup in chain:
        with place.restored(backup) as attempt:
            assert differences(attempt) == []
            assert attempt.comparison.equal
            assert isinstance(attempt.restored, RestoredFiles)
            assert attempt.restored.position == backup.manifest().position
            here = Path(f"{attempt.restored.folder}{place.files}")
            assert (here / "going").exists() == (backup in chain[:2])


def test_what_has_other_content_alone_is_stored(place: Place) -> None:
    """A file that was only touched, or given another mode, is not stored again."""
    full = place.back_up()
    (place.files / "large").touch()
    (place.files / "large").chmod(0o604)
    touched = place.back_up(base=full)
    with (place.files / "large").open("r+b") as file:
        file.write(b"x")
    known = (place.files / "large").stat()
    os.utime(place.files / "large", (known.st_atime, known.st_mtime))
    changed = place.back_up(base=touched)

    assert stored_bytes(touched) < 10_000
    assert stored_bytes(changed) > LARGE
    for backup in (touched, changed):
        with place.restored(backup) as attempt:
            assert differences(attempt) == []


def test_the_list_names_every_file(place: Place) -> None:
    """Beside the archive is a list of path, mode, owner, size, time, digest and target."""
    (place.files / "kept/same").chmod(0o2711)
    manifest = place.back_up().manifest()
    stored = place.vault.backups("etc")[-1]
    lines = list(lines_of(stored.read_named(manifest, "contents.jsonl")))

    assert len(lines) == 1 + 4 + 6 + 3
    digest = "0b5b7b3d4a1f6d2b3e9a0a2d4c3f0d3c"
    assert all(len(line.split(", ")) == 9 for line in lines), digest
    (same,) = (line for line in lines if "kept/same" in line)
    assert '"file", "2711", 0, 0, 9,' in same


def test_an_increment_without_its_base_or_on_another_fails(place: Place) -> None:
    """A chain whose full backup lacks a file is seen, and one of other files is refused."""
    full = place.back_up()
    (place.files / "kept/mode").chmod(0o600)
    (place.files / "kept/changed").write_text("now")
    increment = place.back_up(base=full)
    with place.restored(
        increment, vault=place.damaged(full, drop_entry(f"{place.files}/large"))
    ) as one:
        assert any(f"{place.files}/large is missing" in text for text in differences(one))
    without = place.damaged(full, drop_entry(f"{place.files}/kept/mode"))
    with place.restored(increment, vault=without) as attempt:
        assert "kept/mode is not in the backup before" in attempt.failure

    other = place.source().model_copy(update={"paths": (str(place.folder),)})
    result = place.job(other, base=increment)
    assert result.backup is None
    assert "of other paths" in result.problem
