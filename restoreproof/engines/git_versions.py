"""Which tree every commit has, and whether all files of a version can be read and are right.

Files are hashed here again, not by git: a tree's name is computed from what was read alone.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import IO

from git.exc import GitCommandError

from restoreproof.engines.git_command import CHUNK_BYTES, output_of, run_git, shown, talking
from restoreproof.outcomes import RestoreFailed

TREE, LINK, SUBMODULE = "40000", "120000", "160000"
LARGE_FILE = re.compile(rb"version https://git-lfs\.github\.com/spec/v\d+\n")
POINTER_BYTES = 1024
"""A pointer of Git LFS is never larger."""
AT_ONCE = 60
"""How many objects are asked for before the first is read: their names have to fit into a pipe.

Linux gives a user who has many pipes already no more than 4,096 bytes for another one.
"""
SUBMODULES, LARGE_FILES = "submodules", "large files of Git LFS"


@dataclass(frozen=True)
class Entry:
    """One thing that a tree holds."""

    mode: str
    name: bytes
    identifier: str


@dataclass(frozen=True)
class File:
    """One file of a version: its path from the top, and its object."""

    path: bytes
    mode: str
    identifier: str


@dataclass(frozen=True)
class Version:
    """One commit that was viewed: its tree, and how many files were read in it."""

    commit: str
    tree: str
    files: int


class Objects:
    """Reads objects of a repository, and checks that each is what its name says.

    Every one is hashed once. Raise RestoreFailed for one that is missing or another.
    """

    def __init__(self, stdin: IO[bytes], stdout: IO[bytes], digest: str) -> None:
        self._stdin, self._stdout, self._digest = stdin, stdout, digest
        self._trees: dict[str, tuple[Entry, ...]] = {}
        self._counts: dict[str, int] = {}

    def view(self, commits: Sequence[str]) -> tuple[Version, ...]:
        """Read every file of commits."""
        trees = [_tree_of(content) for content in self._contents(commits, "commit")]
        self._read_trees(trees)
        self._read_files()
        told = zip(commits, trees, strict=True)
        return tuple(Version(commit, tree, self._count(tree)) for commit, tree in told)

    def tree_of(self, commit: str) -> str:
        """The name of a commit's tree."""
        return _tree_of(self.content(commit, "commit"))

    def files(self, tree: str, before: bytes = b"") -> Iterator[File]:
        """All files below a tree in its order; submodules are among them."""
        for entry in self.entries(tree):
            path = before + entry.name
            if entry.mode == TREE:
                yield from self.files(entry.identifier, path + b"/")
            else:
                yield File(path, entry.mode, entry.identifier)

    def entries(self, tree: str) -> tuple[Entry, ...]:
        """What a tree holds."""
        if tree not in self._trees:
            self._trees[tree] = tuple(_entries(self.content(tree, "tree"), len(tree) // 2))
        return self._trees[tree]

    def content(self, identifier: str, kind: str = "blob", most: int | None = None) -> bytes:
        """The content of an object, or as many bytes of its beginning."""
        self._ask((identifier,))
        return self._kept(identifier, kind, most)

    def _read_trees(self, trees: Iterable[str]) -> None:
        """Read trees and all below them, level by level."""
        while lacking := [one for one in dict.fromkeys(trees) if one not in self._trees]:
            for tree, content in zip(lacking, self._contents(lacking, "tree"), strict=True):
                self._trees[tree] = tuple(_entries(content, len(tree) // 2))
            below = (self._trees[tree] for tree in lacking)
            trees = [one.identifier for one in chain(*below) if one.mode == TREE]

    def _read_files(self) -> None:
        """Read every file of the trees that were read, each once."""
        every = chain(*self._trees.values())
        files = dict.fromkeys(one.identifier for one in every if one.mode not in (TREE, SUBMODULE))
        for _ in self._contents(tuple(files), "blob", most=0):
            pass

    def _count(self, tree: str) -> int:
        """How many files are below a tree."""
        if tree not in self._counts:
            self._counts[tree] = sum(
                self._count(entry.identifier) if entry.mode == TREE else entry.mode != SUBMODULE
                for entry in self.entries(tree)
            )
        return self._counts[tree]

    def _contents(
        self, identifiers: Sequence[str], kind: str, most: int | None = None
    ) -> Iterator[bytes]:
        """The contents of objects, as of one. Git reads the next ones while one is hashed."""
        for begin in range(0, len(identifiers), AT_ONCE):
            block = identifiers[begin : begin + AT_ONCE]
            self._ask(block)
            for identifier in block:
                yield self._kept(identifier, kind, most)

    def _ask(self, identifiers: Sequence[str]) -> None:
        # Why it ended, where it did, the answer that lacks tells.
        with suppress(BrokenPipeError):
            self._stdin.write("".join(f"{one}\n" for one in identifiers).encode())
            self._stdin.flush()

    def _kept(self, identifier: str, kind: str, most: int | None) -> bytes:
        kept = bytearray()
        for chunk in self._chunks(identifier, kind):
            kept += chunk if most is None else chunk[: most - len(kept)]
        return bytes(kept)

    def _chunks(self, identifier: str, kind: str) -> Iterator[bytes]:
        said = self._stdout.readline().decode(errors="replace").split()
        if len(said) != 3 or said[1] != kind:
            raise RestoreFailed(f"{kind} {identifier} is {' '.join(said[1:]) or 'unreadable'}")
        left = int(said[2])
        hashed = hashlib.new(self._digest, f"{kind} {left}\0".encode(), usedforsecurity=False)
        while left and (chunk := self._stdout.read(min(left, CHUNK_BYTES))):
            left -= len(chunk)
            hashed.update(chunk)
            yield chunk
        self._stdout.read(1)
        if left or hashed.hexdigest() != identifier:
            raise RestoreFailed(f"{kind} {identifier} holds other content than its name says")


@contextmanager
def reading(repository: Path, object_format: str) -> Iterator[Objects]:
    """Read objects of a repository. Raise RestoreFailed, and GitCommandError at the end."""
    with talking(["cat-file", "--batch"], repository) as (stdin, stdout):
        yield Objects(stdin, stdout, object_format)


def listed(repository: Path, known: Sequence[str] = ()) -> Iterator[bytes]:
    """A line ``commit tree`` for every commit that references reach and ``known`` ones do not.

    In chunks. Raise GitCommandError.
    """
    command = ["rev-list", "--no-commit-header", "--format=%H %T", "--all", "--stdin"]
    return output_of(command, repository, (f"^{commit}" for commit in known))


def outside(repository: Path, object_format: str) -> Mapping[str, tuple[str, ...]]:
    """Paths in the newest version whose content lies elsewhere, by kind.

    They are submodules, and files of which Git LFS keeps all but a pointer. Raise GitCommandError
    or RestoreFailed.
    """
    submodules: list[str] = []
    pointers: list[str] = []
    if not has_commit(repository):
        return {}
    with reading(repository, object_format) as objects:
        for line in run_git(["ls-tree", "-r", "-l", "-z", "HEAD"], repository).split("\0")[:-1]:
            about, path = line.split("\t", 1)
            mode, _, identifier, size = about.split()
            if mode == SUBMODULE:
                submodules.append(shown(path))
            elif mode != LINK and _is_pointer(objects, identifier, int(size)):
                pointers.append(shown(path))
    found = {SUBMODULES: tuple(submodules), LARGE_FILES: tuple(pointers)}
    return {kind: paths for kind, paths in found.items() if paths}


def _tree_of(commit: bytes) -> str:
    return commit.split(b"\n", 1)[0].removeprefix(b"tree ").decode()


def _entries(content: bytes, width: int) -> Iterator[Entry]:
    at = 0
    while at < len(content):
        space, end = content.index(b" ", at), content.index(b"\0", at)
        identifier = content[end + 1 : end + 1 + width]
        yield Entry(content[at:space].decode(), content[space + 1 : end], identifier.hex())
        at = end + 1 + width


def _is_pointer(objects: Objects, identifier: str, size: int) -> bool:
    return size < POINTER_BYTES and bool(LARGE_FILE.match(objects.content(identifier)))


def has_commit(repository: Path) -> bool:
    """Whether HEAD leads to a commit: in a new repository its branch has none yet."""
    try:
        run_git(["rev-parse", "--quiet", "--verify", "HEAD^{commit}"], repository)
    except GitCommandError:
        return False
    return True
