"""Files of a server as one stored tar, with a digest of each, and back in a sandbox."""

import hashlib
import io
import stat
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import IO, Protocol

from restoreproof.engines.contract import ArtifactSink
from restoreproof.engines.server_files import ContainerFiles, Found, NotThere
from restoreproof.fingerprint import Item
from restoreproof.outcomes import BackupFailed, RestoreFailed
from restoreproof.sandbox import Sandbox

FILES = "files"
"""The folder of a stored tar below which paths are the server's own."""
CHUNK_BYTES = 1024 * 1024


class Collection:
    """A tar that is being written into an artifact, and an item for each file in it."""

    def __init__(self, kind: str, tar: tarfile.TarFile) -> None:
        self.items: dict[str, Item] = {}
        self._kind = kind
        self._tar = tar

    def add(self, found: Found) -> None:
        """Take a file or folder of the server, once."""
        if found.path in self.items:
            return
        member = tarfile.TarInfo(f"{FILES}{found.path}")
        member.mode, member.mtime = stat.S_IMODE(found.mode), found.modified
        member.uid, member.gid = found.user, found.group
        if found.content is None:
            member.type = tarfile.DIRTYPE
            self._tar.addfile(member)
            return
        self._add(found.path, member, found.content, found.size)

    def add_text(self, name: str, text: str) -> None:
        """Take a text of our own."""
        content = text.encode("utf-8", "surrogateescape")
        self._add(name, tarfile.TarInfo(name), io.BytesIO(content), len(content))

    def _add(self, name: str, member: tarfile.TarInfo, content: IO[bytes], size: int) -> None:
        # A log may grow meanwhile: what counts is what it was when it was opened.
        member.size = size
        reader = HashingReader(content)
        try:
            self._tar.addfile(member, reader)
        except (OSError, tarfile.TarError):
            raise BackupFailed(f"{name} became shorter while it was read") from None
        self.items[name] = Item(kind=self._kind, name=name, count=size, digest=reader.digest)


@contextmanager
def collecting(kind: str, sink: ArtifactSink) -> Iterator[Collection]:
    """A tar into ``sink``, whole when the block ends without an exception."""
    writer = _Writer(sink)
    tar = tarfile.open(fileobj=writer, mode="w|")  # noqa: SIM115  # half a tar is not to be ended
    try:
        yield Collection(kind, tar)
    except BaseException:
        # Even one that nobody closes writes its end when it is forgotten.
        writer.abandoned = True
        raise
    finally:
        tar.close()


def unpack(sandbox: Sandbox, folder: str, content: Iterator[bytes]) -> None:
    """Put a stored tar into a folder of a sandbox, and nothing else. Raise RestoreFailed."""
    script = f"rm -rf {folder} && mkdir -p {folder} && tar -C {folder} --no-same-owner -xf -"
    done = sandbox.run(["sh", "-c", script], feed=content)
    if done.exit_code != 0:
        raise RestoreFailed(f"tar: {done.complaint}")


def restored_files(sandbox: Sandbox, folder: str) -> Iterator[Found]:
    """All that lies in a folder of a sandbox, by the names under which it was stored."""
    inside = f"{folder}/{FILES}"
    try:
        for found in ContainerFiles(sandbox.container).walk(folder):
            server = found.path.startswith(f"{inside}/")
            cut = len(inside) if server else len(folder) + 1
            yield replace(found, path=found.path[cut:])
    except (NotThere, BackupFailed) as problem:
        raise RestoreFailed(f"{folder} cannot be read in the sandbox: {problem}") from None


def restored_items(sandbox: Sandbox, folder: str, kind: str) -> Iterator[Item]:
    """An item for each file that lies in a folder of a sandbox, taken as at the source."""
    for found in restored_files(sandbox, folder):
        if found.content is not None:
            reader = HashingReader(found.content)
            while reader.read(CHUNK_BYTES):
                pass
            yield Item(kind=kind, name=found.path, count=found.size, digest=reader.digest)


class Readable(Protocol):
    """What can be read from."""

    def read(self, size: int = -1, /) -> bytes: ...


class HashingReader(io.RawIOBase):
    """Hashes what is read through it."""

    def __init__(self, content: Readable) -> None:
        self._content = content
        self._hash = hashlib.sha256()

    def read(self, size: int = -1, /) -> bytes:
        """The next bytes."""
        chunk = self._content.read(size)
        self._hash.update(chunk)
        return chunk

    @property
    def digest(self) -> str:
        """SHA-256 of all that was read, in lower-case hex."""
        return self._hash.hexdigest()


class HashingSink:
    """Hashes and counts what is written through it."""

    def __init__(self, sink: ArtifactSink) -> None:
        self._sink = sink
        self._hash = hashlib.sha256()
        self.size = 0

    def write(self, chunk: bytes) -> None:
        """Write on."""
        self._hash.update(chunk)
        self.size += len(chunk)
        self._sink.write(chunk)

    @property
    def digest(self) -> str:
        """SHA-256 of all that was written, in lower-case hex."""
        return self._hash.hexdigest()


class _Writer(io.RawIOBase):
    """A sink as a file."""

    def __init__(self, sink: ArtifactSink) -> None:
        self._sink = sink
        self.abandoned = False

    def writable(self) -> bool:
        return True

    def write(self, content: bytes) -> int:  # type: ignore[override]  # as tarfile calls it
        if not self.abandoned:
            self._sink.write(content)
        return len(content)
