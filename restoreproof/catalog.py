"""The append-only list of what a vault holds or held: one JSON line a backup, hash-chained."""

import fcntl
import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from restoreproof.errors import CatalogCorrupt
from restoreproof.manifest import CatalogEntry, Manifest
from restoreproof.storage import append_line

BEGINNING = "0" * 64
"""What the first entry names as the digest of the entry before it."""


class Catalog:
    """The catalog file of one vault."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def entries(self) -> tuple[CatalogEntry, ...]:
        """All entries in the order they were written.

        Raise CatalogCorrupt if a line cannot be read, is missing or was changed.
        """
        try:
            lines = self.path.read_bytes().split(b"\n") if self.path.exists() else [b""]
        except OSError as error:
            raise self._corrupt(1, f"cannot be read: {error.strerror}") from None
        if lines.pop() != b"":
            raise self._corrupt(len(lines) + 1, "the line breaks off")
        return self._check(lines)

    def append(self, manifest: Manifest, manifest_sha256: str) -> CatalogEntry:
        """Add a stored backup and wait until the entry is on disk; all of the entry, or none."""
        self.path.touch()
        with self.path.open("rb") as lock:
            # Two jobs of two components may end at the same time.
            fcntl.flock(lock, fcntl.LOCK_EX)
            lines = self.path.read_bytes().splitlines()
            self.entries()
            entry = CatalogEntry(
                sequence=len(lines) + 1,
                previous_sha256=_digest(lines[-1]) if lines else BEGINNING,
                backup=manifest.id,
                component=manifest.component,
                engine=manifest.engine,
                kind=manifest.kind,
                base=manifest.base,
                started_at=manifest.started_at,
                finished_at=manifest.finished_at,
                recovery_point=manifest.recovery_point,
                manifest_sha256=manifest_sha256,
            )
            size = self.path.stat().st_size
            try:
                append_line(self.path, entry.model_dump_json().encode())
            except BaseException:
                # Half a line would make the whole catalog unreadable.
                os.truncate(self.path, size)
                raise
        return entry

    def names(self, backup: str) -> bool:
        """Whether an entry names a backup, asked without trust in the other entries."""
        mark = f'"backup":"{backup}"'.encode()
        return self.path.exists() and mark in self.path.read_bytes()

    def _check(self, lines: Sequence[bytes]) -> tuple[CatalogEntry, ...]:
        entries, previous = [], BEGINNING
        for number, line in enumerate(lines, start=1):
            try:
                entry = CatalogEntry.model_validate_json(line)
            except ValidationError:
                raise self._corrupt(number, "not an entry of a catalog") from None
            if entry.sequence != number or entry.previous_sha256 != previous:
                raise self._corrupt(number, "does not follow from the line before it")
            entries.append(entry)
            previous = _digest(line)
        return tuple(entries)

    def _corrupt(self, number: int, what: str) -> CatalogCorrupt:
        return CatalogCorrupt(
            f"the catalog is damaged or was edited: {what}",
            where=f"{self.path}:{number}",
            mend="put back the catalog from a copy of the vault",
        )


def _digest(line: bytes) -> str:
    return hashlib.sha256(line).hexdigest()
