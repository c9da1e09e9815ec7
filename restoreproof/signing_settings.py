"""The ``signing:`` section of a policy: which key signs reports, at which level, who says when."""

from pydantic import Field, model_validator

from restoreproof.references import Secret, SourceModel
from restoreproof.signature_level import Level


class Token(SourceModel):
    """A key in a token or hardware security module: labels, and the library that speaks to it."""

    module: str
    token: str
    key: str
    pin: Secret


class KeyService(SourceModel):
    """A key that a function of the organisation's own has sign: ``module:function``."""

    sign: str = Field(pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$")
    key: str


class Timestamp(SourceModel):
    """A time-stamping authority (RFC 3161), and the file of certificates that vouch for it.

    It stamps signatures above level B-B, and at every level the ledger's newest entry.
    """

    url: str = Field(pattern=r"^https?://")
    trust: str


class Signing(SourceModel):
    """The identity that signs reports, and the level of its signatures.

    One of ``identity`` (PKCS#12 or PEM), ``pkcs11`` and ``kms``. ``certificates`` is a PEM file
    with the signer's certificate first, then those of its authorities; ``revocation_lists`` are
    CRLs that lie here.
    """

    identity: str | None = None
    passphrase: Secret | None = None
    pkcs11: Token | None = None
    kms: KeyService | None = None
    certificates: str | None = None
    level: Level | None = None
    timestamp: Timestamp | None = None
    revocation_lists: tuple[str, ...] = ()

    @property
    def wanted_level(self) -> Level:
        """The level that was asked for, or what the policy's means give."""
        return self.level or (Level.T if self.timestamp else Level.B)

    @model_validator(mode="after")
    def _one_key(self) -> "Signing":
        if sum(one is not None for one in (self.identity, self.pkcs11, self.kms)) != 1:
            raise ValueError("give exactly one of identity, pkcs11 and kms")
        if self.identity is None and self.certificates is None:
            raise ValueError("add 'certificates:', a PEM file with the signer's certificate first")
        if self.identity is None and self.passphrase is not None:
            raise ValueError("only an identity in a file has a passphrase")
        return self

    @model_validator(mode="after")
    def _means_for_level(self) -> "Signing":
        if self.level and self.level.needs_timestamps and not self.timestamp:
            raise ValueError(f"level {self.level} needs 'timestamp:' with url and trust")
        return self
