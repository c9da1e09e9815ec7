"""Files of a server, read where they lie.

They lie in a container of the engine that we use, or below a folder of this machine. Nothing is
run there: the container's engine hands the files out.
"""

import io
import os
import posixpath
import stat
import tarfile
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import IO, Annotated

import docker.errors
from docker.models.containers import Container
from pydantic import AfterValidator, BaseModel, ConfigDict, model_validator

from restoreproof.engines.contract import SourceContext
from restoreproof.engines.server_container import server_container
from restoreproof.errors import SourceUnavailable
from restoreproof.execution import engine_trouble
from restoreproof.outcomes import BackupFailed

LINKS = 8


def _absolute(path: str) -> str:
    if not path.startswith(("/", "${")):
        raise ValueError("not an absolute path; write it as the server sees it")
    return path.rstrip("/") or "/"


class ServerFilesSource(BaseModel):
    """Where files of the server are: in a container, or below a folder of this machine.

    ``folder`` is what the server takes for ``/``. ``files`` are paths as the server sees them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    container: str | None = None
    folder: str | None = None
    files: tuple[Annotated[str, AfterValidator(_absolute)], ...] = ()

    @model_validator(mode="after")
    def _one_place(self) -> "ServerFilesSource":
        if (self.container is None) == (self.folder is None):
            raise ValueError("one place is needed; give either container or folder")
        return self


class NotThere(Exception):
    """No file or folder of this name."""


@dataclass(frozen=True)
class Found:
    """A file or folder. ``content`` is that of a file, for as long as no other is asked for."""

    path: str
    mode: int
    user: int
    group: int
    modified: float
    size: int = 0
    content: IO[bytes] | None = None

    def read(self) -> bytes:
        """The whole content of a small file."""
        return self.content.read(self.size) if self.content else b""


class Files(ABC):
    """Files by the paths under which a server knows them; links are followed."""

    @abstractmethod
    def walk(self, path: str) -> Iterator[Found]:
        """A file, or a folder and all in it. Raise NotThere, or BackupFailed if it is refused."""

    def whole(self, path: str) -> Found:
        """A small file, its content at hand for good; or a folder. Raise as ``walk`` does."""
        for found in self.walk(path):
            content = found.read()
            kept = io.BytesIO(content) if found.content else None
            return replace(found, size=len(content), content=kept)
        raise NotThere(path)


class ContainerFiles(Files):
    """The files of a container, running or not."""

    def __init__(self, container: Container) -> None:
        self._container = container

    def walk(self, path: str, links: int = LINKS) -> Iterator[Found]:
        elsewhere: list[tuple[str, str]] = []
        with engine_trouble():
            try:
                chunks, _ = self._container.get_archive(path)
            except docker.errors.NotFound:
                raise NotThere(path) from None
            try:
                with tarfile.open(fileobj=io.BufferedReader(ChunkStream(chunks)), mode="r|") as tar:
                    for member in tar:
                        name = posixpath.join(path, *PurePosixPath(member.name).parts[1:])
                        if member.issym():
                            target = posixpath.join(posixpath.dirname(name), member.linkname)
                            elsewhere.append((name, posixpath.normpath(target)))
                        elif member.islnk():
                            # In its own archive a second name has the content too.
                            elsewhere.append((name, name))
                        elif member.isdir() or member.isfile():
                            yield _found(name, member, tar.extractfile(member))
            except tarfile.TarError as error:
                raise BackupFailed(f"{path} cannot be read in the container: {error}") from None
        for name, target in elsewhere if links else ():
            try:
                for found in self.walk(target, links - 1):
                    yield replace(found, path=name + found.path[len(target) :])
            except NotThere:
                if name == path:
                    raise


class FolderFiles(Files):
    """The files below a folder of this machine, links inside it followed as the server does."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def walk(self, path: str) -> Iterator[Found]:
        try:
            place = self._place(path)
            known = place.lstat()
            if stat.S_ISDIR(known.st_mode):
                yield Found(path, known.st_mode, known.st_uid, known.st_gid, known.st_mtime)
                for name in sorted(os.listdir(place)):  # noqa: PTH208  # names alone are wanted
                    try:
                        yield from self.walk(posixpath.join(path, name))
                    except NotThere:
                        continue
            elif stat.S_ISREG(known.st_mode):
                with place.open("rb") as file:
                    known = os.fstat(file.fileno())
                    owner = (known.st_mode, known.st_uid, known.st_gid, known.st_mtime)
                    yield Found(path, *owner, size=known.st_size, content=file)
        except (FileNotFoundError, NotADirectoryError):
            raise NotThere(path) from None
        except OSError as error:
            raise BackupFailed(f"{path} cannot be read: {error.strerror}") from None

    def _place(self, path: str) -> Path:
        place, parts, links = self._root, list(PurePosixPath(path).parts[1:]), LINKS
        while parts:
            part = parts.pop(0)
            step = place / part
            if part == "..":
                place = place.parent if place != self._root else place
            elif links and step.is_symlink():
                links -= 1
                target = PurePosixPath(step.readlink())
                place = self._root if target.is_absolute() else place
                parts = [one for one in target.parts if one != "/"] + parts
            else:
                place = step
        return place


@contextmanager
def opened(context: SourceContext, place: ServerFilesSource) -> Iterator[Files]:
    """The place that a policy names. Raise SourceUnavailable if it is not there."""
    where = f"component {context.component}"
    if place.folder is not None:
        root = context.folder / Path(context.text(place.folder)).expanduser()
        if not root.is_dir():
            mend = "correct the folder in the policy's source section"
            raise SourceUnavailable(f"no folder {root}", where=where, mend=mend)
        yield FolderFiles(root)
        return
    assert place.container is not None
    with server_container(context, place.container, "the container") as container:
        yield ContainerFiles(container)


def require(context: SourceContext, files: Files, paths: Iterable[str]) -> None:
    """Raise SourceUnavailable for the first path that is not there or may not be read."""
    where = f"component {context.component}"
    for path in paths:
        try:
            if next(files.walk(path), None) is None:
                raise NotThere(path)
        except (NotThere, BackupFailed) as problem:
            what = f"no {path}" if isinstance(problem, NotThere) else str(problem)
            mend = "correct the files in the policy's source section, or let them be read"
            raise SourceUnavailable(what, where=where, mend=mend) from None


class ChunkStream(io.RawIOBase):
    """Chunks as a file that is read once, from its beginning."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]  # as io calls it
        part = self._next(len(buffer))
        buffer[: len(part)] = part
        return len(part)

    def read(self, size: int = -1, /) -> bytes:
        """Exactly so many bytes, or all there are; fewer only at the end."""
        parts, left = [], size
        while left and (part := self._next(left)):
            parts.append(part)
            left -= len(part)
        return b"".join(parts)

    def _next(self, size: int) -> memoryview:
        while not self._rest:
            try:
                # A chunk may be large, and is taken in small parts.
                self._rest = memoryview(next(self._chunks))
            except StopIteration:
                break
        part = self._rest if size < 0 else self._rest[:size]
        self._rest = self._rest[len(part) :]
        return part


def _found(name: str, member: tarfile.TarInfo, content: IO[bytes] | None) -> Found:
    return Found(
        path=name,
        mode=member.mode,
        user=member.uid,
        group=member.gid,
        modified=member.mtime,
        size=member.size,
        content=content,
    )
