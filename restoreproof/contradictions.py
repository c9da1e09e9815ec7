"""Where a policy contradicts itself, by arithmetic alone: no server is asked, nothing restored.

Each rule is told whether it holds or not, so that an audit can show what it was computed from.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from restoreproof.engines.contract import STREAMED, Engine
from restoreproof.policy import Audit, Component, Objectives, Policy
from restoreproof.references import SourceModel
from restoreproof.schedule import HORIZON, due_over_a_year, longest_interval
from restoreproof.vault import StoredBackup
from restoreproof.wording import duration
from restoreproof.worst_case import Plan

NOTHING = timedelta()
DAY = timedelta(days=1)
STREAM_DELAY = timedelta(seconds=10)
"""How far a running stream may lag behind its source."""
STREAMING = "changes are stored as they happen; STR-001 says how far that went"
EVERY = {"full": "full backups", "incremental": "increments"}
ROUND = tuple(timedelta(minutes=minutes) for minutes in (60, 15, 5, 1))
"""To what intervals are rounded that a mend names, each where it is a tenth of them or less."""


@dataclass(frozen=True)
class Ruling:
    """What one rule says of a policy. ``basis`` is the numbers that it was computed from."""

    rule: str
    component: str
    holds: bool
    expected: str
    seen: str
    basis: str
    mend: str


@dataclass(frozen=True)
class Planned:
    """One component with what is known of it before anything runs."""

    name: str
    component: Component
    objectives: Objectives
    audits: Audit
    engine: Engine[SourceModel]
    now: datetime
    durations: Mapping[str, timedelta]

    @property
    def plan(self) -> Plan | None:
        """Its schedule over a year; None if the policy gives none."""
        planned, increments = self.component.schedule, "incremental" in self.engine.kinds
        return Plan(planned, self.now, self.durations, increments) if planned else None

    @property
    def plans_increments(self) -> bool:
        """Whether the schedule names increments."""
        planned = self.component.schedule
        return planned is not None and planned.incremental is not None

    @property
    def limits_retention(self) -> bool:
        """Whether backups of a schedule are removed by and by."""
        kept = self.component.retention
        return self.component.schedule is not None and kept is not None and kept.until is None

    @property
    def limits_retention_twice(self) -> bool:
        """Whether the retention says in days and in another way what is kept."""
        kept, planned = self.component.retention, self.component.schedule
        twice = kept is not None and kept.days is not None and (kept.count or kept.until)
        return planned is not None and bool(twice)

    @property
    def streams(self) -> bool:
        """Whether changes are stored as they happen, and the engine does it."""
        planned = self.component.schedule
        return planned is not None and planned.continuous and STREAMED in self.engine.kinds


def known_durations(backups: Sequence[StoredBackup]) -> dict[str, timedelta]:
    """The longest job of each kind of backup that the catalog knows."""
    longest: dict[str, timedelta] = {}
    for entry in (backup.entry for backup in backups):
        took = entry.finished_at - entry.started_at
        longest[entry.kind] = max(took, longest.get(entry.kind, NOTHING))
    return longest


def rulings(planned: Planned) -> Iterator[Ruling]:
    """Every rule that the policy of a component is subject to."""
    plan = planned.plan
    if plan is not None:
        yield loss(planned, plan)
        yield overlap(planned, plan)
        if planned.plans_increments:
            yield full_to_stand_on(planned, plan)
        if planned.limits_retention:
            yield chain_is_kept(planned, plan)
        if planned.limits_retention_twice:
            yield versions_reach_back(planned, plan)
    if planned.audits.schedule:
        yield restore_tests(planned, planned.audits.schedule)


def estate_rulings(policy: Policy) -> Iterator[Ruling]:
    """POL-006: everything that the document names as backed up is in the policy."""
    for name, kinds in policy.promised_coverage.items():
        component = policy.components.get(name)
        missing = [kind for kind in kinds if component is None or kind not in component.coverage]
        problem = f"the policy's coverage of {name} lacks {', '.join(missing)}"
        if component is None:
            problem = f"no component of the policy backs up {name}"
        yield Ruling(
            rule="POL-006",
            component=name,
            holds=component is not None and not missing,
            expected=f"{', '.join(kinds) or 'something'} of {name} backed up",
            seen=problem if missing or component is None else "in the policy's coverage",
            basis="promised_coverage against the components and their coverage",
            mend=f"add {', '.join(missing)} to its coverage"
            if component
            else f"add a component {name} with engine, source and schedule",
        )


def loss(planned: Planned, plan: Plan) -> Ruling:
    """RPO-001: what the schedule allows to be lost is no more than the objective."""
    rpo, worst = planned.objectives.rpo, plan.loss
    amount = allowed_loss(planned, plan)
    made = EVERY["incremental" if any(run.kind == "incremental" for run in plan.runs) else "full"]
    often = f"every {duration(worst.gap)}" if plan.is_even else f"up to {duration(worst.gap)} apart"
    subject = "changes stored as they happen" if planned.streams else f"{made} {often}"
    return Ruling(
        rule="RPO-001",
        component=planned.name,
        holds=amount <= rpo,
        expected=f"at most {duration(rpo)}",
        seen=f"{subject} allow {duration(amount, rpo)} of loss against an RPO of {duration(rpo)}",
        basis=loss_basis(planned, plan),
        mend=_mend_of_loss(planned, plan),
    )


def allowed_loss(planned: Planned, plan: Plan) -> timedelta:
    """The most that is lost if everything goes as planned."""
    return STREAM_DELAY if planned.streams else plan.loss.amount


def loss_basis(planned: Planned, plan: Plan) -> str:
    """What the promised loss was computed from."""
    if planned.streams:
        return STREAMING
    worst, zone = plan.loss, "%a %Y-%m-%d %H:%M"
    lacking = ""
    if plan.schedule.continuous:
        lacking = f"; the {planned.engine.name} engine stores no changes as they happen"
    between = f", {worst.of.at:{zone}} to {worst.next.at:{zone}} UTC"
    return (
        f"longest gap of the schedule ({duration(worst.gap)}{between})"
        f" and {_job(plan, worst.next.kind)}{lacking}"
    )


def overlap(planned: Planned, plan: Plan) -> Ruling:
    """POL-001: a job has ended before the next one is due."""
    found = plan.overlap
    known = [f"{kind} {duration(took)}" for kind, took in sorted(plan.durations.items())]
    ruling = Ruling(
        rule="POL-001",
        component=planned.name,
        holds=found is None,
        expected="each job over before the next is due",
        seen="each job is over before the next is due",
        basis=f"longest jobs known: {', '.join(known) or 'none yet'}; {_said(plan)}",
        mend="",
    )
    if found is None:
        return ruling
    one, other = found
    return Ruling(
        **vars(ruling)
        | {
            "seen": f"the {one.kind} backup of {one.at:%a %Y-%m-%d %H:%M} UTC takes"
            f" {duration(one.duration)}, and the next job is due"
            f" {duration(other.at - one.at)} after its start",
            "mend": f"leave more than {duration(one.duration)} after every {one.kind} backup,"
            " or make it faster",
        }
    )


def full_to_stand_on(planned: Planned, plan: Plan) -> Ruling:
    """POL-002: a full backup is due at least once in the year that is looked at."""
    longest = longest_interval(plan.fulls)
    return Ruling(
        rule="POL-002",
        component=planned.name,
        holds=longest <= HORIZON,
        expected=f"a full backup at least every {duration(HORIZON)}",
        seen=f"full backups are up to {duration(longest)} apart, and until the next one"
        f" {plan.longest_chain - 1} increments have no other to stand on"
        if longest > HORIZON
        else f"full backups at most {duration(longest)} apart",
        basis=_said(plan),
        mend="schedule a full backup every week or month",
    )


def chain_is_kept(planned: Planned, plan: Plan) -> Ruling:
    """POL-003: a full backup is kept until the next one is stored, and so are its increments."""
    kept = planned.component.retention
    assert kept is not None
    need, chain = plan.longest_need, plan.longest_chain
    problems, mends = [], []
    standing = "increments that stand on it" if chain > 1 else "no other backup beside it"
    if kept.days is not None and kept.days * DAY < need:
        problems.append(
            f"backups are kept for {kept.days} days, and a full one gets {duration(need)} old"
            f" before the next is stored, with {standing}"
        )
        mends.append(f"keep them for {_days(need)} days, or make full backups more often")
    if kept.count is not None and kept.count < chain:
        problems.append(
            f"the newest {kept.count} are kept, and a chain is a full backup with"
            f" {chain - 1} increments, so that its full backup is removed first"
        )
        mends.append(f"keep the newest {chain}, or make full backups more often")
    # What one of days and count keeps is kept.
    holds = len(problems) < sum(one is not None for one in (kept.days, kept.count))
    fits = f"kept: {kept.describe()}; needed: {duration(need)}"
    return Ruling(
        rule="POL-003",
        component=planned.name,
        holds=holds,
        expected="a full backup kept until the next one is stored",
        seen=fits if holds else "; ".join(problems),
        basis=f"a chain of up to {chain} backups over {duration(longest_interval(plan.fulls))}"
        f" and {_job(plan, 'full')}; {_said(plan)}",
        mend=" or ".join(mends),
    )


def versions_reach_back(planned: Planned, plan: Plan) -> Ruling:
    """POL-004: what a retention says twice can be kept as one promise.

    Days and a count can: a backup goes when neither keeps it.
    """
    kept = planned.component.retention
    assert kept is not None
    assert kept.days is not None
    held = f"{kept.days} days hold up to {plan.versions(kept.days * DAY)}"
    seen = f"{held}, and the newest {kept.count} are kept besides"
    if kept.until:
        seen = f"backups are kept for {kept.days} days, and for good"
    return Ruling(
        rule="POL-004",
        component=planned.name,
        holds=kept.until is None,
        expected=f"every backup of {kept.days} days kept, and a rule by which it goes",
        seen=seen,
        basis=f"the retention ({kept.describe()}); {_said(plan)}",
        mend="write either days or until",
    )


def restore_tests(planned: Planned, due: tuple[str, ...]) -> Ruling:
    """POL-005: audits are planned as often as restores are promised to be tested."""
    audits, promised = planned.audits, planned.objectives.restore_test_every
    longest = longest_interval(due_over_a_year(due, audits.time_zone, planned.now))
    return Ruling(
        rule="POL-005",
        component=planned.name,
        holds=longest <= promised,
        expected=f"an audit at least every {duration(promised)}",
        seen=f"audits are up to {duration(longest)} apart, and a restore is promised to be tested"
        f" every {duration(promised)}",
        basis=f"audit.schedule {', '.join(due)} ({audits.time_zone})",
        mend=f"plan audits at least every {duration(promised)}, or promise no more than every"
        f" {_days(longest)} days",
    )


def _mend_of_loss(planned: Planned, plan: Plan) -> str:
    rpo, kinds = planned.objectives.rpo, planned.engine.kinds
    means = []
    if STREAMED in kinds and not planned.streams:
        means.append("stream the changes (`continuous: true`)")
    kind = "incremental" if "incremental" in kinds else "full"
    # A job that is not known yet takes some time all the same.
    room = rpo - (plan.duration(kind) if kind in plan.durations else rpo / 20)
    if room > NOTHING:
        means.append(f"run {EVERY[kind]} at least every {duration(_rounded_down(room))}")
    else:
        means.append(f"make {EVERY[kind]} take less than the RPO: {_job(plan, kind)}")
    means.append(f"promise an RPO of {duration(_rounded_up(plan.loss.amount))}")
    return f"{', '.join(means[:-1])} or {means[-1]}"


def _rounded_down(value: timedelta) -> timedelta:
    step = _step(value)
    return max(value // step * step, timedelta(seconds=1))


def _rounded_up(value: timedelta) -> timedelta:
    step = _step(value)
    return -(-value // step) * step


def _step(value: timedelta) -> timedelta:
    return next((one for one in ROUND if one * 10 <= value), timedelta(seconds=1))


def _job(plan: Plan, kind: str) -> str:
    if kind not in plan.durations:
        return f"no job known yet of {EVERY[kind]}, which counts as nothing"
    return f"the longest {kind} job known ({duration(plan.duration(kind))})"


def _said(plan: Plan) -> str:
    parts = [
        f"{kind} {', '.join(expressions)}" for kind, expressions in plan.schedule.kinds.items()
    ]
    return f"schedule {'; '.join(parts)} ({plan.schedule.time_zone})"


def _days(value: timedelta) -> int:
    return -(-value // DAY)
