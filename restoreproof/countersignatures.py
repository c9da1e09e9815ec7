"""A second signature, by the person who reviewed a report: detached, and beside the report.

The report's own signature allows no change at all, not even another signature inside: a form that
may be filled in could be filled in with something else too. So a reviewer signs the file as it is,
to its last byte, and what is signed stays what it was. The file is CAdES, which openssl reads:

    openssl cms -verify -binary -inform DER -in countersignature-*.p7s -content report.pdf \\
        -CAfile reviewers.pem -purpose any -out /dev/null
"""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from asn1crypto import cms
from cryptography import x509
from pyhanko.sign.ades.api import CAdESSignedAttrSpec, GenericCommitment
from pyhanko.sign.signers.pdf_cms import PdfCMSSignedAttributes
from pyhanko.sign.validation.generic_cms import async_validate_detached_cms
from pyhanko_certvalidator import ValidationContext

from restoreproof.errors import OutputUnwritable, UserError, one_line
from restoreproof.identities import Identity, converted
from restoreproof.proofs import Proof, failed, proved
from restoreproof.storage import write_once
from restoreproof.wording import instant, printable

PATTERN = "countersignature-*.p7s"
ABOUT = "countersignature"


@dataclass(frozen=True)
class Countersigned:
    """Who else signed a report, and when by his own word."""

    signer: str
    fingerprint: str
    claimed_at: datetime


def countersign(report: Path, pdf: bytes, identity: Identity, *, now: datetime) -> Path:
    """Write a reviewer's signature over a report beside it, once. Raise UserError."""
    path = report.with_name(f"countersignature-{identity.fingerprint[:12]}.p7s")
    approval = CAdESSignedAttrSpec(commitment_type=GenericCommitment.PROOF_OF_APPROVAL.asn1)
    attributes = PdfCMSSignedAttributes(signing_time=now, cades_signed_attrs=approval)
    signed = asyncio.run(
        identity.signer.async_sign_general_data(
            pdf, "sha256", use_cades=True, signed_attr_settings=attributes
        )
    )
    try:
        write_once(path, signed.dump())
    except FileExistsError:
        mend = "one signature a reviewer is enough"
        raise UserError("there is a countersignature already", where=str(path), mend=mend) from None
    except OSError as error:
        mend = "put the report into a folder that this user may write"
        raise OutputUnwritable(f"{error.strerror}", where=str(path), mend=mend) from None
    return path


def check_countersignatures(
    report: Path, pdf: bytes, signer: str, trust: Sequence[x509.Certificate], now: datetime
) -> list[Proof]:
    """What each countersignature beside a report is worth. ``signer`` is the report's own."""
    return [_check(path, pdf, signer, trust, now) for path in sorted(report.parent.glob(PATTERN))]


def _check(
    path: Path, pdf: bytes, signer: str, trust: Sequence[x509.Certificate], now: datetime
) -> Proof:
    logging.getLogger("pyhanko").setLevel(logging.CRITICAL)
    try:
        found = asyncio.run(_checked(path.read_bytes(), pdf, trust, now))
    except Exception as error:  # noqa: BLE001 -- over a hostile file validators raise anything
        return failed(ABOUT, f"{path.name}: {one_line(str(error))[:200]}")
    if found.fingerprint == signer:
        return failed(ABOUT, f"{path.name} is by the one who signed the report")
    who = f"{printable(found.signer)} (certificate SHA-256 {found.fingerprint})"
    return proved(
        ABOUT, f"every byte of the file, by {who}, {instant(found.claimed_at)} by his own clock"
    )


async def _checked(
    content: bytes, pdf: bytes, trust: Sequence[x509.Certificate], now: datetime
) -> Countersigned:
    signed = cms.ContentInfo.load(content, strict=True)["content"]
    context = ValidationContext(trust_roots=converted(trust), moment=now, allow_fetching=False)
    status = await async_validate_detached_cms(pdf, signed, signer_validation_context=context)
    if not status.intact or not status.valid:
        raise ValueError("it is not over this report")
    if not status.trusted:
        raise ValueError("no trusted authority vouches for who signed it (--trust-reviewers)")
    claimed = status.signer_reported_dt
    if claimed is None:
        raise ValueError("it does not say when it was made")
    certificate = status.signing_cert
    return Countersigned(
        certificate.subject.human_friendly, certificate.sha256.hex(), claimed.astimezone(UTC)
    )
