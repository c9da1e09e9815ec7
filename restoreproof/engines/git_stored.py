"""What a backup of a repository consists of, and how it is put into a repository again."""

import shutil
from collections.abc import Mapping
from pathlib import Path

from git.exc import GitCommandError

from restoreproof.engines.contract import BackupToRestore
from restoreproof.engines.git_command import lines_of, run_git, shown, words
from restoreproof.engines.git_references import References
from restoreproof.outcomes import RestoreFailed

BUNDLE = "repository.bundle"
REFERENCES = "references.json"
VERSIONS = "versions.txt"


def put_back(backup: BackupToRestore, repository: Path, *, increment: bool) -> None:
    """Add what a backup holds to a bare repository, and stand where it was taken.

    Without ``increment`` the repository is made anew. Raise RestoreFailed.
    """
    references = References.parse(b"".join(backup.read(REFERENCES)))
    try:
        if not increment or references.object_format != References.of(repository).object_format:
            # Cloned empty, a repository does not tell its format; the next backup does.
            shutil.rmtree(repository, ignore_errors=True)
            init = ["init", "--quiet", "--bare", f"--object-format={references.object_format}"]
            run_git([*init, str(repository)])
        if BUNDLE in backup.names:
            bundled = _unbundle(backup, repository)
            # A full backup's references are those of its bundle; an increment's bundle leaves
            # out what did not change.
            if not increment:
                references = references.model_copy(update={"names": bundled})
        references.put(repository)
    except GitCommandError as error:
        raise RestoreFailed(words(error)) from None


def _unbundle(backup: BackupToRestore, repository: Path) -> Mapping[str, str]:
    bundle = repository.with_name(BUNDLE)
    with bundle.open("wb") as file:
        file.writelines(backup.read(BUNDLE))
    run_git(["bundle", "verify", "--quiet", str(bundle)], repository)
    told = run_git(["bundle", "unbundle", str(bundle)], repository)
    bundle.unlink()
    pairs = (shown(line).split(" ", 1) for line in lines_of(told))
    return {name: target for target, name in pairs if name != "HEAD"}
