"""Backups that others made in a store that is not ours: entered in the catalog, and noted as gone.

Nobody looked at the source when they were made, so their content is unproven until more is known.
"""

from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime

from restoreproof import foreign_store
from restoreproof.command_engine import POINT, PROOF, STORE, TIME, OwnCommands
from restoreproof.component_audit import ComponentAudit
from restoreproof.errors import RestoreProofError
from restoreproof.fingerprint import NOBODY_LOOKED, Comparison, Fingerprint, Item
from restoreproof.found_points import Point
from restoreproof.jobs import JobResult, backup_id, point_after
from restoreproof.manifest import BackupGone, ForeignFile, ForeignStore, Manifest
from restoreproof.outcomes import BackupFailed, RestoreFailed
from restoreproof.progress import Progress
from restoreproof.vault import StoredBackup, Vault

LISTED = "listed.txt"
LOOKING = "looking for backups"
"""The kind of a job that found none, because the store could not be looked at."""
REASON = (
    "it was made elsewhere, and nobody looked at the source then; a job with the command in"
    " commands.full can say what has to come back"
)


def take_stock(audited: ComponentAudit, vault: Vault, estate: str, progress: Progress) -> None:
    """Enter backups that are new in the store, and note those that are not there any more.

    A store that cannot be looked at, or that its own tool does not find sound, is a job that
    failed.
    """
    engine, now = audited.engine, audited.clock()
    if not isinstance(engine, OwnCommands) or not engine.finds_backups:
        return
    problem, trouble = "", None
    try:
        vault.prepare()
        known = vault.backups(audited.name)
        points = engine.points(now)
        if not points and any(_point_of(backup) for backup in known):
            raise BackupFailed(f"the store {engine.runner.store} lists nothing any more")
        for backup in _not_listed(known, points):
            _forget(audited.name, vault, backup, now, progress)
        newest = max((backup.entry.finished_at for backup in known), default=None)
        fresh = [one for one in points if newest is None or one.time > newest]
        for number, point in enumerate(fresh, start=1):
            _enter(audited, engine, vault, estate, point, last=number == len(fresh))
            progress(f"found a backup of {audited.name}: {point.told.strip()}")
        if engine.commands.verify is not None and not engine.makes_backups:
            engine.verify(now)
    except BackupFailed as failure:
        # The first job may be what makes the store.
        problem = str(failure) if known or not engine.makes_backups else ""
    except RestoreProofError as error:
        problem, trouble = str(error), error
    if problem:
        progress(f"{audited.name}: {LOOKING}: {problem}")
        took = audited.clock() - now
        audited.jobs.append(
            JobResult(audited.name, LOOKING, now, took, None, f"{LOOKING}: {problem}", trouble)
        )


def note_gone(audited: ComponentAudit, vault: Vault, progress: Progress) -> None:
    """Note backups of which a later job's command left nothing, or nothing that is listed."""
    engine = audited.engine
    known = vault.backups(audited.name)
    if not isinstance(engine, OwnCommands) or len(known) <= 1:
        return
    gone = {one.id: one for one in known if _has_nothing_left(one)}
    if engine.finds_backups:
        # The job has just listed them; if it cannot be done again, the next one will say so.
        with suppress(BackupFailed):
            gone |= {one.id: one for one in _not_listed(known, engine.points(audited.clock()))}
    for backup in gone.values():
        _forget(audited.name, vault, backup, audited.clock(), progress)


def _has_nothing_left(backup: StoredBackup) -> bool:
    try:
        elsewhere = backup.manifest().elsewhere
    except RestoreFailed:
        return False
    return elsewhere is not None and bool(elsewhere.files) and not backup.elsewhere()


def _not_listed(known: Sequence[StoredBackup], points: Sequence[Point]) -> list[StoredBackup]:
    # A list in another time zone names a point otherwise, and it is the same instant.
    names, times = {one.name for one in points}, {one.time.isoformat() for one in points}
    found = []
    for backup in known:
        with suppress(RestoreFailed):
            facts = backup.manifest().facts
            if facts.get(POINT) and facts[POINT] not in names and facts[TIME] not in times:
                found.append(backup)
    return found


def _point_of(backup: StoredBackup) -> str:
    try:
        return backup.manifest().facts.get(POINT, "")
    except RestoreFailed:
        return ""


def _forget(
    component: str, vault: Vault, backup: StoredBackup, now: datetime, progress: Progress
) -> None:
    vault.catalog.note(BackupGone, component=component, backup=backup.id, noted_at=now)
    vault.remove(component, backup.id)
    progress(f"{backup.id} is not in the organisation's store any more; noted")


def _enter(
    audited: ComponentAudit,
    engine: OwnCommands,
    vault: Vault,
    estate: str,
    point: Point,
    *,
    last: bool,
) -> None:
    known = vault.backups(audited.name)
    kind = "incremental" if point.incremental and known else "full"
    base = known[-1] if kind == "incremental" else None
    identifier = backup_id(audited.name, point.time, kind)
    try:
        position = f"listed as {point.name}"
        begun = {"base_position": base.manifest().position} if base else {}
    except RestoreFailed as damage:
        raise BackupFailed(f"{point.name} stands on {base.id if base else ''}: {damage}") from None
    with vault.incoming(identifier) as incoming:
        with incoming.artifact(LISTED) as sink:
            sink.write(point.told.encode("utf-8", "backslashreplace"))
        vault.publish(
            incoming,
            Manifest(
                id=identifier,
                estate=estate,
                component=audited.name,
                engine=engine.name,
                kind=kind,
                base=base.id if base else "",
                started_at=point.time,
                finished_at=point.time,
                recovery_point=point_after(base, point.time),
                position=position,
                source_version="",
                source_identity="",
                facts={
                    POINT: point.name,
                    TIME: point.time.isoformat(),
                    STORE: engine.runner.store,
                    PROOF: "nothing: nobody looked at the source when it was made",
                    **begun,
                },
                artifacts=tuple(incoming.artifacts),
                elsewhere=_files_of(audited.name, engine, vault, point, last=last),
                fingerprint=Fingerprint.of(
                    NOBODY_LOOKED,
                    point.time,
                    [
                        Item(
                            kind="backup",
                            name=point.name,
                            comparison=Comparison.UNDECIDED,
                            reason=REASON,
                        )
                    ],
                ),
            ),
        )


def _files_of(
    component: str, engine: OwnCommands, vault: Vault, point: Point, *, last: bool
) -> ForeignStore | None:
    """The files of a point that was found: its own, or with the newest all that are not known."""
    folder = engine.runner.store_folder
    if folder is None:
        return None
    known, files = vault.elsewhere(component), list[ForeignFile]()
    if engine.commands.listing is None:
        path = folder / point.name
        name = foreign_store.name_of(path.relative_to(folder))
        status = path.stat()
        files.append(
            ForeignFile(
                name=name,
                sha256=foreign_store.digest(path),
                stored_bytes=status.st_size,
                modified_ns=status.st_mtime_ns,
            )
        )
    elif last:
        after = foreign_store.inventory(folder, known, engine.commands.rewritten)
        files += [file for file in after.values() if file.name not in known]
    return ForeignStore(
        root=str(folder),
        files=tuple(sorted(files, key=lambda file: file.name)),
        content_bytes=sum(file.stored_bytes for file in files),
    )
