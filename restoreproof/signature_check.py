"""Judge the signature of a report, whichever level it has; strict where PDF viewers are lenient.

Exactly one signature, which certifies the file and allows no change. At B-B and B-T it covers the
entire file. At B-LTA it is followed by one time stamp, which does, and by nothing else.
"""

import asyncio
import io
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from asn1crypto import cms, crl
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.ades.report import AdESPassed
from pyhanko.sign.diff_analysis import ModificationLevel
from pyhanko.sign.fields import MDPPerm, SigSeedSubFilter
from pyhanko.sign.validation import read_certification_data, validate_pdf_signature
from pyhanko.sign.validation.ades import ades_lta_validation
from pyhanko.sign.validation.generic_cms import extract_tst_data_iter
from pyhanko.sign.validation.pdf_embedded import EmbeddedPdfSignature
from pyhanko.sign.validation.policy_decl import (
    LocalKnowledge,
    PdfSignatureValidationSpec,
    RevinfoOnlineFetchingRule,
    RevocationInfoGatheringSpec,
    SignatureValidationSpec,
)
from pyhanko.sign.validation.status import PdfSignatureStatus, SignatureCoverageLevel
from pyhanko_certvalidator import ValidationContext
from pyhanko_certvalidator.context import CertValidationPolicySpec
from pyhanko_certvalidator.ltv.types import ValidationTimingInfo
from pyhanko_certvalidator.policy_decl import (
    CertRevTrustPolicy,
    NonRevokedStatusAssertion,
    RevocationCheckingPolicy,
)
from pyhanko_certvalidator.registry import SimpleTrustManager
from pyhanko_certvalidator.revinfo.archival import CRLContainer

from restoreproof import past_time, wording
from restoreproof.errors import one_line
from restoreproof.identities import converted
from restoreproof.signature_level import Level
from restoreproof.signing import FIELD, TIMESTAMP_FIELD

CLOCKS_DIFFER = timedelta(minutes=5)
"""How far a time stamp may lie in the future of the reader's clock."""


class NotAuthentic(Exception):
    """The report must not be trusted. ``str()`` is the reason in one line."""

    def __init__(self, reason: str) -> None:
        super().__init__(one_line(reason))


@dataclass(frozen=True)
class Trust:
    """Whom a reader trusts: for signatures, for time stamps, and whose lists of revocations."""

    signers: tuple[x509.Certificate, ...]
    timestamps: tuple[x509.Certificate, ...] = ()
    lists: tuple[crl.CertificateList, ...] = ()


@dataclass(frozen=True)
class SignatureFound:
    """What is proven about a signature. ``stamped_at`` is the time that an authority vouches for.

    ``revocation`` says how it is known that nobody had revoked the signer; empty if it is not.
    """

    signer: str
    certificate: x509.Certificate
    claimed_at: datetime
    level: Level
    stamped_at: datetime | None
    stamped_by: str
    revocation: str

    @property
    def fingerprint(self) -> str:
        """Lower-case hex SHA-256 of the signer's certificate."""
        return self.certificate.fingerprint(hashes.SHA256()).hex()


def check_signature(reader: PdfFileReader, trust: Trust, now: datetime) -> SignatureFound:
    """Judge the one signature of a report at this instant. Raise NotAuthentic."""
    signature, stamp = _signatures(reader)
    # Coverage comes first: it is cheap, and it keeps files with later revisions away from
    # pyHanko's comparison of revisions, which can take half a minute.
    if (stamp or signature).evaluate_signature_coverage() is not SignatureCoverageLevel.ENTIRE_FILE:
        raise NotAuthentic("the signature does not cover the entire file: it was changed after")
    _require_certified(reader, signature)
    _require_no_room(signature)
    if not trust.signers:
        raise NotAuthentic("no authority is trusted, so no signer is")
    if stamp is not None:
        _require_same_metadata(reader, signature)
        return _archived(signature, stamp, trust, now)
    return _plain(signature, trust, now)


def _signatures(
    reader: PdfFileReader,
) -> tuple[EmbeddedPdfSignature, EmbeddedPdfSignature | None]:
    found: list[EmbeddedPdfSignature] = list(reader.embedded_signatures)
    if not found:
        raise NotAuthentic("the file is not signed")
    names = [one.field_name for one in found]
    kinds = [one.sig_object_type for one in found]
    if names == [FIELD] and kinds == ["/Sig"]:
        return found[0], None
    if names == [FIELD, TIMESTAMP_FIELD] and kinds == ["/Sig", "/DocTimeStamp"]:
        return found[0], found[1]
    raise NotAuthentic("the file does not carry exactly one signature of a report")


def _require_certified(reader: PdfFileReader, signature: EmbeddedPdfSignature) -> None:
    certification = read_certification_data(reader)
    if (
        certification is None
        or certification.author_sig is not signature.sig_object
        or certification.permission is not MDPPerm.NO_CHANGES
        or signature.docmdp_level is not MDPPerm.NO_CHANGES
    ):
        raise NotAuthentic("the signature does not certify the file against every change")
    if signature.sig_object["/SubFilter"] != SigSeedSubFilter.PADES.value:
        raise NotAuthentic("the signature is not a PAdES signature")


def _require_no_room(signature: EmbeddedPdfSignature) -> None:
    """What no signature covers, since it is kept free for the signature itself, must be empty."""
    contents = bytes(signature.pkcs7_content)
    length = len(cms.ContentInfo.load(contents).dump())
    if any(contents[length:]):
        raise NotAuthentic("something was put behind the signature, where none covers it")


def _require_same_metadata(reader: PdfFileReader, signature: EmbeddedPdfSignature) -> None:
    """What a time stamp may come with leaves the document's title and metadata alone."""
    _, _, begin, length = signature.sig_object["/ByteRange"]
    reader.stream.seek(0)
    content = reader.stream.read()
    # Readers of their own: pyHanko cannot compare revisions once metadata were looked at.
    now, then = (PdfFileReader(io.BytesIO(part)) for part in (content, content[: begin + length]))
    if (
        then.trailer["/Info"] != now.trailer["/Info"]
        or then.root["/Metadata"].data != now.root["/Metadata"].data
    ):
        raise NotAuthentic("the metadata were changed after the signature")


def _plain(signature: EmbeddedPdfSignature, trust: Trust, now: datetime) -> SignatureFound:
    """A signature of level B-B, or B-T, which is judged at the instant of its time stamp."""
    token = next(extract_tst_data_iter(signature.signer_info, signed=False), None)
    level = Level.T if token is not None else Level.B
    if token is not None and not trust.timestamps:
        raise NotAuthentic(
            f"its level is {level}, and no authority is trusted for time stamps"
            " (--trust-timestamps)"
        )
    moment = now if token is None else _time_of(token)
    status = validate_pdf_signature(
        signature,
        _context(trust.signers, moment, trust.lists, require=bool(trust.lists)),
        _context(trust.timestamps, now, trust.lists, require=False),
    )
    _require_sound(status)
    if not status.trusted:
        raise NotAuthentic(_why_untrusted(status, moment, trust))
    stamp = status.timestamp_validity
    if token is not None and not (stamp and stamp.intact and stamp.valid and stamp.trusted):
        raise NotAuthentic("no trusted authority vouches for its time stamp")
    if moment > now + CLOCKS_DIFFER:
        raise NotAuthentic(f"its time stamp is of the future: {wording.instant(moment)}")
    if not status.bottom_line or status.modification_level is not ModificationLevel.NONE:
        raise NotAuthentic(f"the signature is not acceptable: {status.summary()}")
    newest = max((one["tbs_cert_list"]["this_update"].native for one in trust.lists), default=None)
    told = f"not in the lists given, the newest of {wording.instant(newest)}" if newest else ""
    return _found(signature, status, level, told)


def _archived(
    signature: EmbeddedPdfSignature, stamp: EmbeddedPdfSignature, trust: Trust, now: datetime
) -> SignatureFound:
    """A signature of level B-LTA, which is judged by what the report itself carries.

    It cannot carry that nobody revoked the authority that stamped it last: that is taken as given,
    as it is of a time stamp at B-T.
    """
    if not trust.timestamps:
        raise NotAuthentic(
            f"its level is {Level.LTA}, and no authority is trusted for time stamps"
            " (--trust-timestamps)"
        )
    spec = SignatureValidationSpec(
        cert_validation_policy=_lasting(trust.signers),
        ts_cert_validation_policy=_lasting(trust.timestamps),
        revinfo_gathering_policy=RevocationInfoGatheringSpec(
            online_fetching_rule=RevinfoOnlineFetchingRule.LOCAL_ONLY
        ),
        # pyHanko finds who made a revocation list among the certificates that it was told of.
        local_knowledge=LocalKnowledge(
            known_crls=[CRLContainer(one) for one in trust.lists],
            known_certs=converted([*trust.signers, *trust.timestamps]),
            nonrevoked_assertions=[NonRevokedStatusAssertion(stamp.signer_cert.sha256, at=now)],
        ),
    )
    timing = ValidationTimingInfo(
        validation_time=now, best_signature_time=now, point_in_time_validation=True
    )
    with past_time.mended():
        result = asyncio.run(
            ades_lta_validation(signature, PdfSignatureValidationSpec(spec), timing_info=timing)
        )
    status = result.api_status
    if status is None:
        raise NotAuthentic(f"it cannot be judged: {result.failure_msg}")
    _require_sound(status)
    if not status.docmdp_ok or status.modification_level > ModificationLevel.LTA_UPDATES:
        raise NotAuthentic("the document was changed after the signature")
    if result.ades_subindic is not AdESPassed.OK or not status.bottom_line:
        told = result.failure_msg or result.ades_subindic.standard_name
        raise NotAuthentic(f"{_why_untrusted(status, now, trust)}: {told}")
    if result.oldest_evidence_record_timestamp is None:
        raise NotAuthentic("no trusted authority vouches for its time stamp")
    return _found(signature, status, Level.LTA, "not revoked then, by what the report carries")


def _found(
    signature: EmbeddedPdfSignature, status: PdfSignatureStatus, level: Level, revocation: str
) -> SignatureFound:
    claimed = signature.self_reported_timestamp
    if claimed is None:
        raise NotAuthentic("the signature does not say when it was made")
    stamp = status.timestamp_validity
    return SignatureFound(
        signer=status.signing_cert.subject.human_friendly,
        certificate=x509.load_der_x509_certificate(status.signing_cert.dump()),
        claimed_at=claimed.astimezone(UTC),
        level=level,
        stamped_at=stamp.timestamp.astimezone(UTC) if stamp else None,
        stamped_by=stamp.signing_cert.subject.human_friendly if stamp else "",
        revocation=revocation,
    )


def _require_sound(status: PdfSignatureStatus) -> None:
    if not status.intact:
        raise NotAuthentic("the content is not what was signed: it was changed after")
    if not status.valid:
        raise NotAuthentic("the signature does not fit the signer's key")


def _time_of(token: cms.SignedData) -> datetime:
    at: datetime = token["encap_content_info"]["content"].parsed["gen_time"].native
    return at


def _context(
    trust: Sequence[x509.Certificate],
    moment: datetime,
    lists: Sequence[crl.CertificateList],
    *,
    require: bool,
) -> ValidationContext:
    return ValidationContext(
        trust_roots=converted(trust),
        moment=moment,
        allow_fetching=False,
        crls=list(lists),
        revocation_mode="require" if require else "soft-fail",
        # A list that is newer than the time stamp says when a signer was revoked.
        retroactive_revinfo=True,
    )


def _lasting(trust: Sequence[x509.Certificate]) -> CertValidationPolicySpec:
    return CertValidationPolicySpec(
        trust_manager=SimpleTrustManager.build(trust_roots=converted(trust)),
        revinfo_policy=CertRevTrustPolicy(RevocationCheckingPolicy.from_legacy("require")),
    )


def _why_untrusted(status: PdfSignatureStatus, now: datetime, trust: Trust) -> str:
    certificate = status.signing_cert
    end = certificate.not_valid_after
    subject = wording.printable(certificate.subject.human_friendly)
    details = status.revocation_details
    if details is not None:
        return f"the signer ({subject}) was revoked on {wording.instant(details.revocation_date)}"
    if now > end:
        return f"the signer's certificate expired on {wording.instant(end)}"
    if now < certificate.not_valid_before:
        begin = certificate.not_valid_before
        return f"the signer's certificate is not valid before {wording.instant(begin)}"
    lists = " as not revoked by the lists given" if trust.lists else ""
    return f"no trusted authority vouches for the signer ({subject}){lists}"
