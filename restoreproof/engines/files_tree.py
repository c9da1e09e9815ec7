"""Trees of files at a source or in a restored folder: what is there, links not followed."""

import hashlib
import os
import stat
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import IO, Literal

NANOSECONDS = 10**9
ROUNDS = 5
"""How often a folder is listed anew whose files are renamed while they are read."""
NOT_FOLLOWED = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC

Kind = Literal["file", "folder", "link", "other"]
Skip = Callable[[str], bool]


class Gone(Exception):
    """No file or folder of this name, any more or at all."""


class Refused(Exception):
    """A file or folder that may not be read, with the system's words."""


@dataclass(frozen=True)
class Node:
    """One thing in a tree. Names that are not UTF-8 hold surrogates, as ``os.fsdecode`` makes them.

    ``state`` changes whenever the content does, ``identity`` is the same as long as it is the
    same file; both are empty where the source does not tell.
    """

    path: str
    kind: Kind
    mode: int = 0
    user: int = 0
    group: int = 0
    size: int = 0
    modified: int = 0
    """Seconds since the epoch."""
    target: str = ""
    state: tuple[int, ...] = ()
    identity: tuple[int, ...] = ()


@dataclass(frozen=True)
class Found:
    """A node, and the content of a file for as long as no other is asked for.

    ``problem`` says why there is none, ``gone`` that it went away, or has another name now.
    """

    node: Node
    content: IO[bytes] | None = None
    problem: str = ""
    gone: bool = False


class Tree(ABC):
    """Files by their absolute paths."""

    version: str
    """What hands the files out."""
    identity: str
    """Which machine or container they belong to."""

    @abstractmethod
    def look(self, path: str) -> Node:
        """What is there. Raise Gone or Refused."""

    @abstractmethod
    def state_now(self, found: Found) -> tuple[int, ...]:
        """The state of the file that was opened last, which was read meanwhile. Raise Gone."""

    @abstractmethod
    def again(self, found: Found) -> Found:
        """The file that was opened last, from its beginning. Raise Gone or Refused."""

    def close(self) -> None:  # noqa: B027  # most have nothing to let go
        """Let go what is held open."""

    @abstractmethod
    def walk(self, path: str, skip: Skip) -> Iterator[Found]:
        """A file, or a folder and all in it but what is skipped. Raise Gone or Refused.

        A path may come again, and then counts as it came last, or be told to be gone.
        """


class ListedTree(Tree):
    """A tree that can be listed folder by folder."""

    @abstractmethod
    def names(self, path: str) -> list[Node]:
        """What lies in a folder, sorted by name. Raise Gone or Refused."""

    @abstractmethod
    def open(self, node: Node) -> Found:
        """A file as it is when it is opened, its content at hand. Raise Gone or Refused."""

    def walk(self, path: str, skip: Skip) -> Iterator[Found]:
        node = self.look(path)
        if node.kind != "folder":
            yield self._found(node)
            return
        # An own stack: folders may be nested deeper than Python calls functions.
        waiting = [node]
        while waiting:
            folder = waiting.pop()
            yield Found(folder)
            below: list[Node] = []
            yield from self._files(folder, skip, below)
            waiting.extend(reversed(below))

    def _files(self, folder: Node, skip: Skip, below: list[Node]) -> Iterator[Found]:
        """What lies in a folder, listed anew while files in it are renamed; folders apart."""
        seen: dict[str, tuple[int, ...]] = {}
        missed: dict[str, Node] = {}
        for _ in range(ROUNDS):
            try:
                listed = [node for node in self.names(folder.path) if not skip(node.path)]
            except Gone:
                yield Found(folder, gone=True)
                return
            except Refused as words:
                yield Found(folder, problem=str(words))
                return
            names = {node.path for node in listed}
            there = {node.identity for node in listed if node.identity}
            for path in sorted(seen.keys() - names):
                renamed = "renamed" if seen.pop(path) in there else ""
                yield Found(Node(path, "file"), gone=True, problem=renamed)
            below[:] = [node for node in listed if node.kind == "folder"]
            moved = False
            for node in listed:
                if node.kind == "folder" or (
                    node.path in seen and seen[node.path] == node.identity
                ):
                    continue
                found = self._found(node)
                # What was listed under this name lies under another one now, or nowhere.
                moved |= found.gone or found.node.identity != node.identity
                if found.gone:
                    missed[node.path] = node
                else:
                    seen[node.path] = found.node.identity
                    yield found
            if not moved:
                break
        read = {identity for identity in seen.values() if identity}
        for path, node in missed.items():
            if path not in seen and node.identity not in read:
                yield Found(node, gone=True)

    def _found(self, node: Node) -> Found:
        if node.kind != "file":
            return Found(node)
        try:
            return self.open(node)
        except Gone:
            return Found(node, gone=True)
        except Refused as words:
            return Found(node, problem=str(words))


class FolderTree(ListedTree):
    """Files of this machine; with a ``root`` those below that folder, as if it were ``/``."""

    def __init__(self, root: str = "") -> None:
        self._root = root
        system = os.uname()
        self.version = f"{system.sysname} {system.release}"
        self.identity = _machine()
        self._open_file: IO[bytes] | None = None

    def look(self, path: str) -> Node:
        try:
            known = os.lstat(self._root + path)
        except OSError as error:
            raise _of_system(error) from None
        return self._node(path, known)

    def names(self, path: str) -> list[Node]:
        found = []
        try:
            with os.scandir(self._root + path) as listing:
                for entry in listing:
                    # A file may go away between being named and being looked at.
                    with suppress(FileNotFoundError):
                        below = f"{path.rstrip('/')}/{entry.name}"
                        found.append(self._node(below, entry.stat(follow_symlinks=False)))
        except OSError as error:
            raise _of_system(error) from None
        return sorted(found, key=lambda node: node.path)

    def open(self, node: Node) -> Found:
        self.close()
        try:
            file = self._opened(self._root + node.path)
            self._open_file = file
            known = os.fstat(file.fileno())
        except OSError as error:
            raise _of_system(error) from None
        return Found(self._node(node.path, known), content=file)

    def state_now(self, found: Found) -> tuple[int, ...]:
        # Under whatever name it lies now.
        assert self._open_file is not None
        return _state(os.fstat(self._open_file.fileno()))

    def again(self, found: Found) -> Found:
        assert self._open_file is not None
        self._open_file.seek(0)
        known = os.fstat(self._open_file.fileno())
        return Found(self._node(found.node.path, known), content=self._open_file)

    def close(self) -> None:
        if self._open_file is not None:
            self._open_file.close()
            self._open_file = None

    @staticmethod
    def _opened(path: str) -> IO[bytes]:
        try:
            # A backup leaves no trace at the source; that may only be asked by a file's owner.
            handle = os.open(path, NOT_FOLLOWED | os.O_NOATIME)
        except PermissionError:
            handle = os.open(path, NOT_FOLLOWED)
        return os.fdopen(handle, "rb", buffering=0)

    def _node(self, path: str, known: os.stat_result) -> Node:
        kind = kind_of(known.st_mode)
        target = ""
        if kind == "link":
            try:
                target = os.readlink(self._root + path)
            except OSError:
                kind = "other"
        return Node(
            path,
            kind,
            stat.S_IMODE(known.st_mode),
            known.st_uid,
            known.st_gid,
            known.st_size if kind == "file" else 0,
            known.st_mtime_ns // NANOSECONDS,
            target,
            _state(known),
            (known.st_dev, known.st_ino),
        )


def excluding(patterns: tuple[str, ...]) -> Skip:
    """Whether a path is left out: a pattern with a slash is of whole paths, else of names."""
    of_paths = [one for one in patterns if "/" in one]
    of_names = [one for one in patterns if "/" not in one]

    def skip(path: str) -> bool:
        name = path.rpartition("/")[2]
        return any(fnmatchcase(name, one) for one in of_names) or any(
            fnmatchcase(path, one) for one in of_paths
        )

    return skip


def kind_of(mode: int) -> Kind:
    """What a mode says that a thing is."""
    if stat.S_ISREG(mode):
        return "file"
    if stat.S_ISDIR(mode):
        return "folder"
    return "link" if stat.S_ISLNK(mode) else "other"


def printable(path: str) -> str:
    """A path as a line of text that can be turned back: odd bytes and control characters spelt."""
    text = os.fsencode(path.replace("\\", "\\\\")).decode("utf-8", "backslashreplace")
    return "".join(
        one if one.isprintable() else one.encode("unicode_escape").decode() for one in text
    )


def _state(known: os.stat_result) -> tuple[int, ...]:
    return (known.st_size, known.st_mtime_ns, known.st_ctime_ns, known.st_ino)


def _machine() -> str:
    for path in ("/etc/machine-id", "/var/lib/dbus/machine-id"):
        with suppress(OSError), open(path, encoding="ascii") as file:
            if found := file.read().strip():
                # Whoever makes such an identifier known is asked to show a digest of it.
                return hashlib.sha256(f"restoreproof {found}".encode()).hexdigest()[:32]
    return os.uname().nodename


def _of_system(error: OSError) -> Exception:
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return Gone()
    return Refused(error.strerror or str(error))
