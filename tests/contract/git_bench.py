"""Repositories for tests of the engine git: made quickly, backed up and restored as in an audit."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex

from restoreproof import engines
from restoreproof.clock import system_clock
from restoreproof.damage import VaultCopy
from restoreproof.engines.contract import BackupToRestore, SourceContext
from restoreproof.engines.git_command import run_git
from restoreproof.engines.git_place import GitSource
from restoreproof.engines.git_restored import RestoredGit
from restoreproof.images import Image
from restoreproof.jobs import JobResult, run_job
from restoreproof.restore import RestoreAttempt, Target, restoring, to_restore
from restoreproof.sandbox import Sandboxes
from restoreproof.vault import StoredBackup, Vault

AUTHOR = ("-c", "user.name=Ада", "-c", "user.email=ada@torture.example")


class Repository:
    """A repository with a work tree, and a vault to back it up into."""

    def __init__(self, place: Path, *init: str, image: Image | None = None) -> None:
        self.place, self.path, self.image = place, place / "work", image
        self.vault = Vault(str(place / "vault"))
        self.vault.prepare()
        self.sandboxes = Sandboxes(f"git-{token_hex(4)}")
        self.git("init", "--quiet", "--initial-branch=main", *init, str(self.path), at=place)

    def git(self, *words: str, at: Path | None = None) -> str:
        """Run git in the work tree."""
        return run_git([*AUTHOR, *words], at or self.path).strip()

    def commit(self, files: Mapping[str, str | bytes], message: str = "change") -> str:
        """Write files and commit them; the commit's name."""
        for name, content in files.items():
            path = self.path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "-m", message)
        return self.git("rev-parse", "HEAD")

    def context(self, source: GitSource | None = None) -> SourceContext:
        """What the engine is handed."""
        return SourceContext(
            component="playbooks",
            source=source or GitSource(repository=str(self.path)),
            image=self.image,
            folder=self.place,
            sandboxes=self.sandboxes,
            clock=system_clock,
        )

    def job(self, base: StoredBackup | None = None, source: GitSource | None = None) -> JobResult:
        """Run a job."""
        return run_job(engines.load("git"), self.context(source), self.vault, "t", base)

    def store(
        self, base: StoredBackup | None = None, source: GitSource | None = None
    ) -> StoredBackup:
        """Run a job, which has to succeed."""
        result = self.job(base, source)
        assert result.backup is not None, result.problem
        return result.backup

    @contextmanager
    def attempt(
        self, backup: StoredBackup, copy: VaultCopy | None = None
    ) -> Iterator[RestoreAttempt]:
        """Restore a backup, of a copy of the vault if there is one."""
        known = (copy.vault if copy else self.vault).backups("playbooks")
        (wanted,) = (one for one in known if one.id == backup.id)
        target = Target("playbooks", wanted, newest=True, population=known)
        context = self.context()
        with restoring(
            target,
            engines.load("git"),
            context.source,
            self.image,
            self.sandboxes,
            system_clock,
        ) as done:
            yield done

    @contextmanager
    def restored(self, backup: StoredBackup) -> Iterator[RestoredGit]:
        """What comes back, which has to be what was backed up."""
        with self.attempt(backup) as done:
            assert isinstance(done.restored, RestoredGit), done.failure
            assert done.comparison.equal, list(map(str, done.comparison.differences))
            yield done.restored

    def earlier(self, *backups: StoredBackup) -> tuple[BackupToRestore, ...]:
        """Backups as an audit hands them over."""
        return tuple(to_restore(one, one.manifest()) for one in backups)

    def copy(self) -> VaultCopy:
        """A copy of the vault, for damaging."""
        return VaultCopy.of(self.vault.root, self.place / f"copy-{token_hex(4)}")
