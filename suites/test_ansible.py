"""Repositories: are they complete, can every version be viewed, and is Ansible's part there?"""

import pytest

SAMPLE = 40


@pytest.mark.check(
    "GIT-001",
    severity="critical",
    engine="git",
    proves=("content", "versions"),
)
def test_repository_is_complete(restored, observe):
    """The restored repository is whole: git fsck --full --strict finds nothing."""
    commits = restored.commits()
    complaints = restored.fsck()
    observe(
        examined=len(commits),
        expected="no complaint of git fsck",
        seen=complaints or f"no complaint over {len(commits)} commits",
        remedy="take a new backup; if the source complains too, mend it from a good clone",
    )
    assert not complaints


@pytest.mark.check("GIT-002", severity="critical", engine="git", proves=("versions",))
def test_any_version_can_be_viewed(restored, seed, observe):
    """Any version can be viewed.

    All versions of a small repository, and of a large one the newest, the oldest and a sample
    drawn with the run's seed, are read whole.
    """
    commits = restored.commits()
    sample = restored.sample(seed, SAMPLE)
    noted = {
        "examined": len(sample),
        "expected": "every file of every version in the sample",
        "remedy": "restore an older backup and bring the lost versions back",
    }
    # Git's own words on a version that cannot be read are the reason of the finding.
    observe(seen=f"not all of {len(sample)} versions can be read", **noted)
    viewed = [restored.view(commit) for commit in sample]
    files = sum(version.files for version in viewed)
    observe(seen=f"viewed {len(viewed)} of {len(commits)} versions, {files} files", **noted)
    assert viewed


@pytest.mark.check(
    "GIT-003", severity="high", engine="git", coverage="playbook", proves=("playbook",)
)
def test_playbook_is_there(restored, audited, observe):
    """The playbook is in the newest version, where the policy says."""
    _is_there("playbook", restored, audited, observe)


@pytest.mark.check(
    "GIT-004", severity="high", engine="git", coverage="inventory", proves=("inventory",)
)
def test_inventory_is_there(restored, audited, observe):
    """The inventory is in the newest version, where the policy says."""
    _is_there("inventory", restored, audited, observe)


@pytest.mark.check(
    "GIT-005", severity="high", engine="git", coverage="configuration", proves=("configuration",)
)
def test_configuration_is_there(restored, audited, observe):
    """The configuration is in the newest version, where the policy says."""
    _is_there("configuration", restored, audited, observe)


def _is_there(kind, restored, audited, observe):
    path = audited.component.source.paths.get(kind)
    if path is None:
        # Nobody can say whether what is not named is there: unproven, with the mend.
        pytest.skip(f"the policy does not say where the {kind} is: give source.paths.{kind}")
    found = restored.head_has(path)
    observe(
        examined=1,
        expected=f"{path} in the newest version",
        seen=f"{path} is there" if found else f"no {path}",
        remedy=f"put {path} back, or correct source.paths.{kind} in the policy",
    )
    assert found
