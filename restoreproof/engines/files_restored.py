"""Restores files into a folder of ours, and looks at what lies there then.

An archive may be hostile. Nothing is written through a link, nothing gets the right to run as
somebody else, and no more is written than the policy allows.
"""

import hashlib
import os
import platform
import shutil
import stat
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from restoreproof.engines.contract import BackupToRestore, Parts, Restored
from restoreproof.engines.files_archive import ARCHIVE, CHUNK_BYTES, Member, fill, members
from restoreproof.engines.files_contents import (
    CONTENTS,
    METHOD,
    Entry,
    Sums,
    group_of,
    lines_of,
    narrowed,
    told,
)
from restoreproof.engines.files_logs import LogCheck, check_logs
from restoreproof.engines.files_source import FilesSource, Limits
from restoreproof.engines.files_tree import FolderTree, Found, Gone, Refused, printable
from restoreproof.engines.files_validate import Validated, validate
from restoreproof.fingerprint import Fingerprint, Item
from restoreproof.images import Image
from restoreproof.outcomes import RestoreFailed
from restoreproof.references import SourceModel
from restoreproof.sandbox import Sandboxes

OWN_FOLDER, OWN_FILE = 0o700, 0o600
WRITTEN = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True)
class Told:
    """What an archive says of an entry and this folder cannot hold."""

    mode: int
    user: int
    group: int


class RestoredFiles(Restored):
    """Files in a folder that nobody else can enter."""

    isolation = "a folder that this user alone can enter; no network"

    def __init__(
        self, folder: Path, source: FilesSource, image: Image | None, sandboxes: Sandboxes
    ) -> None:
        self.folder = folder / "restored"
        self.folder.mkdir(mode=OWN_FOLDER)
        self.source, self.image, self.sandboxes = source, image, sandboxes
        self.server_version = f"{platform.system()} {platform.release()}"
        self.identity = str(self.folder)
        self.position = ""
        self.backup: BackupToRestore | None = None
        self._root = os.fsencode(self.folder)
        self._tree = FolderTree(str(self.folder))
        self._told: dict[str, Told] = {}
        self._above: set[str] = {"/"}
        self._folders: dict[str, Entry] = {}
        self._last_parent = ""
        self._files = self._bytes = 0

    @property
    def limits(self) -> str:  # type: ignore[override]  # known when all is restored
        """What this folder cannot hold of the source."""
        said = "a folder of this machine; nothing in it may run as another user"
        if os.geteuid() != 0:
            said += "; not root here, so owners are compared as stored and were not set"
        return said

    def extract(self, backup: BackupToRestore, limits: Limits) -> None:
        """Bring the folder to what a backup holds. Raise RestoreFailed."""
        self._last_parent = ""
        links: list[Entry] = []
        self._folders = {}
        try:
            for member in members(backup.read(ARCHIVE)):
                self._count(member, limits)
                if member.mark == "gone":
                    if self._parent(member.entry.path, make=False):
                        self._remove(member.entry.path)
                elif member.entry.kind == "link":
                    # Last of all, so that nothing is ever written through one.
                    links.append(member.entry)
                else:
                    self._require_parent(member.entry.path)
                    self._place(member)
            for entry in links:
                self._require_parent(entry.path)
                self._remove(entry.path)
                os.symlink(os.fsencode(entry.target), self._at(entry.path))
                self._describe(entry)
            # Writing into a folder changes its time, and what it allows may forbid it.
            for path in sorted(self._folders, reverse=True):
                if _is(self._at(path), stat.S_ISDIR):
                    self._describe(self._folders[path])
        except (tarfile.TarError, EOFError) as error:
            raise RestoreFailed(f"{ARCHIVE}: not a whole tar: {error}") from None
        except (OSError, ValueError) as error:
            words = getattr(error, "strerror", None) or str(error)
            raise RestoreFailed(f"the files cannot be written: {words}") from None
        self.position, self.backup = backup.position, backup

    def answer(self) -> str:
        files = sum(len(names) for _, _, names in os.walk(self._root))
        return f"listed {files} files"

    def entries(self) -> Iterator[Entry]:
        """All that lies in the folder, a file's content read anew. Raise RestoreFailed."""
        for found in self._walk():
            node = found.node
            if found.problem or found.gone:
                why = found.problem or "it went away"
                raise RestoreFailed(f"{printable(node.path)} cannot be read: {why}")
            if node.kind == "folder" and node.path in self._above:
                continue
            sha256 = ""
            if found.content is not None:
                digest = hashlib.sha256()
                while chunk := found.content.read(CHUNK_BYTES):
                    digest.update(chunk)
                sha256 = digest.hexdigest()
            yield self._as_told(Entry.of(node, sha256))

    def fingerprint(self, expected: Fingerprint) -> Fingerprint:
        sums = Sums()
        for entry in self.entries():
            sums.add(entry)
        assert self.backup is not None
        depth = int(self.backup.facts["depth"])
        return Fingerprint.of(METHOD, expected.taken_at, sums.items(depth))

    def narrow(self, expected: Item, seen: Item, *, show_values: bool) -> str:
        assert self.backup is not None
        depth = int(self.backup.facts["depth"])

        def is_of_item(entry: Entry) -> bool:
            folder = entry.path if entry.kind == "folder" else os.path.dirname(entry.path)
            return printable(group_of(folder, depth)) == expected.name

        stored = (Entry.read(line) for line in lines_of(self.backup.read(CONTENTS)))
        there = {entry.path: entry for entry in self.entries() if is_of_item(entry)}
        try:
            return narrowed((entry for entry in stored if is_of_item(entry)), there)
        except ValueError:
            return f"the list of files, {CONTENTS}, is damaged too"

    def newest_heartbeat(self, source: SourceModel) -> datetime | None:
        return None

    def access(self, folder: Path) -> tuple[str, ...]:
        return (f"the files: {self.folder}",)

    def write_out(self, folder: Path, parts: Parts) -> tuple[str, ...]:
        target = folder / "files"
        shutil.copytree(self.folder, target, symlinks=True)
        return (f"{target}: all files, below their paths at the source",)

    def fact(self, name: str) -> str:
        """What the job noted of the backup."""
        assert self.backup is not None
        return self.backup.facts.get(name, "")

    def found(self) -> Iterator[Found]:
        """All that lies in the folder, as it was at the source, contents at hand."""
        for found in self._walk():
            if found.node.kind != "folder" or found.node.path not in self._above:
                told = self._told.get(found.node.path)
                node = found.node
                if told is not None:
                    node = replace(node, mode=told.mode, user=told.user, group=told.group)
                yield replace(found, node=node)

    def validate(self) -> Validated:
        """Ask the programs that the policy names. Raise SandboxTrouble."""
        if self.image is None:
            return Validated(0, ())
        return validate(self.found, self.source, self.image, self.sandboxes)

    def check_logs(self, recovery_point: datetime) -> LogCheck:
        """Read the logs that the policy names. Raise RestoreFailed."""
        logs = self.source.logs
        return check_logs(self.found(), logs, recovery_point) if logs else LogCheck(0, 0, (), ())

    def unread(self) -> tuple[str, ...]:
        """Files that were at the source and could not be read."""
        return told(self.fact("unreadable"))

    def gone(self) -> tuple[str, ...]:
        """Files that went away at the source while it was backed up."""
        return told(self.fact("gone"))

    def _walk(self) -> Iterator[Found]:
        try:
            yield from self._tree.walk("/", lambda _: False)
        except (Gone, Refused) as problem:
            raise RestoreFailed(f"the restored folder cannot be read: {problem}") from None
        finally:
            self._tree.close()

    def _at(self, path: str) -> bytes:
        return self._root + os.fsencode(path)

    def _count(self, member: Member, limits: Limits) -> None:
        self._files += 1
        self._bytes += member.entry.size if member.content else 0
        for name, seen, most in (
            ("files", self._files, limits.files),
            ("bytes", self._bytes, limits.bytes),
        ):
            if seen > most:
                raise RestoreFailed(
                    f"the archive holds more than {most:,} {name}; if that is right, raise"
                    f" source.limits.{name}"
                )

    def _require_parent(self, path: str) -> None:
        """Raise RestoreFailed unless what a path lies in is a folder, which is made if need be."""
        if not self._parent(path, make=True):
            raise RestoreFailed(f"{printable(path)} lies below what is no folder")

    def _parent(self, path: str, *, make: bool) -> bool:
        """Whether a path lies in a folder of ours, reached through no link."""
        parent = os.path.dirname(path)
        if parent == self._last_parent:
            return True
        here = ""
        for part in parent.split("/")[1:] if parent != "/" else ():
            here = f"{here}/{part}"
            if _is(self._at(here), stat.S_ISDIR):
                continue
            if not make or os.path.lexists(self._at(here)):
                return False
            os.mkdir(self._at(here), OWN_FOLDER)
            self._above.add(here)
        self._keep(parent)
        self._last_parent = parent
        return True

    def _keep(self, folder: str) -> None:
        """Have a folder described anew in the end, since writing into it changes its time."""
        if folder in self._folders or folder in self._above:
            return
        self._folders[folder] = self._as_told(Entry.of(self._tree.look(folder)))

    def _place(self, member: Member) -> None:
        entry = member.entry
        place = self._at(entry.path)
        if entry.kind == "folder":
            self._above.discard(entry.path)
            try:
                os.mkdir(place, OWN_FOLDER)
            except FileExistsError:
                if not _is(place, stat.S_ISDIR):
                    self._remove(entry.path)
                    os.mkdir(place, OWN_FOLDER)
            self._folders[entry.path] = entry
        elif member.mark == "base":
            if not _is(place, stat.S_ISREG):
                raise RestoreFailed(f"{printable(entry.path)} is not in the backup before")
            self._describe(entry)
        else:
            try:
                handle = os.open(place, WRITTEN | os.O_EXCL, OWN_FILE)
            except FileExistsError:
                if not _is(place, stat.S_ISREG):
                    self._remove(entry.path)
                handle = os.open(place, WRITTEN | os.O_TRUNC, OWN_FILE)
            try:
                assert member.content is not None
                if fill(handle, member.content, entry.size) != entry.size:
                    raise RestoreFailed(f"{printable(entry.path)} breaks off in the archive")
                self._describe(entry, handle)
            finally:
                os.close(handle)

    def _remove(self, path: str) -> None:
        place = self._at(path)
        self._told.pop(path, None)
        self._folders.pop(path, None)
        self._above.discard(path)
        if path == "/":
            return
        if _is(place, stat.S_ISDIR):
            shutil.rmtree(place)
        elif os.path.lexists(place):
            os.unlink(place)

    def _describe(self, entry: Entry, handle: int | None = None) -> None:
        """Set owner, mode and time as far as this folder can hold them, and keep the rest."""
        place: int | bytes = self._at(entry.path) if handle is None else handle
        follow = handle is not None
        root = os.geteuid() == 0
        user, group = entry.user, entry.group
        try:
            if root:
                os.chown(place, user, group, follow_symlinks=follow)
            else:
                user, group = os.geteuid(), os.getegid()
        except PermissionError:
            user, group = 0, 0
        mode = entry.mode & 0o777
        if not root:
            mode |= OWN_FOLDER if entry.kind == "folder" else OWN_FILE
        if entry.kind != "link":
            os.chmod(place, mode)
        os.utime(place, (entry.modified, entry.modified), follow_symlinks=follow)
        held = (mode, user, group) if entry.kind != "link" else (entry.mode, user, group)
        self._told.pop(entry.path, None)
        if held != (entry.mode, entry.user, entry.group):
            self._told[entry.path] = Told(entry.mode, entry.user, entry.group)

    def _as_told(self, entry: Entry) -> Entry:
        told = self._told.get(entry.path)
        if told is None:
            return entry
        return replace(entry, mode=told.mode, user=told.user, group=told.group)


def _is(place: bytes, kind: Callable[[int], bool]) -> bool:
    try:
        return kind(os.lstat(place).st_mode)
    except FileNotFoundError:
        return False
