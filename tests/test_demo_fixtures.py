"""What the sample estate is made of: its policy says what Agama's document says."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import git
import pytest

from restoreproof.demo import content, metrics, repository
from restoreproof.demo.mysql import statements
from restoreproof.policy import Policy
from restoreproof.policy_file import read_policy
from restoreproof.references import VARIABLE
from restoreproof.resources import folder
from restoreproof.schedule import longest_gap

AGAMA = folder("fixtures") / "agama"
INSTANT = datetime(2026, 11, 23, 6, 30, tzinfo=UTC)


@pytest.fixture(scope="module")
def policy() -> Policy:
    """The sample estate's policy."""
    return read_policy(AGAMA / "policy.yaml").policy


# The policy


def test_objectives_are_the_documents(policy: Policy) -> None:
    """At most an hour is lost, the service is back in four, and restores are tested monthly."""
    objectives = policy.objectives

    assert objectives.rpo == timedelta(hours=1)
    assert objectives.rto == timedelta(hours=4)
    assert objectives.restore_test_every == timedelta(days=31)
    assert policy.integrity_checks == timedelta()
    assert len(policy.restoration_criteria) == 3


@pytest.mark.parametrize("name", ["mysql", "influxdb"])
def test_schedule_is_the_documents(policy: Policy, name: str) -> None:
    """A full backup on Monday and increments from Tuesday to Sunday, always at 16:10 UTC."""
    schedule = policy.components[name].schedule

    assert schedule is not None
    assert schedule.kinds == {"full": ("10 16 * * 1",), "incremental": ("10 16 * * 2-7",)}
    assert schedule.time_zone == "UTC"
    assert longest_gap(schedule, INSTANT) == timedelta(days=1)


def test_coverage_is_the_documents(policy: Policy) -> None:
    """Each component covers what the document lists for it, and no more."""
    coverage = {name: component.coverage for name, component in policy.components.items()}

    assert coverage == {
        "mysql": ("data", "configuration", "logs"),
        "influxdb": ("data", "configuration"),
        "ansible": ("playbook", "inventory", "configuration"),
    }


def test_versions_of_the_repository_are_kept_until_deleted_by_hand(policy: Policy) -> None:
    """The repository promises every version; for the servers' backups no time is promised."""
    retention = {name: component.retention for name, component in policy.components.items()}

    assert retention["ansible"] is not None
    assert retention["ansible"].until == "deleted-by-hand"
    assert retention["mysql"] is None
    assert retention["influxdb"] is None


def test_policy_holds_no_secret() -> None:
    """A password stands in the policy as a reference without a default."""
    text = (AGAMA / "policy.yaml").read_text(encoding="utf-8")
    secret = [match for match in VARIABLE.finditer(text) if match["name"].endswith("PASSWORD")]

    assert [match["default"] for match in secret] == [None]


# What the estate is made of


def test_content_depends_on_the_instant_alone() -> None:
    """Two runs at the same instant fill the servers with the same rows and points."""
    assert list(content.tables(INSTANT)) == list(content.tables(INSTANT))
    assert list(metrics.measurements(INSTANT)) == list(metrics.measurements(INSTANT))


def test_no_table_has_a_float() -> None:
    """mysqldump rounds a FLOAT, so the schema has none."""
    schema = (AGAMA / "mysql" / "schema.sql").read_text(encoding="utf-8")
    code = [line for line in schema.splitlines() if not line.startswith("--")]

    assert not [line for line in code if "FLOAT" in line.upper()]


def test_statements_end_at_the_delimiter() -> None:
    """A routine with semicolons inside is one statement, and no statement ends with one."""
    found = list(statements("SELECT\n1;\nDELIMITER //\nBEGIN\nSELECT 2;\nEND//\nDELIMITER ;\nX;"))

    assert found == ["SELECT\n1", "BEGIN\nSELECT 2;\nEND", "X"]


def test_repository_is_the_same_every_time(tmp_path: Path) -> None:
    """Commits, tags and notes get the same ids wherever and whenever they are made."""
    references = []
    for name in ("one.git", "two.git"):
        repository.make(tmp_path / name, AGAMA / "ansible")
        references.append(git.Git(tmp_path / name).for_each_ref())

    assert references[0] == references[1]
    assert [line.split()[2] for line in references[0].splitlines()] == [
        "refs/heads/main",
        "refs/heads/monitor-backups",
        "refs/notes/commits",
        "refs/tags/v1.0",
        "refs/tags/v1.1",
    ]


def test_newest_version_is_the_fixture(tmp_path: Path) -> None:
    """The tip of the main branch holds every file of the fixture, as it is, and none beside."""
    files = AGAMA / "ansible"
    repository.make(tmp_path / "ansible.git", files)
    tip = git.Repo(tmp_path / "ansible.git").commit("main")
    stored = {
        str(blob.path): blob.data_stream.read()
        for blob in tip.tree.traverse()
        if isinstance(blob, git.Blob)
    }

    expected = {
        file.relative_to(files).as_posix(): file.read_bytes()
        for file in files.rglob("*")
        if file.is_file()
    }
    assert stored == expected


def test_old_versions_differ_from_the_newest(tmp_path: Path) -> None:
    """History is worth viewing: the schedule was once another, and a file is no more."""
    repository.make(tmp_path / "ansible.git", AGAMA / "ansible")
    repo = git.Git(tmp_path / "ansible.git")

    assert len(repo.rev_list("main").split()) == 13
    assert len(repo.rev_list("--merges", "main").split()) == 1
    assert "0 3 * * 0" in repo.log("-p", "--", "roles/backup/defaults/main.yml")
    assert "hosts.ini" in repo.log("--diff-filter=D", "--name-only", "--format=")


def test_secrets_of_the_repository_are_encrypted() -> None:
    """Every file that is named a vault is one."""
    vaults = list((AGAMA / "ansible").rglob("vault.yml"))

    assert vaults
    assert all(vault.read_text().startswith("$ANSIBLE_VAULT;1.1;AES256\n") for vault in vaults)
