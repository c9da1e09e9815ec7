"""Which backups' stored bytes an audit compares with their digests, where it need not be all."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from math import ceil

from restoreproof.vault import StoredBackup


def last_checks(
    backups: Sequence[StoredBackup], checked: Mapping[str, datetime]
) -> dict[str, datetime]:
    """When each backup was last checked: by an earlier run, or when it was stored."""
    stored = {backup.id: backup.entry.finished_at for backup in backups}
    return {name: max(at, checked.get(name, at)) for name, at in stored.items()}


def share(
    backups: Sequence[StoredBackup],
    last: Mapping[str, datetime],
    within: timedelta,
    now: datetime,
    previous: datetime | None,
) -> tuple[StoredBackup, ...]:
    """The share of backups to check now, so that each is checked once within a time.

    Those that were checked longest ago come first: as many as keep the pace if audits go on at
    the pace since ``previous``, and all that would be late at the next one. Without an earlier
    audit nobody knows the pace, so all are checked.
    """
    if previous is None or within <= timedelta():
        return tuple(backups)
    pace = now - previous
    longest_ago = sorted(backups, key=lambda backup: last[backup.id])
    enough = ceil(len(backups) * min(1.0, pace / within))
    return tuple(
        backup
        for number, backup in enumerate(longest_ago)
        if number < enough or now + pace - last[backup.id] > within
    )
