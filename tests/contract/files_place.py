"""Folders, containers and machines whose files are backed up and restored, for their tests."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_hex

from restoreproof import engines
from restoreproof.clock import system_clock
from restoreproof.damage import Change, VaultCopy
from restoreproof.engines.contract import SourceContext
from restoreproof.engines.files_source import FilesSource
from restoreproof.images import Image
from restoreproof.jobs import JobResult, run_job
from restoreproof.restore import RestoreAttempt, Target, restoring
from restoreproof.sandbox import Sandboxes
from restoreproof.vault import StoredBackup, Vault

NAME = "etc"


@dataclass
class Place:
    """A vault, and a folder that holds whatever a test puts there."""

    folder: Path
    image: Image | None = None
    sandboxes: Sandboxes = field(default_factory=lambda: Sandboxes(f"files-{token_hex(4)}"))

    def __post_init__(self) -> None:
        self.engine = engines.load("files")
        self.files = self.folder / "files"
        self.files.mkdir(parents=True)
        self.vault = Vault(str(self.folder / "vault"))
        self.vault.prepare()

    def source(self, **more: object) -> FilesSource:
        """The files as a policy names them."""
        return FilesSource.model_validate({"paths": [str(self.files)], **more})

    def context(self, source: FilesSource | None = None) -> SourceContext:
        """What the engine is handed."""
        where = (self.folder, self.sandboxes, system_clock)
        return SourceContext(NAME, source or self.source(), self.image, *where)

    def job(self, source: FilesSource | None = None, base: StoredBackup | None = None) -> JobResult:
        """Run a job, whatever comes of it."""
        return run_job(self.engine, self.context(source), self.vault, "t", base)

    def back_up(
        self, source: FilesSource | None = None, base: StoredBackup | None = None
    ) -> StoredBackup:
        """Run a job, which has to succeed."""
        result = self.job(source, base)
        assert result.backup is not None, result.problem
        return result.backup

    @contextmanager
    def restored(
        self, backup: StoredBackup, source: FilesSource | None = None, vault: Vault | None = None
    ) -> Iterator[RestoreAttempt]:
        """Restore a backup and what it stands on."""
        known = (vault or self.vault).backups(NAME)
        (stored,) = (one for one in known if one.id == backup.id)
        target = Target(NAME, stored, newest=True, population=known)
        with restoring(
            target, self.engine, source or self.source(), self.image, self.sandboxes, system_clock
        ) as attempt:
            yield attempt

    def damaged(self, backup: StoredBackup, *changes: Change) -> Vault:
        """A copy of the vault in which the archive of a backup is another one, hashes and all."""
        copy = VaultCopy.of(self.vault.root, self.folder / f"copy-{token_hex(4)}")
        for change in changes:
            (same,) = (one for one in copy.vault.backups(NAME) if one.id == backup.id)
            copy.rewrite(same, "files.tar.zst", change)
        return copy.vault


def differences(attempt: RestoreAttempt) -> list[str]:
    """What differs between a restored copy and its backup."""
    assert attempt.restored is not None, attempt.failure
    return [str(one) for one in attempt.comparison.differences]
