"""Restores one recovery point into a throwaway server, timed step by step."""

import random
import time
from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cached_property, partial
from itertools import pairwise
from typing import Literal

from restoreproof.engines.contract import STREAMED, BackupToRestore, Clock, Engine, Restored, Until
from restoreproof.fingerprint import NOBODY_LOOKED, Comparisons, compare
from restoreproof.images import Image
from restoreproof.manifest import Manifest
from restoreproof.outcomes import RestoreFailed
from restoreproof.references import SourceModel
from restoreproof.sandbox import Sandboxes
from restoreproof.vault import StoredBackup

ANSWER = "answer a query"


@dataclass(frozen=True)
class Target:
    """One recovery point that is to be restored, and why it was chosen."""

    component: str
    backup: StoredBackup
    newest: bool
    population: tuple[StoredBackup, ...]
    until: Until | None = None
    """An instant or a transaction inside the increment, at which to stop."""
    seed: int | None = None
    """The run's seed, where chance chose it."""
    oldest: bool = False
    """Whether it was chosen for being the oldest that is kept."""
    leads_on: bool = False
    """Whether the next recovery point is reached on the server of this one."""

    @property
    def nothing_follows(self) -> bool:
        """Whether its server may be written to: nothing else is reached on it."""
        return not self.leads_on

    @property
    def fingerprinted(self) -> bool:
        """Whether the source was looked at in the instant of this recovery point."""
        return self.backup.entry.kind != STREAMED

    @property
    def reason(self) -> str:
        """Why it was chosen."""
        if self.seed is not None:
            return f"drawn from the older chains with seed {self.seed}"
        if self.oldest:
            return "the oldest that is kept"
        return "the newest" if self.newest else "every backup is restored"


@dataclass(frozen=True)
class Phase:
    """One step of a recovery; ``started_after`` counts from the decision to restore."""

    name: str
    started_after: timedelta
    duration: timedelta


@dataclass
class Timeline:
    """The steps of one recovery, on a clock that never jumps."""

    phases: list[Phase] = field(default_factory=list)
    tell: Callable[[str], None] = lambda _: None
    """Told the name of a step that begins."""
    _begun: float = field(default_factory=time.monotonic)

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Time a step; it is kept also when it fails, and then it is the last one."""
        self.tell(name)
        begun = time.monotonic()
        try:
            yield
        finally:
            ended = time.monotonic()
            after = timedelta(seconds=begun - self._begun)
            self.phases.append(Phase(name, after, timedelta(seconds=ended - begun)))

    @property
    def duration(self) -> timedelta:
        """From the decision to the end of the last step, with the time between steps."""
        last = self.phases[-1]
        return last.started_after + last.duration


@dataclass(frozen=True)
class RestoreAttempt:
    """One restore and, where it worked, the restored component for as long as it is there."""

    target: Target
    decided_at: datetime
    phases: tuple[Phase, ...]
    duration: timedelta
    manifest: Manifest | None
    restored: Restored | None
    server_version: str
    isolation: str
    limits: str
    image: Image | None
    failed_in: str = ""
    failure: str = ""
    show_values: bool = False
    reached_from: str = ""
    """The backup on whose restored server it was reached; empty for a server of its own."""

    @property
    def succeeded(self) -> bool:
        """Whether the restored service came to answer."""
        return self.restored is not None

    @property
    def content_bytes(self) -> int:
        """How much the full backup of the chain holds, unpacked. Raise RestoreFailed."""
        full, *_ = chain_of(self.target.backup, self.target.population)
        return full.manifest().content_bytes

    @cached_property
    def comparison(self) -> Comparisons:
        """Restored content against the backup's fingerprint.

        Raise RestoreFailed if the restored content cannot be read.
        """
        assert self.manifest is not None
        assert self.restored is not None
        expected = self.manifest.fingerprint
        if not self.target.fingerprinted:
            return Comparisons(0, (), ())
        if expected.method == NOBODY_LOOKED:
            return Comparisons(0, (), expected.items)
        seen = self.restored.fingerprint(expected)
        return compare(expected, seen, partial(self.restored.narrow, show_values=self.show_values))


def select(
    component: str,
    backups: Sequence[StoredBackup],
    which: Literal["all", "newest"],
    seed: int = 0,
    *,
    oldest: bool = False,
    known: Set[str] = frozenset(),
    goes_on: bool = False,
) -> tuple[Target, ...]:
    """The backups of a component that an audit restores, the newest first.

    Where a restored server ``goes_on`` the others follow from the oldest on, so that each
    increment is reached from what it stands on.

    A stream's end has no fingerprint: the newest backup that has one comes to it. With
    ``newest`` the end of one older chain comes to them, drawn with the run's seed, from those
    that are not ``known`` to come back as long as there are any, and with ``oldest`` the oldest.
    """
    newest_first, population = list(reversed(backups)), tuple(backups)
    seen = [one for one in newest_first if one.entry.kind != STREAMED]
    chosen = newest_first if which == "all" else [*newest_first[:1], *seen[:1]]
    targets = [
        Target(component, backup, newest=number == 0, population=population)
        for number, backup in enumerate(dict.fromkeys(chosen))
    ]
    # The backup before a full one is the last of an older chain.
    ends = [end for end, following in pairwise(backups) if following.entry.kind == "full"]
    if which == "newest" and ends:
        fresh = [end for end in ends if end.id not in known]
        drawn = chance(seed, component).choice(fresh or ends)
        targets.append(Target(component, drawn, False, population, seed=seed))
    if oldest and backups and backups[0] not in [target.backup for target in targets]:
        targets.append(Target(component, backups[0], False, population, oldest=True))
    if goes_on:
        others = sorted(targets[1:], key=lambda one: backups.index(one.backup))
        bases = [*(one.backup.entry.base for one in others[1:]), None]
        led = zip(others, bases, strict=False)
        targets[1:] = [replace(one, leads_on=one.backup.id == base) for one, base in led]
    return tuple(targets)


def instant_inside(component: str, backups: Sequence[StoredBackup], seed: int) -> Target | None:
    """An increment of the newest chain that has any, inside which an instant is restored."""
    increments = [one for one in backups if one.entry.kind != "full"]
    if not increments:
        return None
    try:
        chain = chain_of(increments[-1], backups)[1:]
    except RestoreFailed:
        chain = (increments[-1],)
    drawn = chance(seed, component).choice(chain)
    return Target(component, drawn, newest=False, population=tuple(backups), seed=seed)


def draw_instant(target: Target, engine: Engine[SourceModel]) -> Target:
    """The target with an instant between two commits of its increment, any as likely as another.

    Where its artifacts do not tell of any, it is the target as it was: restoring it says why.
    """
    assert target.seed is not None
    drawn, before, between = chance(target.seed, target.component), None, target.until
    try:
        described = target.backup.manifest()
        for artifact in described.artifacts:
            target.backup.check(artifact)
        for number, at in enumerate(engine.instants(to_restore(target.backup, described))):
            # Each of n gaps is kept with a chance of one in n, so none has to be remembered.
            if before is not None and drawn.randrange(number) == 0:
                between = before + (at - before) * drawn.random()
            between, before = between or at, at
    except RestoreFailed:
        return target
    return replace(target, until=between or target.backup.entry.recovery_point)


def chance(seed: int, component: str) -> random.Random:
    """Chance that a run repeats if it is given the same seed."""
    return random.Random(f"{seed} {component}")  # noqa: S311  # repeatable, and no secret


def chain_of(backup: StoredBackup, population: Sequence[StoredBackup]) -> tuple[StoredBackup, ...]:
    """A full backup and the increments after it, up to this one.

    Raise RestoreFailed if a link is missing.
    """
    known = {one.id: one for one in population}
    chain = [backup]
    while base := chain[0].entry.base:
        if base not in known or known[base] in chain:
            raise RestoreFailed(f"{chain[0].id} stands on {base}, which the catalog does not name")
        chain.insert(0, known[base])
    if chain[0].entry.kind != "full":
        raise RestoreFailed(f"{chain[0].id} is no full backup and stands on none")
    return tuple(chain)


@contextmanager
def restoring(
    target: Target,
    engine: Engine[SourceModel],
    source: SourceModel,
    image: Image | None,
    sandboxes: Sandboxes,
    clock: Clock,
    *,
    show_values: bool = False,
    tell: Callable[[str], None] = lambda _: None,
) -> Iterator[RestoreAttempt]:
    """Restore a target and keep its sandbox until the block ends.

    A restore that fails is an attempt with its failure. Differences name keys of rows only with
    ``show_values``; ``tell`` is told each step as it begins. Raise SandboxTrouble for what says
    nothing about the backup.
    """
    decided_at, timeline = clock(), Timeline(tell=tell)
    manifest: Manifest | None = None
    restored: Restored | None = None

    def attempt(failure: str = "") -> RestoreAttempt:
        return RestoreAttempt(
            target=target,
            decided_at=decided_at,
            phases=tuple(timeline.phases),
            duration=timeline.duration,
            manifest=manifest,
            restored=None if failure else restored,
            server_version=restored.server_version if restored else "",
            isolation=restored.isolation if restored else "",
            limits=restored.limits if restored else "",
            image=image,
            failed_in=timeline.phases[-1].name if failure else "",
            failure=failure,
            show_values=show_values,
        )

    try:
        with timeline.phase("find chain"):
            chain = chain_of(target.backup, target.population)
            manifests = [backup.manifest() for backup in chain]
            manifest = manifests[-1]
        with timeline.phase("check artifacts"):
            for backup, described in zip(chain, manifests, strict=True):
                for artifact in described.artifacts:
                    backup.check(artifact)
    except RestoreFailed as failure:
        yield attempt(str(failure))
        return
    with ExitStack() as stack:
        full, *increments = brought_once(map(to_restore, chain, manifests))
        if engine.finds_chains:
            full, increments = to_restore(target.backup, manifest), []
        with timeline.phase("start server"):
            restored = stack.enter_context(engine.provision(source, image, sandboxes, full))
        failure_words = ""
        try:
            with timeline.phase("load"):
                engine.load(restored, full)
            if increments:
                with timeline.phase("replay"):
                    *earlier, last = increments
                    for increment in earlier:
                        engine.replay(restored, increment)
                    engine.replay(restored, last, target.until)
            with timeline.phase(ANSWER):
                restored.answer()
        except RestoreFailed as failure:
            failure_words = str(failure)
        yield attempt(failure_words)


def brought_once(chain: Iterable[BackupToRestore]) -> tuple[BackupToRestore, ...]:
    """A chain that brings configuration and logs once, from the last backup that holds any."""
    backups = tuple(chain)
    last = max(at for at, one in enumerate(backups) if not at or STREAMED not in one.facts)
    return tuple(replace(one, overtaken=at < last) for at, one in enumerate(backups))


def to_restore(backup: StoredBackup, manifest: Manifest) -> BackupToRestore:
    """What an engine is handed of a stored backup."""
    artifacts = {artifact.name.removesuffix(".zst"): artifact for artifact in manifest.artifacts}

    def artifact(name: str) -> str:
        if name not in artifacts:
            raise RestoreFailed(f"the backup holds no {name}")
        return name

    return BackupToRestore(
        position=manifest.position,
        source_version=manifest.source_version,
        facts=manifest.facts,
        fingerprint=manifest.fingerprint,
        read=lambda name: backup.read(artifacts[artifact(name)]),
        read_stored=lambda name: backup.read_stored(artifacts[artifact(name)]),
        names=frozenset(artifacts),
    )
