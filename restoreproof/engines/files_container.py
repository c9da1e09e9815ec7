"""Files in a container, running or not, as the engine's own archive hands them out."""

import io
import posixpath
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import datetime
from pathlib import PurePosixPath
from typing import IO, Any

import docker.errors
from docker.models.containers import Container

from restoreproof.engines.files_tree import Found, Gone, Kind, Node, Refused, Skip, Tree
from restoreproof.engines.server_files import ChunkStream
from restoreproof.execution import engine_trouble
from restoreproof.outcomes import BackupFailed


class ContainerTree(Tree):
    """The files of one container. Nothing is run in it."""

    def __init__(self, container: Container) -> None:
        self._container = container
        self.identity = f"container {container.name}"
        self.version = ", ".join(container.image.tags or [str(container.image.id)])  # type: ignore[union-attr]  # every container has one

    def look(self, path: str) -> Node:
        return next(self._members(path))[0]

    def state_now(self, found: Found) -> tuple[int, ...]:
        return self._state(found.node.path)

    def again(self, found: Found) -> Found:
        state = self._state(found.node.path)
        for node, content in self._members(found.node.path):
            return Found(replace(node, state=state), io.BytesIO(content.read() if content else b""))
        raise Gone

    def walk(self, path: str, skip: Skip) -> Iterator[Found]:
        # The engine tells nothing of a file that changes while it is handed out, and asking for
        # each takes a tenth of a second. So all is gone through twice, and what changed read anew.
        known: dict[str, Node] = {}
        for node, content in self._kept(path, skip):
            known[node.path] = node
            yield Found(node, content)
        there = set()
        for node, content in self._kept(path, skip):
            there.add(node.path)
            if known.get(node.path) != node:
                yield Found(replace(node, state=(node.size, node.modified)), content)
        for gone in known.keys() - there:
            yield Found(known[gone], gone=True)

    def _kept(self, path: str, skip: Skip) -> Iterator[tuple[Node, IO[bytes] | None]]:
        skipped = ""
        second_names: list[str] = []
        for node, content in self._members(path):
            if skipped and node.path.startswith(skipped):
                continue
            if node.path != path and skip(node.path):
                skipped = f"{node.path}/"
            elif node.kind == "file" and content is None:
                second_names.append(node.path)
            else:
                yield node, content
        for name in second_names:
            # In its own archive a second name of a file has the content too.
            with suppress(Gone):
                yield from self._members(name)

    def _members(self, path: str) -> Iterator[tuple[Node, IO[bytes] | None]]:
        with engine_trouble(), self._archive(path) as chunks:
            try:
                with tarfile.open(fileobj=io.BufferedReader(ChunkStream(chunks)), mode="r|") as tar:
                    for member in tar:
                        name = posixpath.join(path, *PurePosixPath(member.name).parts[1:])
                        yield (
                            _node(name, member),
                            tar.extractfile(member) if member.isreg() else None,
                        )
                        # Or it would remember every one of them.
                        tar.members = []  # type: ignore[attr-defined]  # unknown to its types
            except tarfile.TarError as error:
                raise BackupFailed(f"{path} cannot be read in the container: {error}") from None

    @contextmanager
    def _archive(self, path: str) -> Iterator[Any]:
        try:
            chunks, _ = self._container.get_archive(path)
        except docker.errors.NotFound:
            raise Gone from None
        except docker.errors.APIError as error:
            if error.status_code != 400:
                raise
            raise Refused(str(error.explanation)) from None
        yield chunks

    def _state(self, path: str) -> tuple[int, ...]:
        api = self._container.client.api  # type: ignore[union-attr]  # set on every container that is listed or made
        with engine_trouble():
            try:
                _, known = api.get_archive(str(self._container.id), path)
            except docker.errors.NotFound:
                raise Gone from None
        at = datetime.fromisoformat(known["mtime"])
        return (known["size"], int(at.timestamp()))


def _node(name: str, member: tarfile.TarInfo) -> Node:
    kind: Kind = "other"
    if member.isreg() or member.islnk():
        kind = "file"
    elif member.isdir():
        kind = "folder"
    elif member.issym():
        kind = "link"
    return Node(
        name,
        kind,
        member.mode & 0o7777,
        member.uid,
        member.gid,
        member.size if member.isreg() else 0,
        int(member.mtime),
        member.linkname if kind == "link" else "",
    )
