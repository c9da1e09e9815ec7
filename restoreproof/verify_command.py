"""``restoreproof verify``: what a report proves, line by line, and what it does not.

Everything is read from files, without a network. Each line says one of three things: proved,
FAILED, not proved. One failure, and the answer is no.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509

from restoreproof import beside_report, countersignatures, rendering_check, verification
from restoreproof.clock import system_clock
from restoreproof.durations import parse_duration
from restoreproof.errors import UserError
from restoreproof.proofs import Outcome, Proof, failed, open_, proved
from restoreproof.revocation import load_lists
from restoreproof.signature_level import Level
from restoreproof.verification import Authenticity, load_trust
from restoreproof.wording import duration, headline, instant, printable

FINGERPRINT = re.compile(r"(?:[0-9a-f]{2}:?){31}[0-9a-f]{2}")


@dataclass(frozen=True)
class Expected:
    """What a reader knows beforehand, and wants the report to be; nothing means anything."""

    signers: tuple[str, ...] = ()
    """Lower-case hex SHA-256 of the certificates that may have signed."""
    estate: str | None = None
    not_older_than: timedelta | None = None
    level: Level = Level.B


@dataclass(frozen=True)
class Given:
    """The files that a reader brings along."""

    trust: tuple[Path, ...]
    timestamps: tuple[Path, ...] = ()
    reviewers: tuple[Path, ...] = ()
    lists: tuple[Path, ...] = ()
    archive: Path | None = None


def verify_file(path: Path, given: Given, expected: Expected, tell: Callable[[str], None]) -> bool:
    """Verify a report and tell what was proved. Raise UserError if a file cannot be read."""
    now = system_clock()
    pdf = read(path, "give the path of a report.pdf")
    trust = _certificates(given.trust)
    try:
        authentic = verification.verify(
            pdf,
            trust,
            now=now,
            timestamp_trust=_certificates(given.timestamps),
            lists=load_lists(given.lists),
        )
    except verification.NotAuthentic as reason:
        tell(f"NOT AUTHENTIC: {path}: {reason}")
        return False
    signer = authentic.signature.fingerprint
    reviewers = _certificates(given.reviewers) or trust
    proofs = [
        *_signature(authentic),
        *expectations(authentic, expected, now),
        rendering_check.check_rendering(pdf, authentic.evidence),
        *beside_report.check_files(path, authentic),
        *beside_report.check_ledger(path, given.archive, authentic),
        *countersignatures.check_countersignatures(path, pdf, signer, reviewers, now),
    ]
    bad = [one for one in proofs if one.outcome is Outcome.FAILED]
    if bad:
        tell(f"NOT AUTHENTIC: {path}: {bad[0].about}: {bad[0].told}")
    else:
        tell(f"AUTHENTIC: {path}")
    evidence = authentic.evidence
    tell(f"  report      run {evidence.run.id} of the estate {printable(evidence.policy.estate)}")
    tell(f"  verdict     {headline(evidence.verdict)}: {printable(evidence.verdict_reason)}")
    tell(f"  file        sha256:{authentic.file_sha256}")
    for one in proofs:
        tell(str(one))
    return not bad


def expected(
    signers: Sequence[str], estate: str | None, not_older_than: str | None, level: str | None
) -> Expected:
    """What the words on a command line mean. Raise UserError."""
    for one in signers:
        if not FINGERPRINT.fullmatch(one.lower()):
            mend = "give the 64 hex digits of the certificate's SHA-256"
            raise UserError(f"not a fingerprint: {one}", where="--signer", mend=mend)
    try:
        oldest = parse_duration(not_older_than) if not_older_than else None
    except ValueError as problem:
        mend = "write 31d or 36h"
        raise UserError(str(problem), where="--not-older-than", mend=mend) from None
    if level is not None and level not in set(Level):
        mend = f"choose from {', '.join(Level)}"
        raise UserError(f"no level {level}", where="--level", mend=mend)
    assert oldest is None or isinstance(oldest, timedelta)
    return Expected(
        tuple(one.lower().replace(":", "") for one in signers),
        estate,
        oldest,
        Level(level) if level else Level.B,
    )


def read(path: Path, mend: str) -> bytes:
    """The content of a file that the user named. Raise UserError."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"cannot be read: {error.strerror}", where=str(path), mend=mend) from None


def _certificates(paths: tuple[Path, ...]) -> tuple[x509.Certificate, ...]:
    return tuple(one for path in paths for one in load_trust(path))


def _signature(authentic: Authenticity) -> Iterator[Proof]:
    found, seal = authentic.signature, authentic.evidence.seal
    assert seal is not None
    who = f"{printable(found.signer)} (certificate SHA-256 {found.fingerprint})"
    yield proved("signature", f"covers every byte of the file; by {who}")
    yield proved("level", f"PAdES {found.level}, as the report says")
    if found.stamped_at is None:
        yield open_("time", f"{instant(found.claimed_at)} is the signer's own word (level B-B)")
    else:
        yield proved("time", f"{instant(found.stamped_at)}, by {printable(found.stamped_by)}")
    if found.revocation:
        yield proved("not revoked", found.revocation)
    else:
        yield open_("not revoked", "whether the signer was revoked (give --crl)")
    if found.level is not Level.B:
        yield open_("time stamps", "that nobody revoked the time-stamping authority since")
    yield proved("evidence", f"attached, one; seal sha256:{seal.digest} recomputed")


def expectations(authentic: Authenticity, expected: Expected, now: datetime) -> Iterator[Proof]:
    """How a report is other than its reader knows it has to be."""
    found, evidence = authentic.signature, authentic.evidence
    if expected.signers:
        known = found.fingerprint in expected.signers
        told = "is the one given" if known else f"{found.fingerprint} is not the one given"
        yield (proved if known else failed)("signer", told)
    else:
        yield open_("signer", "that it is the one you know (give --signer FINGERPRINT)")
    if expected.estate is not None:
        same = evidence.policy.estate == expected.estate
        told = printable(evidence.policy.estate)
        yield (
            proved("estate", f"is {told}") if same else failed("estate", f"it is that of {told}")
        )
    if expected.level.rank > found.level.rank:
        yield failed("level", f"is {found.level}, wanted is {expected.level} at least")
    ended = evidence.run.finished_at
    if ended > now + verification.CLOCKS_DIFFER:
        yield failed("age", f"its run ends in the future: {instant(ended)}")
    elif expected.not_older_than is not None:
        age = now - min(ended, authentic.signed_at)
        told = f"its run ended {duration(now - ended)} ago, {instant(ended)}"
        yield (proved if age <= expected.not_older_than else failed)("age", told)
    else:
        yield open_("age", f"that a run of {instant(ended)} is new enough (--not-older-than)")
