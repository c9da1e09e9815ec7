"""Files are there whole or not at all, and none is ever replaced."""

from pathlib import Path

import pytest
from vaults import interrupted

from restoreproof import storage
from restoreproof.storage import append_line, write_once


def test_file_is_written_read_only(tmp_path: Path) -> None:
    """The content is there, readable by all and writable by nobody, and nothing beside it."""
    write_once(tmp_path / "one", b"content")

    assert (tmp_path / "one").read_bytes() == b"content"
    assert (tmp_path / "one").stat().st_mode & 0o777 == 0o444
    assert [path.name for path in tmp_path.iterdir()] == ["one"]


def test_mode_is_the_one_asked_for(tmp_path: Path) -> None:
    """A private key can be kept from other users."""
    write_once(tmp_path / "key", b"secret", mode=0o600)

    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600


def test_second_write_is_refused(tmp_path: Path) -> None:
    """What is there stays, and the refused content leaves no trace."""
    write_once(tmp_path / "one", b"first")

    with pytest.raises(FileExistsError):
        write_once(tmp_path / "one", b"second")

    assert (tmp_path / "one").read_bytes() == b"first"
    assert [path.name for path in tmp_path.iterdir()] == ["one"]


def test_link_is_not_followed(tmp_path: Path) -> None:
    """A symbolic link that waits under the name is not written through."""
    (tmp_path / "one").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(FileExistsError):
        write_once(tmp_path / "one", b"content")

    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("error", [KeyboardInterrupt("stop"), OSError(28, "No space left")])
def test_interrupted_write_leaves_a_whole_file_or_none(
    tmp_path: Path, error: BaseException
) -> None:
    """Wherever a write ends early, no half of a file bears its name."""
    step, outcomes = 0, set()
    going = True
    while going:
        step += 1
        path = tmp_path / str(step)
        going = interrupted(
            lambda path=path: write_once(path, b"x" * 100_000), {storage.__file__}, step, error
        )
        outcomes.add(path.exists())
        assert not path.exists() or path.read_bytes() == b"x" * 100_000

    assert step > 10
    assert outcomes == {True, False}


def test_lines_are_appended(tmp_path: Path) -> None:
    """A line ends with a line end, and what was there stays."""
    append_line(tmp_path / "log", b"one")
    append_line(tmp_path / "log", b"two")

    assert (tmp_path / "log").read_bytes() == b"one\ntwo\n"
