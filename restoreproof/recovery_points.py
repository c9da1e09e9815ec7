"""The recovery points of a component, and the one that a user asks for."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import chain

from restoreproof.engines.contract import CLOCK_AHEAD, Engine
from restoreproof.errors import UserError
from restoreproof.outcomes import RestoreFailed
from restoreproof.references import SourceModel
from restoreproof.restore import Target, to_restore
from restoreproof.vault import StoredBackup

FORMS = "a backup's name, an instant such as 2026-11-23T03:00:00Z, or a GTID"


def find(
    component: str,
    backups: Sequence[StoredBackup],
    engine: Engine[SourceModel],
    wanted: str | None,
) -> Target:
    """The recovery point that ``wanted`` names; the newest if it names none.

    It is the name of a backup, an instant by the source's own clock, or what the engine calls
    a position or a transaction. Raise UserError for what no backup holds.
    """
    if not backups:
        mend = f"take one: restoreproof backup POLICY {component}"
        raise UserError("the vault holds no backup", where=component, mend=mend)
    whole = {one.id: one for one in backups}
    newest = Target(component, backups[-1], newest=True, population=tuple(backups))
    if wanted is None:
        return newest
    if wanted in whole:
        return replace(newest, backup=whole[wanted], newest=whole[wanted] is backups[-1])
    instant = _instant(component, wanted)
    found = (
        _by_name(backups, engine, wanted, component)
        if instant is None
        else _by_instant(backups, engine, instant, component)
    )
    return replace(newest, backup=found.backup, until=found.until, newest=False)


def described(backup: StoredBackup) -> str:
    """One line that tells a recovery point from others."""
    return f"{backup.entry.recovery_point.isoformat()}  {backup.id}"


def _instant(component: str, wanted: str) -> datetime | None:
    try:
        instant = datetime.fromisoformat(wanted)
    except ValueError:
        return None
    if instant.tzinfo is None:
        mend = f"write {wanted}Z for UTC, or the zone's offset as in {wanted}+02:00"
        if "T" not in wanted and " " not in wanted:
            mend = f"write it in full, as in {instant.date()}T03:00:00Z"
        raise UserError(f"{wanted} names no time zone", where=component, mend=mend)
    return instant


def _by_name(
    backups: Sequence[StoredBackup], engine: Engine[SourceModel], wanted: str, component: str
) -> Target:
    for backup in reversed(backups):
        try:
            reached = engine.reaches(to_restore(backup, backup.manifest()), wanted)
        except RestoreFailed:
            continue
        except ValueError:
            break
        if reached != "not":
            until = wanted if reached == "inside" else None
            return Target(component, backup, False, (), until=until)
    else:
        mend = f"list what there is: restoreproof restore POLICY {component} --list"
        raise UserError(f"no backup ends at {wanted} or holds it", where=component, mend=mend)
    mend = f"give {FORMS}; restoreproof restore POLICY {component} --list shows what there is"
    raise UserError(f"{wanted} names no recovery point", where=component, mend=mend)


def _by_instant(
    backups: Sequence[StoredBackup],
    engine: Engine[SourceModel],
    instant: datetime,
    component: str,
) -> Target:
    for backup in reversed(backups):
        if backup.entry.recovery_point == instant:
            return Target(component, backup, False, ())
    ends = {backup.id: _end(backup) for backup in backups}
    first, last = (
        min(backups, key=lambda one: ends[one.id]),
        max(backups, key=lambda one: ends[one.id]),
    )
    if instant > ends[last.id]:
        what = f"nothing is stored of {instant.isoformat()}: the newest recovery point is earlier"
        mend = f"leave --to out for the newest: {described(last)}"
        raise UserError(what, where=component, mend=mend)
    if instant < ends[first.id]:
        what = f"nothing is stored of {instant.isoformat()}: the oldest recovery point is later"
        raise UserError(what, where=component, mend=f"the oldest is {described(first)}")
    for backup in reversed(backups):
        base = backup.entry.base
        if base in ends and ends[base] <= instant <= ends[backup.id]:
            return _exactly(component, backup, backups, engine, instant)
    before = max((one for one in backups if ends[one.id] < instant), key=lambda one: ends[one.id])
    after = min((one for one in backups if ends[one.id] > instant), key=lambda one: ends[one.id])
    raise UserError(
        f"no increment holds {instant.isoformat()}",
        where=component,
        mend=f"choose the one before ({before.id}, {ends[before.id].astimezone(UTC).isoformat()})"
        f" or the one after ({after.id}, {ends[after.id].astimezone(UTC).isoformat()})",
    )


def _end(backup: StoredBackup) -> datetime:
    """When a backup ends, by its source's clock as far as is known."""
    ahead = 0.0
    # Restoring it, or what stands on it, will say what is wrong with it.
    with suppress(RestoreFailed):
        ahead = float(backup.manifest().facts.get(CLOCK_AHEAD, 0))
    return backup.entry.recovery_point + timedelta(seconds=ahead)


def _exactly(
    component: str,
    backup: StoredBackup,
    backups: Sequence[StoredBackup],
    engine: Engine[SourceModel],
    instant: datetime,
) -> Target:
    """The increment in which the last commit up to the instant lies: two clocks say where to look,
    and the commits themselves decide."""
    known = {one.id: one for one in backups}
    following = {one.entry.base: one for one in backups if one.entry.base}
    while backup.entry.base and (begun := _first_commit(backup, engine)) and begun > instant:
        backup = known[backup.entry.base]
    while (later := following.get(backup.id)) is not None:
        begun = _first_commit(later, engine)
        if begun is None or begun > instant:
            break
        backup = later
    return Target(component, backup, False, (), until=instant if backup.entry.base else None)


def _first_commit(backup: StoredBackup, engine: Engine[SourceModel]) -> datetime | None:
    """The first commit that an increment adds; None if there is none or it cannot be told."""
    try:
        manifest = backup.manifest()
        for artifact in manifest.artifacts:
            backup.check(artifact)
        return next(chain(engine.instants(to_restore(backup, manifest)), [None]))
    except RestoreFailed:
        return None
