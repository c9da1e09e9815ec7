"""What the vault says of a backup: the manifest beside its artifacts, lines in the catalog."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from restoreproof.fingerprint import Fingerprint

FORMAT: Literal["restoreproof-manifest/1"] = "restoreproof-manifest/1"
CATALOG_FORMAT: Literal["restoreproof-catalog/1"] = "restoreproof-catalog/1"


class Stored(BaseModel):
    """Base of what lies in the vault: frozen, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Artifact(Stored):
    """One stored file: zstd with content checksum; the digest is over the stored bytes."""

    name: str
    sha256: str
    stored_bytes: int
    content_bytes: int


class ForeignFile(Stored):
    """A file in a store that is not ours; ``name`` is its path there, percent-encoded."""

    name: str
    sha256: str
    stored_bytes: int
    modified_ns: int


class ForeignStore(Stored):
    """What a backup has in a store of the organisation's, which is only read.

    ``files`` are those that were new or other than any backup before had recorded; those that
    the command itself removed or rewrote are ``superseded`` in the earlier backups.
    """

    root: str
    files: tuple[ForeignFile, ...]
    superseded: tuple[str, ...] = ()
    content_bytes: int
    """How much was handed to the tool, or as much as it stored where that is not known."""


class Manifest(Stored):
    """Everything that is known of one backup, written once beside its artifacts."""

    format: Literal["restoreproof-manifest/1"] = FORMAT
    id: str
    estate: str
    component: str
    engine: str
    kind: str
    base: str = ""
    """The backup that an increment stands on; empty for a full backup."""
    started_at: datetime
    finished_at: datetime
    recovery_point: datetime
    position: str
    source_version: str
    source_identity: str
    facts: Mapping[str, str]
    artifacts: tuple[Artifact, ...]
    elsewhere: ForeignStore | None = None
    fingerprint: Fingerprint

    @property
    def content_bytes(self) -> int:
        """How much the backup holds, unpacked."""
        if self.elsewhere is not None:
            return self.elsewhere.content_bytes
        return sum(artifact.content_bytes for artifact in self.artifacts)


class CatalogLine(Stored):
    """What every line of the append-only catalog holds; a SHA-256 chains it to the one before."""

    format: Literal["restoreproof-catalog/1"] = CATALOG_FORMAT
    sequence: int
    previous_sha256: str


class CatalogEntry(CatalogLine):
    """A backup was stored.

    It repeats what an audit has to know of a backup whose manifest is lost or altered.
    """

    event: Literal["stored"] = "stored"
    backup: str
    component: str
    engine: str
    kind: str
    base: str = ""
    started_at: datetime
    finished_at: datetime
    recovery_point: datetime
    manifest_sha256: str
    entered_late: bool = False
    """Found whole in the vault and entered afterwards, since its job died before it could."""


class ScheduleSeen(CatalogLine):
    """From here on a component has this schedule: cron expressions by the kind of backup."""

    event: Literal["scheduled"] = "scheduled"
    component: str
    kinds: Mapping[str, tuple[str, ...]]
    time_zone: str
    seen_at: datetime


class RunMissed(CatalogLine):
    """Runs that were due one after the other and did not begin in time; mostly it is one."""

    event: Literal["missed"] = "missed"
    component: str
    kind: str
    due_at: datetime
    last_due_at: datetime
    count: int
    noted_at: datetime


class RunFailed(CatalogLine):
    """A run ended without a backup."""

    event: Literal["failed"] = "failed"
    component: str
    kind: str
    started_at: datetime
    ended_at: datetime
    problem: str


class BackupPruned(CatalogLine):
    """A backup was removed because the policy keeps it no longer; written before its files go."""

    event: Literal["pruned"] = "pruned"
    component: str
    backup: str
    at: datetime
    rule: str


class BackupGone(CatalogLine):
    """A backup was found gone without having been pruned."""

    event: Literal["gone"] = "gone"
    component: str
    backup: str
    noted_at: datetime


class CatalogMended(CatalogLine):
    """The end of the catalog had broken off, and was set aside in a file beside it."""

    event: Literal["mended"] = "mended"
    set_aside: str
    set_aside_sha256: str
    noted_at: datetime


CatalogEvent = Annotated[
    CatalogEntry | ScheduleSeen | RunMissed | RunFailed | BackupPruned | BackupGone | CatalogMended,
    Field(discriminator="event"),
]
