"""A store of backups that is not ours: what lies in it, read and never written.

A file's digest is kept while the process lives, as long as size and time stay what they were.
"""

import hashlib
import os
import string
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import Path
from urllib.parse import quote, unquote_to_bytes

from restoreproof.manifest import ForeignFile

PLAIN = "".join(sorted(set(string.printable) - set(string.whitespace) - {"%"})) + " "


@dataclass(frozen=True)
class Changes:
    """How a store differs from what was known of it."""

    new: tuple[ForeignFile, ...]
    """Files that were not there, or had other content."""
    gone: frozenset[str]
    """Names of files that are not there any more, or have other content."""


def inventory(
    root: Path, known: Mapping[str, ForeignFile], rewritten: Sequence[str]
) -> dict[str, ForeignFile]:
    """Every file below a folder by its name, but for those that match a ``rewritten`` pattern.

    A file of the size and time that is known is taken for what it was.
    """
    found: dict[str, ForeignFile] = {}
    for path in _files(root):
        relative = path.relative_to(root)
        name = name_of(relative)
        if any(fnmatchcase(str(relative), pattern) for pattern in rewritten):
            continue
        try:
            status = path.stat()
            before = known.get(name)
            same = before and (before.stored_bytes, before.modified_ns) == (
                status.st_size,
                status.st_mtime_ns,
            )
            digits = before.sha256 if before and same else digest(path)
        except OSError:
            # It went while it was looked at, or is not for us to read: it is not vouched for.
            continue
        found[name] = ForeignFile(
            name=name,
            sha256=digits,
            stored_bytes=status.st_size,
            modified_ns=status.st_mtime_ns,
        )
    return found


def changes(before: Mapping[str, ForeignFile], after: Mapping[str, ForeignFile]) -> Changes:
    """What came, and what went, between two looks at a store."""
    digests = {name: file.sha256 for name, file in after.items()}
    gone = {name for name, file in before.items() if digests.get(name) != file.sha256}
    new = [file for name, file in after.items() if name not in before or name in gone]
    return Changes(tuple(sorted(new, key=lambda file: file.name)), frozenset(gone))


def digest(path: Path) -> str:
    """Lower-case hex SHA-256 of a file. Raise OSError."""
    status = path.stat()
    return _digest(path, status.st_size, status.st_mtime_ns, status.st_ino)


@lru_cache(maxsize=1_000_000)
def _digest(path: Path, _bytes: int, _modified_ns: int, _inode: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def name_of(relative: Path) -> str:
    """A path below a store as text, whatever bytes it is made of."""
    return quote(os.fsencode(relative), safe=PLAIN)


def path_of(root: str, name: str) -> Path:
    """Where the file of this name is."""
    return Path(root) / os.fsdecode(unquote_to_bytes(name))


def written_bytes(root: Path, before: Mapping[Path, tuple[int, int]]) -> int:
    """How much lies in files that are new or other than in earlier ``signatures``."""
    now = signatures(root)
    return sum(size for path, (size, at) in now.items() if before.get(path) != (size, at))


def signatures(root: Path) -> dict[Path, tuple[int, int]]:
    """Size and time of every file below a folder."""
    found = {}
    for path in _files(root):
        with suppress(OSError):
            status = path.stat()
            found[path] = status.st_size, status.st_mtime_ns
    return found


def used_bytes(root: Path) -> int:
    """How much lies below a folder."""
    return sum(size for size, _ in signatures(root).values())


def _files(root: Path) -> Iterator[Path]:
    for folder, _, names in os.walk(root):
        for name in names:
            path = Path(folder, name)
            if path.is_file() and not path.is_symlink():
                yield path
