"""What needs nothing but files: make a report again from evidence, countersign a report."""

from collections.abc import Callable
from pathlib import Path

from restoreproof import countersignatures, evidence, signing, verification
from restoreproof.clock import system_clock
from restoreproof.errors import IdentityUnusable, OutputUnwritable, UserError
from restoreproof.identities import load_identity
from restoreproof.signing import PLAIN, Means
from restoreproof.storage import write_once
from restoreproof.verification import load_trust
from restoreproof.verify_command import read


def remake(
    source: Path,
    to: Path,
    identity: Path | None,
    passphrase: str | None,
    policy: Path | None = None,
) -> bool:
    """Write the report of stored evidence, as HTML if the name says so, with all if it is a folder.

    A policy signs it as an audit would. Return whether it was signed. Raise UserError,
    SigningFailed.
    """
    mend = "give the evidence.json of a run"
    found = evidence.parse(read(source, mend), where=str(source))
    now = system_clock()
    signer, means = None, PLAIN
    if policy:
        # Loads every engine, which an unsigned report can do without.
        from restoreproof import policy_file, signing_policy  # noqa: PLC0415

        document = policy_file.read_policy(policy)
        signer = signing_policy.open_identity(document, now)
        means = signing_policy.means_of(document)
        signing_policy.check_revocation(signer, means, now)
    elif identity:
        signer = load_identity(identity, (passphrase or "").encode(), now=now)
    # The evidence says the level, and so does what is printed.
    level = found.policy.signature_level
    means = Means(level, means.timestamps, means.lists)
    if signer and level.needs_timestamps and means.timestamps is None:
        problem = f"the evidence says that its report is signed at level {level}"
        mend = "give --policy with the policy whose 'signing' names a time-stamping authority"
        raise UserError(problem, where=str(source), mend=mend)
    if to.is_dir() or not to.suffix:
        if signer is None:
            mend = "give --policy or --identity, or a .pdf or .html to write with --to"
            raise UserError("a folder is for a signed report", where=str(to), mend=mend)
        from restoreproof import report_folder  # noqa: PLC0415

        report_folder.make_later(found, to, signer, means, system_clock)
        return True
    if to.exists():
        raise _taken(to)
    # Verifying needs no typesetting library, so only this function loads it.
    from restoreproof import report  # noqa: PLC0415

    if to.suffix == ".html":
        content = report.page(found, screen=True).encode()
    elif signer:
        content = signing.sign(report.render(found), signer, now=now, means=means)
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


def countersign_file(
    report: Path,
    identity: Path,
    passphrase: str,
    trust: Path,
    timestamps: Path | None,
    tell: Callable[[str], None],
) -> bool:
    """Have a reviewer sign a report that is authentic; False if it is not. Raise UserError."""
    now = system_clock()
    pdf = read(report, "give the path of a report.pdf")
    stamps = load_trust(timestamps) if timestamps else ()
    try:
        found = verification.verify(pdf, load_trust(trust), now=now, timestamp_trust=stamps)
    except verification.NotAuthentic as reason:
        tell(f"NOT AUTHENTIC: {report}: {reason}")
        return False
    reviewer = load_identity(identity, passphrase.encode(), now=now)
    if reviewer.fingerprint == found.signature.fingerprint:
        problem = "this identity signed the report itself"
        mend = "countersign with the reviewer's own identity"
        raise IdentityUnusable(problem, where=str(identity), mend=mend)
    path = countersignatures.countersign(report, pdf, reviewer, now=now)
    tell(f"{path}: {reviewer.certificate.subject.rfc4514_string()} countersigned {report}")
    return True


def _taken(to: Path) -> OutputUnwritable:
    mend = "name another file with --to"
    return OutputUnwritable("there is a file already", where=str(to), mend=mend)
