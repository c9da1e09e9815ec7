"""Time stamps (RFC 3161) over heads of the ledger: who else says that an entry was there, and when.

A token is over the entry's own hash, and so over all entries before it. It lies beside the ledger
as ``ledger.SEQUENCE.tsr``, whole as the authority sent it, for ``openssl ts -verify -digest``.
"""

import asyncio
import logging
import re
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path

from asn1crypto import tsp
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from pyhanko.keys import load_certs_from_pemder_data
from pyhanko.sign.validation.generic_cms import validate_tst_signed_data
from pyhanko.sign.validation.status import TimestampSignatureStatus
from pyhanko_certvalidator import ValidationContext

from restoreproof.ledger import LedgerEntry
from restoreproof.wording import instant, plural

CLOCKS_DIFFER = timedelta(minutes=5)
SOON = timedelta(hours=1)
"""How long after a run its entry is stamped at the latest, report and signature being made."""

_NAME = re.compile(r"ledger\.(\d+)\.tsr")


class NotStamped(Exception):
    """The token must not be trusted. ``str()`` is the reason in one line."""


def path_of(archive: Path, sequence: int) -> Path:
    """Where the token over the entry of this number lies."""
    return archive / f"ledger.{sequence}.tsr"


def stamped_at(
    answer: bytes, digest: str, trust: Sequence[x509.Certificate], moment: datetime | None
) -> datetime:
    """When an authority that is trusted at a moment saw this hex SHA-256. Raise NotStamped.

    Without a moment it has to be trusted at the time that it tells.
    """
    logging.getLogger("pyhanko").setLevel(logging.CRITICAL)
    logging.getLogger("pyhanko_certvalidator").setLevel(logging.CRITICAL)
    try:
        signed = tsp.TimeStampResp.load(answer, strict=True)["time_stamp_token"]["content"]
        told: datetime = signed["encap_content_info"]["content"].parsed["gen_time"].native
        encoded = b"".join(one.public_bytes(Encoding.PEM) for one in trust)
        roots = list(load_certs_from_pemder_data(encoded)) if trust else []
        context = ValidationContext(trust_roots=roots, moment=moment or told, allow_fetching=False)
        expected = bytes.fromhex(digest)
        found = asyncio.run(
            validate_tst_signed_data(signed, context, {"sha256": expected}.__getitem__)
        )
        status = TimestampSignatureStatus(**found)
    except Exception as error:  # noqa: BLE001  # over hostile bytes parsers raise anything
        raise NotStamped(f"it cannot be read: {type(error).__name__}") from None
    if not status.intact:
        raise NotStamped("it is over something else")
    if not status.valid:
        raise NotStamped("its signature does not fit")
    if not status.trusted:
        raise NotStamped("no trusted authority vouches for it")
    return told


def against_tokens(
    entries: Sequence[LedgerEntry],
    archive: Path,
    trust: Sequence[x509.Certificate],
    now: datetime,
) -> Iterator[str]:
    """What the time stamps that lie beside a ledger say against it.

    The newest has to be trusted now. It covers all entries, so older ones only have to have been
    trusted when they were made, and may outlive their authority's certificate.
    """
    stamped = _stamped(archive)
    for sequence in stamped:
        if sequence > len(entries) or sequence < 1:
            yield f"there is a time stamp over entry {sequence}: the ledger was cut short"
            continue
        entry = entries[sequence - 1]
        answer = path_of(archive, sequence).read_bytes()
        moment = now if sequence == stamped[-1] else None
        try:
            at = stamped_at(answer, entry.hash, trust, moment)
        except NotStamped as reason:
            yield f"run {entry.run}: the time stamp over entry {sequence} does not count: {reason}"
            continue
        if not -CLOCKS_DIFFER <= at - entry.finished_at <= SOON:
            yield (
                f"run {entry.run}: it is dated {instant(entry.finished_at)},"
                f" and its entry was stamped at {instant(at)}"
            )


def without_token(entries: Sequence[LedgerEntry], archive: Path) -> str:
    """Which entries nobody stamped, in words; empty if there is none."""
    stamped = set(_stamped(archive))
    bare = [entry for entry in entries if entry.sequence not in stamped]
    if not bare:
        return ""
    newest = f", the newest is entry {bare[-1].sequence}"
    return f"{plural(len(bare), 'run')} without a time stamp{newest}"


def _stamped(archive: Path) -> list[int]:
    """The numbers of the entries with a token, in order."""
    found = (_NAME.fullmatch(path.name) for path in archive.iterdir())
    return sorted(int(one[1]) for one in found if one)
