"""What needs nothing but files: make a report again from evidence, verify a report."""

from collections.abc import Callable
from pathlib import Path

from restoreproof import evidence, sidecars, signing, verification
from restoreproof.clock import system_clock
from restoreproof.errors import OutputUnwritable, UserError
from restoreproof.storage import write_once
from restoreproof.wording import headline


def remake(source: Path, to: Path, identity: Path | None, passphrase: str | None) -> bool:
    """Write the report of stored evidence, as HTML if the name says so.

    Return whether it was signed. Raise UserError.
    """
    mend = "give the evidence.json of a run"
    found = evidence.parse(_read(source, mend), where=str(source))
    now = system_clock()
    signer = (
        signing.load_identity(identity, (passphrase or "").encode(), now=now) if identity else None
    )
    if to.exists():
        raise _taken(to)
    # Verifying needs no typesetting library, so only this function loads it.
    from restoreproof import report  # noqa: PLC0415

    if to.suffix == ".html":
        content = report.page(found, screen=True).encode()
    elif signer:
        content = signing.sign(report.render(found), signer, now=now)
    else:
        content = report.render(found)
    try:
        write_once(to, content, mode=0o644)
    except FileExistsError:
        raise _taken(to) from None
    except OSError as error:
        mend = "name a file in a folder that this user may write with --to"
        raise OutputUnwritable(f"{error.strerror}", where=str(to), mend=mend) from None
    return signer is not None and to.suffix != ".html"


def verify_file(path: Path, trust: Path, tell: Callable[[str], None]) -> bool:
    """Verify a report and tell what was proved. Raise UserError if a file cannot be read."""
    pdf = _read(path, "give the path of a report.pdf")
    try:
        proved = verification.verify(pdf, verification.load_trust(trust), now=system_clock())
    except verification.NotAuthentic as reason:
        tell(f"NOT AUTHENTIC: {path}: {reason}")
        return False
    run = proved.evidence.run
    assert proved.evidence.seal is not None
    tell(f"AUTHENTIC: {path}")
    tell(f"  report     run {run.id} of the estate {proved.evidence.policy.estate}")
    tell(f"  verdict    {headline(proved.evidence.verdict)}: {proved.evidence.verdict_reason}")
    tell(f"  signed by  {proved.signer} (certificate SHA-256 {proved.signer_fingerprint})")
    tell(f"  signed at  {proved.signed_at:%Y-%m-%d %H:%M:%S} UTC, by the signer's own clock")
    tell(f"  level      {proved.level}; every byte of the file is covered")
    tell(f"  evidence   attached, seal sha256:{proved.evidence.seal.digest} confirmed")
    if place := proved.evidence.ledger:
        tell(f"  ledger     entry {place.sequence}, after the entry with hash {place.previous}")
    tell(f"  file       sha256:{proved.file_sha256}")
    its_own = _tell_of_sidecars(path, proved, tell)
    tell("  not proved: that the signer's clock was right; whether the certificate was revoked")
    return its_own


def _tell_of_sidecars(
    path: Path, proved: verification.Authenticity, tell: Callable[[str], None]
) -> bool:
    """Tell whether the files beside a report are its own. True also where there are none."""
    folder = path.parent
    if path.name != sidecars.REPORT or not (folder / sidecars.CHECKSUMS).exists():
        tell("  not proved: files beside the report, as it does not lie in the folder of its run")
        return True
    problems = list(sidecars.problems(folder, proved.certificate, proved.evidence))
    for problem in problems:
        tell(f"NOT ITS OWN: {folder}: {problem}")
    if not problems:
        tell(f"  beside     every file of {sidecars.CHECKSUMS} is the one that the signer attested")
    return not problems


def _taken(to: Path) -> OutputUnwritable:
    mend = "name another file with --to"
    return OutputUnwritable("there is a file already", where=str(to), mend=mend)


def _read(path: Path, mend: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"cannot be read: {error.strerror}", where=str(path), mend=mend) from None
