"""Bad input of MySQL as a user meets it: one line, exit 2 or 3, nothing half-written."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from commands import DOCKER, ESTATE, PASSPHRASE, files, mistake, run
from docker.models.containers import Container
from mysql_bench import (
    BACKUP_PASSWORD,
    DUMP,
    VARIABLE,
    Bench,
    Server,
    same,
    server,
)
from mysql_shop import shop
from testcontainers.core.container import DockerContainer

from restoreproof import damage_content as faults
from restoreproof import full_disk
from restoreproof.errors import SandboxTrouble
from restoreproof.sandbox import Sandboxes
from restoreproof.signing import create_identity

POLICY = f"""\
{ESTATE}  database:
    engine: mysql
    image: restoreproof/mysql:9.7
    source: {{host: HOST, port: PORT, user: backup, password: "${{{VARIABLE}}}"TLS}}
    coverage: [data]
    schedule: {{full: 10 16 * * 1, incremental: 10 16 * * 2-7}}
"""
ENVIRONMENT = {**DOCKER, VARIABLE: BACKUP_PASSWORD}
DATA = "/var/lib/mysql"


@pytest.fixture(scope="module")
def source() -> Iterator[Server]:
    """The shop."""
    with shop() as made:
        yield made


@pytest.fixture
def estate(source: Server, tmp_path: Path) -> Path:
    """A folder with the shop's policy and an identity that signs."""
    create_identity(tmp_path / "identity", PASSPHRASE.encode(), now=datetime.now(UTC))
    _write_policy(tmp_path, source)
    return tmp_path


def _write_policy(folder: Path, source: Server, tls: str = "", **changes: str) -> None:
    text = POLICY.replace("HOST", source.host).replace("PORT", str(source.port))
    for old, new in {"TLS": tls and f", tls: {tls}", **changes}.items():
        text = text.replace(old, new)
    (folder / "policy.yaml").write_text(text)


def _backed_up(folder: Path, *options: str) -> None:
    """A backup that has to be made."""
    done = run(folder, "backup", "policy.yaml", *options, **ENVIRONMENT)
    assert done.code == 0, done.printed


def _mistake(folder: Path, command: str, *options: str, limit: int = 0, **others: str) -> str:
    """The one line of a command that has to fail and to leave every file as it was."""
    variables = ENVIRONMENT | others
    line = mistake(folder, command, "policy.yaml", *options, limit=limit, **variables)
    assert " -- " in line
    return line


@pytest.mark.parametrize("command", ["audit", "backup"])
def test_wrong_password(estate: Path, command: str) -> None:
    """The refusal of the login, in the server's words, and no password in it."""
    line = _mistake(estate, command, **{VARIABLE: "another-secret"})
    assert "component database: MySQL server" in line
    assert "refused the login: Access denied" in line
    assert "correct user and password" in line


def test_missing_privilege(estate: Path, source: Server) -> None:
    """What is missing is named before a job would leave something out in silence."""
    source.run("REVOKE TRIGGER ON *.* FROM backup@`%`")
    try:
        line = _mistake(estate, "backup")
    finally:
        source.run("GRANT TRIGGER ON *.* TO backup@`%`")
    assert "the backup user lacks TRIGGER on *.*" in line


def test_server_version_with_no_image(estate: Path, source: Server) -> None:
    """A version that nobody has an image of is a mistake, not a restore into another one."""
    _write_policy(estate, source, **{"restoreproof/mysql:9.7": "restoreproof/mysql:5.1"})
    line = _mistake(estate, "backup")
    assert "restoreproof/mysql:5.1" in line


def test_binary_log_off(tmp_path: Path) -> None:
    """Where increments are wanted that is a mistake; without them full backups are made."""
    with server("--skip-log-bin") as source:
        _write_policy(tmp_path, source)
        line = _mistake(tmp_path, "backup")
        assert "the source writes no binary log" in line
        assert "log_bin" in line

        _write_policy(tmp_path, source, **{", incremental: 10 16 * * 2-7": ""})
        source.run("CREATE DATABASE shop")
        _backed_up(tmp_path)


def test_gtid_off(estate: Path, source: Server) -> None:
    """Without GTIDs a full backup is made; what comes after it is a backup or one line why not."""
    steps = ("ON", "ON_PERMISSIVE", "OFF_PERMISSIVE", "OFF")
    source.run(*(f"SET GLOBAL gtid_mode = {step}" for step in steps[1:]))
    try:
        _backed_up(estate)
        next_one = run(estate, "backup", "policy.yaml", **ENVIRONMENT)
    finally:
        source.run(*(f"SET GLOBAL gtid_mode = {step}" for step in reversed(steps[:-1])))
    assert next_one.code == 0 or "GTID" in next_one.printed, next_one.printed
    assert not list((estate / "vault" / ".incoming").iterdir())


@pytest.mark.parametrize("limit", [2_048, 4_096], ids=["dump", "manifest"])
def test_disk_full_in_the_vault(estate: Path, limit: int) -> None:
    """A limit on the size of files stands for the disk; nothing looks like a backup after it."""
    _backed_up(estate)
    before = files(estate)

    done = run(estate, "backup", "policy.yaml", "--full", limit=limit, **ENVIRONMENT)

    assert done.code == 2, done.printed
    assert "the vault cannot be written: File too large" in done.printed
    assert "Traceback" not in done.printed
    after = files(estate)
    # That the run failed is a line more of the catalog, where there is room for one.
    catalog = "vault/catalog.jsonl"
    assert after.pop(catalog).startswith(before.pop(catalog))
    lock = "vault/.database.lock"
    assert (before.pop(lock), after.pop(lock)) != (b"", b"")
    assert after == before
    assert not list((estate / "vault" / ".incoming").iterdir())


# Encryption


def test_a_server_that_requires_tls_is_backed_up(estate: Path, source: Server) -> None:
    """A connection is encrypted where the server can, for job and tools alike."""
    source.run("SET GLOBAL require_secure_transport = ON", "ALTER USER backup@`%` REQUIRE SSL")
    try:
        for options in (("--full",), ()):
            _backed_up(estate, *options)
    finally:
        source.run("SET GLOBAL require_secure_transport = OFF")
        source.run("ALTER USER backup@`%` REQUIRE NONE")


def test_a_server_proves_who_it_is(estate: Path, source: Server) -> None:
    """With its own authority it is trusted, with another or by another name it is not."""
    inside = source.container.get_wrapped_container()
    (estate / "ca.pem").write_bytes(_read(inside, f"{DATA}/ca.pem"))
    trusted = "{ca: ca.pem, identity: false}"
    for tls in ("{}", trusted):
        _write_policy(estate, source, tls)
        for options in (("--full",), ()):
            _backed_up(estate, *options)

    _write_policy(estate, source, "{ca: ca.pem}")
    line = _mistake(estate, "backup")
    assert "cannot be trusted" in line and "correct tls" in line

    (estate / "other.pem").write_bytes((estate / "identity" / "ca.pem").read_bytes())
    _write_policy(estate, source, "{ca: other.pem, identity: false}")
    assert "cannot be trusted" in _mistake(estate, "backup")

    for name, words in {"none.pem": "cannot be read", "policy.yaml": "no certificate"}.items():
        _write_policy(estate, source, f"{{ca: {name}}}")
        line = _mistake(estate, "backup")
        assert "source.tls.ca" in line and words in line


def test_a_server_without_tls_is_refused_where_it_is_required(tmp_path: Path) -> None:
    """What must be encrypted is never sent in the clear."""
    with server("--tls-version=") as source:
        _write_policy(tmp_path, source, "{}")
        line = _mistake(tmp_path, "backup")
    assert "cannot be trusted" in line


def _read(container: Container, path: str) -> bytes:
    done = container.exec_run(["cat", path])
    assert done.exit_code == 0, done.output
    return bytes(done.output)


# A full disk in the sandbox


class SmallDisk(Sandboxes):
    """Sandboxes whose server has little room for its data."""

    def _started(self, container: DockerContainer, role: str, options: Any) -> Any:
        if role == "sandbox":
            container.with_tmpfs_mount(DATA, "size=300m")
        return super()._started(container, role, options)


@pytest.mark.parametrize("engine", ["InnoDB", "MyISAM"])
def test_disk_full_in_the_sandbox(
    source: Server, tmp_path: Path, engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sandbox without room says nothing of the backup: that is trouble, and no finding.

    InnoDB gives an error and MyISAM waits for ever.
    """
    monkeypatch.setattr(full_disk, "LOOK_SECONDS", 1.0)
    bench = Bench(source, tmp_path)
    full = bench.store()
    copy = bench.copy()
    sql = (
        f"CREATE TABLE shop.large (id INT AUTO_INCREMENT PRIMARY KEY, b LONGBLOB) ENGINE={engine};"
        + "INSERT INTO shop.large (b) VALUES (REPEAT('x', 16777216));" * 20
    )
    copy.rewrite(same(copy.vault, full), DUMP, faults.add_statements(sql))
    bench.sandboxes = SmallDisk("full-disk")

    with (
        pytest.raises(SandboxTrouble, match="disk") as caught,
        bench.restored(copy.vault, full) as attempt,
    ):
        pytest.fail(attempt.failure or "restored")
    assert "room" in caught.value.mend
