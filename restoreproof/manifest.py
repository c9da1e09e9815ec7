"""What a backup is made of: its manifest beside the artifacts, its line in the catalog."""

from collections.abc import Mapping
from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict

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
    fingerprint: Fingerprint


class CatalogEntry(Stored):
    """One line of the append-only catalog, chained to the line before by its SHA-256.

    It repeats what an audit has to know of a backup whose manifest is lost or altered.
    """

    format: Literal["restoreproof-catalog/1"] = CATALOG_FORMAT
    sequence: int
    previous_sha256: str
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
