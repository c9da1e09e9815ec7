"""The command line over bad input: one line a problem, the right exit code, nothing written."""

import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest
from commands import DOCKER, ESTATE, PASSPHRASE, files, mistake, mistakes, run, run_all
from vaults import open_vault, store

from restoreproof.signing import create_identity

GIT = f"""\
{ESTATE}  playbooks:
    engine: git
    source: {{repository: playbooks.git}}
    coverage: [playbook]
"""
MYSQL = f"""\
{ESTATE}  database:
    engine: mysql
    image: restoreproof/mysql:9.7
    source: {{host: 127.0.0.1, port: 1, user: backup, password: "${{DATABASE_PASSWORD}}"}}
    coverage: [data]
"""


@pytest.fixture
def estate(tmp_path: Path) -> Path:
    """A folder with a policy whose source is there, and an identity that signs for it."""
    create_identity(tmp_path / "identity", PASSPHRASE.encode(), now=datetime.now(UTC))
    (tmp_path / "policy.yaml").write_text(GIT)
    subprocess.run(["git", "init", "--quiet", "--bare", tmp_path / "playbooks.git"], check=True)
    return tmp_path


def test_missing_policy_is_a_mistake(tmp_path: Path) -> None:
    """Every command that takes a policy names the one that is not there."""
    words = (["policy", "check"], ["audit"], ["backup"], ["images"])
    for line in mistakes(tmp_path, *([*each, "none.yaml"] for each in words)):
        assert line.startswith("none.yaml: cannot be read: No such file")
        assert " -- " in line


def test_every_mistake_of_a_policy_is_a_line(estate: Path) -> None:
    """All mistakes come at once, each with its line, and no command starts anything."""
    wrong = GIT.replace("rpo: 1h", "rpo: soon").replace("[playbook]", "[playbok]")
    (estate / "policy.yaml").write_text(wrong)
    before = files(estate)

    commands = (["policy", "check"], ["audit"], ["backup"])
    for outcome in run_all(estate, *([*words, "policy.yaml"] for words in commands)):
        assert outcome.code == 2
        first, second = outcome.messages
        assert first.startswith("policy.yaml:2: objectives.rpo: not a duration -- ")
        assert second.startswith("policy.yaml:9: components.playbooks.coverage.0: ")
    assert files(estate) == before


def test_valid_policy_is_said_to_be_valid(estate: Path) -> None:
    """A policy without mistakes ends with 0, and needs neither secrets nor an engine."""
    outcome = run(estate, "policy", "check", "policy.yaml", PASSPHRASE="")

    assert outcome.code == 0
    assert "valid, 1 component" in outcome.printed


def test_unknown_component_is_a_mistake(estate: Path) -> None:
    """A component that the policy does not have is named, with those that it has."""
    audit = ["audit", "policy.yaml", "--component", "oracle"]
    for line in mistakes(estate, audit, ["backup", "policy.yaml", "oracle"]):
        assert "no component oracle" in line
        assert "playbooks" in line


def test_policy_without_signing_cannot_be_audited(estate: Path) -> None:
    """An audit ends in a signed report, so it does not begin without an identity."""
    text = "".join(line for line in GIT.splitlines(True) if not line.startswith("signing"))
    (estate / "policy.yaml").write_text(text)

    line = mistake(estate, "audit", "policy.yaml")

    assert "names no signing identity" in line
    assert "restoreproof keygen" in line


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"PASSPHRASE": ""}, "environment variable PASSPHRASE is not set -- set it: export"),
        ({"PASSPHRASE": "wrong"}, "wrong passphrase"),
    ],
)
def test_passphrase_must_fit(estate: Path, environment: dict[str, str], said: str) -> None:
    """A passphrase that is missing or wrong stops the audit before it starts, and is not shown."""
    line = mistake(estate, "audit", "policy.yaml", **environment)

    assert said in line
    assert "'wrong'" not in line


def test_missing_identity_is_a_mistake(estate: Path) -> None:
    """A signing identity that is not there is named."""
    (estate / "identity" / "signer.p12").unlink()

    assert "the signing identity cannot be read" in mistake(estate, "audit", "policy.yaml")


def test_unreachable_source_is_a_mistake(estate: Path) -> None:
    """A source that does not answer is named before any job starts."""
    (estate / "policy.yaml").write_text(GIT.replace("playbooks.git", "elsewhere.git"))

    for line in mistakes(estate, ["audit", "policy.yaml"], ["backup", "policy.yaml"]):
        assert line.startswith("component playbooks: the repository ")
        assert "elsewhere.git" in line


def test_unreachable_server_is_a_mistake(estate: Path) -> None:
    """A MySQL server that does not answer, or whose password is not set, is named."""
    (estate / "policy.yaml").write_text(MYSQL)
    unset = mistake(estate, "backup", "policy.yaml", **DOCKER)
    dead = mistake(estate, "backup", "policy.yaml", DATABASE_PASSWORD="tiger-1", **DOCKER)

    assert "environment variable DATABASE_PASSWORD is not set" in unset
    assert dead.startswith("component database: MySQL server 127.0.0.1:1 cannot be reached")
    assert "tiger-1" not in dead


@pytest.mark.parametrize("image", ["127.0.0.1:1/none:1", "restoreproof/none:1", "Not A Name"])
def test_image_that_cannot_be_had_is_a_mistake(estate: Path, image: str) -> None:
    """An image neither local nor pullable nor built here is named."""
    (estate / "policy.yaml").write_text(MYSQL.replace("restoreproof/mysql:9.7", image))

    assert image in mistake(estate, "images", "policy.yaml", **DOCKER)


@pytest.mark.parametrize(
    "address", ["tcp://127.0.0.1:1", "unix:///nowhere.sock", "nonsense", "ssh://127.0.0.1:1"]
)
def test_missing_engine_is_a_mistake(estate: Path, address: str) -> None:
    """Where no Docker engine answers, its address and a mend are said."""
    (estate / "policy.yaml").write_text(MYSQL)

    command = ["clean"] if address == "nonsense" else ["backup", "policy.yaml"]
    line = mistake(estate, *command, DOCKER_HOST=address)
    assert "no Docker engine answers" in line
    assert address in line
    assert " -- " in line


def test_unwritable_vault_is_a_mistake(estate: Path) -> None:
    """A file in the vault's place, or another kind of storage, is named."""
    commands = (["audit", "policy.yaml"], ["backup", "policy.yaml"])
    (estate / "vault").write_text("in the way")
    for line in mistakes(estate, *commands):
        assert "the vault cannot be written" in line

    (estate / "policy.yaml").write_text(GIT.replace("location: vault", "location: s3://vault"))
    for line in mistakes(estate, *commands):
        assert "s3://vault: not a local folder" in line


def test_unwritable_archive_is_a_mistake(estate: Path) -> None:
    """A file in the archive's place is named, and no job has run."""
    (estate / "out").write_text("in the way")

    line = mistake(estate, "audit", "policy.yaml", "--out", "out")

    assert line.startswith("out: reports cannot be written")


def test_corrupt_catalog_is_could_not_tell(estate: Path) -> None:
    """Nobody can say what a vault with a damaged catalog holds: 3, with file and line."""
    vault = open_vault(estate / "vault")
    for number in range(3):
        store(vault, f"playbooks-{number}")
    lines = vault.catalog.path.read_bytes().splitlines(keepends=True)
    vault.catalog.path.write_bytes(lines[0] + lines[2])

    words = (["audit"], ["audit", "--no-backup"], ["backup"])
    for line in mistakes(estate, *([*each, "policy.yaml"] for each in words), code=3):
        assert line.startswith(f"{vault.catalog.path}:2: the catalog is damaged")
