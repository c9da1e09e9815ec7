"""Turns what a run saw into evidence records: the only step between a run and its report."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from restoreproof import schedule
from restoreproof.command_engine import engine_of
from restoreproof.command_records import command_record
from restoreproof.component_audit import ComponentAudit
from restoreproof.criteria import unplayed
from restoreproof.evidence import (
    ArtifactRecord,
    AttemptRecord,
    BackupRecord,
    CheckRecord,
    ComponentRecord,
    Evidence,
    JobRecord,
    Measure,
    PhaseRecord,
    PromiseRecord,
    Run,
)
from restoreproof.evidence_circumstances import Environment, Objectives, PolicyRecord
from restoreproof.evidence_week import PlannedRecord, SpanRecord, WeekRecord
from restoreproof.exercise_records import exercise_records
from restoreproof.history_records import history_records
from restoreproof.jobs import JobResult, moved
from restoreproof.outcomes import RestoreFailed
from restoreproof.policy import Component
from restoreproof.policy_warnings import warning_records
from restoreproof.promises import judge, promises, uncovered
from restoreproof.redaction import redact
from restoreproof.restore import RestoreAttempt, Target
from restoreproof.vault import StoredBackup
from restoreproof.verdicts import Severity, Verdict, worst
from restoreproof.week import week_of

if TYPE_CHECKING:
    from restoreproof.audit import AuditRun

LEFT_OUT = Measure(value=None, basis="the component was left out of this run")
NO_CONTROL = (
    "the policy turns the negative control off, so nothing here shows that the checks would notice"
    " a damaged backup"
)
REASONS_SHOWN = 3
REASON_LENGTH = 115


def evidence(run: AuditRun, observed: Environment) -> Evidence:
    """The evidence of a run, not yet sealed."""
    checks = run.checks()
    promised = _promises(run, checks)
    components = tuple(
        _component(run, name, component, checks, promised)
        for name, component in run.policy.components.items()
    )
    jobs = tuple(_job(audited, job) for audited in run.components for job in audited.jobs)
    judged = [component.verdict for component in components]
    verdict = worst([*judged, *(promise.verdict for promise in promised)])
    return Evidence(
        run=Run(
            id=run.id,
            started_at=run.started_at,
            finished_at=run.clock(),
            command=redact(run.options.command),
            seed=run.seed,
            interrupted=False,
            simulated=run.options.simulated,
        ),
        policy=_policy(run),
        verdict=verdict,
        verdict_reason=_reason(verdict, checks, promised),
        components=components,
        promises=promised,
        checks=checks,
        jobs=jobs,
        backups=tuple(one for audited in run.components for one in _backups(audited)),
        attempts=tuple(
            _attempt(attempt) for audited in run.components for attempt in audited.attempts
        ),
        negative_controls=tuple(
            audited.negative_control for audited in run.components if audited.negative_control
        ),
        history=tuple(
            line
            for audited in run.components
            for line in history_records(audited.history, audited.standing.looked_back)
        ),
        policy_warnings=tuple(
            warning_records(
                run.policy, (audited.planned for audited in run.components), run.started_at
            )
        ),
        exercises=tuple(
            one
            for audited in run.components
            for one in exercise_records(audited.name, run.exercises.known(audited.name))
        ),
        exclusions=_exclusions(run),
        environment=observed,
    )


def _promises(run: AuditRun, checks: Sequence[CheckRecord]) -> tuple[PromiseRecord, ...]:
    audited = {one.name for one in run.components}
    judged = (
        judge(promise, checks, audited=name in audited)
        for name, component in run.policy.components.items()
        for promise in promises(name, component, run.policy, engine_of(name, component))
    )
    return (*judged, *uncovered(run.policy), *unplayed(run.policy))


def _policy(run: AuditRun) -> PolicyRecord:
    objectives = run.policy.objectives
    return PolicyRecord(
        file=run.document.path.name,
        sha256=run.document.sha256,
        estate=run.policy.estate,
        owner=run.policy.owner,
        objectives=Objectives(
            rpo=objectives.rpo,
            rto=objectives.rto,
            restore_test_every=objectives.restore_test_every,
        ),
        restoration_criteria=tuple(one.text for one in run.policy.restoration_criteria),
        frameworks=run.policy.report.frameworks,
        paper=run.policy.report.paper,
        signature_level=run.means.level,
        classification=run.policy.report.classification,
    )


def _component(
    run: AuditRun,
    name: str,
    component: Component,
    checks: Sequence[CheckRecord],
    promised: Sequence[PromiseRecord],
) -> ComponentRecord:
    audited = next((one for one in run.components if one.name == name), None)
    verdicts = [check.verdict for check in checks if check.component == name]
    verdicts += [promise.verdict for promise in promised if promise.component == name]
    planned = component.schedule
    return ComponentRecord(
        name=name,
        engine=component.engine,
        description=component.description,
        verdict=worst(verdicts),
        method=engine_of(name, component).method,
        schedule=tuple(
            f"{kind}: {schedule.describe(expression, planned.time_zone)}"
            for kind, expression in planned.kinds.items()
        )
        + (("continuous: as changes happen",) if planned.continuous else ())
        if planned
        else (),
        rpo_promised=audited.rpo_promised if audited else LEFT_OUT,
        rpo_kept=audited.rpo_kept if audited else LEFT_OUT,
        rpo_measured=audited.rpo_measured if audited else LEFT_OUT,
        rto_measured=audited.rto_measured if audited else LEFT_OUT,
        rto_estimated=audited.rto_estimated if audited and audited.expected_size else None,
        week=_week(audited, audited.lost_at) if audited else None,
    )


def _week(audited: ComponentAudit, at: datetime) -> WeekRecord | None:
    week = week_of(audited.planned, at)
    if week is None:
        return None
    return WeekRecord(
        begin=week.begin,
        end=week.end,
        time_zone=week.time_zone,
        continuous=audited.streams,
        planned=tuple(
            PlannedRecord(at=run.at, kind=run.kind, jobs=jobs) for run, jobs in week.slots()
        ),
        exposed=tuple(SpanRecord(begin=span.begin, end=span.end) for span in week.exposed),
    )


def _job(audited: ComponentAudit, job: JobResult) -> JobRecord:
    return JobRecord(
        component=audited.name,
        kind=job.kind,
        started_at=job.started_at,
        duration=job.duration,
        succeeded=job.backup is not None,
        backup=job.backup.id if job.backup else None,
        problem=redact(job.problem),
    )


def _backups(audited: ComponentAudit) -> Iterator[BackupRecord]:
    checked = {backup.id for backup in audited.standing.to_check}
    for backup in audited.backups:
        yield _backup(audited, backup, checked=backup.id in checked)


def _backup(audited: ComponentAudit, backup: StoredBackup, *, checked: bool) -> BackupRecord:
    chosen = {target.backup.id: target for target in audited.targets}
    try:
        manifest = backup.manifest()
    except RestoreFailed:
        manifest = None
    return BackupRecord(
        id=backup.id,
        component=audited.name,
        kind=backup.entry.kind,
        base=backup.entry.base,
        recovery_point=backup.entry.recovery_point,
        started_at=backup.entry.started_at,
        finished_at=backup.entry.finished_at,
        source_version=manifest.source_version if manifest else "",
        artifacts=tuple(
            ArtifactRecord(
                name=artifact.name,
                sha256=artifact.sha256,
                stored_bytes=artifact.stored_bytes,
                content_bytes=artifact.content_bytes,
            )
            for artifact in (manifest.artifacts if manifest else ())
        ),
        fingerprint_items=len(manifest.fingerprint.items) if manifest else 0,
        fingerprint_sha256=manifest.fingerprint.digest if manifest else "",
        bytes_checked=checked,
        command=command_record(manifest) if manifest else None,
        selected=backup.id in chosen,
        selection_reason=chosen[backup.id].reason
        if backup.id in chosen
        else "the policy has only the newest backup restored",
    )


def _attempt(attempt: RestoreAttempt) -> AttemptRecord:
    return AttemptRecord(
        component=attempt.target.component,
        backup=attempt.target.backup.id,
        until=_until(attempt.target),
        seed=attempt.target.seed,
        decided_at=attempt.decided_at,
        succeeded=attempt.succeeded,
        failed_in=attempt.failed_in,
        failure=redact(attempt.failure),
        reached_from=attempt.reached_from,
        image_waited=attempt.image.waited if attempt.image else timedelta(),
        recovery_duration=attempt.duration,
        phases=tuple(
            PhaseRecord(
                name=phase.name,
                started_after=phase.started_after,
                duration=phase.duration,
                counts_towards_rto=True,
            )
            for phase in attempt.phases
        ),
        server_version=attempt.server_version,
        image=attempt.image.reference if attempt.image else "",
        image_identifier=attempt.image.identifier if attempt.image else "",
        isolation=attempt.isolation,
        limits=attempt.limits,
    )


def _until(target: Target) -> str:
    until = target.until
    return until.isoformat() if isinstance(until, datetime) else until or ""


def _exclusions(run: AuditRun) -> tuple[str, ...]:
    """What a reader might take for examined and is not."""
    audited = {one.name for one in run.components}
    left_out = [name for name in run.policy.components if name not in audited]
    found = [f"{name}: left out of this run on request" for name in left_out]
    if not run.options.backups:
        found.append("no backup job ran; the backups that the vault held were audited")
    for name, component in run.policy.components.items():
        gaps = engine_of(name, component).exclusions(component.source)
        found += [f"{name}: {gap}" for gap in gaps]
        if run.policy.negative_control == "off":
            found.append(f"{name}: {NO_CONTROL}")
        if component.retention is None:
            found.append(f"{name}: the policy promises no retention")
    for one in run.components:
        found += [f"{one.name}: {note}" for note in moved(one.backups)]
        found += [f"{one.name}: {note}" for note in one.submodules.missing]
    return tuple(found)


def _reason(
    verdict: Verdict, checks: Sequence[CheckRecord], promised: Sequence[PromiseRecord]
) -> str:
    """The run's verdict in a sentence: what is behind it, the worst first."""
    if verdict is Verdict.PASSED:
        return f"all {len(checks)} checks passed and all {len(promised)} promises are kept"
    severities = list(Severity)
    bad = sorted(
        (check for check in checks if check.verdict is verdict),
        key=lambda check: severities.index(check.severity),
    )
    if verdict is Verdict.FAILED:
        shown = [
            f"{c.component} ({c.id}): {c.reason or f'expected {c.expected}, saw {c.seen}'}"
            for c in bad
        ]
        shown += [
            f"{one.component}: {one.promise}: {one.reason}"
            for one in promised
            if one.verdict is verdict and not one.checks
        ]
    else:
        shown = [f"{check.component} ({check.id}): {check.reason}" for check in bad]
        shown += [
            f"{one.component}: {one.promise}: {one.reason}"
            for one in promised
            if one.verdict is verdict and one.reason and not one.checks
        ]
    shown = [text if len(text) <= REASON_LENGTH else f"{text[:REASON_LENGTH]}…" for text in shown]
    more = len(shown) - REASONS_SHOWN
    return "; ".join(shown[:REASONS_SHOWN]) + (f"; and {more} more" if more > 0 else "")
