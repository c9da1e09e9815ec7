"""What a named damage is: which backups it applies to, what it does, and who could see it.

A damage is done to a copy of a backup, at a place that is drawn. Each is certain to be visible
where it can be done at all: where that cannot be made sure of, it does not apply.
"""

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from restoreproof.damage import Change, NotApplicable, VaultCopy
from restoreproof.fingerprint import Comparison, Fingerprint
from restoreproof.manifest import Artifact, Manifest
from restoreproof.vault import StoredBackup

MOST_BYTES = 128 * 1024**2
"""The most that an artifact may hold to be damaged: it is done in memory."""


class LeftAlone(NotApplicable):
    """A damage that applies, and that is not done, and why."""


class TooLarge(LeftAlone):
    """A damage that applies, and that is not done for the size of what it would be done to."""


class Layer(StrEnum):
    """How deep a damage lies, and so what it takes to see it."""

    VAULT = "vault"
    """In catalog, dates or links between backups: no byte has to be read."""
    BYTES = "bytes"
    """In stored bytes, hashes over them left as they were: a disk does that."""
    CONTENT = "content"
    """In the content, with every hash made anew: only a restore can tell."""


@dataclass(frozen=True)
class Subject:
    """What is damaged: a backup in a copy of its chain, and where chance decides."""

    copy: VaultCopy
    backup: StoredBackup
    chance: random.Random
    lost_at: datetime
    earlier: StoredBackup | None = None
    """A full backup before it, of which the copy holds nothing."""

    @property
    def manifest(self) -> Manifest:
        """The backup's own, before the damage."""
        return self.backup.manifest()

    @property
    def fingerprint(self) -> Fingerprint:
        """What the content has to be."""
        return self.manifest.fingerprint

    def artifact(self, name: str) -> Artifact:
        """An artifact by its name. Raise NotApplicable where there is none, or it is too large."""
        for one in self.manifest.artifacts:
            if one.name in (name, f"{name}.zst"):
                if max(one.content_bytes, one.stored_bytes) > MOST_BYTES:
                    most = f"{MOST_BYTES // 1024**2} MiB"
                    raise TooLarge(f"{name} holds more than the {most} that is damaged in memory")
                return one
        raise NotApplicable(f"the backup holds no {name}")

    def rewrite(self, name: str, change: Change) -> None:
        """Change the content of an artifact, and every hash over it."""
        self.copy.rewrite(self.backup, self.artifact(name).name, change)

    def equal(self, kind: str) -> list[str]:
        """The names of all items of a kind that have to come back as they were, shuffled."""
        names = [
            item.name
            for item in self.fingerprint.items
            if item.kind == kind and item.comparison is Comparison.EQUAL
        ]
        self.chance.shuffle(names)
        return names


Inflict = Callable[[Subject], str]
"""Do the damage, and say what was done to what, without a value. Raise NotApplicable."""


@dataclass(frozen=True)
class Damage:
    """One named damage. No engines and no kinds of backup named means all of them."""

    name: str
    title: str
    layer: Layer
    inflict: Inflict
    engines: frozenset[str] = frozenset()
    increments: bool | None = None
    """Whether it is for increments alone; None where it is for full backups too."""
    only: frozenset[str] = frozenset()
    """The checks that can see it, where not every restore would; it is done if one can."""

    def concerns(self, engine: str, kind: str) -> bool:
        """Whether it is for backups of an engine and of a kind."""
        fits = self.increments is None or self.increments == (kind != "full")
        return fits and (not self.engines or engine in self.engines)


def first_possible(names: Iterable[str], attempt: Callable[[str], None], nothing: str) -> str:
    """The first of drawn names for which something can be done. Raise NotApplicable."""
    for name in names:
        try:
            attempt(name)
        except TooLarge:
            raise
        except AssertionError:
            continue
        return name
    raise NotApplicable(nothing)
