"""``restoreproof exercise`` on a repository, by the real command line: no source, no engine."""

from pathlib import Path

import pytest
from commands import run
from git import Repo

from restoreproof.damage import MARK, VaultCopy

POLICY = """\
estate: Harbour
objectives: {rpo: 1h, rto: 4h, restore_test_every: 31d}
vault: {location: vault}
components:
  playbooks:
    engine: git
    source: {repository: playbooks}
    coverage: [playbook]
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A policy, and a backup of a repository that is gone by now."""
    (tmp_path / "policy.yaml").write_text(POLICY)
    with Repo.init(tmp_path / "playbooks", initial_branch="main") as made:
        made.index.commit("begin")
        made.create_head("side")
        made.index.commit("go on")
    assert run(tmp_path, "backup", "policy.yaml").code == 0
    (tmp_path / "playbooks").rename(tmp_path / "away")
    return tmp_path


def test_criteria_are_met_without_the_source(folder: Path) -> None:
    """All three by default, each with its time; the vault stays as it was."""
    before = sorted((folder / "vault").rglob("[!.]*"))
    done = run(folder, "exercise", "policy.yaml")

    assert done.code == 0, done.printed
    for said in (
        "a forced push replaced 2 commits of refs/heads/main by one",
        "refs/heads/side was deleted",
        "the server and its disk were removed",
        "put the part back",
    ):
        assert said in done.printed
    assert done.printed.count(" passed ") == 3
    assert sorted((folder / "vault").rglob("[!.]*")) == before


def test_one_criterion_is_enough(folder: Path) -> None:
    """The others are not played."""
    done = run(folder, "exercise", "policy.yaml", "playbooks", "--criterion", "deletion")

    assert done.code == 0, done.printed
    assert done.printed.count(" passed ") == 1
    assert "forced push" not in done.printed


def test_backup_that_does_not_come_back_meets_nothing(folder: Path) -> None:
    """Where no copy can be made of the newest backup, no criterion is met."""
    (folder / "vault" / MARK).touch()
    copy = VaultCopy(folder / "vault")
    copy.flip_byte(copy.newest("playbooks"), "repository.bundle.zst")
    done = run(folder, "exercise", "policy.yaml")

    assert done.code == 1
    assert done.printed.count("does not come back: ") == 3


def test_without_a_backup_it_is_a_mistake(folder: Path) -> None:
    """One line that says what to do first; so is a criterion that there is none of."""
    (folder / "vault").rename(folder / "elsewhere")
    done = run(folder, "exercise", "policy.yaml")

    assert done.code == 2
    assert done.messages[-1].startswith("playbooks: the vault holds no backup -- take one")
    assert run(folder, "exercise", "policy.yaml", "--criterion", "fire").code == 2
