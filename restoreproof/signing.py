"""Sign a report: PAdES, certified, no change allowed after; at the level asked for or not at all.

At level B-B the time in the signature is the signer's own claim. At B-T a time-stamping authority
says when the signature was there. At B-LTA the report also carries that nobody had revoked the
signer then, under a time stamp over the whole document.
"""

import asyncio
import io
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import datetime

from asn1crypto import cms, crl
from cryptography import x509
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.pdf_utils.writer import BasePdfFileWriter
from pyhanko.sign import signers
from pyhanko.sign.fields import MDPPerm, SigFieldSpec, SigSeedSubFilter
from pyhanko.sign.signers.pdf_signer import (
    DSSContentSettings,
    PdfSigningSession,
    PdfTimeStamper,
    SigDSSPlacementPreference,
)
from pyhanko.sign.timestamps.requests_client import RequestsHTTPTimeStamper
from pyhanko_certvalidator import ValidationContext

from restoreproof.errors import RestoreProofError, SigningFailed
from restoreproof.identities import Identity, load_identity
from restoreproof.keygen import LIFETIME, IdentityFiles, create_identity
from restoreproof.revocation import SIGNS_DOCUMENTS, asking_context
from restoreproof.signature_level import Level

__all__ = [
    "FIELD", "LIFETIME", "PLAIN", "TIMESTAMP_FIELD", "Identity", "IdentityFiles", "Means",
    "TimestampAuthority", "create_identity", "load_identity", "sign",
]  # fmt: skip

FIELD = "ReportSignature"
TIMESTAMP_FIELD = "ReportTimestamp"
TIMEOUT_SECONDS = 20


@dataclass(frozen=True)
class TimestampAuthority:
    """Who says what time it is (RFC 3161), and who vouches for that."""

    url: str
    trust: tuple[x509.Certificate, ...]


@dataclass(frozen=True)
class Means:
    """What there is besides the key: who stamps times, and which revocation lists are at hand."""

    level: Level = Level.B
    timestamps: TimestampAuthority | None = None
    lists: tuple[crl.CertificateList, ...] = field(default=(), repr=False)

    @property
    def timestamp_trust(self) -> tuple[x509.Certificate, ...]:
        """Who is trusted for time stamps."""
        return self.timestamps.trust if self.timestamps else ()


PLAIN = Means()


def sign(pdf: bytes, identity: Identity, *, now: datetime, means: Means = PLAIN) -> bytes:
    """Certify a PDF so that no change to it is allowed.

    The field is invisible: a visible stamp proves nothing to the eye, and its font would have
    to be embedded anew for the file to stay PDF/A. Raise IdentityUnusable if the identity is out
    of its time, SigningFailed if the level cannot be had: none is ever lowered.
    """
    identity.require_valid(now)
    timestamper = _timestamper(means)
    try:
        return asyncio.run(_signed(pdf, identity, now, means, timestamper))
    except RestoreProofError:
        raise
    except Exception as error:  # validators and fetchers raise anything
        told = ": ".join(str(one) for one in (error, error.__cause__) if one)
        problem = f"no signature of level {means.level} could be made: {told}"
        mend = "mend the cause, or have the policy promise another level"
        raise SigningFailed(problem, where=identity.source, mend=mend) from error


async def _signed(
    pdf: bytes,
    identity: Identity,
    now: datetime,
    means: Means,
    timestamper: "_Timestamper | None",
) -> bytes:
    if means.level is not Level.LTA:
        return await _certified(pdf, identity, now, timestamper, None)
    assert timestamper is not None
    trust = (*identity.trust, *means.timestamp_trust)
    context = asking_context(trust, now, means.lists, proven=True)
    async with aclosing(context):
        signed = await _certified(pdf, identity, now, timestamper, context)
        stamped: io.BytesIO = await PdfTimeStamper(
            timestamper, field_name=TIMESTAMP_FIELD, readable_field_name="Time stamp of the report"
        ).async_timestamp_pdf(_QuietWriter(io.BytesIO(signed)), "sha256", embed_roots=False)
    return stamped.getvalue()


async def _certified(
    pdf: bytes,
    identity: Identity,
    now: datetime,
    timestamper: "_Timestamper | None",
    context: ValidationContext | None,
) -> bytes:
    # What tells of revocation goes under the signature itself, so that nothing but a time stamp
    # ever follows it.
    together = DSSContentSettings(
        include_vri=False, placement=SigDSSPlacementPreference.TOGETHER_WITH_SIGNATURE
    )
    metadata = signers.PdfSignatureMetadata(
        field_name=FIELD,
        subfilter=SigSeedSubFilter.PADES,
        md_algorithm="sha256",
        certify=True,
        docmdp_permissions=MDPPerm.NO_CHANGES,
        signer_key_usage=SIGNS_DOCUMENTS,
        validation_context=context,
        embed_validation_info=context is not None,
        dss_settings=together,
    )
    spec = SigFieldSpec(FIELD, readable_field_name="Digital signature of the report")
    signer = _ClockedSigner(metadata, identity.signer, timestamper=timestamper, new_field_spec=spec)
    signer.signing_time = now
    signed: io.BytesIO = await signer.async_sign_pdf(_QuietWriter(io.BytesIO(pdf)))
    return signed.getvalue()


def _timestamper(means: Means) -> "_Timestamper | None":
    if not means.level.needs_timestamps:
        return None
    if means.timestamps is None:
        problem = f"level {means.level} needs a time-stamping authority, and none is named"
        mend = "name one in the policy: signing.timestamp with url and trust"
        raise SigningFailed(problem, mend=mend)
    return _Timestamper(means.timestamps.url, means.level)


class _Timestamper(RequestsHTTPTimeStamper):
    """Asks a time-stamping authority; whatever goes wrong there is one line."""

    def __init__(self, url: str, level: Level) -> None:
        super().__init__(url, timeout=TIMEOUT_SECONDS)  # type: ignore[no-untyped-call]
        self.level = level

    async def async_timestamp(self, message_digest: bytes, md_algorithm: str) -> cms.ContentInfo:
        try:
            return await super().async_timestamp(message_digest, md_algorithm)
        except Exception as error:  # noqa: BLE001  # an answer that is none breaks anything
            reason = error.__cause__ or error
            problem = (
                f"the time-stamping authority gave no time stamp ({type(reason).__name__}),"
                f" and level {self.level} is not lowered"
            )
            mend = "see that it answers"
            raise SigningFailed(problem, where=self.url, mend=mend) from None


class _ClockedSigner(signers.PdfSigner):
    """Signs at a time that is given, where pyHanko would look at the clock."""

    signing_time: datetime

    def init_signing_session(
        self, pdf_out: BasePdfFileWriter, existing_fields_only: bool = False
    ) -> PdfSigningSession:
        session = super().init_signing_session(pdf_out, existing_fields_only)
        session.system_time = self.signing_time
        return session


class _QuietWriter(IncrementalPdfFileWriter):
    """Leaves the metadata alone, where pyHanko would put the clock's time into it."""

    def _update_meta(self) -> None:
        pass
