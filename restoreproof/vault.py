"""Where backups live: write-once artifacts and manifests in a folder, and their catalog.

    catalog.jsonl
    <component>/<backup>/manifest.json
    <component>/<backup>/<artifact>.zst
    .<component>.lock, .lock

A backup is written into ``.incoming`` and renamed into place when it is whole, so the vault
never shows half of one. No stored byte is used before its SHA-256 has been checked.
"""

import hashlib
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import fsspec
import zstandard
from fsspec.implementations.local import LocalFileSystem
from pydantic import ValidationError

from restoreproof.artifact_damage import ArtifactDamage, artifact_damage, foreign_damage
from restoreproof.catalog import Catalog
from restoreproof.errors import UserError
from restoreproof.incoming import IncomingBackup, writing
from restoreproof.locks import locked
from restoreproof.manifest import (
    Artifact,
    BackupGone,
    BackupPruned,
    CatalogEntry,
    ForeignFile,
    Manifest,
)
from restoreproof.outcomes import BackupFailed, RestoreFailed
from restoreproof.processes import is_alive
from restoreproof.storage import sync_folder, write_once
from restoreproof.stream_store import FOLDER as STREAMS
from restoreproof.stream_store import StreamStore

READ_BYTES = 4096
"""Four stored bytes can unpack into 128 KiB: this bounds what one read unpacks to 128 MiB."""
STORED_BYTES = 256 * 1024
INCOMING = ".incoming"
LOCK = ".lock"
IDENTIFIER = re.compile(r"(?P<component>.+)-(?P<stamp>\d{8}T\d{6})(?P<ms>\d{3})Z-(?P<kind>[a-z]+)")
"""What ``jobs.backup_id`` makes."""
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
class StoredBackup:
    """A backup that the catalog names. Its files may be damaged or gone: ``damage`` tells."""

    entry: CatalogEntry
    folder: Path
    later: tuple["StoredBackup", ...] = field(default=(), compare=False, repr=False)
    """Those of its component that were stored after it."""

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
        found = [artifact_damage(self.folder, artifact) for artifact in manifest.artifacts]
        own = self.elsewhere()
        root = manifest.elsewhere.root if manifest.elsewhere else ""
        found += [foreign_damage(root, file) for file in own]
        examined = 1 + len(manifest.artifacts) + len(own)
        return examined, tuple(one for one in found if one is not None)

    def elsewhere(self) -> tuple[ForeignFile, ...]:
        """What it has in a store that is not ours, but for what a later job's command took away.

        Nothing if its manifest is damaged.
        """
        _, manifest = self._read_manifest()
        if manifest is None or manifest.elsewhere is None:
            return ()
        gone: set[str] = set()
        for one in self.later:
            _, following = one._read_manifest()  # of its own kind
            if following is not None and following.elsewhere is not None:
                gone.update(following.elsewhere.superseded)
        return tuple(file for file in manifest.elsewhere.files if file.name not in gone)

    def check(self, artifact: Artifact) -> None:
        """Compare a stored artifact with its manifest. Raise RestoreFailed if it differs."""
        damage = artifact_damage(self.folder, artifact)
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

    def read_named(self, manifest: Manifest, name: str) -> Iterator[bytes]:
        """The content of the artifact of this name. Raise RestoreFailed if there is none."""
        for artifact in manifest.artifacts:
            if artifact.name == f"{name}.zst":
                return self.read(artifact)
        raise RestoreFailed(f"the backup holds no {name}")

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


@dataclass(frozen=True)
class AbandonedJob:
    """A job that left half a backup and no process."""

    component: str
    kind: str
    started_at: datetime


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
        with writing(self.root):
            (self.root / INCOMING).mkdir(parents=True, exist_ok=True)
            for leftover in (self.root / INCOMING).iterdir():
                if _is_abandoned(leftover):
                    shutil.rmtree(leftover)
            probe = self.root / INCOMING / f"probe.{os.getpid()}"
            probe.mkdir()
            probe.rmdir()

    @contextmanager
    def working_on(self, component: str, doing: str, now: datetime) -> Iterator[None]:
        """Keep others from working on a component. Raise VaultBusy if one does."""
        with ExitStack() as stack:
            with writing(self.root):
                lock = self.root / f".{component}.lock"
                stack.enter_context(locked(lock, f"{doing} {component}", now))
            yield

    @contextmanager
    def reading(self, doing: str, now: datetime) -> Iterator[None]:
        """Keep backups from being pruned. Raise VaultBusy if that is being done."""
        with ExitStack() as stack:
            # Nobody can prune here what this user may not even lock.
            with suppress(OSError):
                stack.enter_context(locked(self.root / LOCK, doing, now, shared=True))
            yield

    @contextmanager
    def pruning(self, now: datetime) -> Iterator[None]:
        """Keep others from reading. Raise VaultBusy if an audit does."""
        with ExitStack() as stack:
            with writing(self.root):
                stack.enter_context(locked(self.root / LOCK, "pruning", now))
            yield

    def abandoned(self) -> tuple[AbandonedJob, ...]:
        """Jobs whose process died in the midst of them; ``prepare`` drops what they left."""
        folder = self.root / INCOMING
        leftovers = sorted(folder.iterdir()) if folder.is_dir() else []
        return tuple(job for path in leftovers if _is_abandoned(path) and (job := _job_of(path)))

    def stream(self, component: str, identity: str) -> StreamStore:
        """Where the changes of a component's server are stored as they happen."""
        return StreamStore(self.root, component, identity)

    def backups(self, component: str) -> tuple[StoredBackup, ...]:
        """The backups of a component that the vault is to hold, the oldest recovery point first.

        Those that were pruned or noted as gone are not among them.
        """
        events = self.catalog.events()
        removed = {e.backup for e in events if isinstance(e, BackupPruned | BackupGone)}
        entries = (
            event
            for event in events
            if isinstance(event, CatalogEntry)
            and event.component == component
            and event.backup not in removed
        )
        found: list[StoredBackup] = []
        for entry in sorted(entries, key=lambda entry: entry.sequence, reverse=True):
            folder = self.root / component / entry.backup
            found.append(StoredBackup(entry, folder, tuple(found)))
        return tuple(sorted(found, key=lambda one: one.entry.recovery_point))

    def elsewhere(self, component: str) -> dict[str, ForeignFile]:
        """What the backups of a component have in a store that is not ours, by name."""
        backups = sorted(self.backups(component), key=lambda one: one.entry.sequence)
        return {file.name: file for backup in backups for file in backup.elsewhere()}

    def components(self) -> tuple[str, ...]:
        """The components of which backups lie in the vault or are in its catalog."""
        known = {entry.component for entry in self.catalog.entries()}
        folders = self.root.iterdir() if self.root.is_dir() else ()
        lying = {path.name for path in folders if path.is_dir() and path.name[0] != "."}
        return tuple(sorted(known | lying - {STREAMS}))

    def folders(self, component: str) -> frozenset[str]:
        """The names of all backups of a component that lie in the vault, catalogued or not."""
        folder = self.root / component
        return frozenset(path.name for path in folder.iterdir()) if folder.is_dir() else frozenset()

    def unknown(self, component: str) -> frozenset[str]:
        """What lies among a component's backups and is in no line of the catalog."""
        known = {e.backup for e in self.catalog.entries() if e.component == component}
        return self.folders(component) - known

    def remove(self, component: str, backup: str) -> None:
        """Remove the files of a backup that the catalog says was pruned; none is no fault."""
        folder, gone = (
            self.root / component / backup,
            self.root / INCOMING / f"{backup}.pruned.{os.getpid()}",
        )
        with writing(folder):
            if folder.exists():
                # At once, so that nobody ever sees half of a backup.
                folder.rename(gone)
                sync_folder(folder.parent)
            if gone.exists():
                shutil.rmtree(gone)

    def enter(self, component: str, backup: str) -> CatalogEntry:
        """Catalogue a whole backup whose job died before it could. Raise RestoreFailed."""
        folder = self.root / component / backup
        try:
            content = (folder / "manifest.json").read_bytes()
            manifest = Manifest.model_validate_json(content)
        except (OSError, ValidationError):
            raise RestoreFailed(f"{backup}: it has no manifest") from None
        if (manifest.component, manifest.id) != (component, backup):
            raise RestoreFailed(f"{backup}: its manifest is of {manifest.id}")
        digest = hashlib.sha256(content).hexdigest()
        for artifact in manifest.artifacts:
            if damage := artifact_damage(folder, artifact):
                raise RestoreFailed(str(damage))
        return self.catalog.append(manifest, digest, entered_late=True)

    @contextmanager
    def incoming(self, backup: str) -> Iterator[IncomingBackup]:
        """A place for a new backup, gone at the end unless ``publish`` took it."""
        folder = self.root / INCOMING / f"{backup}.{os.getpid()}"
        try:
            with writing(self.root):
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
            with writing(self.root):
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


def _is_abandoned(leftover: Path) -> bool:
    process = leftover.name.rpartition(".")[2]
    return not (process.isdecimal() and is_alive(int(process)))


def _job_of(leftover: Path) -> AbandonedJob | None:
    found = IDENTIFIER.fullmatch(leftover.name.rpartition(".")[0])
    if found is None:
        return None
    started_at = datetime.strptime(found["stamp"], "%Y%m%dT%H%M%S").replace(tzinfo=UTC)
    return AbandonedJob(
        found["component"], found["kind"], started_at + timedelta(milliseconds=int(found["ms"]))
    )
