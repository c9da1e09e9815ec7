"""Whether a certificate was revoked: by lists that lie here, or by asking where it says.

Before a report is signed the certificate's own addresses (CRL, OCSP) are asked too; a report is
verified without a network, by the lists that the reader gives and those inside the report.
"""

import asyncio
from collections.abc import Iterable, Sequence
from contextlib import aclosing
from datetime import datetime
from pathlib import Path

from asn1crypto import crl, pem
from cryptography import x509
from pyhanko_certvalidator import CertificateValidator, ValidationContext
from pyhanko_certvalidator.errors import (
    InvalidCertificateError,
    PathBuildingError,
    PathValidationError,
    RevokedError,
)

from restoreproof.errors import IdentityUnusable, UserError, one_line
from restoreproof.identities import Identity, converted

SIGNS_DOCUMENTS = {"non_repudiation"}
"""The key usage that readers of a signed document ask for; X.509 calls it contentCommitment too."""


def load_lists(paths: Sequence[Path]) -> tuple[crl.CertificateList, ...]:
    """Certificate revocation lists from files, PEM or DER. Raise UserError."""
    return tuple(_load_list(path) for path in paths)


def _load_list(path: Path) -> crl.CertificateList:
    mend = "give a certificate revocation list (CRL), as PEM or DER"
    try:
        content = path.read_bytes()
    except OSError as error:
        problem = f"the revocation list cannot be read: {error.strerror}"
        raise UserError(problem, where=str(path), mend=mend) from None
    try:
        encoded = pem.unarmor(content)[2] if pem.detect(content) else content
        found = crl.CertificateList.load(encoded, strict=True)
        _ = found["tbs_cert_list"]["this_update"].native
    except (ValueError, TypeError):
        raise UserError("not a revocation list", where=str(path), mend=mend) from None
    return found


def require_trusted(
    identity: Identity,
    *,
    now: datetime,
    lists: Sequence[crl.CertificateList] = (),
    proven: bool = False,
) -> str:
    """Make sure that nobody revoked an identity, and that it may sign documents.

    Return why that could not be asked, which with ``proven`` is not good enough; empty if it could.
    Raise IdentityUnusable.
    """
    return asyncio.run(_require_trusted(identity, now, lists, proven))


async def _require_trusted(
    identity: Identity, now: datetime, lists: Sequence[crl.CertificateList], proven: bool
) -> str:
    context = asking_context(identity.trust, now, lists, proven=proven)
    async with aclosing(context):
        validator = CertificateValidator(
            converted([identity.certificate])[0],
            intermediate_certs=converted(identity.authorities),
            validation_context=context,
        )
        try:
            await validator.async_validate_usage(SIGNS_DOCUMENTS)  # type: ignore[no-untyped-call]
        except (PathBuildingError, PathValidationError, InvalidCertificateError) as error:
            revoked = isinstance(error, RevokedError)
            mend = "use an identity that was not revoked" if revoked else "use one that is trusted"
            problem = f"the signer is not acceptable: {error}"
            raise IdentityUnusable(problem, where=identity.source, mend=mend) from None
    return "; ".join(one_line(str(error)) for error in context.soft_fail_exceptions)


def asking_context(
    trust: Iterable[x509.Certificate],
    now: datetime,
    lists: Sequence[crl.CertificateList],
    *,
    proven: bool,
) -> ValidationContext:
    """How a signer is judged before he signs: by lists, and by asking where certificates say."""
    return ValidationContext(
        trust_roots=converted(trust),
        moment=now,
        allow_fetching=True,
        crls=list(lists),
        revocation_mode="require" if proven else "soft-fail",
    )
