"""Hold a report against what lies beside it: its sidecars, the ledger, and the run before it."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

from restoreproof.errors import LedgerCorrupt
from restoreproof.ledger import NAME, Ledger, LedgerEntry, digest_of
from restoreproof.proofs import Proof, failed, open_, proved
from restoreproof.sidecars import CHECKSUMS, REPORT, problems
from restoreproof.verification import Authenticity
from restoreproof.wording import ATTACHMENT


def check_files(report: Path, authentic: Authenticity) -> Iterator[Proof]:
    """Every file beside the report is the one that the report's own signer attested."""
    folder = report.parent
    if report.name != REPORT or not (folder / CHECKSUMS).exists():
        yield open_("sidecars", "the report does not lie in the folder of its run")
        return
    found = list(problems(folder, authentic.signature.certificate, authentic.evidence))
    yield from (failed("sidecars", problem) for problem in found)
    if not found:
        told = f"every file of {CHECKSUMS} is the one that the signer attested"
        yield proved("sidecars", told)


def check_ledger(report: Path, archive: Path | None, authentic: Authenticity) -> Iterator[Proof]:
    """The report stands in the ledger where it says, with its files; and so does the one before.

    Where no archive is given it is the one that the report lies in.
    """
    place = authentic.evidence.ledger
    path = (archive or report.resolve().parent.parent) / NAME
    if place is None:
        yield open_("ledger", "the report names no place in a ledger")
        return
    if not path.is_file():
        where = f"entry {place.sequence}, after the entry with hash {place.previous}"
        yield open_("ledger", f"there is no {NAME} at hand; the report says: {where}")
        return
    try:
        entries = Ledger(path.parent).entries()
    except LedgerCorrupt as broken:
        yield failed("ledger", broken.what)
        return
    if len(entries) < place.sequence:
        yield failed("ledger", f"it was cut short: it has no entry {place.sequence}")
        return
    entry = entries[place.sequence - 1]
    yield _entry(entry, report, authentic)
    if place.sequence > 1:
        yield _previous(entries[place.sequence - 2], path.parent)


def _entry(entry: LedgerEntry, report: Path, authentic: Authenticity) -> Proof:
    evidence = authentic.evidence
    assert evidence.ledger is not None
    if entry.run != evidence.run.id:
        return failed("ledger", f"entry {entry.sequence} is that of run {entry.run}")
    if entry.previous != evidence.ledger.previous:
        return failed("ledger", "the run before is another one: the ledger was made anew")
    if (entry.verdict, entry.finished_at) != (evidence.verdict, evidence.run.finished_at):
        return failed("ledger", "its entry has another verdict or time")
    for file in entry.files:
        path = report.with_name(REPORT if file.name == REPORT else file.name)
        digest = authentic.file_sha256 if file.name == REPORT else _digest_if_there(path)
        if digest not in (file.sha256, None):
            name = report.name if file.name == REPORT else file.name
            return failed("ledger", f"{name} is not the file that the run wrote")
    if not any(file.name == REPORT for file in entry.files):
        return _later(entry, authentic)
    return proved(
        "ledger", f"entry {entry.sequence} names this file and those beside it; hash {entry.hash}"
    )


def _later(entry: LedgerEntry, authentic: Authenticity) -> Proof:
    """A report that the run could not make is as good as the evidence that it was made of."""
    attached = hashlib.sha256(authentic.attached).hexdigest()
    if {file.name: file.sha256 for file in entry.files}.get(ATTACHMENT) != attached:
        return failed("ledger", "the run wrote no report, and its evidence is not the attached one")
    return proved(
        "ledger", f"entry {entry.sequence} names the attached evidence, of which this report was"
        f" made later, since the run made none; hash {entry.hash}"
    )  # fmt: skip


def _digest_if_there(path: Path) -> str | None:
    return digest_of(path) if path.is_file() else None


def _previous(entry: LedgerEntry, archive: Path) -> Proof:
    path = archive / entry.run / REPORT
    told = f"run {entry.run}, entry {entry.sequence}"
    digests = {file.name: file.sha256 for file in entry.files}
    if REPORT not in digests:
        return open_("report before", f"{told}: it left no report")
    if not path.is_file():
        return open_("report before", f"{told}: it is not in the archive")
    if digest_of(path) != digests[REPORT]:
        return failed("report before", f"{told}: its report is not the file that the run wrote")
    return proved("report before", f"{told}: its report is the file that the run wrote")
