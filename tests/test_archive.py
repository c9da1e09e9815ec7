"""Where reports land: a run's folder is there whole, or not at all."""

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from restoreproof.archive import DIED, ESTATE, INCOMING, RunFolder, new_run_id, started_at
from restoreproof.errors import OutputUnwritable

NOW = datetime(2026, 7, 3, 9, 4, 12, tzinfo=UTC)


def dead_process() -> int:
    """The number of a process that is no more."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_run_ids_sort_by_time() -> None:
    """Later runs sort after earlier ones, whatever zone the clock is in."""
    instants = [NOW + timedelta(seconds=7 * 3600 * step) for step in range(40)]
    tokyo = timezone(timedelta(hours=9))
    identifiers = [
        new_run_id(one.astimezone(tokyo) if step % 2 else one) for step, one in enumerate(instants)
    ]

    assert identifiers == sorted(identifiers)
    assert identifiers[0].startswith("20260703T090412Z-")


def test_run_ids_of_one_second_differ() -> None:
    """Two runs that start together do not share a folder."""
    assert len({new_run_id(NOW) for _ in range(50)}) == 50


def test_nothing_shows_before_it_is_published(tmp_path: Path) -> None:
    """While a run goes on, no folder bears its name; at the end everything in it is there."""
    archive = tmp_path / "a" / "b"
    folder = RunFolder(archive, "run-1")
    (folder.path / "report.pdf").write_bytes(b"%PDF")
    assert not (archive / "run-1").exists()

    assert folder.publish() == archive / "run-1"

    assert (archive / "run-1" / "report.pdf").read_bytes() == b"%PDF"
    assert [path.name for path in archive.iterdir()] == ["run-1"]


def test_discarded_run_leaves_nothing(tmp_path: Path) -> None:
    """A run that did not come to its end is gone, and discarding twice is no error."""
    folder = RunFolder(tmp_path, "run-1")
    (folder.path / "run.log").write_text("x")

    folder.discard()
    folder.discard()

    assert list(tmp_path.iterdir()) == []


def test_leftovers_of_the_dead_are_set_aside_and_of_the_living_kept(tmp_path: Path) -> None:
    """What a killed run left is kept under another name; other runs and files stay."""
    dead = tmp_path / f"{INCOMING}run-0.{dead_process()}"
    living = tmp_path / f"{INCOMING}run-1.{os.getpid()}"
    finished = tmp_path / "run-2"
    for folder in (dead, living, finished):
        folder.mkdir()
        (folder / "file").write_text("x")

    RunFolder(tmp_path, "run-3").discard()

    kept = {living.name, finished.name, f"{DIED}run-0"}
    assert {path.name for path in tmp_path.iterdir()} == kept
    assert (tmp_path / f"{DIED}run-0" / "file").read_text() == "x"


def test_folder_says_whose_run_it_is_until_it_is_published(tmp_path: Path) -> None:
    """A run that dies can be told from those over other estates; one that ends needs no mark."""
    folder = RunFolder(tmp_path, "run-1", "Harbour")
    assert (folder.path / ESTATE).read_text() == "Harbour"
    assert list(folder.publish().iterdir()) == []


def test_instant_of_a_run_is_in_its_name() -> None:
    """What is no run has none."""
    assert started_at(new_run_id(NOW)) == NOW
    for name in ("demo-identity", ".incoming-x", "20260703-x", ""):
        assert started_at(name) is None


def test_published_run_is_never_replaced(tmp_path: Path) -> None:
    """A second run of one name is refused, and the first stays."""
    for content in ("first", "second"):
        folder = RunFolder(tmp_path, "run-1")
        (folder.path / "report.pdf").write_text(content)
        if content == "first":
            folder.publish()
    with pytest.raises(OSError, match="not empty"):
        folder.publish()

    assert (tmp_path / "run-1" / "report.pdf").read_text() == "first"


@pytest.mark.parametrize("place", ["file", "file/below", "/proc/reports"])
def test_unwritable_archive_is_told(tmp_path: Path, place: str) -> None:
    """A place that cannot be written is named in one line with its mend."""
    (tmp_path / "file").write_text("in the way")

    with pytest.raises(OutputUnwritable, match="reports cannot be written") as caught:
        RunFolder(tmp_path / place, "run-1")

    assert caught.value.where == str(tmp_path / place)
    assert "--out" in caught.value.mend
    assert "\n" not in str(caught.value)
