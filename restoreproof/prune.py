"""``restoreproof prune``: removes what the policy keeps no longer, and nothing else.

The catalog is told before a backup's files go, and they go at once. So a prune that is killed
leaves whole backups, and files that the catalog says are pruned, which the next one removes.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial

from restoreproof.estate import chosen_components, open_vault
from restoreproof.manifest import BackupPruned, CatalogEntry
from restoreproof.policy import PolicyDocument, Retention
from restoreproof.retention import expendable
from restoreproof.run_history import RunHistory
from restoreproof.vault import StoredBackup, Vault
from restoreproof.wording import plural, size


def prune(
    document: PolicyDocument,
    chosen: Sequence[str],
    now: datetime,
    tell: Callable[[str], None],
    *,
    apply: bool,
) -> int:
    """Tell what the policy keeps no longer, and with ``apply`` remove it; return how much.

    Raise VaultBusy while an audit restores or a job runs, CatalogCorrupt, OutputUnwritable.
    """
    vault = open_vault(document)
    vault.catalog.events()
    components = document.policy.components
    count = 0
    for name in chosen_components(document, chosen):
        retention = components[name].retention
        if retention is None or retention.until:
            tell(f"{name}: {'kept for good' if retention else 'the policy gives no retention'}")
            continue
        if apply:
            vault.prepare()
            with vault.pruning(now), vault.working_on(name, "pruning", now):
                count += _prune(vault, name, retention, now, tell)
        else:
            for backup in to_prune(vault, name, retention, now):
                tell(f"would remove {_described(backup)}")
                count += 1
    tell(f"{plural(count, 'backup')} {'removed' if apply else 'to remove: give --apply to do it'}")
    return count


def to_prune(
    vault: Vault, component: str, retention: Retention, now: datetime
) -> tuple[StoredBackup, ...]:
    """The backups that may go, in an order that breaks no chain."""
    backups = {backup.id: backup for backup in vault.backups(component)}
    entries = [backup.entry for backup in backups.values()]
    free = expendable(retention, entries, now, partial(_is_good, backups))
    return tuple(backups[entry.backup] for entry in free)


def _is_good(backups: dict[str, StoredBackup], entry: CatalogEntry) -> bool:
    return not backups[entry.backup].damage()[1]


def _prune(
    vault: Vault,
    component: str,
    retention: Retention,
    now: datetime,
    tell: Callable[[str], None],
) -> int:
    for left in finished_by_none(vault, component):
        vault.remove(component, left)
        tell(f"removed what an earlier prune left of {left}")
    free = to_prune(vault, component, retention, now)
    for backup in free:
        described = _described(backup)
        vault.catalog.note(
            BackupPruned,
            component=component,
            backup=backup.id,
            at=now,
            rule=retention.describe(),
        )
        vault.remove(component, backup.id)
        tell(f"removed {described}")
    return len(free)


def finished_by_none(vault: Vault, component: str) -> tuple[str, ...]:
    """Backups that are pruned by the catalog's word, and whose files are there still."""
    history = RunHistory.of(vault.catalog.events(), component)
    pruned = {event.backup for event in history.events if isinstance(event, BackupPruned)}
    return tuple(sorted(pruned & vault.folders(component)))


def _described(backup: StoredBackup) -> str:
    stored = sum(path.stat().st_size for path in backup.folder.glob("*"))
    return f"{backup.id} ({backup.entry.kind}, {size(stored)})"
