"""One component under audit: its backups, its restores and its figures, as suites see it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from restoreproof import recovery_objectives
from restoreproof.contradictions import Planned, Ruling, known_durations, rulings
from restoreproof.earlier_runs import EarlierRuns
from restoreproof.engines.contract import (
    CLOCK_AHEAD,
    STREAMED,
    BackupToRestore,
    Clock,
    Engine,
    SourceContext,
)
from restoreproof.engines.contract_exercise import Criterion
from restoreproof.errors import SourceUnavailable
from restoreproof.evidence import Measure
from restoreproof.evidence_negative_control import NegativeControlRecord
from restoreproof.images import Image
from restoreproof.jobs import JobResult, base_for_next, run_job, seal_stream
from restoreproof.outcomes import RestoreFailed
from restoreproof.policy import Audit, Component, Objectives
from restoreproof.recovery_objectives import Disaster
from restoreproof.references import SourceModel
from restoreproof.restore import (
    RestoreAttempt,
    Target,
    chain_of,
    draw_instant,
    instant_inside,
    restoring,
    select,
    to_restore,
)
from restoreproof.run_history import RunHistory
from restoreproof.schedule import last_due
from restoreproof.standing import Standing
from restoreproof.stream_store import StreamStore
from restoreproof.submodules import Covered
from restoreproof.vault import StoredBackup, Vault
from restoreproof.wanted import Wanted


@dataclass
class ComponentAudit(Wanted):
    """Everything that a run knows of one component."""

    name: str
    component: Component
    objectives: Objectives
    engine: Engine[SourceModel]
    context: SourceContext
    clock: Clock
    audits: Audit
    backups: tuple[StoredBackup, ...] = ()
    targets: tuple[Target, ...] = ()
    instant: Target | None = None
    """The increment inside which an instant is restored, if there is one."""
    history: RunHistory = field(default_factory=lambda: RunHistory("", ()))
    disaster: Disaster | None = None
    jobs: list[JobResult] = field(default_factory=list)
    attempts: list[RestoreAttempt] = field(default_factory=list)
    restored_heartbeat: datetime | None = None
    stream: StreamStore | None = None
    lying: frozenset[str] = frozenset()
    """The names of all that lies among the component's backups in the vault."""
    earlier: EarlierRuns = field(default_factory=EarlierRuns)
    criteria: tuple[Criterion, ...] = ()
    """The restoration criteria that are played on a copy of it."""
    check_within: timedelta = timedelta()
    """Within what time every backup's stored bytes are checked; nothing means in every run."""
    control_budget: timedelta = timedelta()
    """For how long copies of backups are damaged; nothing means that none are."""
    negative_control: NegativeControlRecord | None = None
    submodules: Covered = field(default_factory=Covered)
    """Which submodules of its newest backup other components back up."""

    @property
    def image(self) -> Image | None:
        """The image that the component is restored into."""
        return self.context.image

    def run_job(self, vault: Vault, estate: str, *, full: bool = False) -> JobResult:
        """Back the component up: an increment if there is something for it to stand on."""
        base = None
        if not full:
            known = vault.backups(self.name)
            base = base_for_next(self.component, self.engine, known, self.clock())
        result = run_job(self.engine, self.context, vault, estate, base)
        self.jobs.append(result)
        return result

    def seal(self, vault: Vault, estate: str) -> JobResult | None:
        """Make a backup of what was streamed since the newest one, if there is anything."""
        known = vault.backups(self.name)
        if not self.streams or not known:
            return None
        # A damaged manifest does not say whose stream it is; VLT-001 says that it is damaged.
        with suppress(RestoreFailed):
            self.stream = vault.stream(self.name, known[-1].manifest().source_identity)
        if self.stream is None or not self.stream.segments():
            return None
        vault.prepare()
        result = seal_stream(self.engine, self.context, vault, estate, known[-1])
        if result is not None:
            self.jobs.append(result)
        return result

    def lose(self, at: datetime, *, ask_source: bool) -> None:
        """Take the component for lost from this instant on, asking its source one last time."""
        newest = None
        if ask_source:
            # A source that went away meanwhile has no last word; the backups are audited still.
            with suppress(SourceUnavailable):
                newest = self.engine.newest_heartbeat(self.context)
        self.disaster = Disaster(at, newest)

    def choose(
        self,
        backups: Sequence[StoredBackup],
        which: Literal["all", "newest"],
        seed: int = 0,
        history: RunHistory | None = None,
    ) -> None:
        """Take stock of the backups that there are and choose those to restore."""
        self.backups = tuple(backups)
        known = tuple(backup.entry for backup in self.backups)
        self.history = history or RunHistory(self.name, known)
        oldest = self.component.retention is not None
        self.targets = select(
            self.name,
            self.backups,
            which,
            seed,
            oldest=oldest,
            known=self.earlier.restored(),
            goes_on=self.engine.goes_on,
        )
        if self.engine.restores_instants:
            self.instant = instant_inside(self.name, self.backups, seed)

    @contextmanager
    def attempt(self, target: Target) -> Iterator[RestoreAttempt]:
        """Restore a target; its sandbox stays until the block ends."""
        with restoring(
            target,
            self.engine,
            self.component.source,
            self.image,
            self.context.sandboxes,
            self.clock,
            show_values=self.audits.show_values,
        ) as attempt:
            self.attempts.append(attempt)
            if target.newest and attempt.restored is not None:
                self.restored_heartbeat = attempt.restored.newest_heartbeat(self.component.source)
            yield attempt

    @contextmanager
    def attempt_outside(self, target: Target) -> Iterator[RestoreAttempt]:
        """Restore a target into a server that reaches what this process reaches.

        It counts for no figure of the report.
        """
        with restoring(
            target,
            self.engine,
            self.component.source,
            self.image,
            self.context.sandboxes.that_reach_out(),
            self.clock,
        ) as attempt:
            yield attempt

    @contextmanager
    def attempt_instant(self) -> Iterator[RestoreAttempt]:
        """Restore an instant inside the newest chain, drawn among the source's commits."""
        assert self.instant is not None
        with self.attempt(draw_instant(self.instant, self.engine)) as attempt:
            yield attempt

    def position_at_instant(self, attempt: RestoreAttempt) -> str:
        """Where a restore up to an instant has to end, told by the backup's ledger of commits.

        Raise RestoreFailed if it does not tell.
        """
        assert attempt.manifest is not None
        assert isinstance(attempt.target.until, datetime)
        increment = to_restore(attempt.target.backup, attempt.manifest)
        return self.engine.position_at(increment, attempt.target.until)

    def backups_before(self, attempt: RestoreAttempt) -> tuple[BackupToRestore, ...]:
        """The backups before a restored one, the oldest first, as far as they can be read."""
        newest, earlier = attempt.target.backup, []
        for backup in self.backups[: self.backups.index(newest)]:
            # Damage is told elsewhere.
            with suppress(RestoreFailed):
                earlier.append(to_restore(backup, backup.manifest()))
        return tuple(earlier)

    def newest_heartbeat_in(self, attempt: RestoreAttempt) -> datetime | None:
        """The newest heartbeat in what was restored."""
        assert attempt.restored is not None
        return attempt.restored.newest_heartbeat(self.component.source)

    @property
    def rpo_promised(self) -> Measure:
        """The loss that the schedule allows."""
        return recovery_objectives.promised_rpo(self.planned)

    @property
    def planned(self) -> Planned:
        """What is known of the component without a restore."""
        durations = known_durations(self.backups)
        return Planned(
            self.name,
            self.component,
            self.objectives,
            self.audits,
            self.engine,
            self.lost_at,
            durations,
        )

    @property
    def plans_increments(self) -> bool:
        """Whether the policy plans increments, whether or not the engine makes them."""
        return self.planned.plans_increments

    @property
    def limits_retention(self) -> bool:
        """Whether the policy has backups removed by and by."""
        return self.planned.limits_retention

    @property
    def limits_retention_twice(self) -> bool:
        """Whether the policy says in days and in another way what is kept."""
        return self.planned.limits_retention_twice

    def ruling(self, rule: str) -> Ruling | None:
        """What a rule says of the policy; None if it does not apply."""
        return next((one for one in rulings(self.planned) if one.rule == rule), None)

    @property
    def rpo_kept(self) -> Measure:
        """The longest time without a recovery point."""
        since = self.standing.looked_back
        return recovery_objectives.kept_rpo(self.backups, self.history, self.loss, since)

    @property
    def standing(self) -> Standing:
        """What vault, catalog and archive say of the component."""
        return Standing(
            component=self.name,
            lost_at=self.lost_at,
            restore_test_every=self.objectives.restore_test_every,
            backups=self.backups,
            history=self.history,
            retention=self.retention,
            lying=self.lying,
            earlier=self.earlier,
            own_jobs=frozenset(job.started_at for job in self.jobs),
            check_within=self.check_within,
        )

    def attempts_of(self, backup: StoredBackup) -> tuple[RestoreAttempt, ...]:
        """The restores of a backup in this run."""
        return tuple(one for one in self.attempts if one.target.backup.id == backup.id)

    def restored_now(self) -> tuple[str, ...]:
        """The backups that this run restored."""
        return tuple(one.target.backup.id for one in self.attempts if one.succeeded)

    @property
    def rpo_measured(self) -> Measure:
        """The loss that restored data shows."""
        return recovery_objectives.measured_rpo(
            self.restored_heartbeat, self.has_heartbeat, self.loss, self.source_clock_ahead
        )

    @property
    def source_clock_ahead(self) -> timedelta:
        """How far the source's clock was ahead of ours when the newest backup was made."""
        with suppress(IndexError, RestoreFailed):
            return timedelta(seconds=float(self.backups[-1].manifest().facts.get(CLOCK_AHEAD, 0)))
        return timedelta()

    @property
    def rto_measured(self) -> Measure:
        """The longest recovery of this run."""
        return recovery_objectives.measured_rto(self.attempts)

    @property
    def expected_size(self) -> int | None:
        """How much production holds, as the policy says, in bytes."""
        return self.component.expected_size

    @property
    def rto_estimated(self) -> Measure:
        """The recovery of as much as production holds, estimated from those of this run."""
        return recovery_objectives.estimated_rto(self.attempts, self.expected_size)

    @property
    def rpo(self) -> timedelta:
        """The objective for loss."""
        return self.objectives.rpo

    @property
    def rto(self) -> timedelta:
        """The objective for recovery time."""
        return self.objectives.rto

    @property
    def last_full_due(self) -> datetime:
        """When the schedule last asked for a full backup. The policy must give a schedule."""
        assert self.schedule is not None
        return last_due(self.schedule.full, self.schedule.time_zone, self.lost_at)

    def stream_problems(self) -> tuple[str, ...]:
        """What kept streamed changes from becoming a backup."""
        return tuple(job.problem for job in self.jobs if job.kind == STREAMED and job.problem)

    @property
    def last_increment_due(self) -> datetime:
        """When the schedule last asked for an increment. The policy must give one."""
        assert self.schedule is not None
        assert self.schedule.incremental is not None
        return last_due(self.schedule.incremental, self.schedule.time_zone, self.lost_at)

    @property
    def increments(self) -> tuple[StoredBackup, ...]:
        """Increments, the oldest first."""
        return tuple(backup for backup in self.backups if backup.entry.kind != "full")

    def broken_chains(self) -> tuple[str, ...]:
        """What keeps increments from standing on the backups before them."""
        problems = []
        for increment in self.increments:
            try:
                *_, base, last = (one.manifest() for one in chain_of(increment, self.backups))
            except RestoreFailed as problem:
                problems.append(str(problem))
                continue
            if last.facts.get("base_position") != base.position:
                problems.append(f"{increment.id} does not begin where {base.id} ends")
        return tuple(problems)

    @property
    def fulls(self) -> tuple[StoredBackup, ...]:
        """Full backups, the oldest first."""
        return tuple(backup for backup in self.backups if backup.entry.kind == "full")

    @property
    def loss(self) -> Disaster:
        """The disaster that is played."""
        assert self.disaster is not None
        return self.disaster

    @property
    def lost_at(self) -> datetime:
        """The instant of the disaster."""
        return self.loss.at
