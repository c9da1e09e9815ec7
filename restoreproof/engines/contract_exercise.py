"""What an engine plays the restoration criteria on: a living copy, and the accidents it has.

A living copy is a restored component that is written to and backed up as its source is. The
source itself is never touched.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

from restoreproof.engines.contract import BackupToRestore, Restored, SourceContext
from restoreproof.fingerprint import Fingerprint, Item

Criterion = Literal["corruption", "deletion", "failure"]
CRITERIA: tuple[Criterion, ...] = ("corruption", "deletion", "failure")
EXERCISE = "restoreproof_exercise"
"""What the writer's own database is called, and whatever else belongs to it."""


class CannotBePlayed(Exception):
    """The copy holds nothing that the accident could befall. Its text says what is lacking."""


@dataclass(frozen=True)
class Accident:
    """What was done to a living copy. ``part`` names what it befell as the engine knows it."""

    told: str
    part: str


class LivingCopy(ABC):
    """A restored component that lives on. Its ``context`` is that of a source to be backed up.

    Every method raises RestoreFailed with the server's words for what the server refuses.
    """

    restored: Restored
    context: SourceContext

    @abstractmethod
    def prepare(self) -> None:
        """Make place for what the writer writes, and for a part of ours that can be lost."""

    @abstractmethod
    def write(self, number: int) -> None:
        """Write one number; when this returns the copy has acknowledged it."""

    @abstractmethod
    def written(self, restored: Restored) -> frozenset[int]:
        """The numbers that a server holds: the copy itself, or what was restored of it."""

    def here(self) -> datetime | str | None:
        """The name of the recovery point that is reached now, where the engine restores those.

        Nothing that happens afterwards belongs to it.
        """
        return None

    @abstractmethod
    def corrupt(self) -> Accident:
        """Change content with one bad statement. Raise CannotBePlayed."""

    @abstractmethod
    def delete(self, but: str) -> Accident:
        """Remove one part, another than ``but``. Raise CannotBePlayed."""

    @abstractmethod
    def put_back(self, accident: Accident, restored: Restored, folder: Path) -> None:
        """Take the deleted part, and nothing else, from what was restored into the copy."""

    @abstractmethod
    def is_of(self, kind: str, name: str, part: str) -> bool:
        """Whether an item of a fingerprint, of this kind and name, is the part or belongs to it."""

    @abstractmethod
    def is_busy(self, item: Item) -> bool:
        """Whether an item of a fingerprint changes with every number that is written."""

    def fingerprint(self, like: BackupToRestore) -> Fingerprint:
        """What the copy holds now, read as a backup of it was."""
        return self.restored.fingerprint(like.fingerprint)
