"""What happened in one run, as sealed canonical JSON: all that report and signature know.

The file is RFC 8785 canonical JSON, so its bytes are a function of its content. The seal is
the SHA-256 of that canonical JSON without the member ``seal``; anybody can compute it again
with ``jq -cjS 'del(.seal)' evidence.json | sha256sum``. The seal alone proves no author: that
is what the signature over the report does, to which the evidence is attached.
"""

import hashlib
import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal, Self

import rfc8785
from pydantic import Field

from restoreproof.errors import UserError
from restoreproof.evidence_base import Duration, Record
from restoreproof.evidence_circumstances import Environment, PolicyRecord
from restoreproof.evidence_commands import CommandRecord
from restoreproof.evidence_exercise import ExerciseRecord
from restoreproof.evidence_negative_control import NegativeControlRecord
from restoreproof.evidence_warnings import WarningRecord
from restoreproof.evidence_week import WeekRecord
from restoreproof.storage import write_once
from restoreproof.verdicts import Severity, Verdict

FORMAT: Literal["restoreproof-evidence/1"] = "restoreproof-evidence/1"


class JobRecord(Record):
    """One backup job that this run ran."""

    component: str
    kind: str
    started_at: datetime
    duration: Duration = Field(alias="duration_seconds")
    succeeded: bool
    backup: str | None
    problem: str = ""


class ArtifactRecord(Record):
    """One stored file of a backup."""

    name: str
    sha256: str
    stored_bytes: int
    content_bytes: int


class BackupRecord(Record):
    """One backup that the catalog holds, whether it was chosen for a restore or not."""

    id: str
    component: str
    kind: str
    base: str
    recovery_point: datetime
    started_at: datetime
    finished_at: datetime
    source_version: str
    artifacts: tuple[ArtifactRecord, ...]
    fingerprint_items: int
    fingerprint_sha256: str
    selected: bool
    selection_reason: str
    bytes_checked: bool = True
    """Whether this run compared its stored bytes with their digests."""
    command: CommandRecord | None = None
    """What the organisation's own command did, where one made it."""


class HistoryRecord(Record):
    """One line of the catalog, of the time that the report looks back on."""

    component: str
    line: int
    event: str
    kind: str = ""
    at: datetime
    backup: str = ""
    recovery_point: datetime | None = None
    told: str = ""


class PhaseRecord(Record):
    """One step of a recovery."""

    name: str
    started_after: Duration = Field(alias="started_after_seconds")
    duration: Duration = Field(alias="duration_seconds")
    counts_towards_rto: bool

    @property
    def end(self) -> timedelta:
        """How long after the decision the step was over."""
        return self.started_after + self.duration


class AttemptRecord(Record):
    """One restore of one recovery point."""

    component: str
    backup: str
    until: str = ""
    """The instant or transaction at which the restore stopped; empty for all of the backup."""
    seed: int | None = None
    """The seed with which the backup or the instant was drawn."""
    reached_from: str = ""
    """The backup on whose restored server it was reached; empty for a server of its own. Its steps
    are then those of all that led to it."""
    decided_at: datetime
    succeeded: bool
    failed_in: str = ""
    failure: str = ""
    image_waited: Duration = Field(default=timedelta(), alias="image_waited_seconds")
    """How long the run waited for the image, before the restore: no part of the recovery."""
    recovery_duration: Duration = Field(alias="recovery_duration_seconds")
    phases: tuple[PhaseRecord, ...]
    server_version: str
    image: str
    image_identifier: str
    isolation: str
    limits: str


class CheckRecord(Record):
    """The answer of one check about one thing."""

    id: str
    title: str
    description: str
    severity: Severity
    component: str | None
    backup: str | None
    verdict: Verdict
    examined: int
    expected: str
    seen: str
    remedy: str
    reason: str
    proves: tuple[str, ...]
    duration: Duration = Field(alias="duration_seconds")


class PromiseRecord(Record):
    """One thing the policy promises, and what this run can say of it."""

    id: str
    component: str | None
    promise: str
    verdict: Verdict
    checks: tuple[str, ...]
    reason: str


class Measure(Record):
    """A figure with how it came about; no figure means that it could not be told."""

    value: Duration | None = Field(alias="value_seconds")
    basis: str


class ComponentRecord(Record):
    """The result of one component."""

    name: str
    engine: str
    description: str
    verdict: Verdict
    method: str
    schedule: tuple[str, ...]
    rpo_promised: Measure
    rpo_kept: Measure
    rpo_measured: Measure
    rto_measured: Measure
    rto_estimated: Measure | None = None
    """The recovery of as much as production holds; None where the policy does not say how much."""
    week: WeekRecord | None = None
    """The week of the run; None without a schedule."""

    @property
    def rpo(self) -> timedelta | None:
        """The largest of the three figures, which is the one that counts."""
        figures = (self.rpo_promised, self.rpo_kept, self.rpo_measured)
        return max((one.value for one in figures if one.value is not None), default=None)


class Run(Record):
    """Which run this was."""

    id: str
    started_at: datetime
    finished_at: datetime
    command: str
    seed: int
    interrupted: bool
    simulated: str = ""
    """What of the run's times is simulated, and what is not; empty if all of them are real."""


class EarlierResult(Record):
    """What an earlier run found of one component; ``rpo`` is the largest of its three figures."""

    component: str
    verdict: Verdict
    rpo: Duration | None = Field(alias="rpo_seconds")
    rto: Duration | None = Field(alias="rto_seconds")


class EarlierRun(Record):
    """A run before this one, as the ledger has it."""

    run: str
    finished_at: datetime
    verdict: Verdict
    results: tuple[EarlierResult, ...]


class LedgerPosition(Record):
    """Where this run stands in the ledger: its number, and the hash of the entry before it."""

    sequence: int
    previous: str


class Seal(Record):
    """A digest over everything else in the evidence."""

    algorithm: Literal["sha256"]
    canonicalization: Literal["RFC 8785"]
    digest: str


class Evidence(Record):
    """Everything that one run saw."""

    format: Literal["restoreproof-evidence/1"] = FORMAT
    run: Run
    policy: PolicyRecord
    verdict: Verdict
    verdict_reason: str
    components: tuple[ComponentRecord, ...]
    promises: tuple[PromiseRecord, ...]
    checks: tuple[CheckRecord, ...]
    jobs: tuple[JobRecord, ...]
    backups: tuple[BackupRecord, ...]
    attempts: tuple[AttemptRecord, ...]
    negative_controls: tuple[NegativeControlRecord, ...] = ()
    history: tuple[HistoryRecord, ...] = ()
    """From which RPO kept, missed and failed runs can be worked out again."""
    policy_warnings: tuple[WarningRecord, ...] = ()
    exercises: tuple[ExerciseRecord, ...] = ()
    """Restoration criteria that were played."""
    exclusions: tuple[str, ...]
    environment: Environment
    earlier_runs: tuple[EarlierRun, ...] = ()
    ledger: LedgerPosition | None = None
    seal: Seal | None = None

    @property
    def findings(self) -> tuple[CheckRecord, ...]:
        """Checks that failed or met an error, the most severe first."""
        bad = (c for c in self.checks if c.verdict in (Verdict.FAILED, Verdict.ERROR))
        order = list(Severity)
        return tuple(sorted(bad, key=lambda c: (-c.verdict.rank, order.index(c.severity), c.id)))

    @property
    def unproven(self) -> tuple[CheckRecord, ...]:
        """Checks that gave no answer."""
        return tuple(check for check in self.checks if check.verdict is Verdict.UNPROVEN)

    def sealed(self) -> Self:
        """The same evidence with its seal computed anew."""
        # No default stands in for these: a seal without them would say less and still fit.
        seal = Seal(algorithm="sha256", canonicalization="RFC 8785", digest=self.digest())
        return self.model_copy(update={"seal": seal})

    def digest(self) -> str:
        """Lower-case hex SHA-256 of the canonical JSON without the seal."""
        body = self.document()
        body.pop("seal", None)
        return hashlib.sha256(rfc8785.dumps(body)).hexdigest()

    def document(self) -> dict[str, Any]:
        """The evidence as plain JSON values, ready to be serialised."""
        return self.model_dump(mode="json", by_alias=True)

    def canonical(self) -> bytes:
        """RFC 8785 canonical JSON, seal included."""
        return rfc8785.dumps(self.document())

    def write(self, path: Path) -> None:
        """Store the evidence once. Raise FileExistsError if evidence lies there already."""
        write_once(path, self.canonical())


def parse(content: bytes, *, where: str) -> Evidence:
    """Read evidence and check its seal. Raise UserError if it is not whole and unaltered.

    The seal is computed over the bytes as they were read, not over what the model made of
    them, so that a member which the model would normalise cannot hide.
    """
    mend = "use the evidence.json of the run as it was written, or the one attached to the PDF"
    try:
        raw = json.loads(content)
        evidence = Evidence.model_validate(raw)
        raw.pop("seal", None)
        digest = hashlib.sha256(rfc8785.dumps(raw)).hexdigest()
    except (ValueError, RecursionError) as error:
        problem = str(error).splitlines()[0]
        raise UserError(f"not evidence of a run: {problem}", where=where, mend=mend) from None
    if evidence.seal is None:
        raise UserError("the evidence is not sealed", where=where, mend=mend)
    if digest != evidence.seal.digest:
        raise UserError("the seal does not match the content", where=where, mend=mend)
    return evidence


def json_schema() -> dict[str, Any]:
    """The published JSON Schema of evidence (draft 2020-12)."""
    schema = Evidence.model_json_schema(by_alias=True, mode="serialization")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
