"""Makes the sample estate's Ansible repository: the same commits with the same ids, every time.

The whole history goes to ``git fast-import`` as one stream: no work tree, no configuration of
this user, and one process however many commits there are.
"""

import os
import tempfile
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path

import git
from git.exc import GitCommandError

from restoreproof.demo.history import (
    CHANGES,
    KADRI,
    MAIN,
    NOTE,
    NOTED,
    TAGS,
    Change,
)
from restoreproof.errors import InfrastructureError

NO_COMMIT = "0" * 40
HEARTBEAT = "heartbeat"
"""The branch to which something commits all the time."""
ENVIRONMENT = {
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "LC_ALL": "C.UTF-8",
}


def make(path: Path, files: Path) -> None:
    """Make a bare repository at ``path`` whose newest version is the content of ``files``.

    Raise InfrastructureError with Git's own words.
    """
    path.mkdir()
    try:
        _git(path, "init", "--bare", "--quiet", "--object-format=sha1", f"--initial-branch={MAIN}")
        with tempfile.TemporaryFile() as stream:
            for part in _stream(files):
                stream.write(part)
            stream.seek(0)
            git.Git(path).execute(
                ["git", "fast-import", "--quiet"], istream=stream, env=ENVIRONMENT
            )
    except GitCommandError as error:
        raise InfrastructureError(f"the repository could not be made: {error.stderr}") from None


def beat(path: Path, instants: Sequence[datetime]) -> None:
    """Add a commit without content for each instant to the branch that shows it is alive.

    Raise InfrastructureError with Git's own words.
    """
    try:
        with tempfile.TemporaryFile() as stream:
            stream.write(_continued(path))
            for instant in instants:
                stream.write(f"commit refs/heads/{HEARTBEAT}\n".encode())
                stream.write(_signed("committer", KADRI, instant) + _data("alive\n") + b"\n")
            stream.seek(0)
            git.Git(path).execute(
                ["git", "fast-import", "--quiet"], istream=stream, env=ENVIRONMENT
            )
    except GitCommandError as error:
        raise InfrastructureError(f"the repository took no commit: {error.stderr}") from None


def _continued(path: Path) -> bytes:
    """What has the stream go on where the branch of heartbeats ends; nothing if there is none."""
    branch = f"refs/heads/{HEARTBEAT}"
    there = git.Git(path).execute(["git", "for-each-ref", branch], env=ENVIRONMENT)
    return f"reset {branch}\nfrom {branch}^0\n\n".encode() if there else b""


def _git(path: Path, *arguments: str) -> None:
    git.Git(path).execute(["git", *arguments], env=ENVIRONMENT)


def _stream(files: Path) -> Iterator[bytes]:
    """The history in the format of git-fast-import."""
    marks: dict[str, int] = {}
    tips: dict[str, int] = {}
    for mark, change in enumerate(CHANGES, start=1):
        marks[change.message] = mark
        yield f"commit refs/heads/{change.branch}\nmark :{mark}\n".encode()
        yield _signed("author", change.author, change.at)
        yield _signed("committer", change.author, change.at)
        yield _data(change.message + "\n")
        parent = tips.get(change.branch, tips.get(MAIN))
        yield f"from :{parent}\n".encode() if parent else b""
        yield f"merge :{tips[change.merged]}\n".encode() if change.merged else b""
        yield from _content(change, files)
        tips[change.branch] = mark
        if change.merged:
            # A branch that was merged goes; its commits stay.
            yield f"reset refs/heads/{change.merged}\nfrom {NO_COMMIT}\n\n".encode()
    for tag in TAGS:
        if tag.text:
            yield f"tag {tag.name}\nfrom :{marks[tag.change]}\n".encode()
            yield _signed("tagger", KADRI, CHANGES[marks[tag.change] - 1].at) + _data(tag.text)
        else:
            yield f"reset refs/tags/{tag.name}\nfrom :{marks[tag.change]}\n\n".encode()
    yield b"commit refs/notes/commits\n"
    yield _signed("committer", KADRI, CHANGES[-1].at) + _data("Notes added\n")
    yield f"N inline :{marks[NOTED]}\n".encode() + _data(NOTE)


def _content(change: Change, files: Path) -> Iterator[bytes]:
    for named in change.files:
        found = files / named
        for file in sorted(found.rglob("*")) if found.is_dir() else [found]:
            if file.is_file():
                path = file.relative_to(files).as_posix()
                today, then = change.earlier.get(path, ("", ""))
                text = file.read_text(encoding="utf-8")
                yield _file(path, text.replace(today, then) if today else text)
    for path, text in change.written.items():
        yield _file(path, text)
    for path in change.removed:
        yield f"D {path}\n".encode()


def _file(path: str, text: str) -> bytes:
    # By name and not by the file's mode, which an installation may not keep.
    mode = "100755" if path.endswith(".sh") else "100644"
    return f"M {mode} inline {path}\n".encode() + _data(text)


def _signed(role: str, person: str, at: datetime) -> bytes:
    return f"{role} {person} {int(at.timestamp())} +0300\n".encode()


def _data(text: str) -> bytes:
    content = text.encode()
    return f"data {len(content)}\n".encode() + content + b"\n"
