"""The append-only list of what a vault holds or held and what became of runs, hash-chained.

One JSON line an event: a backup stored, pruned or found gone, a run missed or failed.
"""

import fcntl
import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from restoreproof.errors import CatalogCorrupt
from restoreproof.manifest import (
    CatalogEntry,
    CatalogEvent,
    CatalogLine,
    CatalogMended,
    Manifest,
)
from restoreproof.storage import append_line, write_once

EVENTS: TypeAdapter[CatalogEvent] = TypeAdapter(CatalogEvent)
TORN = ".torn-"
Line = TypeVar("Line", bound=CatalogLine)
BEGINNING = "0" * 64
"""What the first entry names as the digest of the entry before it."""


class Catalog:
    """The catalog file of one vault."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def entries(self) -> tuple[CatalogEntry, ...]:
        """Every backup that was ever stored, in the order of storing. Raise CatalogCorrupt."""
        return tuple(event for event in self.events() if isinstance(event, CatalogEntry))

    def events(self) -> tuple[CatalogEvent, ...]:
        """All lines in the order they were written.

        Raise CatalogCorrupt if a line cannot be read, is missing or was changed.
        """
        *lines, rest = self._content().split(b"\n")
        if rest:
            raise self._corrupt(
                len(lines) + 1,
                "the line breaks off",
                "set the broken end aside with: restoreproof catalog repair POLICY",
            )
        return self._check(lines)

    def append(
        self, manifest: Manifest, manifest_sha256: str, *, entered_late: bool = False
    ) -> CatalogEntry:
        """Add a stored backup and wait until the entry is on disk; all of the entry, or none."""
        return self.note(
            CatalogEntry,
            backup=manifest.id,
            component=manifest.component,
            engine=manifest.engine,
            kind=manifest.kind,
            base=manifest.base,
            started_at=manifest.started_at,
            finished_at=manifest.finished_at,
            recovery_point=manifest.recovery_point,
            manifest_sha256=manifest_sha256,
            entered_late=entered_late,
        )

    def note(self, event: type[Line], **facts: Any) -> Line:
        """Add an event and wait until it is on disk; all of it, or none."""
        with self._alone():
            self.events()
            return self._append(event, facts)

    def repair(self, now: datetime) -> tuple[CatalogMended, ...]:
        """Set an end that broke off aside, in a file beside the catalog, and note that.

        Raise CatalogCorrupt if more than the end is damaged.
        """
        with self._alone():
            content = self._content()
            *lines, rest = content.split(b"\n")
            self._check(lines)
            if rest:
                name = f"{self.path.name}{TORN}{len(lines) + 1}-{_digest(rest)[:8]}"
                # It is there already if this was killed before the catalog was cut.
                if not self.path.with_name(name).exists():
                    write_once(self.path.with_name(name), rest)
                os.truncate(self.path, len(content) - len(rest))
            known = {e.set_aside for e in self.events() if isinstance(e, CatalogMended)}
            torn = sorted(self.path.parent.glob(f"{self.path.name}{TORN}*"))
            return tuple(
                self._append(
                    CatalogMended,
                    {
                        "set_aside": path.name,
                        "set_aside_sha256": _digest(path.read_bytes()),
                        "noted_at": now,
                    },
                )
                for path in torn
                if path.name not in known
            )

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Two jobs of two components may end at the same time."""
        self.path.touch()
        with self.path.open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _append(self, event: type[Line], facts: dict[str, Any]) -> Line:
        lines = self.path.read_bytes().splitlines()
        previous = _digest(lines[-1]) if lines else BEGINNING
        line = event(sequence=len(lines) + 1, previous_sha256=previous, **facts)
        size = self.path.stat().st_size
        try:
            append_line(self.path, line.model_dump_json().encode())
        except BaseException:
            # Half a line would make the whole catalog unreadable.
            os.truncate(self.path, size)
            raise
        return line

    def _content(self) -> bytes:
        try:
            return self.path.read_bytes() if self.path.exists() else b""
        except OSError as error:
            raise self._corrupt(1, f"cannot be read: {error.strerror}") from None

    def names(self, backup: str) -> bool:
        """Whether an entry names a backup, asked without trust in the other entries."""
        mark = f'"backup":"{backup}"'.encode()
        return self.path.exists() and mark in self.path.read_bytes()

    def _check(self, lines: Sequence[bytes]) -> tuple[CatalogEvent, ...]:
        events: list[CatalogEvent] = []
        previous = BEGINNING
        for number, line in enumerate(lines, start=1):
            try:
                event = EVENTS.validate_json(line)
            except ValidationError:
                raise self._corrupt(number, "not an entry of a catalog") from None
            if event.sequence != number or event.previous_sha256 != previous:
                raise self._corrupt(number, "does not follow from the line before it")
            events.append(event)
            previous = _digest(line)
        return tuple(events)

    def _corrupt(
        self,
        number: int,
        what: str,
        mend: str = "put back the catalog from a copy of the vault",
    ) -> CatalogCorrupt:
        what = f"the catalog is damaged or was edited: {what}"
        return CatalogCorrupt(what, where=f"{self.path}:{number}", mend=mend)


def _digest(line: bytes) -> str:
    return hashlib.sha256(line).hexdigest()
