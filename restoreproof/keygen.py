"""Make a signing identity for trying out: a small authority, and a signer for whom it vouches."""

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

from restoreproof.errors import IdentityUnusable, OutputUnwritable
from restoreproof.storage import write_once

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
