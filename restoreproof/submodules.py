"""Which submodules of a repository other components back up, at the very commits it names."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from restoreproof.engines.git_backup import PINNED
from restoreproof.engines.git_stored import VERSIONS
from restoreproof.engines.git_submodules import SUBMODULES, Submodule, same_repository
from restoreproof.outcomes import RestoreFailed
from restoreproof.restore import to_restore
from restoreproof.vault import StoredBackup


@dataclass(frozen=True)
class Covered:
    """Sentences on submodules of the newest backup: those that others hold, and the rest."""

    held: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()


def covered(component: str, backups: Mapping[str, Sequence[StoredBackup]]) -> Covered:
    """Look for the submodules of the newest of a component's backups among those of others.

    The backup of a submodule's repository may be older than the commit that is wanted of it.
    """
    held, missing = [], []
    others = {name: known for name, known in backups.items() if name != component}
    for one in _submodules(backups[component]):
        place = f"submodule {one.path}{f' ({one.location})' if one.location else ''}"
        names = [name for name, known in others.items() if _is_of(known, one.location)]
        holder = next((name for name in names if _holds(others[name], one.commit)), None)
        if holder is not None:
            held.append(f"{place} is backed up by component {holder}, commit {one.commit[:12]}")
        elif names:
            named = " and ".join(names)
            missing.append(f"{place}: commit {one.commit[:12]} is in no backup of {named} yet")
        else:
            missing.append(f"{place}: its content is backed up by no component")
    return Covered(tuple(held), tuple(missing))


def _submodules(backups: Sequence[StoredBackup]) -> tuple[Submodule, ...]:
    # Damage is told elsewhere.
    with suppress(RestoreFailed, ValueError):
        told = backups[-1].manifest().facts.get(PINNED) if backups else None
        return SUBMODULES.validate_json(told) if told else ()
    return ()


def _is_of(backups: Sequence[StoredBackup], location: str) -> bool:
    with suppress(RestoreFailed, IndexError):
        return same_repository(location, backups[-1].manifest().source_identity)
    return False


def _holds(backups: Sequence[StoredBackup], commit: str) -> bool:
    return any(_names(one, commit) for one in reversed(backups))


def _names(backup: StoredBackup, commit: str) -> bool:
    with suppress(RestoreFailed):
        stored = to_restore(backup, backup.manifest())
        return f"{commit} ".encode() in b"".join(stored.read(VERSIONS))
    return False
