"""Make a signing identity and sign a report: PAdES B-B, certified, no change allowed after.

An identity is a PKCS#12 file (``signer.p12``) and the certificate of the authority that
vouches for it (``ca.pem``), which is all that an auditor needs to have. The level is B-B: the
time in the signature is the signer's own claim, and the report says so.
"""

import asyncio
import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.pdf_utils.writer import BasePdfFileWriter
from pyhanko.sign import signers
from pyhanko.sign.fields import MDPPerm, SigFieldSpec, SigSeedSubFilter
from pyhanko.sign.signers.pdf_signer import PdfSigningSession

from restoreproof.errors import IdentityUnusable, OutputUnwritable
from restoreproof.storage import write_once

FIELD = "ReportSignature"
LIFETIME = timedelta(days=5 * 365)
CLOCK_TOLERANCE = timedelta(hours=1)

# RFC 9336 has a purpose for signing documents. NSS, and so pdfsig, does not know it, and calls
# a certificate without emailProtection "not approved".
DOCUMENT_SIGNING = x509.ObjectIdentifier("1.3.6.1.5.5.7.3.36")
PURPOSES = (DOCUMENT_SIGNING, ExtendedKeyUsageOID.EMAIL_PROTECTION)


@dataclass(frozen=True)
class IdentityFiles:
    """Where a new identity was written."""

    ca: Path
    signer: Path


@dataclass(frozen=True)
class Identity:
    """A key that signs, with its certificate and the certificates that vouch for it."""

    source: str
    certificate: x509.Certificate
    authorities: tuple[x509.Certificate, ...]
    signer: signers.SimpleSigner

    @property
    def trust(self) -> tuple[x509.Certificate, ...]:
        """What a reader has to trust: the authorities in the file, or the signer itself."""
        return self.authorities or (self.certificate,)

    @property
    def fingerprint(self) -> str:
        """Lower-case hex SHA-256 of the signer's certificate."""
        return self.certificate.fingerprint(hashes.SHA256()).hex()

    def sign_bytes(self, content: bytes) -> bytes:
        """A raw signature over content, with SHA-256."""
        signature: bytes = asyncio.run(self.signer.async_sign_raw(content, "sha256"))
        return signature

    def require_valid(self, now: datetime) -> None:
        """Raise IdentityUnusable if the certificate is not valid at this instant."""
        begin, end = self.certificate.not_valid_before_utc, self.certificate.not_valid_after_utc
        mend = "use a valid identity, or make one for trying out with: restoreproof keygen DIR"
        if now < begin:
            problem = f"the signer's certificate is not valid before {begin:%Y-%m-%d %H:%M} UTC"
            raise IdentityUnusable(problem, where=self.source, mend=mend)
        if now > end:
            problem = f"the signer's certificate expired on {end:%Y-%m-%d %H:%M} UTC"
            raise IdentityUnusable(problem, where=self.source, mend=mend)


@dataclass(frozen=True)
class TimestampAuthority:
    """Who says what time it is (RFC 3161), and who vouches for that."""

    url: str
    trust: tuple[x509.Certificate, ...]


def create_identity(folder: Path, passphrase: bytes, *, now: datetime) -> IdentityFiles:
    """Write a small authority and a signer into a folder, for trying out.

    The authority's private key is not kept, so it can never vouch for anybody else. Nothing
    is overwritten. Raise IdentityUnusable if an identity is there or the passphrase is empty,
    OutputUnwritable if the folder cannot be written.
    """
    files = IdentityFiles(ca=folder / "ca.pem", signer=folder / "signer.p12")
    if not passphrase:
        mend = "set a passphrase that is not empty"
        raise IdentityUnusable("the passphrase is empty", where=str(files.signer), mend=mend)
    for path in (files.ca, files.signer):
        if path.exists():
            mend = "choose another folder, or keep using this identity"
            raise IdentityUnusable("an identity is there already", where=str(path), mend=mend)

    authority, secret_file = _new_key_material(passphrase, now)

    with _writable(folder):
        folder.mkdir(parents=True, exist_ok=True)
        write_once(files.signer, secret_file, mode=0o600)
        write_once(files.ca, authority, mode=0o644)
    return files


def load_identity(p12: Path, passphrase: bytes, *, now: datetime) -> Identity:
    """Read an identity that is valid at this instant. Raise IdentityUnusable otherwise."""
    try:
        content = p12.read_bytes()
    except OSError as error:
        problem = f"the signing identity cannot be read: {error.strerror}"
        mend = "give the path of a PKCS#12 file, or make one with: restoreproof keygen DIR"
        raise IdentityUnusable(problem, where=str(p12), mend=mend) from None
    try:
        key, certificate, authorities = pkcs12.load_key_and_certificates(
            content, passphrase or None
        )
    except ValueError:
        problem = "wrong passphrase, or not a PKCS#12 file"
        mend = "check the passphrase and the file"
        raise IdentityUnusable(problem, where=str(p12), mend=mend) from None
    if key is None or certificate is None:
        problem = "the PKCS#12 file holds no private key with its certificate"
        mend = "export key and certificate together"
        raise IdentityUnusable(problem, where=str(p12), mend=mend)

    signer = signers.SimpleSigner.load_pkcs12_data(
        content, other_certs=[], passphrase=passphrase or None
    )
    identity = Identity(
        source=str(p12),
        certificate=certificate,
        authorities=tuple(authorities),
        signer=signer,
    )
    identity.require_valid(now)
    return identity


def sign(pdf: bytes, identity: Identity, *, now: datetime) -> bytes:
    """Certify a PDF so that no change to it is allowed. Raise IdentityUnusable if expired.

    The field is invisible: a visible stamp proves nothing to the eye, and its font would have
    to be embedded anew for the file to stay PDF/A.
    """
    identity.require_valid(now)
    metadata = signers.PdfSignatureMetadata(
        field_name=FIELD,
        subfilter=SigSeedSubFilter.PADES,
        md_algorithm="sha256",
        certify=True,
        docmdp_permissions=MDPPerm.NO_CHANGES,
    )
    field = SigFieldSpec(FIELD, readable_field_name="Digital signature of the report")
    signer = _ClockedSigner(metadata, identity.signer, new_field_spec=field)
    signer.signing_time = now
    signed: io.BytesIO = asyncio.run(signer.async_sign_pdf(_QuietWriter(io.BytesIO(pdf))))
    return signed.getvalue()


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


@contextmanager
def _writable(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        mend = "choose a folder that can be written"
        raise OutputUnwritable(
            f"the identity cannot be written: {error.strerror}", where=str(folder), mend=mend
        ) from None


def _new_key_material(passphrase: bytes, now: datetime) -> tuple[bytes, bytes]:
    """The authority's certificate as PEM and the signer as PKCS#12."""
    authority_key = ec.generate_private_key(ec.SECP256R1())
    signer_key = ec.generate_private_key(ec.SECP256R1())
    # The authority's name is unique, because validators mistake two authorities of one name
    # but of different keys for each other.
    mark = f"{x509.random_serial_number():x}"[:8]
    authority_name = _name(f"RestoreProof trial authority {mark}")
    authority_id = x509.SubjectKeyIdentifier.from_public_key(authority_key.public_key())

    authority = (
        _builder(authority_name, authority_name, authority_key.public_key(), now)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(key_cert_sign=True, crl_sign=True), critical=True)
        .add_extension(authority_id, critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    signer = (
        _builder(
            _name(f"RestoreProof trial signer {mark}"), authority_name, signer_key.public_key(), now
        )
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(digital_signature=True, content_commitment=True), critical=True)
        .add_extension(x509.ExtendedKeyUsage(PURPOSES), critical=False)
        .add_extension(
            x509.SubjectKeyIdentifier.from_public_key(signer_key.public_key()), critical=False
        )
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(authority_id),
            critical=False,
        )
        .sign(authority_key, hashes.SHA256())
    )

    encryption = serialization.BestAvailableEncryption(passphrase)
    secret_file = pkcs12.serialize_key_and_certificates(
        b"RestoreProof", signer_key, signer, [authority], encryption
    )
    return authority.public_bytes(serialization.Encoding.PEM), secret_file


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, now: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_TOLERANCE)
        .not_valid_after(now + LIFETIME)
    )


def _key_usage(
    *,
    digital_signature: bool = False,
    content_commitment: bool = False,
    key_cert_sign: bool = False,
    crl_sign: bool = False,
) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        content_commitment=content_commitment,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=key_cert_sign,
        crl_sign=crl_sign,
        encipher_only=False,
        decipher_only=False,
    )
