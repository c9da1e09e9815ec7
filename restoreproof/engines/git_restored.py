"""A repository that came back: a bare one in a folder of its own, and what it answers."""

import json
import random
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

from git.exc import GitCommandError

from restoreproof.engines.contract import BackupToRestore, Parts, Restored
from restoreproof.engines.git_backup import BUNDLE, OUTSIDE, REFERENCES, VERSIONS
from restoreproof.engines.git_command import run_git, words
from restoreproof.engines.git_fingerprint import fingerprint
from restoreproof.engines.git_references import References
from restoreproof.engines.git_versions import Version, has_commit, reading
from restoreproof.fingerprint import Fingerprint
from restoreproof.images import Image
from restoreproof.outcomes import RestoreFailed
from restoreproof.references import SourceModel
from restoreproof.sandbox import Sandboxes

FOLDER = "a folder of this machine"


class RestoredGit(Restored):
    """A bare repository in a folder of its own.

    ``image`` is one in which Ansible can be asked about it, where the policy names one.
    """

    isolation = "cloned from the bundle alone; no hooks, no network"

    def __init__(self, folder: Path, image: Image | None, sandboxes: Sandboxes) -> None:
        self.folder, self.image, self.sandboxes = folder, image, sandboxes
        self.repository = folder / "restored.git"
        self.server_version = run_git(["version"]).strip()
        self.identity = str(folder)
        self.limits = FOLDER
        self.object_format = "sha1"
        self._recorded: list[Path] = []

    def take(self, backup: BackupToRestore, *, increment: bool) -> None:
        """Add what a backup holds, and stand where it was taken. Raise RestoreFailed."""
        references = References.parse(b"".join(backup.read(REFERENCES)))
        try:
            if not increment:
                self.object_format = references.object_format
                init = ["init", "--quiet", "--bare", f"--object-format={self.object_format}"]
                run_git([*init, str(self.repository)])
            if BUNDLE in backup.names:
                bundled = self._unbundle(backup)
                # A full backup's references are those of its bundle; an increment's bundle leaves
                # out what did not change.
                if not increment:
                    references = references.model_copy(update={"names": bundled})
            references.put(self.repository)
        except GitCommandError as error:
            raise RestoreFailed(words(error)) from None
        record = self.folder / f"versions-{len(self._recorded)}"
        with record.open("wb") as file:
            file.writelines(backup.read(VERSIONS))
        self._recorded.append(record)
        told = json.loads(backup.facts.get(OUTSIDE, "{}"))
        lying = [f"{len(paths)} {kind} ({', '.join(paths[:3])})" for kind, paths in told.items()]
        self.limits = "; ".join([FOLDER, *(f"not in the backup: {one}" for one in lying)])

    def _unbundle(self, backup: BackupToRestore) -> Mapping[str, str]:
        bundle = self.folder / BUNDLE
        with bundle.open("wb") as file:
            file.writelines(backup.read(BUNDLE))
        run_git(["bundle", "verify", "--quiet", str(bundle)], self.repository)
        told = run_git(["bundle", "unbundle", str(bundle)], self.repository)
        bundle.unlink()
        pairs = (line.split(" ", 1) for line in told.splitlines())
        return {name: target for target, name in pairs if name != "HEAD"}

    def answer(self) -> str:
        commits = self.git("rev-list", "--all", "--count").strip()
        return f"counted {commits} commits"

    def fingerprint(self, expected: Fingerprint) -> Fingerprint:
        try:
            return fingerprint(self.repository, expected.taken_at)
        except GitCommandError as error:
            raise RestoreFailed(words(error)) from None

    def newest_heartbeat(self, source: SourceModel) -> datetime | None:
        return None

    def access(self, folder: Path) -> tuple[str, ...]:
        return (f"a bare repository: git clone {self.repository}",)

    def write_out(self, folder: Path, parts: Parts) -> tuple[str, ...]:
        target = folder / "repository.git"
        try:
            run_git(["clone", "--quiet", "--mirror", str(self.repository), str(target)])
        except GitCommandError as error:
            raise RestoreFailed(words(error)) from None
        return (f"{target}: a bare repository",)

    def git(self, *arguments: str) -> str:
        """Output of a git command on the restored repository. Raise RestoreFailed."""
        try:
            return run_git(arguments, self.repository)
        except GitCommandError as error:
            raise RestoreFailed(words(error)) from None

    def references(self) -> References:
        """The references as they are. Raise RestoreFailed."""
        try:
            return References.of(self.repository)
        except GitCommandError as error:
            raise RestoreFailed(words(error)) from None

    @property
    def has_commit(self) -> bool:
        """Whether there is a newest version: a new repository has none."""
        return has_commit(self.repository)

    def fsck(self) -> str:
        """What ``git fsck --full --strict`` complains of; empty if of nothing."""
        try:
            return run_git(["fsck", "--full", "--strict", "--no-dangling"], self.repository).strip()
        except GitCommandError as error:
            return words(error)

    def commits(self) -> tuple[str, ...]:
        """All commits, the newest first."""
        return tuple(self.git("rev-list", "--all", "--date-order").split())

    def sample(self, seed: int, size: int) -> tuple[str, ...]:
        """The newest and the oldest commit, and others drawn with a seed."""
        commits = self.commits()
        if len(commits) <= size:
            return commits
        drawn = random.Random(seed).sample(commits[1:-1], size - 2)  # noqa: S311  # a sample, no secret
        return (commits[0], *drawn, commits[-1])

    def view(self, commits: Sequence[str]) -> tuple[Version, ...]:
        """Read every file of versions as they were. Raise RestoreFailed if one cannot be read."""
        try:
            with reading(self.repository, self.object_format) as objects:
                return tuple(map(objects.view, commits))
        except GitCommandError as error:
            raise RestoreFailed(words(error)) from None

    def differing(self, viewed: Sequence[Version]) -> tuple[str, ...]:
        """Versions whose tree is another than the backup recorded, or not recorded at all."""
        wanted = {version.commit.encode(): version for version in viewed}
        found: set[str] = set()
        for record in self._recorded:
            with record.open("rb") as lines:
                for line in lines:
                    commit, _, tree = line.rstrip().partition(b" ")
                    if commit in wanted and wanted[commit].tree.encode() == tree:
                        found.add(wanted[commit].commit)
        return tuple(version.commit for version in viewed if version.commit not in found)

    def head_has(self, path: str) -> bool:
        """Whether the newest version of the default branch holds a file or folder."""
        return bool(self.git("ls-tree", "HEAD", "--", path.rstrip("/")).strip())
