"""Runs one backup job: the engine's content and fingerprint into the vault, or nothing."""

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial

from restoreproof.engines.contract import (
    STREAMED,
    ArtifactSink,
    BackupContent,
    BackupContext,
    Base,
    Engine,
    SourceContext,
)
from restoreproof.errors import RestoreProofError
from restoreproof.incoming import IncomingBackup
from restoreproof.manifest import Manifest, RunFailed
from restoreproof.outcomes import BackupFailed, RestoreFailed, SourceChanged
from restoreproof.policy import Component
from restoreproof.redaction import redact
from restoreproof.references import SourceModel
from restoreproof.restore import chain_of, to_restore
from restoreproof.schedule import last_due
from restoreproof.vault import StoredBackup, Vault

AFTER = timedelta(microseconds=1)
TRIES = 3
"""How often a job is run whose source is defined anew under it."""
ArtifactOpener = Callable[[str], AbstractContextManager[ArtifactSink]]


@dataclass(frozen=True)
class JobResult:
    """What came of a job: a stored backup, or the problem or trouble that prevented it."""

    component: str
    kind: str
    started_at: datetime
    duration: timedelta
    backup: StoredBackup | None
    problem: str = ""
    trouble: RestoreProofError | None = None

    def require_answer(self) -> None:
        """Raise the trouble that kept the job from saying anything about the backup."""
        if self.trouble is not None:
            raise self.trouble


def base_for_next(
    component: Component,
    engine: Engine[SourceModel],
    backups: Sequence[StoredBackup],
    now: datetime,
) -> StoredBackup | None:
    """The backup that the next one is to stand on; None if a full one is due.

    A full one is due when the schedule says so, when the engine makes no increments, and when
    the newest backup is damaged, since nothing can stand on that.
    """
    planned = component.schedule
    if planned is None or planned.incremental is None or "incremental" not in engine.kinds:
        return None
    fulls = [backup for backup in backups if backup.entry.kind == "full"]
    due = last_due(planned.full, planned.time_zone, now)
    if not fulls or fulls[-1].entry.started_at < due:
        return None
    newest = backups[-1]
    return None if newest.damage()[1] else newest


def run_job(
    engine: Engine[SourceModel],
    context: SourceContext,
    vault: Vault,
    estate: str,
    base: StoredBackup | None,
) -> JobResult:
    """Make a backup of a component: an increment if there is a base, else a full one.

    A backup that fails is a result, and so is trouble: other components are audited still.
    """
    kind = "incremental" if base else "full"

    def content(artifact: ArtifactOpener) -> BackupContent:
        elsewhere = vault.elsewhere(context.component) if engine.finds_chains else {}
        known = base_of(base, vault.backups(context.component)) if base else None
        return engine.back_up(BackupContext(context, artifact, known, elsewhere))

    result = _run(engine, context, vault, estate, kind, base, content)
    assert result is not None
    return result


def seal_stream(
    engine: Engine[SourceModel],
    context: SourceContext,
    vault: Vault,
    estate: str,
    base: StoredBackup,
) -> JobResult | None:
    """Make a backup of what was streamed since the base; None if that is nothing.

    No source is asked, so this can be done when there is none any more.
    """

    def content(artifact: ArtifactOpener) -> BackupContent | None:
        known = base_of(base)
        store = vault.stream(context.component, known.source_identity)
        return engine.seal(BackupContext(context, artifact, known), store)

    return _run(engine, context, vault, estate, STREAMED, base, content)


def _run(
    engine: Engine[SourceModel],
    context: SourceContext,
    vault: Vault,
    estate: str,
    kind: str,
    base: StoredBackup | None,
    make: Callable[[ArtifactOpener], BackupContent | None],
) -> JobResult | None:
    started_at, begun = context.clock(), time.monotonic()
    identifier = backup_id(context.component, started_at, kind)
    stored, problem, trouble = None, "", None

    def made() -> StoredBackup | None:
        with vault.incoming(identifier) as incoming:
            content = make(incoming.artifact)
            if content is None:
                return None
            if not incoming.artifacts:
                raise BackupFailed("the job ended without an error and stored nothing")
            manifest = _manifest(
                engine, context, content, incoming, identifier, kind, estate, started_at, base
            )
            return vault.publish(incoming, manifest)

    try:
        stored = _tried(made)
        if stored is None:
            return None
        # What was written is one thing, what can be read again another.
        if damages := stored.damage()[1]:
            raise BackupFailed(f"stored, and damaged when it was read again: {damages[0]}")
    except BackupFailed as failure:
        problem, stored = str(failure), None
    except RestoreProofError as error:
        problem, trouble, stored = str(error), error, None
    except KeyboardInterrupt:
        note_failure(vault, context.component, kind, started_at, context.clock(), "interrupted")
        raise
    if stored is None:
        note_failure(vault, context.component, kind, started_at, context.clock(), problem)
    duration = timedelta(seconds=time.monotonic() - begun)
    return JobResult(context.component, kind, started_at, duration, stored, problem, trouble)


def _tried(make: Callable[[], StoredBackup | None]) -> StoredBackup | None:
    for _ in range(TRIES - 1):
        with suppress(SourceChanged):
            return make()
    return make()


def note_failure(
    vault: Vault, component: str, kind: str, started_at: datetime, ended_at: datetime, problem: str
) -> None:
    """Tell the catalog of a run without a backup, so that no later run can hide it."""
    # A vault that takes no line took no backup either, and the job's own problem says so.
    with suppress(RestoreProofError, OSError):
        vault.catalog.note(
            RunFailed,
            component=component,
            kind=kind,
            started_at=started_at,
            ended_at=ended_at,
            problem=redact(problem),
        )


def backup_id(component: str, started_at: datetime, kind: str) -> str:
    """An identifier that is unique in a vault and sorts by time within a component."""
    stamp = started_at.astimezone(UTC).strftime("%Y%m%dT%H%M%S")
    return f"{component}-{stamp}{started_at.microsecond // 1000:03d}Z-{kind}"


def base_of(backup: StoredBackup, population: Sequence[StoredBackup] = ()) -> Base:
    """What a backup to stand on it has to know of a backup. Raise BackupFailed if it is damaged."""
    try:
        manifest = backup.manifest()
    except RestoreFailed as damage:
        raise BackupFailed(f"nothing can stand on {backup.id}: {damage}") from None
    return Base(
        backup.id,
        manifest.position,
        manifest.source_identity,
        manifest.source_version,
        manifest.facts,
        manifest.fingerprint,
        partial(backup.read_named, manifest),
        lambda: [to_restore(one, one.manifest()) for one in chain_of(backup, population)],
    )


def moved(backups: Sequence[StoredBackup]) -> tuple[str, ...]:
    """Which backups were taken from another server than the one before: meant, or a mistake."""
    notes, before, known = [], None, ""
    for backup in backups:
        # Damage is told elsewhere.
        with suppress(RestoreFailed):
            identity = backup.manifest().source_identity
            if not identity:
                # It was found, and nobody knows of which server it is.
                continue
            if before is not None and identity != known:
                notes.append(f"{backup.id} was taken from another server than {before.id}")
            before, known = backup, identity
    return tuple(notes)


def point_after(base: StoredBackup | None, instant: datetime) -> datetime:
    """A recovery point: clocks may differ; what stands on a backup comes after it all the same."""
    return max(instant, base.entry.recovery_point + AFTER) if base else instant


def _manifest(
    engine: Engine[SourceModel],
    context: SourceContext,
    content: BackupContent,
    incoming: IncomingBackup,
    identifier: str,
    kind: str,
    estate: str,
    started_at: datetime,
    base: StoredBackup | None,
) -> Manifest:
    return Manifest(
        id=identifier,
        estate=estate,
        component=context.component,
        engine=engine.name,
        kind=kind,
        base=base.id if base else "",
        started_at=started_at,
        finished_at=context.clock(),
        recovery_point=point_after(base, content.recovery_point),
        position=content.position,
        source_version=content.source_version,
        source_identity=content.source_identity,
        facts=content.facts,
        artifacts=tuple(incoming.artifacts),
        elsewhere=content.elsewhere,
        fingerprint=content.fingerprint,
    )
