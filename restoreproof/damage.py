"""Named faults done to copies of vaults, to prove that checks can fail.

There are two kinds. A crude fault changes stored bytes and nothing else, as a bad disk does:
hashes see it. A consistent fault changes the content and then all hashes over it, down to the
catalog's chain, as if the content had been wrong when it was stored: only a restore sees it.
What is done to the content itself stands in ``damage_content``.

The vault that was copied is never written to: a ``VaultCopy`` opens only what it made itself.
"""

import hashlib
import random
import shutil
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, Self

import zstandard

from restoreproof.catalog import BEGINNING
from restoreproof.errors import UserError
from restoreproof.incoming import COMPRESSION_LEVEL
from restoreproof.manifest import CatalogEntry, CatalogLine, Manifest
from restoreproof.vault import CATALOGUED, INCOMING, StoredBackup, Vault

MARK = "copy-to-be-damaged"
MANIFEST = "manifest.json"

Change = Callable[[bytes], bytes]


class NotApplicable(AssertionError):
    """A fault that cannot be done to what it was to be done to, and why."""


class VaultCopy:
    """A copy of a vault whose backups may be damaged."""

    def __init__(self, root: Path) -> None:
        if not (root / MARK).is_file():
            raise UserError(
                "not a copy that was made to be damaged",
                where=str(root),
                mend="copy the vault with VaultCopy.of, and damage the copy",
            )
        self.root = root
        self.vault = Vault(str(root))
        self.store: Path | None = None
        """A copy of the store that is not ours, from which is restored; None without one."""
        self.no_store = ""
        """Why there is no copy of such a store."""

    @classmethod
    def of(cls, vault: Path, root: Path) -> Self:
        """Copy a vault to a folder that does not exist yet. Raise FileExistsError if it does."""
        if not Vault(str(vault)).catalog.path.is_file():
            mend = "give the folder that holds catalog.jsonl"
            raise UserError("no vault: it has no catalog", where=str(vault), mend=mend)
        shutil.copytree(vault, root, ignore=shutil.ignore_patterns(INCOMING, MARK))
        (root / MARK).touch()
        return cls(root)

    @classmethod
    def of_chain(cls, chain: Sequence[StoredBackup], root: Path) -> Self:
        """Make a vault of nothing but a chain, in a folder that does not exist yet.

        Its files are links to those of the vault, each of which is replaced by a file of its own
        when it is damaged: so a copy costs no more than what is changed in it. Raise
        FileExistsError if the folder exists, RestoreFailed if a manifest is damaged.
        """
        root.mkdir()
        (root / MARK).touch()
        copy = cls(root)
        for backup in chain:
            folder = root / backup.entry.component / backup.id
            folder.mkdir(parents=True)
            for path in backup.folder.iterdir():
                (folder / path.name).symlink_to(path.resolve())
            copy.vault.catalog.append(backup.manifest(), backup.entry.manifest_sha256)
        return copy

    def same(self, backup: StoredBackup) -> StoredBackup:
        """This copy's own of a backup."""
        known = self.vault.backups(backup.entry.component)
        return next(one for one in known if one.id == backup.id)

    def newest(self, component: str) -> StoredBackup:
        """The newest backup of a component."""
        return self.vault.backups(component)[-1]

    # Crude faults

    def flip_byte(
        self, backup: StoredBackup, artifact: str, position: int | None = None, seed: int = 0
    ) -> None:
        """Turn over every bit of one stored byte; without a position, of one that is drawn."""
        with self._changed(backup, artifact) as content:
            at = _drawn(seed).randrange(len(content)) if position is None else position
            content[at] ^= 0xFF

    def truncate(self, backup: StoredBackup, artifact: str, keep: int) -> None:
        """Keep only the first stored bytes of an artifact."""
        with self._changed(backup, artifact) as content:
            assert keep < len(content), "nothing would be cut off"
            del content[keep:]

    def change_stored(self, backup: StoredBackup, artifact: str, change: Change) -> None:
        """Store other bytes for an artifact's, and tell nobody."""
        path = backup.folder / artifact
        before = path.read_bytes()
        self._replace(path, _changed(before, change))

    def remove_backup(self, backup: StoredBackup) -> None:
        """Remove a backup's folder."""
        shutil.rmtree(self._inside(backup.folder))

    def forget(self, backup: StoredBackup) -> None:
        """Leave a backup out of the catalog, and chain what is left anew."""
        self._rewrite_catalog(
            lambda entry: (
                None if isinstance(entry, CatalogEntry) and entry.backup == backup.id else {}
            )
        )

    def misdate_in_catalog(self, backup: StoredBackup, by: timedelta) -> None:
        """Have the catalog name another recovery point than the manifest, its chain made anew."""
        at = backup.entry.recovery_point + by
        self._rewrite_catalog(
            lambda entry: (
                {"recovery_point": at}
                if isinstance(entry, CatalogEntry) and entry.backup == backup.id
                else {}
            )
        )

    def remove(self, backup: StoredBackup, name: str = MANIFEST) -> None:
        """Remove an artifact, or the manifest."""
        self._inside(backup.folder / name).unlink()

    def alter_manifest(self, backup: StoredBackup, old: str, new: str) -> None:
        """Replace a text in the manifest, so that it is still a manifest but another one."""
        with self._changed(backup, MANIFEST) as content:
            assert old.encode() in content, f"no {old} in the manifest"
            content[:] = content.replace(old.encode(), new.encode())

    def swap(self, one: StoredBackup, other: StoredBackup, artifact: str) -> None:
        """Give each of two backups the artifact of the other."""
        first, second = one.folder / artifact, other.folder / artifact
        contents = second.read_bytes(), first.read_bytes()
        self._replace(first, contents[0])
        self._replace(second, contents[1])

    # Consistent faults

    def rewrite(self, backup: StoredBackup, artifact: str, change: Change) -> None:
        """Change the content of an artifact, and every hash over it."""
        manifest = backup.manifest()
        described = next(one for one in manifest.artifacts if one.name == artifact)
        after = _changed(b"".join(backup.read(described)), change)
        compressor = zstandard.ZstdCompressor(level=COMPRESSION_LEVEL, write_checksum=True)
        stored = compressor.compress(after)
        self._replace(backup.folder / artifact, stored)
        wrong = described.model_copy(
            update={
                "sha256": hashlib.sha256(stored).hexdigest(),
                "stored_bytes": len(stored),
                "content_bytes": len(after),
            }
        )
        artifacts = tuple(wrong if one is described else one for one in manifest.artifacts)
        self.restate(backup, artifacts=artifacts)

    def break_off(self, backup: StoredBackup, artifact: str, keep: int) -> None:
        """Keep only the first stored bytes of an artifact, and put right the hashes over it."""
        manifest = backup.manifest()
        stored = (backup.folder / artifact).read_bytes()[:keep]
        self._replace(backup.folder / artifact, stored)
        facts = {"sha256": hashlib.sha256(stored).hexdigest(), "stored_bytes": len(stored)}
        artifacts = tuple(
            one.model_copy(update=facts) if one.name == artifact else one
            for one in manifest.artifacts
        )
        self.restate(backup, artifacts=artifacts)

    def take_content_of(self, backup: StoredBackup, other: StoredBackup) -> None:
        """Store another backup's content under this one's name, date and fingerprint."""
        taken = other.manifest()
        for artifact in backup.manifest().artifacts:
            self.remove(backup, artifact.name)
        for artifact in taken.artifacts:
            path = self._inside(backup.folder / artifact.name)
            path.symlink_to((other.folder / artifact.name).resolve())
        self.restate(backup, artifacts=taken.artifacts)

    def backdate(self, backup: StoredBackup, by: timedelta) -> None:
        """Make a backup older than it is, its recovery point too."""
        times = ("started_at", "finished_at", "recovery_point")
        self.restate(backup, **{time: getattr(backup.entry, time) - by for time in times})

    def add_earlier(
        self, backup: StoredBackup, before: timedelta, *, entered_late: bool = True
    ) -> StoredBackup:
        """Put a copy of a full backup into the vault that is older by so much.

        Not ``entered_late`` it looks as if a clock had been set back.
        """
        entry, manifest = backup.entry, backup.manifest()
        identifier = f"{entry.component}-{before.total_seconds():.0f}s-before"
        folder = backup.folder.with_name(identifier)
        shutil.copytree(backup.folder, self._inside(folder))
        times = ("started_at", "finished_at", "recovery_point")
        earlier = {time: getattr(manifest, time) - before for time in times}
        copied = manifest.model_copy(update={"id": identifier, **earlier})
        content = copied.model_dump_json(indent=1).encode()
        self._replace(folder / MANIFEST, content)
        digest = hashlib.sha256(content).hexdigest()
        entered = self.vault.catalog.append(copied, digest, entered_late=entered_late)
        return StoredBackup(entered, folder)

    def restate(self, backup: StoredBackup, **facts: Any) -> None:
        """Change facts in the manifest, and catalog and chain with it."""
        manifest = Manifest.model_validate(backup.manifest().model_copy(update=facts).model_dump())
        content = manifest.model_dump_json(indent=1).encode()
        self._replace(backup.folder / MANIFEST, content)
        digest = hashlib.sha256(content).hexdigest()
        catalogued = {name: getattr(manifest, name) for name in CATALOGUED if name != "id"}
        self._rewrite_catalog(
            lambda entry: (
                catalogued | {"manifest_sha256": digest}
                if isinstance(entry, CatalogEntry) and entry.backup == backup.id
                else {}
            )
        )

    def _rewrite_catalog(self, change: Callable[[CatalogLine], dict[str, Any] | None]) -> None:
        """Change facts in lines of the catalog, or leave lines out, and chain them anew."""
        lines: list[bytes] = []
        for entry in self.vault.catalog.events():
            changes = change(entry)
            if changes is None:
                continue
            place = {
                "sequence": len(lines) + 1,
                "previous_sha256": hashlib.sha256(lines[-1]).hexdigest() if lines else BEGINNING,
            }
            lines.append(_line(entry.model_copy(update=changes | place)))
        self._replace(self.vault.catalog.path, b"".join(line + b"\n" for line in lines))

    @contextmanager
    def _changed(self, backup: StoredBackup, name: str) -> Iterator[bytearray]:
        content = bytearray((backup.folder / name).read_bytes())
        yield content
        self._replace(backup.folder / name, bytes(content))

    def _replace(self, path: Path, content: bytes) -> None:
        # A new file in its place: what lies there may be read-only.
        new = self._inside(path).with_name(f".{path.name}.new")
        new.write_bytes(content)
        new.chmod(stat.S_IMODE(path.stat().st_mode))
        new.replace(path)

    def _inside(self, path: Path) -> Path:
        """The path, if it lies in this copy: a backup of another vault is left alone."""
        # A file of the copy may be a link to one of the vault: it is replaced, never written to.
        if not path.parent.resolve().is_relative_to(self.root.resolve()):
            mend = "take the backup from this copy"
            raise UserError("not in the copy that may be damaged", where=str(path), mend=mend)
        return path


def _line(entry: CatalogLine) -> bytes:
    return entry.model_dump_json().encode()


def _changed(before: bytes, change: Change) -> bytes:
    after = change(before)
    if after == before:
        raise NotApplicable("the fault changed nothing")
    return after


def _drawn(seed: int) -> random.Random:
    return random.Random(seed)  # noqa: S311  # a fault that can be repeated, no secret
