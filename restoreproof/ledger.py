"""ledger.jsonl: one line a run, in which each holds the hash of the one before it.

Lines are RFC 8785 canonical JSON; an entry's hash is the SHA-256 of its canonical JSON without
the member ``hash``. An edit, a line that is dropped or two that are swapped break the chain. A
ledger cut short, or made anew from its beginning, is whole in itself: only an anchor kept
elsewhere (``SEQUENCE:HASH``, as every report prints of the run before it) tells of that.
"""

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal, Self

import rfc8785
from pydantic import Field

from restoreproof.errors import LedgerCorrupt, UserError
from restoreproof.evidence import (
    EarlierResult,
    EarlierRun,
    Evidence,
    LedgerPosition,
)
from restoreproof.evidence_base import Duration, Record
from restoreproof.evidence_circumstances import Objectives
from restoreproof.storage import append_line
from restoreproof.verdicts import Verdict

FORMAT: Literal["restoreproof-ledger/1"] = "restoreproof-ledger/1"
BEGINNING = "0" * 64
"""What the first entry names as the hash of the entry before it."""
NAME = "ledger.jsonl"
REMEMBERED = 23
"""How many runs before it a report knows."""


class FileDigest(Record):
    """A file of a run's folder."""

    name: str
    sha256: str


class LedgerEntry(Record):
    """One run: what it found, and what its files were when it ended."""

    format: Literal["restoreproof-ledger/1"] = FORMAT
    sequence: int = Field(ge=1)
    previous: str
    run: str
    estate: str
    finished_at: datetime
    verdict: Verdict
    objectives: Objectives
    duration: Duration = Field(alias="duration_seconds")
    results: tuple[EarlierResult, ...]
    files: tuple[FileDigest, ...]
    hash: str

    @property
    def digest(self) -> str:
        """Lower-case hex SHA-256 of the canonical JSON without ``hash``."""
        body = self.model_dump(mode="json", by_alias=True)
        body.pop("hash")
        return hashlib.sha256(rfc8785.dumps(body)).hexdigest()

    @property
    def line(self) -> bytes:
        """The entry as it stands in the file, without the line's end."""
        return rfc8785.dumps(self.model_dump(mode="json", by_alias=True))

    @property
    def anchor(self) -> "Anchor":
        """What to keep elsewhere, so that this entry and those before it cannot be changed."""
        return Anchor(self.sequence, self.hash)

    @property
    def summary(self) -> EarlierRun:
        """The run as later reports know it."""
        return EarlierRun(
            run=self.run, finished_at=self.finished_at, verdict=self.verdict, results=self.results
        )


@dataclass(frozen=True)
class Anchor:
    """An entry's number and hash, kept where whoever writes the ledger cannot reach."""

    sequence: int
    hash: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``SEQUENCE:HASH``. Raise UserError if it is none."""
        sequence, _, digest = text.partition(":")
        if not sequence.isdecimal() or len(digest) != len(BEGINNING):
            mend = "give SEQUENCE:HASH, as a report or 'ledger verify' printed it"
            raise UserError(f"not an anchor: {text}", where="--anchor", mend=mend)
        return cls(int(sequence), digest.lower())

    def __str__(self) -> str:
        return f"{self.sequence}:{self.hash}"


class Ledger:
    """The ledger of an archive."""

    def __init__(self, archive: Path) -> None:
        self.path = archive / NAME

    def entries(self) -> tuple[LedgerEntry, ...]:
        """All entries, the oldest first. Raise LedgerCorrupt if they are no unbroken chain."""
        try:
            content = self.path.read_bytes() if self.path.exists() else b""
        except OSError as error:
            raise self._corrupt(1, f"cannot be read: {error.strerror}") from None
        *lines, rest = content.split(b"\n")
        if rest:
            raise self._corrupt(len(lines) + 1, "the line breaks off")
        entries: list[LedgerEntry] = []
        for number, line in enumerate(lines, start=1):
            entries.append(self._entry(number, line, entries[-1] if entries else None))
        return tuple(entries)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Let no other run enter itself meanwhile. Raise OSError."""
        # The folder is locked, since a run that ends without evidence leaves no file at all.
        folder = os.open(self.path.parent, os.O_RDONLY)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            yield
        finally:
            os.close(folder)

    def enter(self, evidence: Evidence, folder: Path) -> LedgerEntry:
        """Append a finished run; all of the entry or none. Raise LedgerCorrupt, OSError."""
        position = position_after(self.entries())
        draft = LedgerEntry(
            sequence=position.sequence,
            previous=position.previous,
            run=evidence.run.id,
            estate=evidence.policy.estate,
            finished_at=evidence.run.finished_at,
            verdict=evidence.verdict,
            objectives=evidence.policy.objectives,
            duration=evidence.run.finished_at - evidence.run.started_at,
            results=tuple(
                EarlierResult(
                    component=one.name, verdict=one.verdict, rpo=one.rpo, rto=one.rto_measured.value
                )
                for one in evidence.components
            ),
            files=tuple(
                FileDigest(name=path.name, sha256=digest_of(path))
                for path in sorted(folder.iterdir())
            ),
            hash="",
        )
        entry = draft.model_copy(update={"hash": draft.digest})
        size = self.path.stat().st_size if self.path.exists() else 0
        try:
            append_line(self.path, entry.line)
        except BaseException:
            # Half a line would make the whole ledger unreadable.
            if self.path.exists():
                os.truncate(self.path, size)
            raise
        return entry

    def _entry(self, number: int, line: bytes, before: LedgerEntry | None) -> LedgerEntry:
        try:
            raw = json.loads(line)
            entry = LedgerEntry.model_validate(raw)
            canonical = rfc8785.dumps(raw) == line and entry.line == line
        except (ValueError, RecursionError):
            raise self._corrupt(number, "not an entry of a ledger") from None
        if not canonical or entry.digest != entry.hash:
            raise self._corrupt(number, "it was changed after it was written")
        if entry.sequence != number or entry.previous != (before.hash if before else BEGINNING):
            raise self._corrupt(number, "it does not follow from the line before it")
        return entry

    def _corrupt(self, number: int, what: str) -> LedgerCorrupt:
        return LedgerCorrupt(
            f"the ledger is damaged or was edited: {what}",
            where=f"{self.path}:{number}",
            mend="put back the ledger from a copy, or report into another folder with --out",
        )


def position_after(entries: Sequence[LedgerEntry]) -> LedgerPosition:
    """Where the next run will stand."""
    previous = entries[-1].hash if entries else BEGINNING
    return LedgerPosition(sequence=len(entries) + 1, previous=previous)


def earlier_runs(entries: Sequence[LedgerEntry], estate: str) -> tuple[EarlierRun, ...]:
    """The newest runs of an estate, the oldest of them first."""
    return tuple(one.summary for one in entries if one.estate == estate)[-REMEMBERED:]


def digest_of(path: Path) -> str:
    """Lower-case hex SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
