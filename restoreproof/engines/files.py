"""Files of any server: configuration, logs and data, local, in a container or over SFTP."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from restoreproof.engines.contract import (
    BackupContent,
    BackupContext,
    BackupToRestore,
    Engine,
    Restored,
    SourceContext,
    Until,
)
from restoreproof.engines.files_backup import back_up
from restoreproof.engines.files_container import ContainerTree
from restoreproof.engines.files_restored import RestoredFiles
from restoreproof.engines.files_sftp import sftp_tree
from restoreproof.engines.files_source import FilesSource
from restoreproof.engines.files_tree import FolderTree, Gone, ListedTree, Refused, Tree, printable
from restoreproof.engines.files_validate import require_commands
from restoreproof.engines.server_container import server_container
from restoreproof.errors import SourceUnavailable
from restoreproof.images import Image
from restoreproof.outcomes import BackupFailed, RestoreFailed
from restoreproof.references import SourceModel
from restoreproof.sandbox import Sandboxes


class Files(Engine[FilesSource]):
    """Files and folders, wherever they can be read."""

    name = "files"
    method = (
        "SHA-256 of every file's content, and its path, mode, owner, size, time of modification"
        " or target, added up folder by folder"
    )
    needs_image = False
    covers = frozenset({"data", "configuration", "logs"})
    kinds = frozenset({"full", "incremental"})
    writes_out = "all"
    source_model = FilesSource
    restores_instants = False

    def exclusions(self, source: SourceModel) -> tuple[str, ...]:
        assert isinstance(source, FilesSource)
        return (
            "sockets, pipes and devices among the files",
            "extended attributes and access control lists",
            "which names belong to one file (each comes back as a file of its own)",
            *(f"files named {pattern}" for pattern in source.exclude),
        )

    def probe(self, context: SourceContext) -> None:
        source = source_of(context)
        where = f"component {context.component}"
        with opened(context) as tree:
            for path in source.paths:
                mend = "correct source.paths in the policy, or let this user read it"
                try:
                    tree.look(path)
                    # To be seen is not to be readable; a container's engine reads all.
                    for found in tree.walk(path, _all) if isinstance(tree, ListedTree) else ():
                        if found.problem:
                            raise Refused(found.problem)
                except Gone:
                    raise SourceUnavailable(
                        f"no {printable(path)}", where=where, mend=mend
                    ) from None
                except (Refused, BackupFailed) as words:
                    what = f"{printable(path)} cannot be read: {words}"
                    raise SourceUnavailable(what, where=where, mend=mend) from None
            tree.close()
        require_commands(context, source)

    def back_up(self, context: BackupContext) -> BackupContent:
        with opened(context.of) as tree:
            return back_up(context, tree, source_of(context.of))

    def newest_heartbeat(self, context: SourceContext) -> datetime | None:
        return None

    @contextmanager
    def provision(
        self,
        source: SourceModel,
        image: Image | None,
        sandboxes: Sandboxes,
        full: BackupToRestore | None = None,
    ) -> Iterator[Restored]:
        assert isinstance(source, FilesSource)
        with sandboxes.folder() as folder:
            yield RestoredFiles(folder, source, image, sandboxes)

    def load(self, restored: Restored, backup: BackupToRestore) -> None:
        assert isinstance(restored, RestoredFiles)
        restored.extract(backup, restored.source.limits)

    def replay(
        self, restored: Restored, increment: BackupToRestore, until: Until | None = None
    ) -> None:
        assert isinstance(restored, RestoredFiles)
        base = increment.facts.get("base_position", "")
        if base != restored.position:
            raise RestoreFailed("the increment does not stand on the backup before it")
        restored.extract(increment, restored.source.limits)


def _all(_: str) -> bool:
    return True


def source_of(context: SourceContext) -> FilesSource:
    """The source section."""
    assert isinstance(context.source, FilesSource)
    return context.source


@contextmanager
def opened(context: SourceContext) -> Iterator[Tree]:
    """The files' own machine or container. Raise SourceUnavailable if it is not there."""
    source = source_of(context)
    if source.sftp is not None:
        with sftp_tree(context, source.sftp) as tree:
            yield tree
    elif source.container:
        with server_container(context, source.container, "source.container") as container:
            yield ContainerTree(container)
    else:
        yield FolderTree()


engine = Files()
