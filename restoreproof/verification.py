"""Decide whether a report is authentic: signed whole, by whom we trust, over sealed evidence.

Strict where PDF viewers are lenient: exactly one signature, over the entire file, that
certifies it and allows no change, by a signer for whom the given authorities vouch at this
instant; exactly one attached evidence whose seal matches, and whose run, verdict and seal
are those that the document names. Whatever goes wrong on the way, the answer is no.

What it cannot say: when the report was signed (level B-B carries the signer's own claim), and
whether the signer's certificate was revoked.
"""

import hashlib
import io
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from pyhanko.keys import load_certs_from_pemder_data
from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.diff_analysis import ModificationLevel
from pyhanko.sign.fields import MDPPerm, SigSeedSubFilter
from pyhanko.sign.validation import read_certification_data, validate_pdf_signature
from pyhanko.sign.validation.pdf_embedded import EmbeddedPdfSignature
from pyhanko.sign.validation.status import PdfSignatureStatus, SignatureCoverageLevel
from pyhanko_certvalidator import ValidationContext

from restoreproof import wording
from restoreproof.errors import UserError, one_line
from restoreproof.evidence import Evidence, parse
from restoreproof.signing import FIELD
from restoreproof.wording import ATTACHMENT, LEVEL

# A name tree of ours is one level deep; more than this is an attack on the reader.
DEEPEST_NAME_TREE = 8


class NotAuthentic(Exception):
    """The report must not be trusted. ``str()`` is the reason in one line."""

    def __init__(self, reason: str) -> None:
        super().__init__(one_line(reason))


@dataclass(frozen=True)
class Authenticity:
    """What was proved about a report."""

    signer: str
    signer_fingerprint: str
    certificate: x509.Certificate
    signed_at: datetime
    level: str
    file_sha256: str
    evidence: Evidence


def load_trust(path: Path) -> tuple[x509.Certificate, ...]:
    """The certificates in a PEM file. Raise UserError if there is none to be read."""
    mend = "give the certificate of the authority that vouches for the signer, as PEM (ca.pem)"
    try:
        content = path.read_bytes()
    except OSError as error:
        problem = f"the trusted certificate cannot be read: {error.strerror}"
        raise UserError(problem, where=str(path), mend=mend) from None
    if b"-----BEGIN CERTIFICATE-----" not in content:
        raise UserError("there is no PEM certificate in the file", where=str(path), mend=mend)
    try:
        return tuple(x509.load_pem_x509_certificates(content))
    except ValueError:
        problem = "a certificate in the file is damaged"
        raise UserError(problem, where=str(path), mend=mend) from None


def verify(pdf: bytes, trust: Sequence[x509.Certificate], *, now: datetime) -> Authenticity:
    """Prove that a report is authentic at this instant. Raise NotAuthentic with the reason."""
    logging.getLogger("pyhanko").setLevel(logging.CRITICAL)
    logging.getLogger("pyhanko_certvalidator").setLevel(logging.CRITICAL)
    try:
        reader = PdfFileReader(io.BytesIO(pdf))
        signature = _only_signature(reader)
        status = _checked_signature(reader, signature, trust, now)
        evidence = _attached_evidence(reader)
        _require_same_run(reader, evidence)
        return Authenticity(
            signer=status.signing_cert.subject.human_friendly,
            signer_fingerprint=status.signing_cert.sha256.hex(),
            certificate=x509.load_der_x509_certificate(status.signing_cert.dump()),
            signed_at=_claimed_time(status),
            level=LEVEL,
            file_sha256=hashlib.sha256(pdf).hexdigest(),
            evidence=evidence,
        )
    except NotAuthentic:
        raise
    except Exception as error:  # noqa: BLE001 -- over a hostile file validators raise anything
        detail = str(error).split("\n", 1)[0][:200]
        raise NotAuthentic(f"it cannot be verified: {type(error).__name__}: {detail}") from None


def _only_signature(reader: PdfFileReader) -> EmbeddedPdfSignature:
    signatures: list[EmbeddedPdfSignature] = list(reader.embedded_signatures)
    if not signatures:
        raise NotAuthentic("the file is not signed")
    if [signature.field_name for signature in signatures] != [FIELD]:
        raise NotAuthentic("the file does not carry exactly one signature of a report")
    return signatures[0]


def _checked_signature(
    reader: PdfFileReader,
    signature: EmbeddedPdfSignature,
    trust: Sequence[x509.Certificate],
    now: datetime,
) -> PdfSignatureStatus:
    # Coverage comes first: it is cheap, and it keeps files with later revisions away from
    # pyHanko's comparison of revisions, which takes half a minute on a tagged file.
    if signature.evaluate_signature_coverage() is not SignatureCoverageLevel.ENTIRE_FILE:
        raise NotAuthentic("the signature does not cover the entire file: it was changed after")
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
    if not trust:
        raise NotAuthentic("no authority is trusted, so no signer is")

    status = validate_pdf_signature(signature, _context(trust, now), _context(trust, now))
    if not status.intact:
        raise NotAuthentic("the content is not what was signed: it was changed after")
    if not status.valid:
        raise NotAuthentic("the signature does not fit the signer's key")
    if not status.trusted:
        raise NotAuthentic(_why_untrusted(status, now))
    if not status.bottom_line or status.modification_level is not ModificationLevel.NONE:
        raise NotAuthentic(f"the signature is not acceptable: {status.summary()}")
    return status


def _context(trust: Sequence[x509.Certificate], now: datetime) -> ValidationContext:
    encoded = b"".join(certificate.public_bytes(Encoding.PEM) for certificate in trust)
    roots = list(load_certs_from_pemder_data(encoded))
    return ValidationContext(trust_roots=roots, moment=now, allow_fetching=False)


def _why_untrusted(status: PdfSignatureStatus, now: datetime) -> str:
    certificate = status.signing_cert
    end = certificate.not_valid_after
    if now > end:
        return f"the signer's certificate expired on {wording.instant(end)}"
    if now < certificate.not_valid_before:
        begin = certificate.not_valid_before
        return f"the signer's certificate is not valid before {wording.instant(begin)}"
    subject = wording.printable(certificate.subject.human_friendly)
    return f"no trusted authority vouches for the signer ({subject})"


def _claimed_time(status: PdfSignatureStatus) -> datetime:
    claimed = status.signer_reported_dt
    if claimed is None:
        raise NotAuthentic("the signature does not say when it was made")
    return claimed.astimezone(UTC)


def _attached_evidence(reader: PdfFileReader) -> Evidence:
    attached = [
        file
        for name, file in _attachments(reader)
        if ATTACHMENT in {name, file.get("/F"), file.get("/UF")}
    ]
    if len(attached) != 1:
        raise NotAuthentic(f"{len(attached)} attachments named {ATTACHMENT}, not exactly one")
    content: bytes = attached[0]["/EF"]["/F"].data
    try:
        evidence = parse(content, where=ATTACHMENT)
    except UserError as error:
        raise NotAuthentic(f"the attached evidence is not sound: {error.what}") from None
    if evidence.canonical() != content:
        raise NotAuthentic("the attached evidence is not canonical, so its seal is ambiguous")
    return evidence


def _attachments(reader: PdfFileReader) -> Iterator[tuple[str, generic.DictionaryObject]]:
    names = reader.root.get("/Names", {})
    if "/EmbeddedFiles" in names:
        yield from _name_tree(names["/EmbeddedFiles"], DEEPEST_NAME_TREE)


def _name_tree(
    node: generic.DictionaryObject, depth: int
) -> Iterator[tuple[str, generic.DictionaryObject]]:
    if depth == 0:
        raise NotAuthentic("the list of attachments is nested too deep")
    flat = node.get("/Names", [])
    for index in range(0, len(flat), 2):
        yield str(flat[index]), flat[index + 1]
    for kid in node.get("/Kids", []):
        yield from _name_tree(kid, depth - 1)


def _require_same_run(reader: PdfFileReader, evidence: Evidence) -> None:
    information = reader.trailer["/Info"]
    if str(information.get("/Keywords", "")) != wording.keywords(evidence):
        raise NotAuthentic("the report names another run, verdict or seal than its evidence")
