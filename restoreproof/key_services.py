"""Keys that never leave where they are: a token spoken to by PKCS#11, or a cloud's key service.

The hook for a key service is a function of the organisation's own, ``module:function``, that is
given the name of a key and a SHA-256 digest and returns the raw signature: with RSA PKCS#1 v1.5,
with ECDSA as DER. With AWS it is one line:

    def sign(key: str, digest: bytes) -> bytes:
        return boto3.client("kms").sign(KeyId=key, Message=digest, MessageType="DIGEST",
            SigningAlgorithm="ECDSA_SHA_256")["Signature"]
"""

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from asn1crypto import algos, core
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from restoreproof.errors import IdentityUnusable, SigningFailed
from restoreproof.identities import Identity, load_chain, require_known_algorithm


def token_identity(certificates: Path, *, module: str, token: str, key: str, pin: str) -> Identity:
    """A key in a token or hardware security module. Raise IdentityUnusable.

    A session lasts one signature: a run of hours would find a session of its beginning closed.
    """
    chain = load_chain(certificates)
    where = f"PKCS#11 token {token}"
    require_known_algorithm(chain[0], where)
    try:
        importlib.import_module("pkcs11")
    except ImportError:
        mend = "install it: pip install 'restoreproof[pkcs11]'"
        raise IdentityUnusable("python-pkcs11 is not installed", where=where, mend=mend) from None

    def sign_digest(digest: bytes) -> bytes:
        from pkcs11 import exceptions  # noqa: PLC0415  # an extra that few have

        try:
            return _signed_by_token(chain[0], digest, module, token, key, pin)
        except exceptions.PKCS11Error as error:
            # Their words are the names of their classes: PinIncorrect, NoSuchToken, NoSuchKey.
            problem = f"the token did not sign: {type(error).__name__} {error}".strip()
        except (RuntimeError, OSError) as error:
            problem = f"the PKCS#11 module cannot be used: {error}"
        mend = "check module, token, key and pin of 'signing.pkcs11'"
        raise SigningFailed(problem, where=where, mend=mend)

    return Identity(where, chain[0], chain[1:], sign_digest)


def _signed_by_token(
    certificate: x509.Certificate, digest: bytes, module: str, token: str, key: str, pin: str
) -> bytes:
    import pkcs11  # noqa: PLC0415  # as above

    with pkcs11.lib(module).get_token(token_label=token).open(user_pin=pin) as session:
        private: Any = session.get_key(object_class=pkcs11.ObjectClass.PRIVATE_KEY, label=key)
        # Raw mechanisms, since few tokens hash for every kind of key.
        if isinstance(certificate.public_key(), rsa.RSAPublicKey):
            return bytes(private.sign(_digest_info(digest), mechanism=pkcs11.Mechanism.RSA_PKCS))
        raw = bytes(private.sign(digest, mechanism=pkcs11.Mechanism.ECDSA))
    half = len(raw) // 2
    return encode_dss_signature(int.from_bytes(raw[:half]), int.from_bytes(raw[half:]))


def _digest_info(digest: bytes) -> bytes:
    algorithm = {"algorithm": "sha256", "parameters": core.Null()}
    return bytes(algos.DigestInfo({"digest_algorithm": algorithm, "digest": digest}).dump())


def service_identity(certificates: Path, *, sign: str, key: str) -> Identity:
    """A key that a function of the organisation's own has sign. Raise IdentityUnusable."""
    chain = load_chain(certificates)
    where = f"key service {sign}, key {key}"
    require_known_algorithm(chain[0], where)
    function = _function(sign)

    def sign_digest(digest: bytes) -> bytes:
        try:
            signature = function(key, digest)
        except Exception as error:  # noqa: BLE001  # what a stranger's function raises
            problem = f"the key service did not sign: {type(error).__name__}: {error}"
            mend = "mend what it complains of"
            raise SigningFailed(problem, where=where, mend=mend) from None
        if not isinstance(signature, bytes):
            problem = f"the function returned {type(signature).__name__}, not bytes"
            mend = "have it return the raw signature over the digest"
            raise SigningFailed(problem, where=where, mend=mend)
        return signature

    return Identity(where, chain[0], chain[1:], sign_digest)


def _function(name: str) -> Callable[[str, bytes], Any]:
    module, _, attribute = name.partition(":")
    try:
        found: Callable[[str, bytes], Any] = getattr(importlib.import_module(module), attribute)
    except Exception as error:  # noqa: BLE001  # a module may raise anything when it is imported
        problem = f"it cannot be imported: {type(error).__name__}: {error}"
        mend = "name a function that Python can import, as module:function"
        raise IdentityUnusable(problem, where=name, mend=mend) from None
    return found
