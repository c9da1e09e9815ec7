"""What a policy has kept and what it lets go, worked out from the catalog's entries alone."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice

from restoreproof.manifest import BackupGone, BackupPruned, CatalogEntry
from restoreproof.policy import Retention
from restoreproof.run_history import CLOCK_TOLERANCE, RunHistory

GRACE = timedelta(days=1)
"""How long what may go can stay before it is too long: pruning runs once a day."""


def expendable(
    retention: Retention,
    entries: Iterable[CatalogEntry],
    now: datetime,
    is_good: Callable[[CatalogEntry], bool] = lambda _: True,
) -> tuple[CatalogEntry, ...]:
    """The backups that no rule keeps at an instant, the newest recovery point first.

    Where days and a count are given, either keeps. The newest backup is always kept, the newest
    full one that is good, and all that a kept one stands on: removed in this order, no chain is
    ever broken. What is dated after ``now`` is kept: a wrong clock lets nothing go.
    """
    newest_first = sorted(entries, key=lambda entry: entry.recovery_point, reverse=True)
    if retention.until:
        return ()
    past = [entry for entry in newest_first if entry.recovery_point <= now]
    kept = {entry.backup for entry in past[: max(1, retention.count or 0)]}
    if retention.days:
        oldest = now - timedelta(days=retention.days)
        kept |= {entry.backup for entry in newest_first if entry.recovery_point >= oldest}
    kept |= {entry.backup for entry in newest_first if entry not in past}
    fulls = (entry for entry in newest_first if entry.kind == "full")
    kept |= {entry.backup for entry in islice(filter(is_good, fulls), 1)}
    by_id = {entry.backup: entry for entry in newest_first}
    for entry in newest_first:
        base = entry.base if entry.backup in kept else ""
        while base in by_id and base not in kept:
            kept.add(base)
            base = by_id[base].base
    return tuple(entry for entry in newest_first if entry.backup not in kept)


@dataclass(frozen=True)
class Removal:
    """A backup that went, and that the policy would have kept."""

    backup: str
    problem: str


def wrongly_removed(
    retention: Retention, history: RunHistory, now: datetime
) -> tuple[Removal, ...]:
    """Backups that were pruned before they might be, or found gone while they had to be there.

    Where the policy keeps backups until they are deleted by hand, one that was noted as gone is
    within the promise.
    """
    found = []
    there: dict[str, CatalogEntry] = {}
    for event in history.events:
        if isinstance(event, CatalogEntry):
            there[event.backup] = event
        elif isinstance(event, BackupPruned) and event.backup in there:
            free = expendable(retention, there.values(), event.at + CLOCK_TOLERANCE)
            if event.backup not in {entry.backup for entry in free}:
                found.append(Removal(event.backup, f"pruned too early, as '{event.rule}'"))
            del there[event.backup]
        elif isinstance(event, BackupGone) and event.backup in there:
            free = expendable(retention, there.values(), now)
            if not retention.until and event.backup not in {entry.backup for entry in free}:
                found.append(Removal(event.backup, "gone without having been pruned"))
            del there[event.backup]
    return tuple(found)


def kept_too_long(
    retention: Retention, entries: Iterable[CatalogEntry], now: datetime
) -> tuple[CatalogEntry, ...]:
    """Backups that no rule has kept for longer than ``GRACE``."""
    then = now - GRACE
    return expendable(retention, (e for e in entries if e.recovery_point <= then), then)
