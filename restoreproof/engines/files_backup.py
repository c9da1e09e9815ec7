"""Makes a backup of files: the archive, the list beside it, and what could not be read."""

import hashlib
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import IO

from restoreproof.engines.contract import BackupContent, BackupContext, Base
from restoreproof.engines.files_archive import ARCHIVE, CHUNK_BYTES, ArchiveWriter
from restoreproof.engines.files_contents import (
    CONTENTS,
    Entry,
    Index,
    Sums,
    fingerprint,
    index,
    lines_of,
)
from restoreproof.engines.files_source import FilesSource
from restoreproof.engines.files_tree import Found, Gone, Refused, Tree, excluding, printable
from restoreproof.outcomes import BackupFailed, RestoreFailed

SMALL_BYTES = 1024 * 1024
"""Files up to this size are read whole before they are stored, again if they change meanwhile."""
TRIES = 5
LISTED = 100
"""How many names of unread files are told; beyond that their number is."""
CHANGED = "it was changed again and again while it was read"
MOVED = "it went away, or was renamed, again and again while its folder was read"


@dataclass
class Findings:
    """What a backup could not simply take."""

    unreadable: dict[str, str] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)
    special: set[str] = field(default_factory=set)
    undecided: dict[str, str] = field(default_factory=dict)

    def facts(self) -> dict[str, str]:
        """The facts of a backup that tell of them."""
        told = {
            "unreadable": [f"{printable(path)}: {why}" for path, why in self.unreadable.items()],
            "gone": [printable(path) for path in self.gone],
            "special": [printable(path) for path in self.special],
        }
        return {name: _told(paths) for name, paths in told.items() if paths}


def back_up(context: BackupContext, tree: Tree, source: FilesSource) -> BackupContent:
    """Store a tree, or what is not in the base as it is now. Raise BackupFailed."""
    base = context.base
    identity = f"{tree.identity} {' '.join(source.paths)}"
    if base is not None and base.source_identity != identity:
        raise BackupFailed("the files are of another machine, or of other paths, than the base's")
    recovery_point = context.of.clock()
    with context.of.sandboxes.folder() as folder, index(folder, "now") as now:
        with index(folder, "base", _lines(base)) as before, context.artifact(ARCHIVE) as sink:
            writer = ArchiveWriter(sink)
            job = _Job(tree, source, writer, now, before if base else None)
            job.run()
            writer.finish()
        sums = Sums()
        with context.artifact(CONTENTS) as sink:
            for chunk in _chunks(now, sums):
                sink.write(chunk)
    depth = sums.depth()
    # What is changed later may be in it too: nothing here is frozen in one instant.
    ended = context.of.clock() - recovery_point
    facts = {
        "files": str(sums.files),
        "bytes": str(sums.bytes),
        "depth": str(depth),
        "read_seconds": f"{ended / timedelta(seconds=1):.3f}",
        **job.findings.facts(),
        **({"base_position": base.position} if base else {}),
    }
    return BackupContent(
        recovery_point=recovery_point,
        fingerprint=fingerprint(sums, depth, recovery_point, job.findings.undecided),
        source_version=tree.version,
        source_identity=identity,
        position=sums.position,
        facts=facts,
    )


class _Job:
    """One walk over all paths of a source."""

    def __init__(
        self,
        tree: Tree,
        source: FilesSource,
        writer: ArchiveWriter,
        now: Index,
        before: Index | None,
    ) -> None:
        self.findings = Findings()
        self._tree, self._source, self._writer = tree, source, writer
        self._now, self._before = now, before
        self._files = self._bytes = 0

    def run(self) -> None:
        """Take every path. Raise BackupFailed if one is not there, or there is too much."""
        skip = excluding(self._source.exclude)
        for path in self._source.paths:
            try:
                for found in self._tree.walk(path, skip):
                    self._take(found)
            except Gone:
                raise BackupFailed(f"no {printable(path)}") from None
            except Refused as words:
                raise BackupFailed(f"{printable(path)} cannot be read: {words}") from None
        self._tree.close()
        if self._before is not None:
            self._drop_what_is_gone(self._before)

    def _take(self, found: Found) -> None:
        node = found.node
        self.findings.gone.discard(node.path)
        self.findings.undecided.pop(node.path, None)
        if found.gone:
            if not found.problem:
                self.findings.gone.add(node.path)
            if (known := self._now.get(node.path)) is not None:
                self._writer.member(known, "gone")
                self._now.drop(node.path)
        elif found.problem:
            self.findings.unreadable[node.path] = found.problem
        elif node.kind == "other":
            self.findings.special.add(node.path)
        elif node.kind == "file":
            self._count(node.size)
            if node.size <= SMALL_BYTES:
                self._take_small(found)
            else:
                self._take_large(found)
        else:
            self._count(0)
            self._put(Entry.of(node))

    def _count(self, size: int) -> None:
        self._files += 1
        self._bytes += size
        limits = self._source.limits
        for name, seen, most in (
            ("files", self._files, limits.files),
            ("bytes", self._bytes, limits.bytes),
        ):
            if seen > most:
                raise BackupFailed(
                    f"more than {most:,} {name}: raise source.limits.{name}, or exclude some"
                )

    def _take_small(self, found: Found) -> None:
        """Read a file whole, and again until it is the same twice or did not change meanwhile."""
        before: bytes | None = None
        try:
            for _ in range(TRIES):
                assert found.content is not None
                content = _whole(found.content, found.node.size)
                settled = len(content) == found.node.size and (
                    content == before or self._is_as_it_was(found)
                )
                if settled:
                    break
                before = content
                found = self._tree.again(found)
            else:
                self.findings.undecided[found.node.path] = CHANGED
        except Gone:
            self.findings.undecided[found.node.path] = MOVED
        except (Refused, OSError) as error:
            self.findings.unreadable[found.node.path] = _words(error)
            return
        sha256 = hashlib.sha256(content).hexdigest()
        entry = Entry.of(found.node, sha256, len(content))
        if self._put(entry):
            self._writer.content(content)
            self._writer.end_of_member()

    def _take_large(self, found: Found) -> None:
        """Store a file while it is read; of an increment only if the base's is another one."""
        node = found.node
        known = self._before.get(node.path) if self._before else None
        try:
            if known is not None and known.kind == "file" and known.size == node.size:
                sha256, size = self._hashed(found)
                if sha256 == known.sha256 and size == node.size:
                    self._put(Entry.of(node, sha256))
                    return
                found = self._tree.again(found)
                node = found.node
        except Gone:
            self.findings.gone.add(node.path)
            return
        except (Refused, OSError) as error:
            self.findings.unreadable[node.path] = _words(error)
            return
        self._writer.member(Entry.of(node))
        stored, whole = hashlib.sha256(), True
        left, content = node.size, found.content
        assert content is not None
        while left:
            try:
                chunk = content.read(min(CHUNK_BYTES, left))
            except OSError as error:
                self.findings.unreadable[node.path] = _words(error)
                chunk = b""
            if not chunk:
                # The member has said how long it is; what is missing is filled up.
                whole, chunk = False, bytes(min(CHUNK_BYTES, left))
            stored.update(chunk)
            self._writer.content(chunk)
            left -= len(chunk)
        self._writer.end_of_member()
        entry = Entry.of(node, stored.hexdigest())
        self._now.put(entry)
        if not whole or not (self._is_as_it_was(found) or self._begins_as(found, entry)):
            self.findings.undecided[node.path] = CHANGED

    def _is_as_it_was(self, found: Found) -> bool:
        """Whether nothing was written to a file since it was opened."""
        if not found.node.state:
            return True
        try:
            return self._tree.state_now(found) == found.node.state
        except (Gone, Refused, OSError):
            return False

    def _begins_as(self, found: Found, entry: Entry) -> bool:
        """Whether what was stored is how the file still begins: a log that grows is no alarm."""
        try:
            sha256, size = self._hashed(self._tree.again(found), entry.size)
        except (Gone, Refused, OSError):
            return False
        return (sha256, size) == (entry.sha256, entry.size)

    @staticmethod
    def _hashed(found: Found, size: int | None = None) -> tuple[str, int]:
        assert found.content is not None
        digest, seen = hashlib.sha256(), 0
        left = found.node.size if size is None else size
        while left and (chunk := found.content.read(min(CHUNK_BYTES, left))):
            digest.update(chunk)
            seen += len(chunk)
            left -= len(chunk)
        return digest.hexdigest(), seen

    def _put(self, entry: Entry) -> bool:
        """Enter what was found; whether a file's content is to follow."""
        self._now.put(entry)
        known = self._before.get(entry.path) if self._before else None
        if known == entry:
            return False
        same = known is not None and entry.kind == "file" == known.kind
        if same and known is not None and known.sha256 == entry.sha256:
            self._writer.member(entry, "base")
            return False
        self._writer.member(entry)
        return entry.kind == "file"

    def _drop_what_is_gone(self, before: Index) -> None:
        # What lies in a folder goes before the folder itself.
        for path in before.paths():
            if self._now.get(path) is None and (known := before.get(path)) is not None:
                self._writer.member(known, "gone")


def _lines(base: Base | None) -> Iterator[str]:
    if base is None:
        return
    try:
        yield from lines_of(base.read(CONTENTS))
    except (RestoreFailed, ValueError) as damage:
        raise BackupFailed(f"nothing can stand on {base.id}: {damage}") from None


def _chunks(now: Index, sums: Sums) -> Iterator[bytes]:
    """The list of all entries, which are added up as it is written."""
    waiting = io.StringIO()
    for line in now.lines():
        sums.add(Entry.read(line), line)
        waiting.write(f"{line}\n")
        if waiting.tell() >= CHUNK_BYTES:
            yield waiting.getvalue().encode("ascii")
            waiting = io.StringIO()
    yield waiting.getvalue().encode("ascii")


def _whole(content: IO[bytes], size: int) -> bytes:
    """All of a small file, in one piece even where it is handed out in several."""
    read = content.read(size)
    while len(read) < size and (more := content.read(size - len(read))):
        read += more
    return read


def _told(names: list[str]) -> str:
    more = len(names) - LISTED
    shown = sorted(names)[:LISTED]
    return json.dumps([*shown, f"and {more:,} more"] if more > 0 else shown)


def _words(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error)
