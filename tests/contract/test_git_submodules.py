"""Submodules: named as not backed up, unless another component holds the commit that is wanted."""

from pathlib import Path

import pytest
from git_bench import Repository

from restoreproof.engines.git_place import GitSource
from restoreproof.engines.git_submodules import _resolved, same_repository
from restoreproof.submodules import Covered, covered

MODULES = """\
[submodule "a role"]
\tpath = roles/web
\turl = ../role/.git
[submodule "far"]
\tpath = roles/far
\turl = https://user:hunter2@git.example/far.git
"""


def _pin(repository: Repository, path: str, commit: str) -> None:
    repository.git("update-index", "--add", "--cacheinfo", f"160000,{commit},{path}")


def test_what_another_component_holds_is_covered(tmp_path: Path) -> None:
    """By place and by commit: not yet if its backup is older, and named as missing if nobody's."""
    made = Repository(tmp_path)
    made.git("init", "--quiet", "--initial-branch=main", str(tmp_path / "role"))
    role = GitSource(repository=str(tmp_path / "role"))
    made.git("commit", "--quiet", "--allow-empty", "-m", "first", at=tmp_path / "role")
    older = made.store(source=role)
    made.git("commit", "--quiet", "--allow-empty", "-m", "second", at=tmp_path / "role")
    wanted = made.git("rev-parse", "HEAD", at=tmp_path / "role")
    newer = made.store(source=role)
    made.commit({".gitmodules": MODULES, "site.yml": "- hosts: a\n"})
    for path in ("roles/web", "roles/far", "roles/unnamed"):
        _pin(made, path, wanted)
    made.git("commit", "--quiet", "-m", "submodules")
    mine = made.store()

    found = covered("mine", {"mine": [older, mine], "role": [older, newer], "empty": []})
    stale = covered("mine", {"mine": [mine], "role": [older]})

    nobody = "its content is backed up by no component"
    place = f"submodule roles/web ({tmp_path}/role/.git)"
    assert found.held == (f"{place} is backed up by component role, commit {wanted[:12]}",)
    assert found.missing == (
        f"submodule roles/far (https://git.example/far.git): {nobody}",
        f"submodule roles/unnamed: {nobody}",
    )
    assert covered("role", {"role": [older]}) == covered("none", {"none": []}) == Covered()
    assert stale.held == ()
    assert f"{place}: commit {wanted[:12]} is in no backup of role yet" in stale.missing
    assert "hunter2" not in (mine.folder / "manifest.json").read_text()


@pytest.mark.parametrize(
    ("url", "location", "place"),
    [
        ("../role", "https://git.example/team/work", "https://git.example/team/role"),
        ("../role.git", "git@git.example:team/work.git", "git.example:team/role.git"),
        ("./role", "/srv/git/work", "/srv/git/work/role"),
        ("ssh://git@git.example:22/role", "/srv/git/work", "ssh://git.example:22/role"),
    ],
)
def test_places_are_resolved(url: str, location: str, place: str) -> None:
    """What begins with a dot is relative to the repository, and no user is kept."""
    assert _resolved(url, location) == place


def test_one_repository_has_several_names() -> None:
    """However it is reached, with or without its ending; another host or path is another one."""
    for other in ("ssh://git@Git.example:2222/team/role.git", "https://git.example/team/role/"):
        assert same_repository("git@git.example:team/role.git", other)
    assert same_repository("/srv/role/.git", "/srv/role")
    for other in ("https://other.example/team/role", "https://git.example/role", "/team/role", ""):
        assert not same_repository("https://git.example/team/role", other)
    assert not same_repository("", "")
