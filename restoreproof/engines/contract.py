"""What RestoreProof asks of an engine: probe a source, back it up, restore it, fingerprint it.

The contract tests in ``tests/contract`` run for every engine in this folder.
"""

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Generic, Literal, Protocol, TypeVar

from restoreproof.fingerprint import Fingerprint, Item, narrow, settled
from restoreproof.images import Image
from restoreproof.manifest import ForeignFile, ForeignStore
from restoreproof.outcomes import BackupFailed, RestoreFailed
from restoreproof.references import Secret, SourceModel, expand, reveal
from restoreproof.sandbox import Sandboxes
from restoreproof.stream_store import StreamStore

if TYPE_CHECKING:
    from restoreproof.engines.contract_exercise import LivingCopy

MOVED = "it changed at the source while the organisation's command ran"
STREAMED = "streamed"
"""The kind of a backup that was made of what a stream had stored."""
Clock = Callable[[], datetime]
CLOCK_AHEAD = "clock_ahead_seconds"
"""The fact of a backup that says how far the source's clock was ahead of ours; less if behind."""
Until = datetime | str
"""An instant by the source's own clock, or an engine's name of one transaction."""
SourceT = TypeVar("SourceT", bound=SourceModel)


class ArtifactSink(Protocol):
    """Takes the content of one artifact, chunk by chunk, in constant memory."""

    def write(self, chunk: bytes) -> None: ...


@dataclass(frozen=True)
class SourceContext:
    """A component's source, with what is needed to reach it."""

    component: str
    source: SourceModel
    image: Image | None
    folder: Path
    sandboxes: Sandboxes
    clock: Clock
    increments: bool = False
    """Whether the policy wants incremental backups, which may need more of the source."""
    coverage: frozenset[str] = frozenset({"data"})
    """What the policy wants backed up of the component."""

    def text(self, value: str) -> str:
        """A value of the source section with its variables replaced. Raise SecretMissing."""
        return expand(value, where=f"component {self.component}")

    def secret(self, reference: Secret) -> str:
        """A secret of the source section. Raise SecretMissing."""
        return reveal(reference, where=f"component {self.component}", folder=self.folder)


@dataclass(frozen=True)
class Base:
    """The backup that an increment is to stand on, as its manifest describes it."""

    id: str
    position: str
    source_identity: str
    source_version: str
    facts: Mapping[str, str]
    fingerprint: Fingerprint | None = None
    read: Callable[[str], Iterator[bytes]] = lambda _: iter(())
    """The content of one of its artifacts in chunks. Raise RestoreFailed if it is not there."""
    chain: Callable[[], Sequence["BackupToRestore"]] = tuple
    """The full backup and all that stands on it up to this one. Raise RestoreFailed."""


@dataclass(frozen=True)
class BackupContext:
    """A backup job under way. ``artifact(name)`` opens a new artifact in the vault.

    With a ``base`` an increment is wanted, without one a full backup.
    """

    of: SourceContext
    artifact: Callable[[str], AbstractContextManager[ArtifactSink]]
    base: Base | None = None
    elsewhere: Mapping[str, ForeignFile] = field(default_factory=dict)
    """What earlier backups of the component have in a store that is not ours, by name."""


@dataclass(frozen=True)
class BackupContent:
    """What a backup job says of what it stored.

    ``recovery_point`` is the instant whose state the backup holds. ``position`` is the
    engine's own name for it (a GTID set, say), ``facts`` what else the restore has to know.
    """

    recovery_point: datetime
    fingerprint: Fingerprint
    source_version: str
    source_identity: str
    position: str = ""
    facts: Mapping[str, str] = field(default_factory=dict)
    elsewhere: ForeignStore | None = None


@dataclass(frozen=True)
class BackupToRestore:
    """A stored backup whose artifacts have been checked against the manifest.

    ``read(name)`` gives an artifact's content in chunks, ``read_stored(name)`` the same as it is
    stored: one zstd stream. Raise RestoreFailed if it is not there; ``names`` says what is.
    ``overtaken`` says that a later backup of the chain brings the configuration and logs.
    """

    position: str
    source_version: str
    facts: Mapping[str, str]
    fingerprint: Fingerprint
    read: Callable[[str], Iterator[bytes]]
    read_stored: Callable[[str], Iterator[bytes]]
    names: frozenset[str] = frozenset()
    overtaken: bool = False


@dataclass(frozen=True)
class Parts:
    """What a user wants written of a restored server: all if nothing is named."""

    databases: tuple[str, ...] = ()
    tables: tuple[str, ...] = ()
    """Each with its database: ``database.table``."""

    def __bool__(self) -> bool:
        return bool(self.databases or self.tables)


class Restored(ABC):
    """A component in its sandbox: empty at first, then holding what a backup gave back."""

    server_version: str
    identity: str
    isolation: str
    limits: str

    @abstractmethod
    def answer(self) -> str:
        """Answer a query as an application would, and say what was asked and answered.

        Raise RestoreFailed if the restored service does not answer.
        """

    @abstractmethod
    def fingerprint(self, expected: Fingerprint) -> Fingerprint:
        """Take the restored content's fingerprint the way ``expected`` was taken."""

    def narrow(self, expected: Item, seen: Item, *, show_values: bool) -> str:
        """Which parts of an item differ, in words, with their keys only if values may be shown."""
        return narrow(expected, seen, show_values=show_values)

    @abstractmethod
    def newest_heartbeat(self, source: SourceModel) -> datetime | None:
        """The newest heartbeat in the restored data; None where the source names none."""

    def access(self, folder: Path) -> tuple[str, ...]:
        """How a user gets to what was restored, line by line.

        Secrets go into files of ``folder``, which nobody else can enter, and into no line.
        """
        return (self.identity,)

    def reach(self, folder: Path) -> Mapping[str, str]:
        """Variables with which programs of this machine reach it; secrets in files of ``folder``.

        ``host``, ``port``, ``user``, ``password_file``, ``defaults_file``, ``socket``,
        ``container`` of a server, ``restored`` where a repository or files have to be.
        """
        return {}

    def take(self, backup: BackupToRestore) -> None:
        """Be what a backup says of its source, before something else loads the content.

        Raise RestoreFailed.
        """
        return

    def help_with(self, complaint: str) -> str:
        """Do what somebody does by hand whose restore ends so, and say it; empty if nothing."""
        return ""

    def settle(self, backup: BackupToRestore) -> None:
        """Look at what something else loaded. Raise RestoreFailed if it is of no use."""
        return

    def write_out(self, folder: Path, parts: Parts) -> tuple[str, ...]:
        """Write what was restored, or parts of it, into a folder; say of each file what it is.

        Raise RestoreFailed with the tool's words, OSError if the folder takes no more.
        """
        raise NotImplementedError


class Engine(ABC, Generic[SourceT]):
    """One kind of thing that can be backed up, restored and proven.

    ``covers`` names the kinds of coverage its backups can hold; ``kinds`` the kinds of backup
    it makes today. What a policy promises beyond them is reported as unproven.
    """

    name: str
    method: str
    """How content is proven, in a sentence for the report."""
    needs_image: bool
    covers: frozenset[str]
    kinds: frozenset[str]
    writes_out: Literal["nothing", "all", "parts"] = "nothing"
    """What ``Restored.write_out`` can write: nothing, all, or also parts."""
    source_model: type[SourceT]
    restores_instants: bool = True
    """Whether increments hold the order of commits, so that one inside can be restored up to."""
    finds_chains: bool = False
    """Whether an increment is restored by itself: what made it finds what it stands on."""
    takes_commands: bool = True
    """Whether the organisation's own commands can make and restore its backups."""
    goes_on: bool = False
    """Whether a restored server takes the next increment after it was looked at."""
    plays: bool = False
    """Whether ``living`` makes a living copy, on which restoration criteria are played."""

    def gap(self, source: SourceModel, kind: str) -> str:
        """Why backups of a source hold no coverage of this kind, with the mend; empty if any."""
        return "" if kind in self.covers else f"the {self.name} engine does not back up {kind} yet"

    @abstractmethod
    def exclusions(self, source: SourceModel) -> tuple[str, ...]:
        """What a reader might take for backed up and is not; the report lists it as excluded."""

    @abstractmethod
    def probe(self, context: SourceContext) -> None:
        """Make sure, before any job starts, that the source can be backed up.

        Raise SourceUnavailable if it cannot be reached, refuses the credentials or lacks what
        the job needs. Change nothing at the source.
        """

    @abstractmethod
    def back_up(self, context: BackupContext) -> BackupContent:
        """Make a backup. Raise BackupFailed with the tool's own words.

        Never write to the source, hold no lock longer than a snapshot needs, and take the
        fingerprint in the backup's own instant.
        """

    def reach(self, context: SourceContext, folder: Path) -> Mapping[str, str]:
        """Variables with which programs of this machine reach the source, as in ``Restored``.

        Raise SecretMissing.
        """
        return {}

    def around(
        self, context: SourceContext, during: Callable[[], None], moving: frozenset[str]
    ) -> BackupContent:
        """Look at the source before and after something that backs it up in its own way.

        What stood still between the looks has to come back as it was; of the rest the items say
        what can be asked. ``moving`` names what may change as a whole. Raise BackupFailed, and
        what ``during`` raises.
        """
        before = self.back_up(BackupContext(context, _nowhere))
        during()
        after = self.back_up(BackupContext(context, _nowhere))
        items = settled(before.fingerprint.items, after.fingerprint.items, MOVED)
        known = before.fingerprint
        return replace(before, fingerprint=Fingerprint.of(known.method, known.taken_at, items))

    @abstractmethod
    def newest_heartbeat(self, context: SourceContext) -> datetime | None:
        """The newest heartbeat at the living source; None where the source names none."""

    def beat(self, context: SourceContext) -> None:
        """Write a heartbeat with the context's time where the policy names a writer for it.

        Raise SourceUnavailable with the server's words.
        """
        raise NotImplementedError(f"the {self.name} engine has no heartbeats")

    def clear_heartbeats(self, context: SourceContext) -> int:
        """Remove all such heartbeats but the newest, and return how many.

        Raise SourceUnavailable with the server's words.
        """
        raise NotImplementedError(f"the {self.name} engine has no heartbeats")

    @abstractmethod
    def provision(
        self,
        source: SourceModel,
        image: Image | None,
        sandboxes: Sandboxes,
        full: BackupToRestore | None = None,
    ) -> AbstractContextManager[Restored]:
        """Start an empty throwaway server (or folder) that is removed at the end.

        With ``full`` it is one that this backup can be loaded into: a server that is to stand
        on restored files may have to wait for them.

        Raise SandboxTrouble if it does not start.
        """

    @abstractmethod
    def load(self, restored: Restored, backup: BackupToRestore) -> None:
        """Fill the empty sandbox from a full backup.

        Raise RestoreFailed with the server's words.
        """

    def replay(
        self, restored: Restored, increment: BackupToRestore, until: Until | None = None
    ) -> None:
        """Bring the sandbox forward to an increment's recovery point, exactly.

        With ``until`` only what the source committed up to then, that included.
        Raise RestoreFailed with the server's words, or if it ends anywhere else.
        """
        raise RestoreFailed(f"the {self.name} engine has no increments")

    def follow(
        self,
        context: SourceContext,
        newest: Callable[[], Base],
        store: StreamStore,
        stop: threading.Event,
        tell: Callable[[str], None],
    ) -> None:
        """Store changes as they happen, from the newest backup on, until ``stop`` is set.

        A source that goes away is waited for. Raise BackupFailed if what it gives does not
        continue what is stored.
        """
        raise BackupFailed(f"the {self.name} engine stores no changes as they happen")

    def seal(self, context: BackupContext, store: StreamStore) -> BackupContent | None:
        """Make a backup of what was stored since the base; None if that is nothing.

        Raise BackupFailed if what is stored does not continue the base.
        """
        raise BackupFailed(f"the {self.name} engine stores no changes as they happen")

    def instants(self, increment: BackupToRestore) -> Iterator[datetime]:
        """When the source committed what an increment adds, in its order, by its own clock.

        Raise RestoreFailed if the increment does not tell.
        """
        raise RestoreFailed(f"the {self.name} engine has no increments")

    def position_at(self, increment: BackupToRestore, instant: datetime) -> str:
        """The position that a replay up to an instant has to reach. Raise RestoreFailed."""
        raise RestoreFailed(f"the {self.name} engine has no increments")

    def reaches(self, backup: BackupToRestore, name: str) -> Literal["end", "inside", "not"]:
        """Whether a position or transaction of this name is where a backup ends, or inside it.

        ``replay`` can stop at what is inside. Raise ValueError for what names neither.
        """
        raise ValueError(name)

    def living(
        self, restored: Restored, context: SourceContext
    ) -> AbstractContextManager["LivingCopy"]:
        """A living copy of what was restored in sandboxes that serve. See contract_exercise."""
        raise NotImplementedError(f"the {self.name} engine plays no accidents")


class _Nothing:
    def write(self, chunk: bytes) -> None:
        pass


@contextmanager
def _nowhere(_name: str) -> Iterator[ArtifactSink]:
    yield _Nothing()
