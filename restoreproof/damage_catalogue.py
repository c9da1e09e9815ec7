"""All named damages that a negative control chooses from."""

from restoreproof import (
    damage_metrics,
    damage_mysql,
    damage_repository,
    damage_stored,
    damage_trees,
)
from restoreproof.damage_kinds import Damage

DAMAGES: tuple[Damage, ...] = (
    *damage_stored.DAMAGES,
    *damage_mysql.DAMAGES,
    *damage_metrics.DAMAGES,
    *damage_repository.DAMAGES,
    *damage_trees.DAMAGES,
)


def damages_for(engine: str, kind: str) -> tuple[Damage, ...]:
    """Those for backups of an engine and of a kind, in the catalogue's order."""
    return tuple(one for one in DAMAGES if one.concerns(engine, kind))
