"""Hold a ledger against its anchors, the archive that it lists, and the months that passed."""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from itertools import pairwise
from pathlib import Path

from restoreproof.clock import system_clock
from restoreproof.errors import LedgerCorrupt, UserError
from restoreproof.evidence import parse
from restoreproof.ledger import NAME, Anchor, Ledger, LedgerEntry, digest_of
from restoreproof.ledger_tokens import against_tokens, without_token
from restoreproof.verification import load_trust
from restoreproof.wording import duration, plural


def verify_ledger(
    archive: Path,
    anchors: Sequence[str],
    tell: Callable[[str], None],
    timestamp_trust: Path | None = None,
) -> bool:
    """Tell what is wrong with an archive's ledger, and what is proved. Raise UserError.

    ``timestamp_trust`` is a PEM file with who is trusted for time stamps over the ledger.
    """
    trust = load_trust(timestamp_trust) if timestamp_trust else None
    kept = [Anchor.parse(text) for text in anchors]
    ledger = Ledger(archive)
    if not ledger.path.exists():
        mend = "give the folder into which audits report with --archive"
        raise UserError("there is no ledger", where=str(ledger.path), mend=mend)
    try:
        entries = ledger.entries()
    except LedgerCorrupt as broken:
        tell(f"BROKEN: {broken.where}: {broken.what}")
        return False
    now = system_clock()
    problems = [
        *against_anchors(entries, kept),
        *against_archive(entries, archive),
        *missing_tests(entries, now),
        *(against_tokens(entries, archive, trust, now) if trust else ()),
    ]
    for problem in problems:
        tell(f"FINDING: {problem}")
    tell(f"{'NOT SOUND' if problems else 'SOUND'}: {ledger.path}, {plural(len(entries), 'run')}")
    if entries:
        tell(f"  anchor      {entries[-1].anchor}")
    if not kept:
        tell("  not proved: that no run was cut off its end, or all made anew (give --anchor)")
    if trust is None:
        tell("  not proved: when entries were made (give --trust-timestamps)")
    elif bare := without_token(entries, archive):
        tell(f"  not proved: when each entry was made: {bare}")
    return not problems


def against_anchors(entries: Sequence[LedgerEntry], anchors: Sequence[Anchor]) -> Iterator[str]:
    """What does not agree with what was kept elsewhere."""
    for anchor in anchors:
        if not 1 <= anchor.sequence <= len(entries):
            yield f"the ledger was cut short: it has no entry {anchor.sequence}, the anchor has"
        elif entries[anchor.sequence - 1].hash != anchor.hash:
            yield f"entry {anchor.sequence} is not the one of the anchor: the ledger was made anew"


def against_archive(entries: Sequence[LedgerEntry], archive: Path) -> Iterator[str]:
    """Files that are not those of the entry, and runs or reports without one."""
    known = {entry.run: entry for entry in entries}
    for name, entry in known.items():
        folder = archive / name
        if not folder.is_dir():
            yield f"run {name}: it is in the ledger, and its folder is gone"
            continue
        for file in entry.files:
            path = folder / file.name
            if not path.is_file():
                yield f"run {name}: {file.name} is gone"
            elif digest_of(path) != file.sha256:
                yield f"run {name}: {file.name} is not the file that the run wrote"
        yield from _against_evidence(entry, folder / "evidence.json")
    folders = (path for path in sorted(archive.iterdir()) if (path / "evidence.json").is_file())
    for folder in folders:
        if folder.name not in known and not folder.name.startswith("."):
            yield f"run {folder.name}: it is in the archive, and not in {NAME}"


def _against_evidence(entry: LedgerEntry, path: Path) -> Iterator[str]:
    """An entry made anew gives itself away by what the signed evidence of its run says."""
    if not path.is_file():
        return
    try:
        evidence = parse(path.read_bytes(), where=str(path))
    except UserError as problem:
        yield f"run {entry.run}: its evidence is not sound: {problem.what}"
        return
    if evidence.run.id != entry.run:
        yield f"run {entry.run}: its evidence is that of run {evidence.run.id}"
    place = evidence.ledger
    if place is None or (place.sequence, place.previous) != (entry.sequence, entry.previous):
        yield f"run {entry.run}: its evidence names another place in the ledger"
    if (evidence.verdict, evidence.run.finished_at) != (entry.verdict, entry.finished_at):
        yield f"run {entry.run}: its evidence has another verdict or time than its entry"


def missing_tests(entries: Sequence[LedgerEntry], now: datetime) -> Iterator[str]:
    """Of each estate, times between two runs, and since the newest, longer than it promised."""
    for estate in dict.fromkeys(entry.estate for entry in entries):
        mine = [entry for entry in entries if entry.estate == estate]
        for earlier, later in pairwise(mine):
            gap = later.finished_at - earlier.finished_at
            if gap.total_seconds() < 0:
                yield f"run {later.run}: it is dated before run {earlier.run}, which it follows"
            if gap > later.objectives.restore_test_every:
                yield (
                    f"{estate}: no restore was tested for {duration(gap)} before run {later.run},"
                    f" promised is every {duration(later.objectives.restore_test_every)}"
                )
        newest, promised = mine[-1], mine[-1].objectives.restore_test_every
        if now - newest.finished_at > promised:
            yield (
                f"{estate}: no restore was tested for {duration(now - newest.finished_at)},"
                f" promised is every {duration(promised)}"
            )
