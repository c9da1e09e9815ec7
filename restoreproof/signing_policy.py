"""From a policy's ``signing:`` section to a key that signs, and the means for its level."""

from datetime import datetime
from pathlib import Path

from restoreproof.errors import IdentityUnusable
from restoreproof.identities import Identity, load_identity
from restoreproof.key_services import service_identity, token_identity
from restoreproof.policy import PolicyDocument
from restoreproof.references import Secret, expand, reveal
from restoreproof.revocation import load_lists, require_trusted
from restoreproof.signature_level import Level
from restoreproof.signing import Means, TimestampAuthority
from restoreproof.signing_settings import Signing
from restoreproof.verification import load_trust


def signing_of(document: PolicyDocument) -> Signing:
    """What the policy says of signing. Raise IdentityUnusable if it says nothing."""
    if document.policy.signing is None:
        raise IdentityUnusable(
            "the policy names no signing identity, and an audit ends in a signed report",
            where=str(document.path),
            mend="add 'signing:' with identity and passphrase; make one with: restoreproof keygen",
        )
    return document.policy.signing


def open_identity(document: PolicyDocument, now: datetime) -> Identity:
    """The policy's identity, its key tried. Raise UserError."""
    settings = signing_of(document)
    if settings.identity is None:
        identity = _kept_elsewhere(document, settings)
        identity.require_usable(now)
        return identity
    path = _path(document, settings.identity, "identity")
    passphrase = _reveal(document, settings.passphrase, "passphrase") if settings.passphrase else ""
    chain = (
        _path(document, settings.certificates, "certificates") if settings.certificates else None
    )
    return load_identity(path, passphrase.encode(), now=now, certificates=chain)


def means_of(document: PolicyDocument) -> Means:
    """The level that the policy wants and what is needed for it. Raise UserError."""
    settings = signing_of(document)
    lists = load_lists([_path(document, one, "revocation_lists")
                        for one in settings.revocation_lists])  # fmt: skip
    authority = None
    if stamping := settings.timestamp:
        trust = load_trust(_path(document, stamping.trust, "timestamp.trust"))
        url = expand(stamping.url, where="signing.timestamp.url")
        authority = TimestampAuthority(url, trust)
    return Means(settings.wanted_level, authority, lists)


def check_revocation(identity: Identity, means: Means, now: datetime) -> str:
    """Make sure that nobody revoked the signer; return why that could not be asked, if so.

    Raise IdentityUnusable if somebody did, or if it could not be asked and the level proves it.
    """
    proven = means.level is Level.LTA
    return require_trusted(identity, now=now, lists=means.lists, proven=proven)


def _kept_elsewhere(document: PolicyDocument, settings: Signing) -> Identity:
    assert settings.certificates is not None
    chain = _path(document, settings.certificates, "certificates")
    if token := settings.pkcs11:
        return token_identity(
            chain,
            module=expand(token.module, where="signing.pkcs11.module"),
            token=expand(token.token, where="signing.pkcs11.token"),
            key=expand(token.key, where="signing.pkcs11.key"),
            pin=_reveal(document, token.pin, "pkcs11.pin"),
        )
    assert settings.kms is not None
    return service_identity(
        chain, sign=settings.kms.sign, key=expand(settings.kms.key, where="signing.kms.key")
    )


def _path(document: PolicyDocument, text: str, key: str) -> Path:
    return document.folder / expand(text, where=f"signing.{key}")


def _reveal(document: PolicyDocument, secret: Secret, key: str) -> str:
    return reveal(secret, where=f"signing.{key}", folder=document.folder)
