"""Decide whether a report is authentic: signed whole, by whom we trust, over sealed evidence.

The signature must be acceptable and of the level that the report says, and there must be exactly
one attached evidence whose seal matches, and whose run, verdict and seal are those that the
document names. Whatever goes wrong on the way, the answer is no.
"""

import hashlib
import io
import json
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import rfc8785
from asn1crypto import crl
from cryptography import x509
from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.reader import PdfFileReader

from restoreproof import wording
from restoreproof.errors import UserError
from restoreproof.evidence import Evidence, parse
from restoreproof.signature_check import NotAuthentic, SignatureFound, Trust, check_signature
from restoreproof.wording import ATTACHMENT

__all__ = ["Authenticity", "NotAuthentic", "load_trust", "verify"]

# A name tree of ours is one level deep; more than this is an attack on the reader.
DEEPEST_NAME_TREE = 8
CLOCKS_DIFFER = timedelta(minutes=5)
"""How far the clocks of the run and of who dates the signature may be apart."""


@dataclass(frozen=True)
class Authenticity:
    """What was proved about a report."""

    signature: SignatureFound
    file_sha256: str
    evidence: Evidence
    attached: bytes
    """The evidence as it is attached, which is what its seal is over."""

    @property
    def signed_at(self) -> datetime:
        """When it was signed: by an authority's time stamp, or by the signer's own word."""
        return self.signature.stamped_at or self.signature.claimed_at


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


def verify(
    pdf: bytes,
    trust: Sequence[x509.Certificate],
    *,
    now: datetime,
    timestamp_trust: Sequence[x509.Certificate] = (),
    lists: Sequence[crl.CertificateList] = (),
) -> Authenticity:
    """Prove that a report is authentic at this instant. Raise NotAuthentic with the reason.

    ``lists`` are revocation lists, of which one must then vouch for the signer.
    """
    logging.getLogger("pyhanko").setLevel(logging.CRITICAL)
    logging.getLogger("pyhanko_certvalidator").setLevel(logging.CRITICAL)
    whom = Trust(tuple(trust), tuple(timestamp_trust), tuple(lists))
    try:
        reader = PdfFileReader(io.BytesIO(pdf))
        signature = check_signature(reader, whom, now)
        evidence, attached = _attached_evidence(reader)
        _require_same_run(reader, evidence)
        _require_as_promised(signature, evidence)
        return Authenticity(signature, hashlib.sha256(pdf).hexdigest(), evidence, attached)
    except NotAuthentic:
        raise
    except Exception as error:  # noqa: BLE001 -- over a hostile file validators raise anything
        detail = str(error).split("\n", 1)[0][:200]
        raise NotAuthentic(f"it cannot be verified: {type(error).__name__}: {detail}") from None


def _attached_evidence(reader: PdfFileReader) -> tuple[Evidence, bytes]:
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
    # Of the bytes as they are: a later version of ours may know members that these do not have.
    if rfc8785.dumps(json.loads(content)) != content:
        raise NotAuthentic("the attached evidence is not canonical, so its seal is ambiguous")
    return evidence, content


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


def _require_as_promised(signature: SignatureFound, evidence: Evidence) -> None:
    promised = evidence.policy.signature_level
    if signature.level is not promised:
        raise NotAuthentic(f"the report says level {promised}, and is signed at {signature.level}")
    ended = evidence.run.finished_at
    for at in (signature.claimed_at, signature.stamped_at):
        if at is not None and at < ended - CLOCKS_DIFFER:
            raise NotAuthentic(
                f"it was signed on {wording.instant(at)}, before its run ended"
                f" ({wording.instant(ended)})"
            )
