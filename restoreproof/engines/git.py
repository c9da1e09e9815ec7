"""Git repositories: every reference with its whole history, restored from bundles alone."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
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
from restoreproof.engines.contract_exercise import LivingCopy
from restoreproof.engines.git_backup import back_up
from restoreproof.engines.git_exercise import living
from restoreproof.engines.git_heartbeat import newest_at_source
from restoreproof.engines.git_place import GitSource, require_repository
from restoreproof.engines.git_restored import RestoredGit
from restoreproof.images import Image
from restoreproof.references import SourceModel
from restoreproof.sandbox import Sandboxes


class Git(Engine[GitSource]):
    """Repositories that Git can clone."""

    name = "git"
    method = (
        "Every reference, and the identifiers of all commits reachable from it and of their "
        "trees, which Git computes from the whole content and history"
    )
    needs_image = False
    covers = frozenset({"data", "playbook", "inventory", "configuration"})
    kinds = frozenset({"full", "incremental"})
    writes_out = "all"
    source_model = GitSource
    restores_instants = False
    plays = True

    def exclusions(self, source: SourceModel) -> tuple[str, ...]:
        return (
            "content of submodules that no other component backs up",
            "large files that Git LFS keeps outside the repository",
            "roles and collections that are installed from elsewhere (requirements.yml)",
        )

    def probe(self, context: SourceContext) -> None:
        require_repository(context)

    def back_up(self, context: BackupContext) -> BackupContent:
        return back_up(context)

    def newest_heartbeat(self, context: SourceContext) -> datetime | None:
        return newest_at_source(context)

    @contextmanager
    def provision(
        self,
        source: SourceModel,
        image: Image | None,
        sandboxes: Sandboxes,
        full: BackupToRestore | None = None,
    ) -> Iterator[Restored]:
        with sandboxes.folder() as folder:
            yield RestoredGit(folder, image, sandboxes)

    def load(self, restored: Restored, backup: BackupToRestore) -> None:
        assert isinstance(restored, RestoredGit)
        restored.unpack(backup, increment=False)

    def replay(
        self, restored: Restored, increment: BackupToRestore, until: Until | None = None
    ) -> None:
        assert isinstance(restored, RestoredGit)
        restored.unpack(increment, increment=True)

    def living(
        self, restored: Restored, context: SourceContext
    ) -> AbstractContextManager[LivingCopy]:
        return living(restored, context)


engine = Git()
