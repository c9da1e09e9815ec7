"""The stored tar of files: written in constant memory, and read as if an enemy had written it."""

import os
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Literal

from restoreproof.engines.contract import ArtifactSink
from restoreproof.engines.files_contents import Entry
from restoreproof.engines.files_tree import printable
from restoreproof.engines.server_files import ChunkStream
from restoreproof.outcomes import RestoreFailed

ARCHIVE = "files.tar"
ROOT = "files"
"""The folder of a stored tar below which paths are the source's own."""
CHUNK_BYTES = 1024 * 1024
LONGEST_HEADER_BYTES = 1024 * 1024
TAR_BYTES = 64 * 1024
"""What tarfile reads at once; with every small read it copies what is left of that."""
ZEROS = bytes(CHUNK_BYTES)
MARK = "RESTOREPROOF.content"
"""An extended header of an increment's member: the content is the base's, or the path is gone."""
Mark = Literal["", "base", "gone"]
TYPES = {"file": tarfile.REGTYPE, "folder": tarfile.DIRTYPE, "link": tarfile.SYMTYPE}


class ArchiveWriter:
    """Writes members one after the other, a file's content right after its own."""

    def __init__(self, sink: ArtifactSink) -> None:
        self._sink = sink
        self._waiting = bytearray()
        self._padding = 0

    def member(self, entry: Entry, mark: Mark = "") -> None:
        """Begin a member; exactly ``size`` bytes of a file follow, unless it is marked."""
        self._write(header(entry, f"{ROOT}{entry.path}", mark))
        self._padding = 0 if mark or entry.kind != "file" else -entry.size % tarfile.BLOCKSIZE

    def content(self, chunk: bytes) -> None:
        """Go on with the content of a file."""
        self._write(chunk)

    def end_of_member(self) -> None:
        """End a file whose content is written."""
        self._write(bytes(self._padding))

    def finish(self) -> None:
        """End the archive."""
        self._write(bytes(2 * tarfile.BLOCKSIZE))
        self._sink.write(bytes(self._waiting))

    def _write(self, chunk: bytes) -> None:
        # Headers are small, and a compressor likes large chunks.
        self._waiting += chunk
        if len(self._waiting) >= CHUNK_BYTES:
            self._sink.write(bytes(self._waiting))
            self._waiting.clear()


def header(entry: Entry, name: str, mark: Mark = "") -> bytes:
    """A tar header of an entry under a name."""
    member = tarfile.TarInfo(name)
    member.type = TYPES[entry.kind]
    member.mode, member.uid, member.gid = entry.mode, entry.user, entry.group
    member.mtime = entry.modified
    member.linkname = entry.target
    member.size = entry.size if entry.kind == "file" and not mark else 0
    if mark:
        member.pax_headers = {MARK: mark}
    return member.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")


@dataclass(frozen=True)
class Member:
    """A member of a stored tar: where it belongs, what it is, and a file's content."""

    entry: Entry
    mark: Mark
    content: IO[bytes] | None


def members(chunks: Iterator[bytes]) -> Iterator[Member]:
    """The members of a stored tar. Raise RestoreFailed for one that ours never holds."""
    stream = ChunkStream(chunks)
    try:
        with tarfile.open(fileobj=stream, mode="r|", bufsize=TAR_BYTES, tarinfo=_Header) as tar:
            for member in tar:
                yield _member(tar, member)
                # Or it would remember every one of them.
                tar.members = []  # type: ignore[attr-defined]  # unknown to its types
    except (tarfile.TarError, EOFError, ValueError, RecursionError) as error:
        raise RestoreFailed(f"{ARCHIVE}: not a whole tar: {error}") from None


class _Header(tarfile.TarInfo):
    """A header that is not read into memory whatever size it says it has."""

    def _proc_member(self, tar: tarfile.TarFile) -> tarfile.TarInfo:
        if self.type not in tarfile.REGULAR_TYPES and self.size > LONGEST_HEADER_BYTES:
            raise tarfile.ReadError(f"a header of {self.size:,} bytes")
        processed: tarfile.TarInfo = super()._proc_member(tar)  # type: ignore[misc]  # tarfile's own
        return processed


def _member(tar: tarfile.TarFile, member: tarfile.TarInfo) -> Member:
    mark = str(member.pax_headers.get(MARK, ""))
    if mark not in ("", "base", "gone"):
        raise _refused(member, f"has the mark {printable(mark)}, which is none")
    if member.isdir():
        kind = "folder"
    elif member.issym():
        kind = "link"
    elif member.type in (tarfile.REGTYPE, tarfile.AREGTYPE):
        kind = "file"
    else:
        # Devices, pipes and second names of a file: no backup of ours holds one.
        raise _refused(member, "is neither a file, a folder nor a link")
    path = member.name.removeprefix(ROOT)
    parts = path.split("/")[1:]
    inside = member.name == ROOT or (path != member.name and path.startswith("/"))
    if not inside or "\0" in path or any(part in ("", ".", "..") for part in parts):
        raise _refused(member, "leads out of the folder that is restored into")
    entry = Entry(
        path=path or "/",
        kind=kind,  # type: ignore[arg-type]  # one of three
        mode=member.mode & 0o7777,
        user=member.uid,
        group=member.gid,
        size=member.size,
        modified=int(member.mtime),
        target=member.linkname if kind == "link" else "",
    )
    content = tar.extractfile(member) if kind == "file" and not mark else None
    return Member(entry, mark, content)  # type: ignore[arg-type]  # one of three


def _refused(member: tarfile.TarInfo, why: str) -> RestoreFailed:
    return RestoreFailed(f"{ARCHIVE}: {printable(member.name)} {why}")


def is_zeros(chunk: bytes) -> bool:
    """Whether a chunk holds nothing but zeros, and so can be a hole."""
    return chunk == (ZEROS if len(chunk) == CHUNK_BYTES else bytes(len(chunk)))


def fill(handle: int, content: IO[bytes], size: int) -> int:
    """Write a file's content at its beginning, with holes for zeros; return how much it was."""
    written = 0
    while written < size:
        chunk = content.read(min(CHUNK_BYTES, size - written))
        if not chunk:
            break
        if is_zeros(chunk):
            os.lseek(handle, len(chunk), os.SEEK_CUR)
        else:
            rest = memoryview(chunk)
            while rest:
                rest = rest[os.write(handle, rest) :]
        written += len(chunk)
    os.ftruncate(handle, written)
    return written
