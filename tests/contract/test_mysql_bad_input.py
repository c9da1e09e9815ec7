"""Bad input of MySQL as a user meets it: one line, exit 2 or 3, nothing half-written."""

import os
import resource
import subprocess
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import mysql_shop
import pytest
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
from testcontainers.core.container import DockerContainer

from restoreproof import damage_content as faults
from restoreproof import full_disk
from restoreproof.errors import SandboxTrouble
from restoreproof.sandbox import Sandboxes
from restoreproof.signing import create_identity

ROOT = Path(__file__).parents[2]
SECONDS = 180
POLICY = """\
estate: Shop
objectives: {rpo: 1h, rto: 4h, restore_test_every: 31d}
vault: {location: vault}
signing: {identity: identity/signer.p12, passphrase: "${PASSPHRASE}"}
components:
  database:
    engine: mysql
    image: restoreproof/mysql:9.7
    source: {host: HOST, port: PORT, user: backup, password: "${MYSQL_BENCH_PASSWORD}"TLS}
    coverage: [data]
    schedule: {full: 10 16 * * 1, incremental: 10 16 * * 2-7}
"""
DATA = "/var/lib/mysql"


@pytest.fixture(scope="module")
def source() -> Iterator[Server]:
    """The shop."""
    with server() as made:
        made.run(*mysql_shop.STATEMENTS)
        yield made


@pytest.fixture
def estate(source: Server, tmp_path: Path) -> Path:
    """A folder with the shop's policy and an identity that signs."""
    create_identity(tmp_path / "identity", b"passphrase", now=datetime.now(UTC))
    _write_policy(tmp_path, source)
    return tmp_path


def _write_policy(folder: Path, source: Server, tls: str = "", **changes: str) -> None:
    text = POLICY.replace("HOST", source.host).replace("PORT", str(source.port))
    for old, new in {"TLS": tls and f", tls: {tls}", **changes}.items():
        text = text.replace(old, new)
    (folder / "policy.yaml").write_text(text)


def _restoreproof(
    folder: Path, *words: str, limit: int = 0, **variables: str
) -> "subprocess.CompletedProcess[str]":
    def bounded() -> None:
        if limit:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    done = subprocess.run(
        [sys.executable, "-m", "restoreproof.cli", *words],
        cwd=folder,
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "PASSPHRASE": "passphrase",
            VARIABLE: BACKUP_PASSWORD,
            **variables,
        },
        preexec_fn=bounded,  # this process has no other threads that matter then
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS,
    )
    assert "Traceback" not in done.stdout + done.stderr, done.stderr
    assert BACKUP_PASSWORD not in done.stdout + done.stderr
    return done


def _mistake(folder: Path, *words: str, code: int = 2, **others: Any) -> str:
    """The one line of a command that has to fail and to leave every file as it was."""
    before = _files(folder)
    done = _restoreproof(folder, *words, **others)
    assert done.returncode == code, done.stdout + done.stderr
    lines = done.stderr.splitlines()
    assert len(lines) == 1, done.stderr
    assert " -- " in lines[0]
    assert _files(folder) == before
    return lines[0]


def _files(folder: Path) -> Mapping[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("command", ["audit", "backup"])
def test_wrong_password(estate: Path, command: str) -> None:
    """The refusal of the login, in the server's words, and no password in it."""
    line = _mistake(estate, command, "policy.yaml", **{VARIABLE: "wrong"})
    assert "component database: MySQL server" in line
    assert "refused the login: Access denied" in line
    assert "correct user and password" in line


def test_missing_privilege(estate: Path, source: Server) -> None:
    """What is missing is named before a job would leave something out in silence."""
    source.run("REVOKE TRIGGER ON *.* FROM backup@`%`")
    try:
        line = _mistake(estate, "backup", "policy.yaml")
    finally:
        source.run("GRANT TRIGGER ON *.* TO backup@`%`")
    assert "the backup user lacks TRIGGER on *.*" in line


def test_server_version_with_no_image(estate: Path, source: Server) -> None:
    """A version that nobody has an image of is a mistake, not a restore into another one."""
    _write_policy(estate, source, **{"restoreproof/mysql:9.7": "restoreproof/mysql:5.1"})
    line = _mistake(estate, "backup", "policy.yaml")
    assert "restoreproof/mysql:5.1" in line


def test_binary_log_off(tmp_path: Path) -> None:
    """Where increments are wanted that is a mistake; without them full backups are made."""
    with server("--skip-log-bin") as source:
        _write_policy(tmp_path, source)
        line = _mistake(tmp_path, "backup", "policy.yaml")
        assert "the source writes no binary log" in line
        assert "log_bin" in line

        _write_policy(tmp_path, source, **{", incremental: 10 16 * * 2-7": ""})
        source.run("CREATE DATABASE shop")
        done = _restoreproof(tmp_path, "backup", "policy.yaml")
        assert done.returncode == 0, done.stdout + done.stderr


def test_gtid_off(estate: Path, source: Server) -> None:
    """Without GTIDs a full backup is made; what comes after it is a backup or one line why not."""
    steps = ("ON", "ON_PERMISSIVE", "OFF_PERMISSIVE", "OFF")
    source.run(*(f"SET GLOBAL gtid_mode = {step}" for step in steps[1:]))
    try:
        full = _restoreproof(estate, "backup", "policy.yaml")
        next_one = _restoreproof(estate, "backup", "policy.yaml")
    finally:
        source.run(*(f"SET GLOBAL gtid_mode = {step}" for step in reversed(steps[:-1])))
    assert full.returncode == 0, full.stdout + full.stderr
    assert next_one.returncode == 0 or "GTID" in next_one.stdout, next_one.stdout
    assert not list((estate / "vault" / ".incoming").iterdir())


@pytest.mark.parametrize("limit", [2_048, 4_096], ids=["dump", "manifest"])
def test_disk_full_in_the_vault(estate: Path, limit: int) -> None:
    """A limit on the size of files stands for the disk; nothing looks like a backup after it."""
    assert _restoreproof(estate, "backup", "policy.yaml").returncode == 0
    line = _mistake(estate, "backup", "policy.yaml", "--full", limit=limit)
    assert "the vault cannot be written: File too large" in line
    assert not list((estate / "vault" / ".incoming").iterdir())


# Encryption


def test_a_server_that_requires_tls_is_backed_up(estate: Path, source: Server) -> None:
    """A connection is encrypted where the server can, for job and tools alike."""
    source.run("SET GLOBAL require_secure_transport = ON", "ALTER USER backup@`%` REQUIRE SSL")
    try:
        for command in (("backup", "--full"), ("backup",)):
            done = _restoreproof(estate, *command, "policy.yaml")
            assert done.returncode == 0, done.stdout + done.stderr
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
        for command in (("backup", "--full"), ("backup",)):
            done = _restoreproof(estate, *command, "policy.yaml")
            assert done.returncode == 0, done.stdout + done.stderr

    _write_policy(estate, source, "{ca: ca.pem}")
    line = _mistake(estate, "backup", "policy.yaml")
    assert "cannot be trusted" in line and "correct tls" in line

    (estate / "other.pem").write_bytes((estate / "identity" / "ca.pem").read_bytes())
    _write_policy(estate, source, "{ca: other.pem, identity: false}")
    assert "cannot be trusted" in _mistake(estate, "backup", "policy.yaml")

    for name, words in {"none.pem": "cannot be read", "policy.yaml": "no certificate"}.items():
        _write_policy(estate, source, f"{{ca: {name}}}")
        line = _mistake(estate, "backup", "policy.yaml")
        assert "source.tls.ca" in line and words in line


def test_a_server_without_tls_is_refused_where_it_is_required(tmp_path: Path) -> None:
    """What must be encrypted is never sent in the clear."""
    with server("--tls-version=") as source:
        _write_policy(tmp_path, source, "{}")
        line = _mistake(tmp_path, "backup", "policy.yaml")
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
