"""A backup that is being written: its artifacts compressed, hashed and stored as they come."""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import fsspec
import zstandard
from fsspec.implementations.local import LocalFileSystem

from restoreproof.errors import OutputUnwritable
from restoreproof.manifest import Artifact
from restoreproof.storage import READ_ONLY

COMPRESSION_LEVEL = 3
COMPRESSION_THREADS = min(4, os.cpu_count() or 1)


class ArtifactWriter:
    """Compresses, hashes and stores one artifact in constant memory."""

    def __init__(self, path: Path, file: fsspec.core.OpenFile) -> None:
        self.path = path
        self._file = file
        self._hash = hashlib.sha256()
        self._stored_bytes = self._content_bytes = 0
        # Without write_checksum a flipped bit can decode into other content without an error.
        compressor = zstandard.ZstdCompressor(
            level=COMPRESSION_LEVEL, write_checksum=True, threads=COMPRESSION_THREADS
        )
        self._compressor = compressor.compressobj()

    def write(self, chunk: bytes) -> None:
        """Add content."""
        self._content_bytes += len(chunk)
        self._store(self._compressor.compress(chunk))

    def finish(self) -> Artifact:
        """End the artifact, wait until it is on disk and describe it."""
        self._store(self._compressor.flush())
        with writing(self.path.parent):
            self._file.flush()
            os.fsync(self._file.fileno())
        return Artifact(
            name=self.path.name,
            sha256=self._hash.hexdigest(),
            stored_bytes=self._stored_bytes,
            content_bytes=self._content_bytes,
        )

    def _store(self, compressed: bytes) -> None:
        self._hash.update(compressed)
        self._stored_bytes += len(compressed)
        with writing(self.path.parent):
            self._file.write(compressed)


class IncomingBackup:
    """A backup that is being written."""

    def __init__(self, folder: Path, files: LocalFileSystem) -> None:
        self.folder = folder
        self.artifacts: list[Artifact] = []
        self._files = files

    @contextmanager
    def artifact(self, name: str) -> Iterator[ArtifactWriter]:
        """Open a new artifact; it counts only if the block ends without an exception."""
        path = self.folder / f"{name}.zst"
        with writing(self.folder):
            file = self._files.open(str(path), "xb")
        try:
            writer = ArtifactWriter(path, file)
            yield writer
            self.artifacts.append(writer.finish())
        finally:
            with writing(self.folder):
                file.close()
        path.chmod(READ_ONLY)


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Trouble with writing as one line: the disk is full, the folder is not ours."""
    try:
        yield
    except OSError as error:
        raise OutputUnwritable(
            f"the vault cannot be written: {error.strerror}",
            where=str(folder),
            mend="give a folder that this user may write, with space left",
        ) from None
