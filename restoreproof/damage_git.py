"""Faults inside bundles of Git repositories, for ``VaultCopy.rewrite``: named functions."""

import random
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from git.exc import GitCommandError

from restoreproof.damage import Change, NotApplicable
from restoreproof.engines.git_command import run_git

AUTHOR = ("-c", "user.name=RestoreProof", "-c", "user.email=restoreproof@localhost")


def drop_reference(reference: str) -> Change:
    """Leave out a branch or a tag."""
    return lambda bundle: _in_repository(
        bundle, lambda repository: run_git(["update-ref", "-d", reference], repository)
    )


def drop_path(path: str) -> Change:
    """Take a file or folder out of the newest version."""

    def change(repository: Path) -> None:
        entries = run_git(["ls-tree", "HEAD"], repository).splitlines(keepends=True)
        kept = [entry for entry in entries if entry.rstrip("\n").partition("\t")[2] != path]
        assert len(kept) < len(entries), f"no {path} at the top of the newest version"
        _commit(repository, "".join(kept))

    return lambda bundle: _in_repository(bundle, change)


def drop_any_path(chance: random.Random) -> Change:
    """Take something that is drawn out of the newest version."""

    def change(repository: Path) -> None:
        entries = run_git(["ls-tree", "HEAD"], repository).splitlines(keepends=True)
        assert entries, "the newest version is empty"
        entries.pop(chance.randrange(len(entries)))
        _commit(repository, "".join(entries))

    return lambda bundle: _in_repository(bundle, change)


def drop_newest_version(bundle: bytes) -> bytes:
    """Put the default branch back by one version."""

    def change(repository: Path) -> None:
        run_git(["update-ref", "HEAD", "HEAD~1"], repository)

    return _in_repository(bundle, change)


def rewrite_newest_version(bundle: bytes) -> bytes:
    """Put another commit with the same files in the place of the newest."""

    def change(repository: Path) -> None:
        parents = run_git(["rev-list", "--parents", "-1", "HEAD"], repository).split()[1:]
        of = [word for parent in parents for word in ("-p", parent)]
        message = ["-m", "another message"]
        made = run_git([*AUTHOR, "commit-tree", *of, *message, "HEAD^{tree}"], repository)
        run_git(["update-ref", "HEAD", made.strip()], repository)

    return _in_repository(bundle, change)


def write_path(path: str, content: bytes) -> Change:
    """Put a file into the newest version, in place of one that is there."""

    def change(repository: Path) -> None:
        index = {"GIT_INDEX_FILE": str(repository / "fault-index")}
        file = repository / "fault"
        file.write_bytes(content)
        blob = run_git(["hash-object", "-w", "--no-filters", str(file)], repository).strip()
        run_git(["read-tree", "HEAD"], repository, environment=index)
        added = ["update-index", "--add", "--cacheinfo", f"100644,{blob},{path}"]
        run_git(added, repository, environment=index)
        tree = run_git(["write-tree"], repository, environment=index).strip()
        _commit_tree(repository, tree)

    return lambda bundle: _in_repository(bundle, change)


def add_spoiled_tag(key: Path) -> Change:
    """Add a tag that was changed after it was signed with this key of ssh."""
    signing = ("-c", "gpg.format=ssh", "-c", f"user.signingKey={key}")

    def change(repository: Path) -> None:
        run_git([*AUTHOR, *signing, "tag", "-s", "-m", "fault", "fault", "HEAD"], repository)
        spoiled = repository / "fault"
        signed = run_git(["cat-file", "tag", "fault"], repository)
        spoiled.write_text(signed.replace("\nfault\n", "\nanother\n"), encoding="utf-8")
        made = run_git(["hash-object", "-t", "tag", "-w", str(spoiled)], repository).strip()
        run_git(["update-ref", "refs/tags/fault", made], repository)

    return lambda bundle: _in_repository(bundle, change)


def name_a_file_twice(bundle: bytes) -> bytes:
    """Add a version that is no valid one: two files of it have the same name."""

    def change(repository: Path) -> None:
        entries = run_git(["ls-tree", "HEAD"], repository).splitlines(keepends=True)
        _commit(repository, "".join([entries[0], *entries]))

    return _in_repository(bundle, change)


def _in_repository(bundle: bytes, change: Callable[[Path], object]) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        file, repository = Path(folder, "bundle"), Path(folder, "repository.git")
        file.write_bytes(bundle)
        try:
            # An increment's bundle is no repository by itself.
            run_git(["clone", "--quiet", "--mirror", str(file), str(repository)])
            change(repository)
            run_git(["bundle", "create", "--quiet", str(file), "--all"], repository)
        except GitCommandError as error:
            raise NotApplicable(f"git ended with {error.status}") from None
        return file.read_bytes()


def _commit(repository: Path, entries: str) -> None:
    """Put a tree of these entries on top of the default branch."""
    command = ["git", "-C", str(repository), "mktree"]
    made = subprocess.run(command, input=entries, check=True, capture_output=True, text=True)
    _commit_tree(repository, made.stdout.strip())


def _commit_tree(repository: Path, tree: str) -> None:
    """Put a tree on top of the default branch."""
    commit = run_git([*AUTHOR, "commit-tree", "-p", "HEAD", "-m", "fault", tree], repository)
    run_git(["update-ref", "HEAD", commit.strip()], repository)
