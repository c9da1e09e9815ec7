"""What earlier runs in the archive say: which restores were tested, and which runs died."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from restoreproof.archive import DIED, ESTATE, started_at
from restoreproof.errors import UserError
from restoreproof.evidence import Evidence, parse

EVIDENCE = "evidence.json"


@dataclass(frozen=True)
class EarlierRuns:
    """The runs over one estate, the oldest first.

    ``died`` names runs that came to no end, ``unreadable`` those whose evidence is not as it was
    sealed; neither proves anything.
    """

    runs: tuple[Evidence, ...] = ()
    died: tuple[str, ...] = ()
    unreadable: tuple[str, ...] = ()

    def last_test_of(self, component: str) -> datetime | None:
        """When a restore of a component was last tried, whatever came of it."""
        tested = (
            run.run.started_at
            for run in self.runs
            if any(attempt.component == component for attempt in run.attempts)
        )
        return max(tested, default=None)

    def restored(self) -> frozenset[str]:
        """The backups that some run restored."""
        attempts = (attempt for run in self.runs for attempt in run.attempts)
        return frozenset(a.backup for a in attempts if a.succeeded and not a.until)

    def last_checked(self) -> dict[str, datetime]:
        """When each backup's stored bytes were last compared with their digests."""
        return {
            backup.id: run.run.started_at
            for run in self.runs
            for backup in run.backups
            if backup.bytes_checked
        }

    def last_run_at(self) -> datetime | None:
        """When the newest of them began."""
        return self.runs[-1].run.started_at if self.runs else None


def read_earlier_runs(archive: Path, estate: str, since: datetime) -> EarlierRuns:
    """The runs over an estate that began since an instant. Other folders are passed over."""
    runs: list[Evidence] = []
    died: list[str] = []
    unreadable: list[str] = []
    for folder in _folders(archive, since):
        if folder.name.startswith(DIED):
            mark = folder / ESTATE
            if mark.is_file() and mark.read_text(encoding="utf-8") == estate:
                died.append(folder.name.removeprefix(DIED))
            continue
        path = folder / EVIDENCE
        try:
            evidence = parse(path.read_bytes(), where=str(path))
        except (OSError, UserError) as problem:
            unreadable.append(f"{folder.name}: {getattr(problem, 'what', 'cannot be read')}")
            continue
        if evidence.policy.estate == estate:
            runs.append(evidence)
    runs.sort(key=lambda evidence: evidence.run.started_at)
    return EarlierRuns(tuple(runs), tuple(died), tuple(unreadable))


def _folders(archive: Path, since: datetime) -> Iterable[Path]:
    for folder in sorted(archive.iterdir()) if archive.is_dir() else ():
        began = started_at(folder.name.removeprefix(DIED))
        if began is not None and began >= since and folder.is_dir():
            yield folder
