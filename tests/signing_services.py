"""A certificate authority of a test, with all that one has: time stamps, CRL and OCSP over HTTP."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

from asn1crypto import keys, tsp
from asn1crypto import x509 as asn1
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, NameOID
from pyhanko.sign.timestamps.dummy_client import DummyTimeStamper

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
DAY = timedelta(days=1)


@dataclass
class Authority:
    """One that vouches for signers, stamps times, and says whom it revoked.

    ``broken`` names services that do not answer as they should: ``timestamps``, ``revocation``.
    """

    now: datetime
    url: str = ""
    clock: datetime | None = None
    revoked: dict[int, datetime] = field(default_factory=dict)
    broken: set[str] = field(default_factory=set)
    delegates: bool = True
    """Whether another key answers OCSP for it, with a certificate for that."""
    asked: list[str] = field(default_factory=list)
    named: x509.Name | None = None

    def __post_init__(self) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        mark = x509.random_serial_number()
        self.name = self.named or _name(f"Authority {mark:x}")
        self.certificate = (
            self._builder(self.name, self.key, self.now - 30 * DAY, self.now + 3650 * DAY)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(key_cert_sign=True, crl_sign=True), critical=True)
            .sign(self.key, hashes.SHA256())
        )
        self.responder_key = ec.generate_private_key(ec.SECP256R1())
        self.stamping_key = rsa.generate_private_key(65537, 2048)

    @cached_property
    def responder(self) -> x509.Certificate:
        """The certificate of who answers OCSP, which nobody has to ask about."""
        begin, end = self.now - DAY, self.now + 3000 * DAY
        purposes = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.OCSP_SIGNING])
        return (
            self._builder(_name("Responder"), self.responder_key, begin, end)
            .add_extension(_usage(digital_signature=True), critical=True)
            .add_extension(purposes, critical=False)
            .add_extension(x509.OCSPNoCheck(), critical=False)
            .sign(self.key, hashes.SHA256())
        )

    @cached_property
    def stamping(self) -> x509.Certificate:
        """The certificate of the time-stamping authority."""
        begin, end = self.now - DAY, self.now + 3000 * DAY
        builder = self._builder(_name("Time stamps"), self.stamping_key, begin, end)
        purposes = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING])
        return (
            self._pointing(builder)
            .add_extension(_usage(digital_signature=True), critical=True)
            .add_extension(purposes, critical=True)
            .sign(self.key, hashes.SHA256())
        )

    def issue(
        self,
        key: Key,
        *,
        begin: datetime | None = None,
        end: datetime | None = None,
        pointers: bool = True,
        name: str = "Signer",
    ) -> x509.Certificate:
        """A certificate for a signer of documents, that says where its revocation is told."""
        builder = self._builder(
            _name(name), key, begin or self.now - DAY, end or self.now + 700 * DAY
        ).add_extension(_usage(digital_signature=True, content_commitment=True), critical=True)
        return (self._pointing(builder) if pointers else builder).sign(self.key, hashes.SHA256())

    def _pointing(self, builder: x509.CertificateBuilder) -> x509.CertificateBuilder:
        """With the addresses where revocation is told."""
        where = x509.UniformResourceIdentifier
        point = x509.DistributionPoint([where(f"{self.url}/crl")], None, None, None)
        access = x509.AccessDescription(
            AuthorityInformationAccessOID.OCSP, where(f"{self.url}/ocsp")
        )
        return builder.add_extension(
            x509.CRLDistributionPoints([point]), critical=False
        ).add_extension(x509.AuthorityInformationAccess([access]), critical=False)

    def write_pem(
        self, folder: Path, key: Key, certificate: x509.Certificate, passphrase: bytes = b""
    ) -> Path:
        """A PEM file of key and chain, and ca.pem beside it."""
        folder.mkdir(exist_ok=True)
        encryption = (
            serialization.BestAvailableEncryption(passphrase)
            if passphrase
            else serialization.NoEncryption()
        )
        secret = key.private_bytes(Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)
        path = folder / "signer.pem"
        path.write_bytes(secret + pem(certificate, self.certificate))
        (folder / "ca.pem").write_bytes(pem(self.certificate))
        (folder / "chain.pem").write_bytes(pem(certificate, self.certificate))
        return path

    def crl(self, at: datetime | None = None) -> bytes:
        """The list of all that were revoked, as DER."""
        at = at or self.now
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self.name)
            .last_update(at - timedelta(minutes=1))
            .next_update(at + 30 * DAY)
            .add_extension(self._identifier, critical=False)
            .add_extension(x509.CRLNumber(1), critical=False)
        )
        for serial, revoked_at in self.revoked.items():
            builder = builder.add_revoked_certificate(
                x509.RevokedCertificateBuilder()
                .serial_number(serial)
                .revocation_date(revoked_at)
                .build()
            )
        return builder.sign(self.key, hashes.SHA256()).public_bytes(Encoding.DER)

    def ocsp(self, request: bytes) -> bytes:
        """The answer about one certificate, as DER."""
        asked = ocsp.load_der_ocsp_request(request)
        revoked_at = self.revoked.get(asked.serial_number)
        builder = ocsp.OCSPResponseBuilder().add_response_by_hash(
            asked.issuer_name_hash,
            asked.issuer_key_hash,
            asked.serial_number,
            asked.hash_algorithm,
            ocsp.OCSPCertStatus.REVOKED if revoked_at else ocsp.OCSPCertStatus.GOOD,
            self.now - timedelta(minutes=1),
            self.now + DAY,
            revoked_at,
            None,
        )
        key = self.responder_key if self.delegates else self.key
        if self.delegates:
            builder = builder.certificates([self.responder])
        answering = self.responder if self.delegates else self.certificate
        builder = builder.responder_id(ocsp.OCSPResponderEncoding.NAME, answering)
        return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)

    def timestamp(self, request: bytes) -> bytes:
        """The answer of a time-stamping authority, as DER."""
        secret = self.stamping_key.private_bytes(
            Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        stamper = DummyTimeStamper(
            asn1.Certificate.load(self.stamping.public_bytes(Encoding.DER)),
            keys.PrivateKeyInfo.load(secret),
            fixed_dt=self.clock,
        )
        answer = stamper.async_request_tsa_response(tsp.TimeStampReq.load(request))
        return bytes(asyncio.run(answer).dump())

    @property
    def _identifier(self) -> x509.AuthorityKeyIdentifier:
        return x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key())

    def _builder(
        self, subject: x509.Name, key: Key, begin: datetime, end: datetime
    ) -> x509.CertificateBuilder:
        public = key.public_key()
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.name)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(begin)
            .not_valid_after(end)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
            .add_extension(self._identifier, critical=False)
        )


@contextmanager
def serving(authority: Authority) -> Iterator[Authority]:
    """The authority's services over HTTP on this machine, at ``authority.url``."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.path == "/tsa":
                self._answer("timestamps", "application/timestamp-reply", authority.timestamp, body)
            else:
                self._answer("revocation", "application/ocsp-response", authority.ocsp, body)

        def do_GET(self) -> None:
            self._answer("revocation", "application/pkix-crl", lambda _: authority.crl(), b"")

        def _answer(self, service, kind, function, body) -> None:  # type: ignore[no-untyped-def]
            authority.asked.append(self.path)
            content = b"out of order" if service in authority.broken else function(body)
            self.send_response(500 if service in authority.broken else 200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    authority.url = f"http://127.0.0.1:{server.server_port}"
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield authority
    finally:
        server.shutdown()
        server.server_close()


def pem(*certificates: x509.Certificate) -> bytes:
    """Certificates one after the other."""
    return b"".join(one.public_bytes(Encoding.PEM) for one in certificates)


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _usage(**allowed: bool) -> x509.KeyUsage:
    names = (
        "digital_signature content_commitment key_encipherment data_encipherment key_agreement"
        " key_cert_sign crl_sign encipher_only decipher_only"
    )
    return x509.KeyUsage(**{name: allowed.get(name, False) for name in names.split()})
