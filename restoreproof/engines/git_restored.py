"""A repository that came back: a bare one in a folder of its own, and what it answers."""

import json
import random
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from git.exc import GitCommandError

from restoreproof.engines.contract import BackupToRestore, Parts, Restored, SourceContext
from restoreproof.engines.git_ansible import Answers, ask_ansible
from restoreproof.engines.git_backup import OUTSIDE
from restoreproof.engines.git_command import lines_of, run_git, shown, words
from restoreproof.engines.git_fingerprint import fingerprint
from restoreproof.engines.git_heartbeat import newest_restored
from restoreproof.engines.git_layout import Layout, layout
from restoreproof.engines.git_losses import Losses, losses
from restoreproof.engines.git_past_secrets import PastSecrets, look_back
from restoreproof.engines.git_place import GitSource, path_of
from restoreproof.engines.git_references import References
from restoreproof.engines.git_secrets import SecretsSeen, look_for_secrets
from restoreproof.engines.git_signatures import Signatures, signed, verify
from restoreproof.engines.git_stored import VERSIONS, put_back
from restoreproof.engines.git_vaulted import Vaulted, try_passwords
from restoreproof.engines.git_versions import Objects, Version, has_commit, reading
from restoreproof.fingerprint import Fingerprint
from restoreproof.images import Image
from restoreproof.outcomes import RestoreFailed
from restoreproof.references import SourceModel
from restoreproof.sandbox import Sandboxes

FOLDER = "a folder of this machine"
# A tree's name stands for all that is below it, and many backups have the same newest version.
_answers: dict[tuple[object, ...], Answers] = {}
# References stand for all history, and copies that are damaged have the same.
_looked_back: dict[tuple[object, ...], PastSecrets] = {}


@dataclass(frozen=True)
class Examined:
    """What git complains of, empty if of nothing; and versions that were read.

    Asking for versions raises RestoreFailed if one could not be read.
    """

    complaints: str
    _versions: Future[tuple[Version, ...]]

    @property
    def versions(self) -> tuple[Version, ...]:
        """Every one that was to be read."""
        return self._versions.result()


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
        self._recorded: list[Path] = []
        self._examined: dict[tuple[str, ...], Examined] = {}

    def unpack(self, backup: BackupToRestore, *, increment: bool) -> None:
        """Add what a backup holds, and stand where it was taken. Raise RestoreFailed."""
        self._examined.clear()
        put_back(backup, self.repository, increment=increment)
        record = self.folder / f"versions-{len(self._recorded)}"
        with record.open("wb") as file:
            file.writelines(backup.read(VERSIONS))
        self._recorded.append(record)
        told = json.loads(backup.facts.get(OUTSIDE, "{}"))
        lying = [f"{len(paths)} {kind} ({', '.join(paths[:3])})" for kind, paths in told.items()]
        self.limits = "; ".join([FOLDER, *(f"not in the backup: {one}" for one in lying)])

    def answer(self) -> str:
        commits = self.git("rev-list", "--all", "--count").strip()
        return f"counted {commits} commits"

    def fingerprint(self, expected: Fingerprint) -> Fingerprint:
        try:
            return fingerprint(self.repository, expected.taken_at)
        except GitCommandError as error:
            raise RestoreFailed(words(error)) from None

    def newest_heartbeat(self, source: SourceModel) -> datetime | None:
        return newest_restored(self.repository, source)

    def reach(self, folder: Path) -> Mapping[str, str]:
        return {"restored": str(self.repository)}

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

    def examined(self, commits: tuple[str, ...]) -> Examined:
        """Ask ``fsck`` and ``view`` side by side, and of the same commits once."""
        if commits not in self._examined:
            with ThreadPoolExecutor(max_workers=1, thread_name_prefix="versions") as beside:
                viewing = beside.submit(self.view, commits)
                self._examined[commits] = Examined(self.fsck(), viewing)
        return self._examined[commits]

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
        with self._reading() as objects:
            return objects.view(commits)

    def differing(self, viewed: Sequence[Version]) -> tuple[str, ...]:
        """Versions whose tree is another than the backup recorded, or not recorded at all.

        Of a backup that somebody else's commands made nothing is recorded, and nothing differs.
        """
        if not self._recorded:
            return ()
        wanted = {version.commit.encode(): version for version in viewed}
        found: set[str] = set()
        for record in self._recorded:
            with record.open("rb") as lines:
                for line in lines:
                    commit, _, tree = line.rstrip().partition(b" ")
                    if commit in wanted and wanted[commit].tree.encode() == tree:
                        found.add(wanted[commit].commit)
        return tuple(version.commit for version in viewed if version.commit not in found)

    def layout(self, paths: Mapping[str, str]) -> Layout:
        """Where the parts of the newest version lie. Raise RestoreFailed."""
        with self._reading() as objects:
            return layout(objects, self._head_tree(objects), paths)

    def ansible(self, paths: Mapping[str, str]) -> Answers | None:
        """What Ansible says of the newest version; None if no image has it.

        It is asked once about the same files. Raise SandboxTrouble or RestoreFailed.
        """
        if self.image is None:
            return None
        with self._reading() as objects:
            tree = self._head_tree(objects)
            question = (self.image.identifier, tree, tuple(sorted(paths.items())))
            if question not in _answers:
                found = layout(objects, tree, paths)
                _answers[question] = ask_ansible(
                    objects, found, self.image, self.sandboxes, self.folder
                )
        return _answers[question]

    def secrets(self, source: SourceModel) -> SecretsSeen:
        """Secrets that the newest version holds in plain text. Raise RestoreFailed."""
        assert isinstance(source, GitSource)
        with self._reading() as objects:
            found = layout(objects, self._head_tree(objects), source.paths)
            inventories = found.found.get("inventory", ())
            patterns = source.plaintext_allowed, source.encrypted
            return look_for_secrets(objects, found.files, inventories, *patterns)

    def past_secrets(self, source: SourceModel, newest: SecretsSeen) -> PastSecrets:
        """Secrets that only older versions and other branches hold in plain text.

        They are sought once in the same history. Raise RestoreFailed.
        """
        assert isinstance(source, GitSource)
        question = (
            self.references().position,
            tuple(source.paths.items()),
            source.plaintext_allowed,
        )
        if question not in _looked_back:
            with self._reading() as objects:
                found = layout(objects, self._head_tree(objects), source.paths)
                _looked_back[question] = look_back(
                    self.repository,
                    objects,
                    found.files,
                    found.found.get("inventory", ()),
                    source.plaintext_allowed,
                    newest.plaintext,
                )
        return _looked_back[question]

    def vaulted(self, context: SourceContext) -> Vaulted:
        """Try the passwords that are kept for what the newest version holds encrypted.

        Raise RestoreFailed or SecretMissing.
        """
        assert isinstance(context.source, GitSource)
        passwords = [context.secret(one) for one in context.source.vault_passwords]
        with self._reading() as objects:
            found = layout(objects, self._head_tree(objects), context.source.paths)
            return try_passwords(objects, found.files, passwords)

    def losses(self, earlier: Sequence[BackupToRestore], source: SourceModel) -> Losses:
        """What earlier backups had and this one has not. Raise RestoreFailed."""
        assert isinstance(source, GitSource)
        commits = frozenset(self.git("rev-list", "--all").split())
        return losses(self.references(), commits, earlier, source.changed_by_hand)

    def signatures(self, context: SourceContext, commits: Sequence[str]) -> Signatures:
        """Verify the signatures of all tags, of every branch's newest commit and of these.

        Raise RestoreFailed, UserError or SandboxTrouble.
        """
        assert isinstance(context.source, GitSource)
        listed = self.git("for-each-ref", "--format=%(objecttype) %(objectname) %(refname:short)")
        named = [tuple(shown(line).split(" ", 2)) for line in lines_of(listed)]
        named += [("commit", commit, commit[:12]) for commit in commits]
        with self._reading() as objects:
            found = {
                identifier: signed(kind, identifier, name, objects.content(identifier, kind))
                for kind, identifier, name in named
                if kind in ("tag", "commit")
            }
        signers = path_of(context, context.source.signers)
        every = [one for one in found.values() if one is not None]
        return verify(self.repository, every, signers, self.folder)

    def recorded(self) -> int | None:
        """How many commits the backup recorded; None if it records none."""
        if not self._recorded:
            return None
        return sum(record.read_bytes().count(b"\n") for record in self._recorded)

    def _head_tree(self, objects: Objects) -> str:
        return objects.tree_of(self.git("rev-parse", "HEAD^{commit}").strip())

    @contextmanager
    def _reading(self) -> Iterator[Objects]:
        object_format = self.references().object_format
        try:
            with reading(self.repository, object_format) as objects:
                yield objects
        except GitCommandError as error:
            raise RestoreFailed(words(error)) from None
