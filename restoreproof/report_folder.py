"""The files of a report in the folder of its run: made with the run, or later of its evidence."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from restoreproof import attestation, oscal, sidecars, signing, verification
from restoreproof.errors import OutputUnwritable, SigningFailed, UserError
from restoreproof.evidence import Evidence
from restoreproof.identities import Identity
from restoreproof.ledger import Ledger, digest_of
from restoreproof.signing import Means
from restoreproof.storage import write_once
from restoreproof.wording import ATTACHMENT

HTML = "report.html"
MADE = frozenset({sidecars.REPORT, HTML, attestation.NAME, sidecars.CHECKSUMS})
"""What only whoever makes the report writes; the rest a run may have left without one."""


def write_report(
    evidence: Evidence,
    folder: Path,
    identity: Identity,
    means: Means,
    clock: Callable[[], datetime],
) -> None:
    """Write assessment results and signed report, which is verified as a reader would first.

    Raise UserError, SigningFailed, OSError.
    """
    # WeasyPrint takes a second to import, which only a finished run has to spend.
    from restoreproof import report  # noqa: PLC0415

    if not (folder / oscal.NAME).exists():
        sidecars.write_oscal(evidence, folder)
    signed = signing.sign(report.render(evidence), identity, now=clock(), means=means)
    try:
        verification.verify(
            signed,
            identity.trust,
            now=clock(),
            timestamp_trust=means.timestamp_trust,
            lists=means.lists,
        )
    except verification.NotAuthentic as reason:
        problem = f"the report that was signed is not authentic: {reason}"
        raise SigningFailed(problem, where=identity.source, mend="mend the cause") from None
    write_once(folder / sidecars.REPORT, signed)
    write_once(folder / HTML, report.page(evidence, screen=True).encode())


def make_later(
    evidence: Evidence,
    folder: Path,
    identity: Identity,
    means: Means,
    clock: Callable[[], datetime],
) -> None:
    """Make all that belongs to a report in the run's own folder, or in one that is empty.

    Of the run's own files those are bound that its ledger names, as it names them. Raise what
    ``write_report`` raises; then nothing was added.
    """
    mend = "give the folder of the run, or one that is empty, with --to"
    try:
        folder.mkdir(exist_ok=True)
        there = {path.name for path in folder.iterdir()}
        own = (folder / ATTACHMENT).read_bytes() if ATTACHMENT in there else None
    except OSError as error:
        raise OutputUnwritable(f"{error.strerror}", where=str(folder), mend=mend) from None
    if there and own != evidence.canonical():
        raise UserError("it is not the folder of this run", where=str(folder), mend=mend)
    if taken := sorted(there & MADE):
        raise OutputUnwritable("there is a file already", where=str(folder / taken[0]), mend=mend)
    kept = set(_left_by(evidence, folder)) if there else set[str]()
    with all_or_nothing(folder):
        if (folder / oscal.NAME).exists() and oscal.NAME not in kept:
            raise UserError("whose it is, is not known", where=str(folder / oscal.NAME), mend=mend)
        if not there:
            evidence.write(folder / ATTACHMENT)
        write_report(evidence, folder, identity, means, clock)
        names = {ATTACHMENT, oscal.NAME, sidecars.REPORT, HTML} | kept
        sidecars.bind(evidence, folder, sorted(names), identity)


def _left_by(evidence: Evidence, folder: Path) -> Iterator[str]:
    """The names of the files that a run left, if its ledger knows it. Raise UserError."""
    entries = Ledger(folder.resolve().parent).entries()
    for file in (file for one in entries if one.run == evidence.run.id for file in one.files):
        path = folder / file.name
        if not path.is_file() or digest_of(path) != file.sha256:
            mend = "put back the file that the run wrote, or make the report in an empty folder"
            raise UserError("not the file that the run wrote", where=str(path), mend=mend)
        yield file.name


@contextmanager
def all_or_nothing(folder: Path) -> Iterator[None]:
    """Remove what the block added to a folder, if it fails."""
    before = set(folder.iterdir())
    try:
        yield
    except BaseException:
        for path in set(folder.iterdir()) - before:
            path.unlink()
        raise
