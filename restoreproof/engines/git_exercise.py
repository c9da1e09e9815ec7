"""The accidents that can befall a living copy of a repository, and the writer who commits to it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from restoreproof.engines.contract import BackupToRestore, Restored, SourceContext
from restoreproof.engines.contract_exercise import EXERCISE, Accident, CannotBePlayed, LivingCopy
from restoreproof.engines.git_place import GitSource
from restoreproof.engines.git_restored import RestoredGit
from restoreproof.fingerprint import Fingerprint, Item
from restoreproof.outcomes import RestoreFailed

WRITTEN, BALLAST = f"refs/heads/{EXERCISE}", f"refs/heads/{EXERCISE}-ballast"
AUTHOR = ("-c", f"user.name={EXERCISE}", "-c", f"user.email={EXERCISE}@localhost")


class LivingGit(LivingCopy):
    """A repository that was restored and takes commits."""

    restored: RestoredGit

    def __init__(self, restored: RestoredGit, context: SourceContext) -> None:
        self.restored, self.context = restored, context

    def prepare(self) -> None:
        self._set(BALLAST, self._commit("ballast"))

    def write(self, number: int) -> None:
        before = self.restored.git("for-each-ref", "--format=%(objectname)", WRITTEN).split()
        self._set(WRITTEN, self._commit(str(number), *before))

    def written(self, restored: Restored) -> frozenset[int]:
        assert isinstance(restored, RestoredGit)
        if not restored.git("for-each-ref", WRITTEN):
            return frozenset()
        told = restored.git("log", "--format=%s", WRITTEN).split()
        return frozenset(map(int, told))

    def corrupt(self) -> Accident:
        branch = self._default_branch() or BALLAST
        replaced = self.restored.git("rev-list", "--count", branch).strip()
        self._set(branch, self._commit("history rewritten"))
        return Accident(f"a forced push replaced {replaced} commits of {branch} by one", branch)

    def delete(self, but: str) -> Accident:
        listed = self.restored.git(
            "for-each-ref", "--format=%(refname)", "refs/heads", "refs/tags"
        ).split()
        kept = {but, WRITTEN, BALLAST, self._default_branch()}
        reference = next((one for one in listed if one not in kept), BALLAST)
        if reference == but:
            raise CannotBePlayed("there is no other branch that could be deleted")
        self.restored.git("update-ref", "-d", reference)
        return Accident(f"{reference} was deleted", reference)

    def put_back(self, accident: Accident, restored: Restored, folder: Path) -> None:
        assert isinstance(restored, RestoredGit)
        wanted = f"{accident.part}:{accident.part}"
        self.restored.git("fetch", "--quiet", str(restored.repository), wanted)

    def is_of(self, kind: str, name: str, part: str) -> bool:
        return kind == "reference" and name == part

    def is_busy(self, item: Item) -> bool:
        # What hangs on a reference is in its digest; all commits together grow with every one.
        return item.name == WRITTEN or item.kind == "history"

    def fingerprint(self, like: BackupToRestore) -> Fingerprint:
        return self.restored.fingerprint(like.fingerprint)

    def _default_branch(self) -> str:
        """The branch of HEAD; empty if it has no commit, or HEAD stands on none."""
        try:
            named = self.restored.git("symbolic-ref", "--quiet", "HEAD").strip()
        except RestoreFailed:
            return ""
        return named if self.restored.git("for-each-ref", named) else ""

    def _commit(self, message: str, *parents: str) -> str:
        tree = self.restored.git("hash-object", "-t", "tree", "-w", os.devnull).strip()
        before = [word for parent in parents for word in ("-p", parent)]
        return self.restored.git(*AUTHOR, "commit-tree", *before, "-m", message, tree).strip()

    def _set(self, reference: str, commit: str) -> None:
        self.restored.git("update-ref", reference, commit)


@contextmanager
def living(restored: Restored, context: SourceContext) -> Iterator[LivingGit]:
    """The living copy that a restored repository is."""
    assert isinstance(restored, RestoredGit)
    source = GitSource(repository=str(restored.repository))
    yield LivingGit(restored, replace(context, source=source, coverage=frozenset({"data"})))
