"""Damages to a store of backups that is not ours: done to a copy of it, from which is restored.

The tool that made the store is the only one that knows what in it belongs to what. So the damages
are those that no tool could make good: of the whole store, or of a file that is known by its hash.
"""

import hashlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from restoreproof import foreign_store
from restoreproof.command_engine import POINT, OwnCommands
from restoreproof.damage import NotApplicable, VaultCopy
from restoreproof.damage_kinds import MOST_BYTES, Damage, Layer, LeftAlone, Subject
from restoreproof.errors import one_line
from restoreproof.manifest import ForeignFile, ForeignStore
from restoreproof.own_commands import named_in
from restoreproof.vault import StoredBackup

MOST_STORE_BYTES = 4 * MOST_BYTES
"""The most that a store may hold to be copied, once for each damage."""
FOLDER = "store"


def obstacle(engine: OwnCommands, chain: tuple[StoredBackup, ...]) -> str:
    """Why no copy of a store can be damaged in the place of the store; empty if one can."""
    store = engine.runner.store_folder
    if store is None:
        return f"the store {engine.runner.store} is not on this machine, so no copy is damaged"
    named = named_in(engine.commands.restore)
    given = engine.commands.environment.values()
    if "store" not in named and not any("store" in named_in(text) for text in given):
        return "commands.restore does not name {store}, so it cannot be led to a damaged copy"
    facts = (backup.manifest().facts.get(POINT, "") for backup in chain)
    if any(str(store) in point for point in facts):
        return "its recovery points name the store itself, so no copy can stand in for it"
    if foreign_store.used_bytes(store) > MOST_STORE_BYTES:
        return f"the store holds more than the {MOST_STORE_BYTES // 1024**2} MiB that are copied"
    if any(_leads_out(path, store) for path in store.rglob("*") if path.is_symlink()):
        return "a link in the store leads out of it, and so would a copy's"
    return ""


def _leads_out(link: Path, store: Path) -> bool:
    target = link.readlink()
    return target.is_absolute() or not link.resolve().is_relative_to(store.resolve())


def take_store(copy: VaultCopy, chain: tuple[StoredBackup, ...], engine: OwnCommands) -> None:
    """Copy the store beside a vault's copy, and have the backups there name that one.

    Where that cannot be, the copy says why.
    """
    store, taken = engine.runner.store_folder, copy.root.with_name(FOLDER)
    copy.no_store = obstacle(engine, chain)
    if copy.no_store or store is None:
        return
    try:
        shutil.copytree(store, taken, symlinks=True)
    except OSError as error:
        copy.no_store = one_line(f"the store cannot be copied: {error}")
        return
    copy.store = taken
    for backup in chain:
        known = backup.manifest().elsewhere
        if known is not None:
            # What a later backup's job took away is no loss of this one.
            here = {"root": str(taken), "files": backup.elsewhere()}
            copy.restate(copy.same(backup), elsewhere=known.model_copy(update=here))


def flip_byte(subject: Subject) -> str:
    path = _own_file(subject)
    content = bytearray(path.read_bytes())
    at = subject.chance.randrange(len(content))
    content[at] ^= 0xFF
    _write(path, bytes(content))
    return f"byte {at} of {_told(subject, path)} turned over"


def cut_short(subject: Subject) -> str:
    path = _own_file(subject)
    content = path.read_bytes()
    keep = subject.chance.randrange(len(content))
    _write(path, content[:keep])
    return f"{keep} of {len(content)} bytes of {_told(subject, path)} kept"


def remove_file(subject: Subject) -> str:
    path = _own_file(subject)
    path.unlink()
    return f"{_told(subject, path)} removed"


def halve_all(subject: Subject) -> str:
    return f"{_shortened(subject, 2)} files of the store cut to half of what they held"


def empty_all(subject: Subject) -> str:
    return f"{_shortened(subject, 0)} files of the store emptied"


def _own_file(subject: Subject) -> Path:
    """A file of the copied store that the backup is known to have."""
    root = _store(subject)
    known = subject.backup.elsewhere()
    paths = [foreign_store.path_of(str(root), one.name) for one in known if one.stored_bytes]
    if not paths:
        raise NotApplicable("the backup has no file of its own in the store")
    return subject.chance.choice(paths)


def _shortened(subject: Subject, divisor: int) -> int:
    """Keep only a part of every file, and put right the hashes over them; return how many."""
    root, count = _store(subject), 0
    for path in _files(root):
        content = path.read_bytes()
        if content:
            _write(path, content[: len(content) // divisor] if divisor else b"")
            count += 1
    if not count:
        raise NotApplicable("the store holds nothing")
    for backup in subject.copy.vault.backups(subject.backup.entry.component):
        known = backup.manifest().elsewhere
        if known is not None:
            subject.copy.restate(backup, elsewhere=_looked_at(known))
    return count


def _looked_at(store: ForeignStore) -> ForeignStore:
    def now(file: ForeignFile) -> ForeignFile:
        path = foreign_store.path_of(store.root, file.name)
        status = path.stat()
        return ForeignFile(
            name=file.name,
            sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
            stored_bytes=status.st_size,
            modified_ns=status.st_mtime_ns,
        )

    return store.model_copy(update={"files": tuple(map(now, store.files))})


def _store(subject: Subject) -> Path:
    if subject.copy.store is None:
        raise LeftAlone(subject.copy.no_store)
    return subject.copy.store


def _files(root: Path) -> Iterator[Path]:
    for folder, _, names in os.walk(root):
        paths = (Path(folder, name) for name in names)
        yield from (path for path in paths if path.is_file() and not path.is_symlink())


def _write(path: Path, content: bytes) -> None:
    # A new file in its place: what lies there may be read-only.
    new = path.with_name(f".{path.name}.new")
    new.write_bytes(content)
    new.chmod(path.stat().st_mode & 0o777)
    new.replace(path)


def _told(subject: Subject, path: Path) -> str:
    return foreign_store.name_of(path.relative_to(_store(subject)))


DAMAGES = (
    Damage("store-byte-flipped", "one byte in the store turned over", Layer.BYTES, flip_byte),
    Damage("store-cut-short", "file in the store cut short", Layer.BYTES, cut_short),
    Damage("store-file-removed", "file removed from the store", Layer.BYTES, remove_file),
    Damage("store-halved", "half of the store's content", Layer.CONTENT, halve_all),
    Damage("store-emptied", "empty files in the store", Layer.CONTENT, empty_all),
)
