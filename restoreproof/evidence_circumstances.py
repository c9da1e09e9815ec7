"""Which policy was audited, and with what: the circumstances of a run as evidence has them."""

from typing import Literal

from pydantic import Field

from restoreproof.evidence_base import Duration, Record
from restoreproof.signature_level import Level


class Objectives(Record):
    """What the policy promises about loss and recovery time."""

    rpo: Duration = Field(alias="rpo_seconds")
    rto: Duration = Field(alias="rto_seconds")
    restore_test_every: Duration = Field(alias="restore_test_every_seconds")


class PolicyRecord(Record):
    """Which policy was audited."""

    file: str
    sha256: str
    estate: str
    owner: str
    objectives: Objectives
    restoration_criteria: tuple[str, ...] = ()
    frameworks: tuple[str, ...] = ()
    """Frameworks of controls that the report maps its checks to."""
    paper: Literal["A4", "letter"] = "A4"
    classification: str = ""
    """Who may read the report, in the organisation's own words."""
    signature_level: Level = Level.B
    """The PAdES level that the report is to be signed at, and no lower one."""


class Package(Record):
    """A library that took part."""

    name: str
    version: str


class ImageRecord(Record):
    """A container image that took part."""

    reference: str
    identifier: str
    origin: str
    repository_digest: str | None = None


class Environment(Record):
    """What the run ran with, so that it can be repeated."""

    restoreproof_version: str
    source_commit: str | None
    suites_sha256: str
    python_version: str
    platform: str
    docker_engine: str
    clock: str
    operator: str = ""
    """Who ran the audit: the account and machine, and the pipeline if one did."""
    packages: tuple[Package, ...]
    images: tuple[ImageRecord, ...]
    servers_left: int | None = None
    """Throwaway servers of the run that were still there at its end; None if nobody could tell."""
