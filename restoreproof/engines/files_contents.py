"""What a backup of files holds, file by file: the list that is stored beside them, and its digest.

The fingerprint has an item a folder, which adds up the digests of what lies in it, so that
evidence does not grow with the number of files; the list names what differs.
"""

import hashlib
import json
import os
import posixpath
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from restoreproof.engines.files_tree import Kind, Node, printable
from restoreproof.fingerprint import Comparison, Fingerprint, Item

METHOD = "files-sha256-v1"
CONTENTS = "contents.jsonl"
"""The artifact that lists all files, sorted by path, a JSON object a line."""
MOST_FOLDERS = 1000
"""Where there are more, one item stands for a folder and all below it."""
DIGEST_BITS = 256
BATCH = 1000
SHOWN = 3


@dataclass(frozen=True)
class Entry:
    """A file, folder or link as it is to come back. ``sha256`` is of a file's content."""

    path: str
    kind: Kind
    mode: int
    user: int
    group: int
    size: int
    modified: int
    sha256: str = ""
    target: str = ""

    @classmethod
    def of(cls, node: Node, sha256: str = "", size: int | None = None) -> "Entry":
        """What was found, with its content's digest and how much of it was read."""
        return cls(
            node.path,
            node.kind,
            node.mode,
            node.user,
            node.group,
            node.size if size is None else size,
            node.modified,
            sha256,
            node.target,
        )

    @property
    def line(self) -> str:
        """The entry as a line of the list. Names that are not UTF-8 are escaped surrogates."""
        return json.dumps(
            [self.path, self.kind, f"{self.mode:04o}", self.user, self.group, self.size,
             self.modified, self.sha256, self.target]
        )  # fmt: skip

    @classmethod
    def read(cls, line: str | bytes) -> "Entry":
        """An entry from its line. Raise ValueError."""
        path, kind, mode, user, group, size, modified, sha256, target = json.loads(line)
        return cls(path, kind, int(mode, 8), user, group, size, modified, sha256, target)

    def differences(self, other: "Entry") -> Iterator[str]:
        """In what another entry of the same path is not as this one."""
        if other.kind != self.kind:
            yield f"a {other.kind} and no {self.kind}"
            return
        if other.target != self.target:
            yield f"leads to {printable(other.target)} and not to {printable(self.target)}"
        if other.size != self.size:
            yield f"{other.size:,} bytes and not {self.size:,}"
        elif other.sha256 != self.sha256:
            yield "other content"
        if other.mode != self.mode:
            yield f"mode {other.mode:04o} and not {self.mode:04o}"
        if (other.user, other.group) != (self.user, self.group):
            yield f"owner {other.user}:{other.group} and not {self.user}:{self.group}"
        if other.modified != self.modified and self.kind != "link":
            yield "another time of modification"


class Index:
    """Entries by path, on disk: memory does not grow with their number."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None)
        self._connection.executescript(
            "PRAGMA journal_mode = off; PRAGMA synchronous = off; BEGIN;"
            "CREATE TABLE entries (path BLOB PRIMARY KEY, line TEXT NOT NULL) WITHOUT ROWID"
        )

    def put(self, entry: Entry) -> None:
        """Enter a path, or what it is now."""
        self.put_line(entry.path, entry.line)

    def put_line(self, path: str, line: str) -> None:
        """Enter a path by its line."""
        self._connection.execute(
            "INSERT OR REPLACE INTO entries VALUES (?, ?)", (os.fsencode(path), line)
        )

    def drop(self, path: str) -> None:
        """Forget a path."""
        self._connection.execute("DELETE FROM entries WHERE path = ?", (os.fsencode(path),))

    def get(self, path: str) -> Entry | None:
        """What is known of a path."""
        found = self._connection.execute(
            "SELECT line FROM entries WHERE path = ?", (os.fsencode(path),)
        ).fetchone()
        return Entry.read(found[0]) if found else None

    def lines(self) -> Iterator[str]:
        """All lines, sorted by path."""
        for (line,) in self._connection.execute("SELECT line FROM entries ORDER BY path"):
            yield line

    def paths(self) -> Iterator[str]:
        """All paths, the last first."""
        for (path,) in self._connection.execute("SELECT path FROM entries ORDER BY path DESC"):
            yield os.fsdecode(path)

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()


@contextmanager
def index(folder: Path, name: str, lines: Iterable[str] = ()) -> Iterator[Index]:
    """An index in a folder of ours, filled with lines of a stored list. Raise ValueError."""
    made = Index(folder / f"{name}.sqlite")
    try:
        for line in lines:
            made.put_line(json.loads(line)[0], line)
        yield made
    finally:
        made.close()


class Sums:
    """Digests of entries added up by folder. The order in which they come does not matter."""

    def __init__(self) -> None:
        self._sums: dict[str, list[int]] = {}
        self.files = self.bytes = self.entries = 0

    def add(self, entry: Entry, line: str | None = None) -> None:
        """Count an entry to its folder; a folder counts to itself."""
        self.entries += 1
        if entry.kind == "file":
            self.files += 1
            self.bytes += entry.size
        digest = int.from_bytes(hashlib.sha256((line or entry.line).encode()).digest())
        folder = entry.path if entry.kind == "folder" else posixpath.dirname(entry.path)
        known = self._sums.setdefault(folder, [0, 0])
        known[0] += 1
        known[1] = (known[1] + digest) % 2**DIGEST_BITS

    @property
    def position(self) -> str:
        """The state of all together, in lower-case hex."""
        return f"{sum(one for _, one in self._sums.values()) % 2**DIGEST_BITS:064x}"

    def depth(self) -> int:
        """How deep folders have items of their own, so that there are not too many."""
        deep = Counter(len(_parts(path)) for path in self._sums)
        depth = max(deep, default=0)
        while depth > 1 and len({_parts(path)[:depth] for path in self._sums}) > MOST_FOLDERS:
            depth -= 1
        return depth

    def items(self, depth: int) -> Iterator[Item]:
        """An item a folder, or one for a folder of this depth and all below it."""
        grouped: dict[str, list[int]] = {}
        for path, (count, digest) in self._sums.items():
            known = grouped.setdefault(group_of(path, depth), [0, 0])
            known[0] += count
            known[1] = (known[1] + digest) % 2**DIGEST_BITS
        for path, (count, digest) in grouped.items():
            yield Item(kind="folder", name=printable(path), count=count, digest=f"{digest:064x}")


def group_of(folder: str, depth: int) -> str:
    """The folder whose item a folder counts to."""
    return "/" + "/".join(_parts(folder)[:depth])


def fingerprint(
    sums: Sums, depth: int, taken_at: datetime, undecided: Mapping[str, str]
) -> Fingerprint:
    """An item a folder, and one for each path of which the source gave no stable answer."""
    items = [*sums.items(depth)]
    for path, reason in undecided.items():
        items.append(
            Item(
                kind="file",
                name=printable(path),
                comparison=Comparison.UNDECIDED,
                reason=reason,
            )
        )
    return Fingerprint.of(METHOD, taken_at, items)


def narrowed(expected: Iterable[Entry], seen: Mapping[str, Entry]) -> str:
    """Which files of a folder differ and in what, in words; the first few by name."""
    found = []
    rest = dict(seen)
    for entry in expected:
        name = printable(entry.path)
        other = rest.pop(entry.path, None)
        if other is None:
            found.append(f"{name} is missing")
        elif words := ", ".join(entry.differences(other)):
            found.append(f"{name}: {words}")
    found += [f"{printable(path)} was not backed up" for path in sorted(rest)]
    more = len(found) - SHOWN
    return "; ".join((*found[:SHOWN], *([f"and {more:,} more"] if more > 0 else [])))


def told(fact: str) -> tuple[str, ...]:
    """The names that a fact of a backup tells."""
    return tuple(json.loads(fact)) if fact else ()


def lines_of(chunks: Iterable[bytes]) -> Iterator[str]:
    """The lines of a stored list, in constant memory."""
    rest = b""
    for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            yield line.decode("ascii")


def _parts(path: str) -> tuple[str, ...]:
    return tuple(part for part in path.split("/") if part)
