"""Files that change, go away, are renamed or may not be read while they are backed up."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import pytest
from files_place import Place, differences

from restoreproof.damage_archives import change_content
from restoreproof.engines import files
from restoreproof.engines.files_restored import RestoredFiles
from restoreproof.engines.files_tree import FolderTree, Found, Node
from restoreproof.restore import RestoreAttempt

LARGE = 3 * 1024**2


class Content:
    """A file's content that something is done to at the source when it is read."""

    def __init__(self, content: IO[bytes], happens: Callable[[], None]) -> None:
        self._content, self._happens = content, happens

    def read(self, size: int = -1) -> bytes:
        """Read on, then let it happen."""
        chunk = self._content.read(size)
        self._happens()
        return chunk


class BusyTree(FolderTree):
    """This machine's files, where something happens while one of them is opened or read."""

    name = ""
    opening: Callable[[], None] = staticmethod(lambda: None)
    reading: Callable[[], None] = staticmethod(lambda: None)

    def open(self, node: Node) -> Found:
        if node.path.endswith(self.name):
            self.opening()
        return self._busy(super().open(node))

    def again(self, found: Found) -> Found:
        return self._busy(super().again(found))

    def _busy(self, found: Found) -> Found:
        if found.content is None or not found.node.path.endswith(self.name):
            return found
        content: Any = Content(found.content, self.reading)
        return Found(found.node, content)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """A folder with a small, a large and another file."""
    made = Place(tmp_path)
    (made.files / "small").write_text("small")
    (made.files / "large").write_bytes(os.urandom(LARGE))
    (made.files / "other").write_text("other")
    monkeypatch.setattr(files, "FolderTree", BusyTree)
    return made


def busy(
    monkeypatch: pytest.MonkeyPatch, name: str, *, opening: object = None, reading: object = None
) -> None:
    """Let something happen at the source each time a file is opened or read."""
    monkeypatch.setattr(BusyTree, "name", name)
    for when, happens in (("opening", opening), ("reading", reading)):
        if happens is not None:
            monkeypatch.setattr(BusyTree, when, staticmethod(happens))


def restored_file(attempt: RestoreAttempt, place: Place, name: str) -> Path:
    """A file in the restored folder."""
    assert isinstance(attempt.restored, RestoredFiles)
    return Path(f"{attempt.restored.folder}{place.files}/{name}")


@pytest.mark.parametrize("name", ["small", "large"])
def test_a_log_that_grows_is_no_alarm(
    place: Place, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """What was in the log when it was opened comes back; later lines are another backup's."""

    def grow() -> None:
        with (place.files / name).open("ab") as file:
            file.write(b"one more line\n")

    busy(monkeypatch, name, reading=grow)

    with place.restored(place.back_up()) as attempt:
        assert differences(attempt) == []
        if name == "large":
            assert attempt.comparison.equal, attempt.comparison.undecided
            assert restored_file(attempt, place, name).stat().st_size == LARGE


@pytest.mark.parametrize("name", ["small", "large"])
def test_a_file_that_is_rewritten_all_the_time_is_undecided(
    place: Place, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """It is named and not decided; damage to what was stored of it is a finding all the same."""

    def rewrite() -> None:
        (place.files / name).write_bytes(os.urandom((place.files / name).stat().st_size + 1))

    busy(monkeypatch, name, reading=rewrite)
    backup = place.back_up()

    with place.restored(backup) as attempt:
        assert differences(attempt) == []
        (undecided,) = attempt.comparison.undecided
        assert undecided.name == f"{place.files}/{name}"
        assert "changed again and again" in undecided.reason
    damaged = place.damaged(backup, change_content(f"{place.files}/{name}"))
    with place.restored(backup, vault=damaged) as attempt:
        assert f"{place.files}/{name}: other content" in differences(attempt)[0]


def test_a_file_that_is_cut_short_while_it_is_read_is_undecided(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A large file that is truncated does not break the archive; it is undecided."""
    busy(monkeypatch, "large", reading=lambda: os.truncate(place.files / "large", 5))

    with place.restored(place.back_up()) as attempt:
        assert differences(attempt) == []
        assert [one.name for one in attempt.comparison.undecided] == [f"{place.files}/large"]


def test_a_file_that_goes_away_is_named(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not at the source any more, so nothing is missing; but it is told."""
    busy(monkeypatch, "other", opening=lambda: (place.files / "other").unlink(missing_ok=True))

    with place.restored(place.back_up()) as attempt:
        assert attempt.comparison.equal
        assert isinstance(attempt.restored, RestoredFiles)
        assert attempt.restored.gone() == (f"{place.files}/other",)


def test_a_log_that_is_rotated_meanwhile_loses_no_line(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder whose files are renamed while they are read is read anew: every line comes back."""
    lines = {"app.log": "3\n", "app.log.1": "2\n", "app.log.2": "1\n"}
    for name, line in lines.items():
        (place.files / name).write_text(line)
    turned: list[str] = []

    def rotate() -> None:
        if not turned:
            turned.append("once")
            for number in (2, 1):
                older, newer = f"app.log.{number + 1}", f"app.log.{number}"
                (place.files / newer).rename(place.files / older)
            (place.files / "app.log").rename(place.files / "app.log.1")
            (place.files / "app.log").write_text("4\n")

    for name in ("app.log", "app.log.2"):
        turned.clear()
        busy(monkeypatch, name, opening=rotate)
        with place.restored(place.back_up()) as attempt:
            assert attempt.comparison.equal, name
            folder = restored_file(attempt, place, "")
            logs = sorted(folder.glob("app.log*"))
            assert len(logs) == len(list(place.files.glob("app.log*")))
            seen = "".join(sorted(path.read_text() for path in logs))
            assert seen == "".join(sorted(p.read_text() for p in place.files.glob("app.log*")))


def test_a_file_that_may_not_be_read_is_named(place: Place) -> None:
    """A backup by a user who may not read a file or a folder is made, and names both."""
    (place.files / "secret").write_text("secret")
    (place.files / "closed").mkdir()
    for path in (place.files / "secret", place.files / "closed"):
        path.chmod(0)
    for path in (place.folder, *place.folder.parents):
        if Path(tempfile.gettempdir()) in path.parents:
            path.chmod(0o755)
    tree = FolderTree()
    os.seteuid(65534)
    try:
        found = list(tree.walk(str(place.files), lambda _: False))
    finally:
        os.seteuid(0)

    problems = {one.node.path: one.problem for one in found if one.problem}
    assert problems == {
        f"{place.files}/closed": "Permission denied",
        f"{place.files}/secret": "Permission denied",
    }


def test_what_is_excluded_is_not_there(place: Place) -> None:
    """Patterns of names, and of whole paths; a folder with all in it."""
    (place.files / "cache").mkdir()
    (place.files / "cache" / "x").touch()
    (place.files / "a.tmp").touch()
    source = place.source(exclude=["*.tmp", f"{place.files}/cache"])

    with place.restored(place.back_up(source)) as attempt:
        assert attempt.comparison.equal
        names = {path.name for path in restored_file(attempt, place, "").iterdir()}
        assert names == {"small", "large", "other"}
    assert "files named *.tmp" in place.engine.exclusions(source)


def test_many_folders_are_few_items(place: Place) -> None:
    """Evidence does not grow with the number of folders, and a difference still names the file."""
    for number in range(1200):
        (place.files / f"{number // 10}" / f"{number}").mkdir(parents=True)
    (place.files / "7" / "77" / "my.cnf").write_text("x")
    backup = place.back_up()
    assert len(backup.manifest().fingerprint.items) < 200

    damaged = place.damaged(backup, change_content(f"{place.files}/7/77/my.cnf"))
    with place.restored(backup, vault=damaged) as attempt:
        (one,) = differences(attempt)
        assert f"folder {place.files}/7: other content: {place.files}/7/77/my.cnf: other" in one


def test_a_path_that_went_away_fails_the_job(place: Place) -> None:
    """A path of the policy that is not there is no empty backup."""
    result = place.job(place.source(paths=[f"{place.files}/small", "/nowhere/at-all"]))

    assert result.backup is None
    assert result.problem == "no /nowhere/at-all"
    assert list((place.vault.root / ".incoming").iterdir()) == []
