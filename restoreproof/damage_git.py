"""Faults inside bundles of Git repositories, for ``VaultCopy.rewrite``: named functions."""

import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from restoreproof.damage import Change
from restoreproof.engines.git import run_git

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
        run_git(["clone", "--quiet", "--mirror", str(file), str(repository)])
        change(repository)
        run_git(["bundle", "create", "--quiet", str(file), "--all"], repository)
        return file.read_bytes()


def _commit(repository: Path, entries: str) -> None:
    """Put a tree of these entries on top of the default branch."""
    command = ["git", "-C", str(repository), "mktree"]
    made = subprocess.run(command, input=entries, check=True, capture_output=True, text=True)
    tree = made.stdout.strip()
    commit = run_git([*AUTHOR, "commit-tree", "-p", "HEAD", "-m", "fault", tree], repository)
    run_git(["update-ref", "HEAD", commit.strip()], repository)
