"""Runs one backup job: the engine's content and fingerprint into the vault, or nothing."""

import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from restoreproof.engines.contract import BackupContent, BackupContext, Engine, SourceContext
from restoreproof.errors import RestoreProofError
from restoreproof.manifest import Manifest
from restoreproof.outcomes import BackupFailed
from restoreproof.references import SourceModel
from restoreproof.vault import IncomingBackup, StoredBackup, Vault


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


def run_job(
    engine: Engine[SourceModel], context: SourceContext, vault: Vault, estate: str
) -> JobResult:
    """Make a full backup of a component.

    A backup that fails is a result, and so is trouble: other components are audited still.
    """
    started_at, begun = context.clock(), time.monotonic()
    identifier = backup_id(context.component, started_at)
    stored, problem, trouble = None, "", None
    try:
        with vault.incoming(identifier) as incoming:
            content = engine.back_up(BackupContext(context, incoming.artifact))
            if not incoming.artifacts:
                raise BackupFailed("the job ended without an error and stored nothing")
            manifest = _manifest(engine, context, content, incoming, identifier, estate, started_at)
            stored = vault.publish(incoming, manifest)
    except BackupFailed as failure:
        problem = str(failure)
    except RestoreProofError as error:
        problem, trouble = str(error), error
    duration = timedelta(seconds=time.monotonic() - begun)
    return JobResult(context.component, "full", started_at, duration, stored, problem, trouble)


def backup_id(component: str, started_at: datetime) -> str:
    """An identifier that is unique in a vault and sorts by time within a component."""
    stamp = started_at.astimezone(UTC).strftime("%Y%m%dT%H%M%S")
    return f"{component}-{stamp}{started_at.microsecond // 1000:03d}Z-full"


def _manifest(
    engine: Engine[SourceModel],
    context: SourceContext,
    content: BackupContent,
    incoming: IncomingBackup,
    identifier: str,
    estate: str,
    started_at: datetime,
) -> Manifest:
    return Manifest(
        id=identifier,
        estate=estate,
        component=context.component,
        engine=engine.name,
        kind="full",
        started_at=started_at,
        finished_at=context.clock(),
        recovery_point=content.recovery_point,
        position=content.position,
        source_version=content.source_version,
        source_identity=content.source_identity,
        facts=content.facts,
        artifacts=tuple(incoming.artifacts),
        fingerprint=content.fingerprint,
    )
