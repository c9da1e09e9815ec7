"""``restoreproof catalog repair``: makes catalog and vault agree again, and loses nothing.

Every step is told, and each is a line of the catalog: nothing that was written goes away.
"""

from collections.abc import Callable
from datetime import datetime

from restoreproof.manifest import BackupGone
from restoreproof.outcomes import RestoreFailed
from restoreproof.vault import Vault


def repair(vault: Vault, now: datetime, tell: Callable[[str], None]) -> bool:
    """Mend what a killed process or a hand left; return whether all of it could be mended.

    An end that broke off is set aside, a whole backup that its job could not enter is entered,
    and one whose files are gone is noted as gone. Raise CatalogCorrupt if more is damaged, and
    VaultBusy while a job runs.
    """
    mended = True
    for line in vault.catalog.repair(now):
        tell(f"the catalog's end had broken off: set aside as {line.set_aside}, and noted")
    for component in vault.components():
        with vault.working_on(component, "repairing the catalog of", now):
            for name in sorted(vault.unknown(component)):
                try:
                    vault.enter(component, name)
                    tell(f"{name}: whole, and not in the catalog: entered")
                except RestoreFailed as damage:
                    mended = False
                    tell(f"not in the catalog and not whole, left as it is: {damage}")
            for backup in vault.backups(component):
                if not backup.folder.exists():
                    vault.catalog.note(
                        BackupGone, component=component, backup=backup.id, noted_at=now
                    )
                    tell(f"{backup.id}: gone without having been pruned: noted as gone")
    return mended
