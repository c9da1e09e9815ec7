"""What vault, catalog and archive say of a component, apart from any restore of this run."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property

from restoreproof.archive import started_at
from restoreproof.earlier_runs import EarlierRuns
from restoreproof.integrity import last_checks, share
from restoreproof.manifest import CatalogEntry, RunFailed
from restoreproof.policy import Retention
from restoreproof.retention import kept_too_long, wrongly_removed
from restoreproof.run_history import CLOCK_TOLERANCE, TOLERANCE, MissedRun, RunHistory
from restoreproof.vault import StoredBackup


@dataclass(frozen=True)
class Standing:
    """A component as it stands when the estate is lost.

    ``lying`` names all that lies among its backups, ``own_jobs`` when this run's jobs began.
    Every backup's bytes are to be checked once ``check_within``; nothing means in every run.
    """

    component: str
    lost_at: datetime
    restore_test_every: timedelta
    backups: tuple[StoredBackup, ...]
    history: RunHistory
    retention: Retention | None = None
    lying: frozenset[str] = frozenset()
    earlier: EarlierRuns = field(default_factory=EarlierRuns)
    own_jobs: frozenset[datetime] = frozenset()
    check_within: timedelta = timedelta()

    @property
    def looked_back(self) -> datetime:
        """Since when runs are looked at: as long as may lie between two restore tests."""
        return self.lost_at - self.restore_test_every

    # Runs

    @cached_property
    def runs(self) -> tuple[CatalogEntry | RunFailed, ...]:
        """The backup runs of the period, but for those that this audit made itself."""
        every: list[CatalogEntry | RunFailed] = [*self.history.stored, *self.history.failed]
        return tuple(
            run
            for run in every
            if self.looked_back <= run.started_at <= self.lost_at
            and run.started_at not in self.own_jobs
        )

    @property
    def failed_runs(self) -> tuple[RunFailed, ...]:
        """Those of them that ended without a backup."""
        return tuple(run for run in self.runs if isinstance(run, RunFailed))

    @property
    def missed_runs(self) -> tuple[MissedRun, ...]:
        """Runs that were due in the period and did not begin in time."""
        return self.history.missed_within(self.looked_back, self.lost_at - TOLERANCE)

    def wrong_times(self) -> tuple[str, ...]:
        """Backups that show that a clock was wrong: it was set back, or far ahead."""
        latest = self.lost_at + CLOCK_TOLERANCE
        ahead = tuple(
            f"{entry.backup} is dated in the future"
            for entry in self.history.stored
            if max(entry.started_at, entry.finished_at, entry.recovery_point) > latest
        )
        return ahead + tuple(
            f"{later.backup} was stored after {earlier.backup} and began before it"
            for earlier, later in self.history.backward_steps()
        )

    # The vault

    @property
    def deleted(self) -> tuple[str, ...]:
        """Backups that the catalog names and whose folder is gone."""
        return tuple(backup.id for backup in self.backups if not backup.folder.exists())

    def disagreements(self) -> tuple[str, ...]:
        """Where the vault holds something else than the catalog says."""
        known = {entry.backup for entry in self.history.stored}
        missing = (f"{one} is in the catalog and was deleted by hand" for one in self.deleted)
        unknown = sorted(self.lying - known)
        stray = (f"{one} lies there, and no line of the catalog tells of it" for one in unknown)
        return (*missing, *stray)

    def wrongly_removed(self) -> tuple[str, ...]:
        """Backups that the retention keeps and that are not there any more."""
        assert self.retention is not None
        removed = wrongly_removed(self.retention, self.history, self.lost_at)
        deleted = (f"{one}: deleted by hand" for one in self.deleted)
        return (*(f"{one.backup}: {one.problem}" for one in removed), *deleted)

    def kept_too_long(self) -> tuple[str, ...]:
        """Backups that the retention does not keep and that are there still."""
        assert self.retention is not None
        entries = [backup.entry for backup in self.backups]
        late = {one.backup for one in kept_too_long(self.retention, entries, self.lost_at)}
        return tuple(sorted(late | (self.history.removed & self.lying)))

    @cached_property
    def to_check(self) -> tuple[StoredBackup, ...]:
        """The backups whose stored bytes this run compares with their digests."""
        last, previous = self._last_checks, self.earlier.last_run_at()
        return share(self.backups, last, self.check_within, self.lost_at, previous)

    def unchecked_for(self) -> timedelta:
        """The longest time for which a backup was not checked before this run."""
        ages = (self.lost_at - at for at in self._last_checks.values())
        return max(ages, default=timedelta())

    @cached_property
    def _last_checks(self) -> dict[str, datetime]:
        return last_checks(self.backups, self.earlier.last_checked())

    # Restore tests

    @property
    def tested_last(self) -> datetime | None:
        """When a restore was tested before this run; if never, when there was a first backup.

        Runs over an earlier vault, before this one's first backup, count for nothing.
        """
        first = min((entry.finished_at for entry in self.history.stored), default=None)
        tested = self.earlier.last_test_of(self.component)
        return max(first, tested) if first and tested else first

    def died(self) -> tuple[str, ...]:
        """Runs since the last report that came to no end, or whose evidence is not whole."""
        last = self.earlier.last_run_at() or self.looked_back
        since = (one for one in self.earlier.died if (started_at(one) or last) >= last)
        ended = (f"run {one} came to no end" for one in since)
        return (*ended, *(f"run {one}" for one in self.earlier.unreadable))

    def never_restored(self, now_restored: Iterable[str]) -> tuple[str, ...]:
        """Backups that no run restored, alone or in a chain, in the time that runs have for it.

        Looked at are those that were stored before the last period between two restore tests,
        and not before the one before it: earlier reports told of the others.
        """
        base = {backup.id: backup.entry.base for backup in self.backups}
        restored: set[str] = set()
        for name in {*self.earlier.restored(), *now_restored}:
            link = name
            while link in base and link not in restored:
                restored.add(link)
                link = base[link]
        begin = self.looked_back - self.restore_test_every
        return tuple(
            backup.id
            for backup in self.backups
            if begin <= backup.entry.finished_at < self.looked_back and backup.id not in restored
        )
