"""Chains of a repository: what an increment takes, and that every boundary comes back exactly."""

import json
import os
import subprocess
from pathlib import Path

import pytest
from git_bench import Repository

from restoreproof import damage_git
from restoreproof.engines.git_backup import DELETED, REWRITTEN
from restoreproof.engines.git_place import GitSource
from restoreproof.engines.git_restored import RestoredGit
from restoreproof.engines.git_stored import BUNDLE
from restoreproof.vault import StoredBackup


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    """A repository with branches, tags of both kinds and a note."""
    made = Repository(tmp_path_factory.mktemp("git"))
    for number in range(5):
        made.commit({"site.yml": f"- hosts: h{number}\n", f"files/{number}": bytes(range(256))})
    made.git("branch", "feature/ветка 'a'".replace(" ", "-"), "HEAD~2")
    made.git("tag", "light", "HEAD~1")
    made.git("tag", "-a", "annotated", "-m", "text", "HEAD~2")
    made.git("notes", "add", "-m", "note", "HEAD")
    return made


@pytest.fixture(scope="module")
def chain(repository: Repository) -> list[StoredBackup]:
    """A full backup, and increments after all that can happen to a repository."""
    made, backups = repository, [repository.store()]
    # Nothing at all.
    backups.append(made.store(backups[-1]))
    # Names for what is known: nothing to bundle.
    made.git("branch", "older", "HEAD~3")
    made.git("tag", "again", "HEAD~3")
    backups.append(made.store(backups[-1]))
    # Commits, a merge, a branch that goes after it, a note, a tag of a tag.
    made.git("checkout", "--quiet", "-b", "side", "HEAD~1")
    made.commit({"side": "x"})
    made.git("checkout", "--quiet", "main")
    made.git("merge", "--quiet", "--no-ff", "-m", "merge", "side")
    made.git("branch", "-D", "side")
    made.git("notes", "add", "-m", "another", "HEAD")
    made.git("tag", "-a", "nested", "-m", "text", "annotated")
    backups.append(made.store(backups[-1]))
    # History rewritten, a tag moved, a branch deleted, and HEAD elsewhere.
    made.git("reset", "--quiet", "--hard", "HEAD~2")
    made.commit({"site.yml": "- hosts: other\n"}, "rewritten")
    made.git("tag", "-f", "light", "HEAD")
    made.git("branch", "-D", "older")
    made.git("checkout", "--quiet", "--detach", "HEAD~1")
    made.commit({"detached": "x"}, "on no branch")
    backups.append(made.store(backups[-1]))
    # An orphan branch is the default one.
    made.git("checkout", "--quiet", "--orphan", "fresh")
    made.commit({"fresh": "x"})
    backups.append(made.store(backups[-1]))
    return backups


def test_every_boundary_comes_back(repository: Repository, chain: list[StoredBackup]) -> None:
    """At every backup references, history, trees and HEAD are what they were, and all is whole."""
    for backup in chain:
        with repository.restored(backup) as restored:
            assert restored.fsck() == ""
            viewed = restored.view(restored.commits())
            assert restored.differing(viewed) == ()
            assert len(viewed) > 4


def test_an_increment_stores_what_is_new(chain: list[StoredBackup]) -> None:
    """Where no object is new there is no bundle; what was done to references is recorded."""
    bundles = [
        [one.content_bytes for one in backup.manifest().artifacts if BUNDLE in one.name]
        for backup in chain
    ]
    facts = [backup.manifest().facts for backup in chain]

    assert [bool(one) for one in bundles] == [True, False, False, True, True, True]
    assert json.loads(facts[4][DELETED]) == ["refs/heads/older"]
    assert json.loads(facts[4][REWRITTEN]) == ["refs/heads/main", "refs/tags/light"]
    assert DELETED not in facts[3] and REWRITTEN not in facts[3]


def test_a_missing_increment_is_refused(repository: Repository, chain: list[StoredBackup]) -> None:
    """An increment whose base lacks what it stands on does not come back."""
    copy = repository.copy()
    one = next(kept for kept in copy.vault.backups("playbooks") if kept.id == chain[4].id)
    copy.restate(one, base=chain[0].id)

    with repository.attempt(chain[4], copy) as done:
        assert done.restored is None
        assert "nonexistent object" in done.failure


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (lambda bundle: bundle[: len(bundle) // 2], "pack"),
        (lambda bundle: bundle[:-30] + bytes(30), "pack"),
        (lambda bundle: bundle[:400] + bytes([bundle[400] ^ 1]) + bundle[401:], ""),
        (lambda bundle: b"# v2 git bundle\n" + bundle[40:], ""),
    ],
)
def test_a_damaged_bundle_is_seen(
    repository: Repository, chain: list[StoredBackup], fault: damage_git.Change, words: str
) -> None:
    """Cut short, a bit turned over, or without its list: it is refused, or differs."""
    copy = repository.copy()
    (one,) = (kept for kept in copy.vault.backups("playbooks") if kept.id == chain[0].id)
    copy.rewrite(one, f"{BUNDLE}.zst", fault)

    with repository.attempt(chain[0], copy) as done:
        assert done.restored is None or not done.comparison.equal
        assert words in done.failure


@pytest.mark.parametrize("object_format", ["sha1", "sha256"])
def test_a_repository_that_begins_empty(tmp_path: Path, object_format: str) -> None:
    """Without any commit it is a backup like others, and increments stand on it."""
    made = Repository(tmp_path, f"--object-format={object_format}")
    empty = made.store()
    made.commit({"site.yml": "- hosts: all\n"})
    made.git("tag", "first")
    begun = made.store(empty)

    with made.restored(empty) as restored:
        assert not restored.has_commit
        assert restored.fsck() == ""
        assert restored.recorded() == 0
        assert restored.answer() == "counted 0 commits"
    with made.restored(begun) as restored:
        assert restored.fsck() == ""
        assert restored.differing(restored.view(restored.commits())) == ()
        assert restored.has_commit


def test_names_of_any_bytes(tmp_path: Path) -> None:
    """Branches and files whose names are no UTF-8, or hold signs that part lines elsewhere."""
    made = Repository(tmp_path)
    made.commit({"site.yml": "- hosts: a\n"})
    backups = [made.store()]
    odd, work = b"side-\xe9\xe2\x80\xa8x\xc2\x85", os.fsencode(made.path)
    for name, content in ((odd, b"x"), (odd + b".yml", b"- hosts: a\n"), (b"a\nb", b"x")):
        Path(os.fsdecode(work + b"/" + name)).write_bytes(content)
    made.git("add", "--all")
    pinned = b"160000," + made.git("rev-parse", "HEAD").encode() + b",sub/" + odd
    in_work = [b"git", b"-C", work]
    subprocess.run([*in_work, b"update-index", b"--add", b"--cacheinfo", pinned], check=True)
    made.git("commit", "--quiet", "-m", "odd")
    subprocess.run([*in_work, b"branch", odd], check=True)
    subprocess.run([*in_work, b"symbolic-ref", b"HEAD", b"refs/heads/" + odd], check=True)
    backups += [made.store(), made.store(backups[-1])]
    subprocess.run([*in_work, b"symbolic-ref", b"HEAD", b"refs/heads/main"], check=True)
    subprocess.run([*in_work, b"branch", b"-D", odd], check=True)
    backups.append(made.store(backups[-1]))

    name = "refs/heads/side-\\xe9\u2028x\x85"
    for backup, there in zip(backups, (False, True, True, False), strict=True):
        with made.restored(backup) as restored:
            assert (name in restored.references().names) is there
            told = restored.git("for-each-ref").encode(errors="surrogateescape")
            assert (odd + b"\n" in told) is there
            assert restored.differing(restored.view(restored.commits())) == ()
            assert restored.fsck() == ""
            restored.limits.encode()
            assert restored.layout({}).found["playbook"] == ("site.yml",)


def test_shared_and_linked_repositories(repository: Repository, tmp_path: Path) -> None:
    """Work trees of a repository and clones that borrow objects are backed up whole."""
    linked, borrowing = tmp_path / "linked", tmp_path / "borrowing"
    repository.git("worktree", "add", "--quiet", "--detach", str(linked), "main")
    repository.git("clone", "--quiet", "--shared", str(repository.path), str(borrowing))

    for place in (linked, borrowing):
        backup = repository.store(source=GitSource(repository=str(place)))
        with repository.attempt(backup) as done:
            assert isinstance(done.restored, RestoredGit), done.failure
            assert done.comparison.equal
            assert done.restored.fsck() == ""
