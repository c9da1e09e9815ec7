"""Where backups live: write-once artifacts and manifests in a folder, and their catalog.

    catalog.jsonl
    <component>/<backup>/manifest.json
    <component>/<backup>/<artifact>.zst

A backup is written into ``.incoming`` and renamed into place when it is whole, so the vault
never shows half of one. No stored byte is used before its SHA-256 has been checked.
"""

import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import fsspec
import zstandard
from fsspec.implementations.local import LocalFileSystem
from pydantic import ValidationError

from restoreproof.catalog import Catalog
from restoreproof.errors import OutputUnwritable, UserError
from restoreproof.manifest import Artifact, CatalogEntry, Manifest
from restoreproof.outcomes import BackupFailed, RestoreFailed
from restoreproof.processes import is_alive
from restoreproof.storage import READ_ONLY, sync_folder, write_once
from restoreproof.stream_store import StreamStore

READ_BYTES = 4096
"""Four stored bytes can unpack into 128 KiB: this bounds what one read unpacks to 128 MiB."""
STORED_BYTES = 256 * 1024
COMPRESSION_LEVEL = 3
COMPRESSION_THREADS = min(4, os.cpu_count() or 1)
INCOMING = ".incoming"
CATALOGUED = (
    "id",
    "component",
    "engine",
    "kind",
    "base",
    "started_at",
    "finished_at",
    "recovery_point",
)
"""What the catalog repeats of a manifest."""


@dataclass(frozen=True)
class ArtifactDamage:
    """A stored file that is not what the manifest or the catalog says."""

    path: str
    problem: str
    expected: str
    seen: str

    def __str__(self) -> str:
        return f"{self.path}: {self.problem} (expected {self.expected}, saw {self.seen})"


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
        with _writing(self.path.parent):
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
        with _writing(self.path.parent):
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
        with _writing(self.folder):
            file = self._files.open(str(path), "xb")
        try:
            writer = ArtifactWriter(path, file)
            yield writer
            self.artifacts.append(writer.finish())
        finally:
            with _writing(self.folder):
                file.close()
        path.chmod(READ_ONLY)


@dataclass(frozen=True)
class StoredBackup:
    """A backup that the catalog names. Its files may be damaged or gone: ``damage`` tells."""

    entry: CatalogEntry
    folder: Path

    @property
    def id(self) -> str:
        """The backup's identifier, unique in the vault."""
        return self.entry.backup

    def manifest(self) -> Manifest:
        """The manifest, if it is the one that was catalogued. Raise RestoreFailed if not."""
        damage, manifest = self._read_manifest()
        if manifest is None:
            raise RestoreFailed(str(damage))
        return manifest

    def damage(self) -> tuple[int, tuple[ArtifactDamage, ...]]:
        """How many files were examined, and every one that is damaged or gone."""
        damage, manifest = self._read_manifest()
        if manifest is None:
            assert damage is not None
            return 1, (damage,)
        found = (self._artifact_damage(artifact) for artifact in manifest.artifacts)
        return 1 + len(manifest.artifacts), tuple(one for one in found if one is not None)

    def check(self, artifact: Artifact) -> None:
        """Compare a stored artifact with its manifest. Raise RestoreFailed if it differs."""
        damage = self._artifact_damage(artifact)
        if damage is not None:
            raise RestoreFailed(str(damage))

    def read(self, artifact: Artifact) -> Iterator[bytes]:
        """The artifact's content in chunks. Raise RestoreFailed if the stream is not whole."""
        decompressor = zstandard.ZstdDecompressor().decompressobj()
        content_bytes = 0
        try:
            with fsspec.open(str(self.folder / artifact.name), "rb") as file:
                while chunk := file.read(READ_BYTES):
                    content = decompressor.decompress(chunk)
                    content_bytes += len(content)
                    yield content
        except OSError as error:
            raise RestoreFailed(f"{artifact.name}: cannot be read: {error.strerror}") from None
        except zstandard.ZstdError as error:
            raise RestoreFailed(f"{artifact.name}: not a zstd stream: {error}") from None
        # zstandard takes a stream that breaks off for a whole one unless its end is asked for.
        if not decompressor.eof or content_bytes != artifact.content_bytes:
            raise RestoreFailed(f"{artifact.name}: breaks off after {content_bytes} bytes")
        if decompressor.unused_data:
            raise RestoreFailed(f"{artifact.name}: something follows after its end")

    def read_stored(self, artifact: Artifact) -> Iterator[bytes]:
        """The artifact as it is stored. Raise RestoreFailed if it cannot be read."""
        try:
            with fsspec.open(str(self.folder / artifact.name), "rb") as file:
                while chunk := file.read(STORED_BYTES):
                    yield chunk
        except OSError as error:
            raise RestoreFailed(f"{artifact.name}: cannot be read: {error.strerror}") from None

    def _read_manifest(self) -> tuple[ArtifactDamage | None, Manifest | None]:
        path = self.folder / "manifest.json"
        name = f"{self.folder.name}/manifest.json"
        expected = self.entry.manifest_sha256
        if not path.exists():
            return ArtifactDamage(name, "is missing", expected, "nothing"), None
        try:
            content = path.read_bytes()
        except OSError as error:
            return ArtifactDamage(name, "cannot be read", expected, str(error.strerror)), None
        seen = hashlib.sha256(content).hexdigest()
        if seen != expected:
            return ArtifactDamage(name, "SHA-256 differs", expected, seen), None
        try:
            manifest = Manifest.model_validate_json(content)
        except ValidationError:
            return ArtifactDamage(name, "not a manifest", "a manifest", "something else"), None
        if damage := self._disagreement(manifest, name):
            return damage, None
        return None, manifest

    def _disagreement(self, manifest: Manifest, name: str) -> ArtifactDamage | None:
        # Nothing follows the catalog's last line, so its chain does not guard that line.
        for fact in CATALOGUED:
            stored = getattr(manifest, fact)
            catalogued = getattr(self.entry, "backup" if fact == "id" else fact)
            if catalogued != stored:
                what = f"says another {fact} than the catalog"
                return ArtifactDamage(name, what, str(catalogued), str(stored))
        return None

    def _artifact_damage(self, artifact: Artifact) -> ArtifactDamage | None:
        path = self.folder / artifact.name
        name = f"{self.folder.name}/{artifact.name}"
        if not path.exists():
            return ArtifactDamage(name, "is missing", artifact.sha256, "nothing")
        try:
            with fsspec.open(str(path), "rb") as file:
                seen = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            return ArtifactDamage(name, "cannot be read", artifact.sha256, str(error.strerror))
        if seen != artifact.sha256:
            return ArtifactDamage(name, "SHA-256 differs", artifact.sha256, seen)
        return None


class Vault:
    """The vault of one estate. Raise UserError or OutputUnwritable if its place is no good."""

    def __init__(self, location: str) -> None:
        try:
            files, root = fsspec.core.url_to_fs(location)
        except (ImportError, ValueError):
            files, root = None, ""
        if not isinstance(files, LocalFileSystem):
            mend = "give a folder of this machine, or one that is mounted here"
            raise UserError(f"vault.location {location}: not a local folder", mend=mend)
        self._files = files
        self.root = Path(root)
        self.catalog = Catalog(self.root / "catalog.jsonl")

    def prepare(self) -> None:
        """Make sure that backups can be written, and drop what a killed job left behind."""
        with _writing(self.root):
            (self.root / INCOMING).mkdir(parents=True, exist_ok=True)
            for leftover in (self.root / INCOMING).iterdir():
                if _is_abandoned(leftover):
                    shutil.rmtree(leftover)
            probe = self.root / INCOMING / f"probe.{os.getpid()}"
            probe.mkdir()
            probe.rmdir()

    def stream(self, component: str, identity: str) -> StreamStore:
        """Where the changes of a component's server are stored as they happen."""
        return StreamStore(self.root, component, identity)

    def backups(self, component: str) -> tuple[StoredBackup, ...]:
        """All catalogued backups of a component, the oldest recovery point first."""
        entries = (entry for entry in self.catalog.entries() if entry.component == component)
        return tuple(
            StoredBackup(entry, self.root / component / entry.backup)
            for entry in sorted(entries, key=lambda entry: entry.recovery_point)
        )

    @contextmanager
    def incoming(self, backup: str) -> Iterator[IncomingBackup]:
        """A place for a new backup, gone at the end unless ``publish`` took it."""
        folder = self.root / INCOMING / f"{backup}.{os.getpid()}"
        try:
            with _writing(self.root):
                folder.mkdir()
            yield IncomingBackup(folder, self._files)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def publish(self, incoming: IncomingBackup, manifest: Manifest) -> StoredBackup:
        """Put a whole backup in its place and enter it in the catalog.

        Raise BackupFailed if the vault has one of this name: nothing is ever overwritten.
        """
        content = manifest.model_dump_json(indent=1).encode()
        folder = self.root / manifest.component / manifest.id
        if folder.exists():
            raise BackupFailed(f"the vault has a backup {manifest.id} already")
        try:
            with _writing(self.root):
                write_once(incoming.folder / "manifest.json", content)
                folder.parent.mkdir(exist_ok=True)
                incoming.folder.rename(folder)
                sync_folder(folder.parent)
                entry = self.catalog.append(manifest, hashlib.sha256(content).hexdigest())
        except BaseException:
            # A backup that the catalog does not name must not look like one. Until ours is
            # moved, what lies there is somebody else's.
            if not incoming.folder.exists() and not self.catalog.names(manifest.id):
                shutil.rmtree(folder, ignore_errors=True)
            raise
        return StoredBackup(entry, folder)


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    """Trouble with writing as one line: the disk is full, the folder is not ours."""
    try:
        yield
    except OSError as error:
        raise OutputUnwritable(
            f"the vault cannot be written: {error.strerror}",
            where=str(folder),
            mend="give a folder that this user may write, with space left",
        ) from None


def _is_abandoned(leftover: Path) -> bool:
    process = leftover.name.rpartition(".")[2]
    return not (process.isdecimal() and is_alive(int(process)))
