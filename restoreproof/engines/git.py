"""Git repositories: a bundle of every reference, cloned from the bundle alone."""

import hashlib
import os
import random
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from urllib.parse import unquote, urlsplit, urlunsplit

import git
from git.exc import GitCommandError
from pydantic import BaseModel, ConfigDict

from restoreproof.engines.contract import (
    BackupContent,
    BackupContext,
    BackupToRestore,
    Engine,
    Parts,
    Restored,
    SourceContext,
)
from restoreproof.engines.contract_exercise import LivingCopy
from restoreproof.errors import SourceUnavailable
from restoreproof.fingerprint import Fingerprint, Item
from restoreproof.images import Image
from restoreproof.outcomes import BackupFailed, RestoreFailed
from restoreproof.redaction import remember
from restoreproof.references import SourceModel
from restoreproof.sandbox import Sandboxes

METHOD = "git-references-sha256-v1"
BUNDLE = "repository.bundle"
CHUNK_BYTES = 1024 * 1024
PASSWORD_VARIABLE = "RESTOREPROOF_GIT_PASSWORD"  # noqa: S105  # the name of a variable
CREDENTIAL_HELPER = f'!f() {{ printf "password=%s\\n" "${PASSWORD_VARIABLE}"; }}; f'
# Nothing of this user's configuration, and no hook or prompt, takes part.
ENVIRONMENT = {
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_TERMINAL_PROMPT": "0",
    "LC_ALL": "C.UTF-8",
}
# A source often belongs to another user, and is only read.
OPTIONS = ("-c", "safe.directory=*", "-c", f"core.hooksPath={os.devnull}")


class HeartbeatBranch(BaseModel):
    """A branch to which something commits all the time, so that its newest commit tells of loss."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    branch: str


class GitSource(SourceModel):
    """A repository by path (relative to the policy) or URL, and where its coverage lies.

    ``paths`` maps playbook, inventory and configuration to a file or folder in the repository.
    """

    repository: str
    paths: Mapping[str, str] = {}
    heartbeat: HeartbeatBranch | None = None


@dataclass(frozen=True)
class Version:
    """One commit that was viewed: its identifier, and how many files were read in it."""

    commit: str
    files: int


class RestoredGit(Restored):
    """A bare repository in a folder of its own."""

    limits = "a folder of this machine"
    isolation = "cloned from the bundle alone; no hooks, no network"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.bundle = folder / BUNDLE
        self.repository = folder / "restored.git"
        self.server_version = run_git(["version"]).strip()
        self.identity = str(folder)

    def answer(self) -> str:
        commits = self.git("rev-list", "--all", "--count").strip()
        return f"counted {commits} commits"

    def fingerprint(self, expected: Fingerprint) -> Fingerprint:
        try:
            return fingerprint(self.repository, expected.taken_at)
        except GitCommandError as error:
            raise RestoreFailed(_words(error)) from None

    def newest_heartbeat(self, source: SourceModel) -> datetime | None:
        assert isinstance(source, GitSource)
        return newest_commit(self.repository, source.heartbeat) if source.heartbeat else None

    def reach(self, folder: Path) -> Mapping[str, str]:
        return {"restored": str(self.repository)}

    def access(self, folder: Path) -> tuple[str, ...]:
        return (f"a bare repository: git clone {self.repository}",)

    def write_out(self, folder: Path, parts: Parts) -> tuple[str, ...]:
        target = folder / "repository.git"
        try:
            run_git(["clone", "--quiet", "--mirror", str(self.repository), str(target)])
        except GitCommandError as error:
            raise RestoreFailed(_words(error)) from None
        return (f"{target}: a bare repository",)

    def git(self, *arguments: str) -> str:
        """Output of a git command on the restored repository. Raise RestoreFailed."""
        try:
            return run_git(arguments, self.repository)
        except GitCommandError as error:
            raise RestoreFailed(_words(error)) from None

    def fsck(self) -> str:
        """What ``git fsck --full --strict`` complains of; empty if of nothing."""
        try:
            return run_git(["fsck", "--full", "--strict", "--no-dangling"], self.repository).strip()
        except GitCommandError as error:
            return _words(error)

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

    def view(self, commit: str) -> Version:
        """Read every file of a version as it was. Raise RestoreFailed if one cannot be read."""
        # Writing an archive of it to nowhere reads every file.
        self.git("archive", "--format=tar", f"--output={os.devnull}", commit)
        files = self.git("ls-tree", "-r", "-z", "--name-only", "--full-tree", commit)
        return Version(commit, files.count("\0"))

    def head_has(self, path: str) -> bool:
        """Whether the newest version of the default branch holds a file or folder."""
        return bool(self.git("ls-tree", "HEAD", "--", path.rstrip("/")).strip())


class Git(Engine[GitSource]):
    """Repositories that Git can clone."""

    name = "git"
    method = (
        "Every reference and the identifiers of all commits reachable from it, which Git "
        "computes from the whole content and history"
    )
    needs_image = False
    covers = frozenset({"data", "playbook", "inventory", "configuration"})
    kinds = frozenset({"full"})
    writes_out = "all"
    source_model = GitSource
    plays = True

    def exclusions(self, source: SourceModel) -> tuple[str, ...]:
        return ("submodules and large files kept outside the repository",)

    def probe(self, context: SourceContext) -> None:
        place = _place(context)
        try:
            run_git(["ls-remote", "--quiet", "--", place.location], environment=place.credentials)
        except GitCommandError as error:
            raise SourceUnavailable(
                f"the repository {place.location} cannot be read: {_words(error)}",
                where=f"component {context.component}",
                mend="correct source.repository in the policy, or grant this user access",
            ) from None

    def back_up(self, context: BackupContext) -> BackupContent:
        place = _place(context.of)
        with context.of.sandboxes.folder() as folder:
            mirror = folder / "mirror.git"
            try:
                # A mirror of our own holds still while it is bundled, and the source is only read.
                clone = ["clone", "--quiet", "--mirror", "--no-local", "--", place.location]
                run_git([*clone, str(mirror)], environment=place.credentials)
                recovery_point = context.of.clock()
                taken = fingerprint(mirror, recovery_point)
                with context.artifact(BUNDLE) as sink:
                    for chunk in _bundle(mirror):
                        sink.write(chunk)
            except GitCommandError as error:
                raise BackupFailed(_words(error)) from None
        return BackupContent(
            recovery_point=recovery_point,
            fingerprint=taken,
            source_version=run_git(["version"]).strip(),
            source_identity=place.location,
        )

    def newest_heartbeat(self, context: SourceContext) -> datetime | None:
        assert isinstance(context.source, GitSource)
        heartbeat = context.source.heartbeat
        if heartbeat is None:
            return None
        place = _place(context)
        with context.sandboxes.folder() as folder:
            branch = f"+refs/heads/{heartbeat.branch}:refs/heads/{heartbeat.branch}"
            fetch = ["fetch", "--quiet", "--depth=1", "--no-tags", "--", place.location, branch]
            repository = _empty(folder)
            try:
                run_git(fetch, repository, environment=place.credentials)
            except GitCommandError as error:
                raise SourceUnavailable(_words(error)) from None
            return newest_commit(repository, heartbeat)

    @contextmanager
    def provision(
        self,
        source: SourceModel,
        image: Image | None,
        sandboxes: Sandboxes,
        full: BackupToRestore | None = None,
    ) -> Iterator[Restored]:
        with sandboxes.folder() as folder:
            yield RestoredGit(folder)

    def load(self, restored: Restored, backup: BackupToRestore) -> None:
        assert isinstance(restored, RestoredGit)
        with restored.bundle.open("wb") as file:
            for chunk in backup.read(BUNDLE):
                file.write(chunk)
        try:
            run_git(["bundle", "verify", "--quiet", str(restored.bundle)], _empty(restored.folder))
            run_git(
                ["clone", "--quiet", "--mirror", str(restored.bundle), str(restored.repository)]
            )
        except GitCommandError as error:
            raise RestoreFailed(_words(error)) from None

    def living(
        self, restored: Restored, context: SourceContext
    ) -> AbstractContextManager[LivingCopy]:
        from restoreproof.engines.git_exercise import living  # noqa: PLC0415  # it knows this one

        return living(restored, context)


def fingerprint(repository: Path, taken_at: datetime) -> Fingerprint:
    """Every reference with its target and number of commits, and all commits together."""
    listed = run_git(
        ["for-each-ref", "--format=%(objectname) %(objecttype) %(refname)"], repository
    )
    items = []
    for line in listed.splitlines():
        target, kind, name = line.split(" ", 2)
        items.append(Item(kind="reference", name=name, digest=f"{kind}:{target}"))
    commits = sorted(run_git(["rev-list", "--all"], repository).split())
    digest = hashlib.sha256("\n".join(commits).encode()).hexdigest()
    items.append(Item(kind="history", name="all commits", count=len(commits), digest=digest))
    return Fingerprint.of(METHOD, taken_at, items)


def newest_commit(repository: Path, heartbeat: HeartbeatBranch) -> datetime | None:
    """When the newest commit of the branch of heartbeats was made; None if there is none."""
    branch = f"refs/heads/{heartbeat.branch}"
    told = run_git(["for-each-ref", "--format=%(committerdate:iso-strict)", branch], repository)
    return datetime.fromisoformat(told.strip()).astimezone(UTC) if told.strip() else None


def run_git(
    arguments: Sequence[str],
    repository: Path | None = None,
    *,
    environment: Mapping[str, str] = MappingProxyType({}),
) -> str:
    """Output of a git command. Raise GitCommandError with its words."""
    command = ["git", *OPTIONS, *arguments]
    variables = {**ENVIRONMENT, **environment}
    return str(git.Git(repository).execute(command, env=variables, strip_newline_in_stdout=False))


def _bundle(mirror: Path) -> Iterator[bytes]:
    command = ["git", *OPTIONS, "bundle", "create", "--quiet", "-", "--all"]
    process = git.Git(mirror).execute(command, env=ENVIRONMENT, as_process=True)
    assert isinstance(process, git.Git.AutoInterrupt)
    stdout = process.proc.stdout if process.proc else None
    assert stdout is not None
    while chunk := stdout.read(CHUNK_BYTES):
        yield chunk
    process.wait()


@dataclass(frozen=True)
class Place:
    """Where a source is, and the variables from which Git takes the password that goes there."""

    location: str
    credentials: Mapping[str, str]


def _place(context: SourceContext) -> Place:
    """The source without the password that its URL may hold: arguments are seen by everybody."""
    assert isinstance(context.source, GitSource)
    location = context.text(context.source.repository)
    if "://" not in location:
        remote = "@" in location and ":" in location
        return Place(location if remote else str((context.folder / location).resolve()), {})
    parts = urlsplit(location)
    if parts.password is None:
        return Place(location, {})
    remember(parts.password)
    remember(unquote(parts.password))
    host = parts.netloc.rpartition("@")[2]
    return Place(
        urlunsplit(parts._replace(netloc=f"{parts.username}@{host}")),
        {
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": "credential.helper",
            "GIT_CONFIG_VALUE_0": CREDENTIAL_HELPER,
            PASSWORD_VARIABLE: unquote(parts.password),
        },
    )


def _words(error: GitCommandError) -> str:
    """Git's own words, without the command line and without passwords in URLs."""
    text = str(error.stderr or error.stdout or f"exit code {error.status}")
    text = text.replace("\n  stderr: ", "").strip().strip("'")
    # Git repeats the URL, which may hold a password where it was redirected to.
    return re.sub(r"(?<=://)[^/@]*@", "", text)


def _empty(folder: Path) -> Path:
    """An empty repository: a bundle that verifies there needs nothing beside itself."""
    path = folder / "empty.git"
    run_git(["init", "--quiet", "--bare", str(path)])
    return path


engine = Git()
