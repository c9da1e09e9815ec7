"""Identities that sign: where a key is, how it is asked to sign, and whether it may.

However a key is kept (PKCS#12, PEM, PKCS#11, a key service), it is asked one thing only: a
signature over a SHA-256 digest, with RSA as PKCS#1 v1.5, with ECDSA as DER. That it is the key of
its certificate is proven by a signature when the identity is loaded, not when a run has ended.
"""

import hashlib
import re
import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from asn1crypto import x509 as asn1
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.serialization import pkcs12
from pyhanko.sign.signers import Signer

from restoreproof.errors import IdentityUnusable, SigningFailed

SignDigest = Callable[[bytes], bytes]
"""SHA-256 digest to raw signature. Raises SigningFailed."""
PRIVATE_KEY = re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----.+?-----END [A-Z ]*PRIVATE KEY-----",
                         re.DOTALL)  # fmt: skip
CERTIFICATE = b"-----BEGIN CERTIFICATE-----"
PREHASHED = Prehashed(hashes.SHA256())
EC_SIGNATURE_OVERHEAD = 9
"""How many bytes DER adds to the two numbers of an ECDSA signature, at most."""


@dataclass(frozen=True)
class Identity:
    """A key that signs, with its certificate and the certificates that vouch for it."""

    source: str
    certificate: x509.Certificate
    authorities: tuple[x509.Certificate, ...]
    sign_digest: SignDigest = field(repr=False)

    @property
    def trust(self) -> tuple[x509.Certificate, ...]:
        """What a reader has to trust: the root, as far as the identity has it, or the signer."""
        roots = tuple(one for one in self.authorities if one.subject == one.issuer)
        return roots or self.authorities or (self.certificate,)

    @property
    def fingerprint(self) -> str:
        """Lower-case hex SHA-256 of the signer's certificate."""
        return self.certificate.fingerprint(hashes.SHA256()).hex()

    @property
    def signer(self) -> Signer:
        """The identity as pyHanko knows it."""
        return _DigestSigner(self)

    def sign_bytes(self, content: bytes) -> bytes:
        """A raw signature over content. Raise SigningFailed."""
        return self.sign_digest(hashlib.sha256(content).digest())

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

    def require_usable(self, now: datetime) -> None:
        """Raise IdentityUnusable unless the certificate is valid and the key is the one of it."""
        self.require_valid(now)
        public, probe = self.certificate.public_key(), secrets.token_bytes(32)
        try:
            signature = self.sign_bytes(probe)
        except SigningFailed as failed:
            raise IdentityUnusable(failed.what, where=self.source, mend=failed.mend) from None
        try:
            if isinstance(public, rsa.RSAPublicKey):
                public.verify(signature, probe, padding.PKCS1v15(), hashes.SHA256())
            elif isinstance(public, ec.EllipticCurvePublicKey):
                public.verify(signature, probe, ec.ECDSA(hashes.SHA256()))
        except InvalidSignature:
            problem = "the key is not that of the signer's certificate"
            mend = "give the certificate of this key, before those of its authorities"
            raise IdentityUnusable(problem, where=self.source, mend=mend) from None


class _DigestSigner(Signer):
    """Lets pyHanko ask any identity for a signature."""

    def __init__(self, identity: Identity) -> None:
        self.identity = identity
        certificate, *authorities = converted([identity.certificate, *identity.authorities])
        # A root in the signature proves nothing, and a reader would not see it being changed.
        super().__init__(embed_roots=False, signing_cert=certificate)
        # The signer's own would be in the signature twice, and one of the two never looked at.
        for one in authorities:
            self.cert_registry.register(one)

    async def async_sign_raw(
        self, data: bytes, digest_algorithm: str, dry_run: bool = False
    ) -> bytes:
        assert digest_algorithm == "sha256"
        if dry_run:
            return bytes(_signature_size(self.identity.certificate))
        return self.identity.sign_bytes(data)


def load_identity(
    path: Path, passphrase: bytes, *, now: datetime, certificates: Path | None = None
) -> Identity:
    """Read an identity that is usable at this instant from PKCS#12 or PEM.

    A PEM file holds the key, and the certificates too unless ``certificates`` names them. Raise
    IdentityUnusable.
    """
    mend = "give the path of a PKCS#12 or PEM file, or make one with: restoreproof keygen DIR"
    content = _read(path, "the signing identity", mend)
    if b"-----BEGIN " in content:
        key = _pem_key(content, passphrase, path)
        chain = load_chain(certificates or path)
    elif certificates:
        problem = "a PKCS#12 file holds its certificates itself"
        mend = "leave 'certificates' away, or give a PEM file with the key"
        raise IdentityUnusable(problem, where=str(path), mend=mend)
    else:
        key, chain = _pkcs12(content, passphrase, path)
    identity = Identity(str(path), chain[0], tuple(chain[1:]), key)
    require_known_algorithm(identity.certificate, str(path))
    identity.require_usable(now)
    return identity


def load_chain(path: Path) -> tuple[x509.Certificate, ...]:
    """The signer's certificate and those of its authorities, from PEM. Raise IdentityUnusable."""
    mend = "give a PEM file with the signer's certificate first, then those of its authorities"
    content = _read(path, "the certificates", mend)
    if CERTIFICATE not in content:
        problem = "there is no PEM certificate in the file"
        raise IdentityUnusable(problem, where=str(path), mend=mend)
    try:
        return tuple(x509.load_pem_x509_certificates(content))
    except ValueError:
        problem = "a certificate in the file is damaged"
        raise IdentityUnusable(problem, where=str(path), mend=mend) from None


def require_known_algorithm(certificate: x509.Certificate, where: str) -> None:
    """Raise IdentityUnusable for a key that is neither RSA nor an elliptic curve's."""
    if not isinstance(certificate.public_key(), rsa.RSAPublicKey | ec.EllipticCurvePublicKey):
        problem = "the signer's key is neither RSA nor ECDSA"
        raise IdentityUnusable(problem, where=where, mend="use a key of one of the two")


def converted(certificates: Iterable[x509.Certificate]) -> list[asn1.Certificate]:
    """Certificates as pyHanko knows them."""
    encoded = (one.public_bytes(serialization.Encoding.DER) for one in certificates)
    return [asn1.Certificate.load(one) for one in encoded]


def _pem_key(content: bytes, passphrase: bytes, path: Path) -> SignDigest:
    found = PRIVATE_KEY.search(content)
    if found is None:
        mend = "give the file with the key, and with 'certificates' the one of the certificates"
        raise IdentityUnusable(
            "there is no private key in the PEM file", where=str(path), mend=mend
        )
    protected = b"ENCRYPTED" in found[0]
    try:
        # Without a passphrase in it, a file refuses to be given one.
        key = serialization.load_pem_private_key(found[0], passphrase if protected else None)
    except (ValueError, TypeError):
        problem = "wrong passphrase, or a damaged private key"
        mend = "check the passphrase and the file"
        raise IdentityUnusable(problem, where=str(path), mend=mend) from None
    return _local(key)


def _pkcs12(
    content: bytes, passphrase: bytes, path: Path
) -> tuple[SignDigest, tuple[x509.Certificate, ...]]:
    try:
        key, certificate, authorities = pkcs12.load_key_and_certificates(
            content, passphrase or None
        )
    except ValueError:
        problem = "wrong passphrase, or not a PKCS#12 file"
        mend = "check the passphrase and the file"
        raise IdentityUnusable(problem, where=str(path), mend=mend) from None
    if key is None or certificate is None:
        problem = "the PKCS#12 file holds no private key with its certificate"
        mend = "export key and certificate together"
        raise IdentityUnusable(problem, where=str(path), mend=mend)
    return _local(key), (certificate, *authorities)


def _local(key: object) -> SignDigest:
    """A key in memory that signs."""

    def sign_digest(digest: bytes) -> bytes:
        if isinstance(key, rsa.RSAPrivateKey):
            return key.sign(digest, padding.PKCS1v15(), PREHASHED)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        return key.sign(digest, ec.ECDSA(PREHASHED))

    return sign_digest


def _signature_size(certificate: x509.Certificate) -> int:
    public = certificate.public_key()
    assert isinstance(public, rsa.RSAPublicKey | ec.EllipticCurvePublicKey)
    size = (public.key_size + 7) // 8
    return size if isinstance(public, rsa.RSAPublicKey) else 2 * size + EC_SIGNATURE_OVERHEAD


def _read(path: Path, what: str, mend: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        problem = f"{what} cannot be read: {error.strerror}"
        raise IdentityUnusable(problem, where=str(path), mend=mend) from None
