"""Ask a time-stamping authority (RFC 3161) for a token over the ledger's newest entry."""

from pathlib import Path

import httpx
from asn1crypto import tsp

from restoreproof.clock import system_clock
from restoreproof.errors import InfrastructureError
from restoreproof.ledger import LedgerEntry
from restoreproof.ledger_tokens import NotStamped, path_of, stamped_at
from restoreproof.signing import TimestampAuthority
from restoreproof.storage import write_once

TIMEOUT_SECONDS = 20
MOST_BYTES = 1 << 20


def stamp(entry: LedgerEntry, archive: Path, authority: TimestampAuthority) -> None:
    """Store a token over an entry beside its ledger, once it counts.

    Raise InfrastructureError if none is given that does.
    """
    imprint = {"hash_algorithm": {"algorithm": "sha256"},
               "hashed_message": bytes.fromhex(entry.hash)}  # fmt: skip
    request = tsp.TimeStampReq({"version": 1, "message_imprint": imprint, "cert_req": True})
    headers = {"Content-Type": "application/timestamp-query"}
    try:
        answer = httpx.post(
            authority.url, content=request.dump(), headers=headers, timeout=TIMEOUT_SECONDS
        )
        answer.raise_for_status()
        content = answer.content[:MOST_BYTES]
        stamped_at(content, entry.hash, authority.trust, system_clock())
        write_once(path_of(archive, entry.sequence), content)
    except (httpx.HTTPError, NotStamped, OSError) as error:
        raise InfrastructureError(
            f"the ledger's head was not time-stamped: {error}",
            where=authority.url,
            mend="mend the cause: the token of the next run covers this entry too",
        ) from None
