"""Physical backups of a real MySQL server with the CLONE plugin: exact, or the fault is named."""

import random
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path

import pymysql
import pytest
from testcontainers.core.container import DockerContainer

from restoreproof import engines
from restoreproof.clock import system_clock
from restoreproof.damage import VaultCopy
from restoreproof.demo.mysql import statements
from restoreproof.engines.contract import SourceContext
from restoreproof.engines.mysql_connection import connect, rows
from restoreproof.engines.mysql_restored import RestoredMySQL
from restoreproof.engines.mysql_source import MySQLSource
from restoreproof.errors import SandboxTrouble, SeveralProblems
from restoreproof.execution import engine_trouble
from restoreproof.images import Image, ensure
from restoreproof.jobs import JobResult, run_job
from restoreproof.outcomes import RestoreFailed
from restoreproof.resources import folder
from restoreproof.restore import RestoreAttempt, Target, restoring
from restoreproof.sandbox import Sandboxes
from restoreproof.vault import StoredBackup, Vault

ROOT_PASSWORD = "the-root-password"
SECRET = "planted-it's-a-\\-\"secret"
ARCHIVE = "data-directory.tar.zst"
LOGS = "binary-logs.tar.zst"
START_SECONDS = 60
MARK = b"row number 7777 "
CONTENT = (
    "CREATE DATABASE `it's a ``base```",
    "CREATE DATABASE app",
    "CREATE TABLE app.busy (id INT AUTO_INCREMENT PRIMARY KEY, n INT, KEY (n))",
    "CREATE TABLE app.many (id INT PRIMARY KEY, t VARCHAR(200), KEY (t))",
    "SET SESSION cte_max_recursion_depth = 100000",
    (
        "INSERT INTO app.many WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n"
        " WHERE i < 10000) SELECT i, CONCAT('row number ', i, ' ', SHA2(i, 256)) FROM n"
    ),
    "CREATE TABLE app.lossy (f FLOAT, d DOUBLE)",
    "INSERT INTO app.lossy VALUES (16777216, -0e0)",
    "CREATE TABLE app.parts (a INT) PARTITION BY HASH (a) PARTITIONS 3",
    "INSERT INTO app.parts VALUES (1), (2), (3)",
    "CREATE TABLE app.reserved (id INT AUTO_INCREMENT PRIMARY KEY, t INT)",
    "INSERT INTO app.reserved (t) SELECT id FROM app.many LIMIT 50",
    "CREATE VIEW app.seen AS SELECT id FROM app.many",
    "CREATE PROCEDURE app.nothing() SELECT 1",
    "CREATE EVENT app.never ON SCHEDULE EVERY 1 DAY DO DELETE FROM app.many",
    "CREATE USER reader IDENTIFIED BY 'x'",
    "GRANT SELECT ON app.seen TO reader",
    "INSTALL PLUGIN clone SONAME 'mysql_clone.so'",
)


@dataclass(frozen=True)
class Source:
    """A MySQL server that is backed up by cloning it, with a vault."""

    context: SourceContext
    vault: Vault
    port: int

    def run(self, *several: str) -> None:
        """Run statements as the server's root."""
        with closing(
            connect("root", ROOT_PASSWORD, host="127.0.0.1", port=self.port)
        ) as connection:
            for statement in several:
                rows(connection, statement)

    def back_up(self, base: StoredBackup | None = None) -> JobResult:
        """Take a full backup, or an increment on a base."""
        return run_job(engines.load("mysql"), self.context, self.vault, "test", base)

    def stored(self, base: StoredBackup | None = None) -> StoredBackup:
        """A backup that was made and stored."""
        result = self.back_up(base)
        assert result.backup is not None, result.problem
        return result.backup

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Write to the source all the while, as an application does."""
        stop = threading.Event()

        def write() -> None:
            drawn = random.Random(7)
            with closing(
                connect("root", ROOT_PASSWORD, host="127.0.0.1", port=self.port)
            ) as connection:
                while not stop.is_set():
                    number = drawn.randrange(1000)
                    rows(connection, "INSERT INTO app.busy (n) VALUES (%s)", (number,))
                    rows(connection, "DELETE FROM app.busy WHERE n = %s", (1000 - number,))

        writer = threading.Thread(target=write)
        writer.start()
        try:
            yield
        finally:
            stop.set()
            writer.join()


@pytest.fixture(scope="module")
def image() -> Image:
    """MySQL as Debian packages it."""
    return ensure("restoreproof/mysql:9.7", print)


@pytest.fixture(scope="module")
def source(image: Image, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Source]:
    """A server with content, the clone plugin and the documented backup user."""
    place, sandboxes = tmp_path_factory.mktemp("source"), Sandboxes("test-clone")
    container = DockerContainer(image.reference).with_env("MYSQL_ROOT_PASSWORD", ROOT_PASSWORD)
    container.with_exposed_ports(3306).with_kwargs(labels=sandboxes.labels("estate"))
    container.with_command("--mysqlx=ON --innodb-data-file-path=ibdata1:12M:autoextend:max:9G")
    with pytest.MonkeyPatch.context() as patch, engine_trouble(), container:
        patch.setenv("TEST_CLONE_PASSWORD", SECRET)
        wrapped = container.get_wrapped_container()
        wrapped.reload()
        port = int(wrapped.ports["3306/tcp"][0]["HostPort"])
        reached = MySQLSource(
            host="127.0.0.1",
            port=port,
            user="backup",
            password="${TEST_CLONE_PASSWORD}",
            method="clone",
        )
        context = SourceContext("mysql", reached, image, place, sandboxes, system_clock, True)
        vault = Vault(str(place / "vault"))
        vault.prepare()
        made = Source(context, vault, port)
        _wait(made)
        user = (folder("fixtures") / "agama" / "mysql" / "backup-user.sql").read_text()
        made.run(*CONTENT, *statements(user), "GRANT BACKUP_ADMIN ON *.* TO 'backup'@'%'")
        with closing(connect("root", ROOT_PASSWORD, host="127.0.0.1", port=port)) as connection:
            alter = "ALTER USER 'backup'@'%%' IDENTIFIED BY %s ACCOUNT UNLOCK"
            rows(connection, alter, (SECRET,))
        made.run("INSTALL COMPONENT 'file://component_validate_password'")
        yield made


def _wait(source: Source) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            source.run("SELECT 1")
        except pymysql.MySQLError:
            assert time.monotonic() < deadline, "the source did not start"
            time.sleep(0.1)
        else:
            return


@pytest.fixture(scope="module")
def full(source: Source) -> StoredBackup:
    """A clone that was taken while the source was written to."""
    engines.load("mysql").probe(source.context)
    with source.writing():
        return source.stored()


@pytest.fixture
def copy(source: Source, full: StoredBackup, tmp_path: Path) -> VaultCopy:
    """A copy of the vault that may be damaged."""
    return VaultCopy.of(source.vault.root, tmp_path / "copy")


@contextmanager
def _restored(
    source: Source, vault: Vault, backup_id: str, sandboxes: Sandboxes | None = None
) -> Iterator[RestoreAttempt]:
    population = vault.backups("mysql")
    backup = next(one for one in population if one.id == backup_id)
    with restoring(
        Target("mysql", backup, newest=False, population=population),
        engines.load("mysql"),
        source.context.source,
        source.context.image,
        sandboxes or source.context.sandboxes,
        system_clock,
    ) as attempt:
        yield attempt


def test_a_clone_under_load_comes_back_exactly(source: Source, full: StoredBackup) -> None:
    """Rows to the last bit of a FLOAT, objects, accounts and position are the snapshot's."""
    manifest = full.manifest()
    assert {one.name for one in manifest.artifacts} == {ARCHIVE, LOGS}

    with _restored(source, source.vault, full.id) as attempt:
        assert attempt.failure == ""
        assert [str(one) for one in attempt.comparison.differences] == []
        assert attempt.comparison.equal
        restored = attempt.restored
        assert isinstance(restored, RestoredMySQL)
        assert restored.position == manifest.position
        assert restored.identity != manifest.source_identity
        assert rows(restored.connection, "SELECT f + 0e0, 1 / (d = 0), CAST(d AS CHAR) FROM"
                    " app.lossy") == [(16777216.0, 1, "-0")]  # fmt: skip
        assert "durability relaxed" in restored.limits


def test_an_increment_stands_on_a_clone(source: Source, full: StoredBackup) -> None:
    """A chain goes on from a physical backup as from a dump."""
    with source.writing():
        source.run("INSERT INTO app.reserved (t) SELECT id FROM app.many LIMIT 50")
        increment = source.stored(full)
    assert increment.entry.kind == "incremental"

    with _restored(source, source.vault, increment.id) as attempt:
        assert attempt.failure == ""
        assert attempt.comparison.equal


def test_no_secret_is_stored(source: Source, full: StoredBackup) -> None:
    """The password that CLONE is given stands in nothing that a backup leaves."""
    manifest = full.manifest()
    stored = [b"".join(full.read(artifact)) for artifact in manifest.artifacts]

    for spelling in (SECRET, SECRET.replace("\\", "\\\\").replace("'", "''")):
        assert spelling not in manifest.model_dump_json()
        assert not any(spelling.encode() in content for content in stored)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda tar: tar[: len(tar) // 2], "tar: "),
        (lambda tar: _without(tar, "./app/many.ibd"), "tablespace"),
        (lambda tar: _flipped(tar, "./app/many.ibd"), "page corruption"),
        (lambda tar: _flipped(tar, "./mysql.ibd"), ""),
    ],
    ids=["cut short", "table missing", "table flipped", "dictionary flipped"],
)
def test_a_damaged_archive_is_noticed(
    source: Source,
    copy: VaultCopy,
    full: StoredBackup,
    change: Callable[[bytes], bytes],
    words: str,
) -> None:
    """What is lost or changed under hashes made after it is told, with no content of a row."""
    damaged = next(one for one in copy.vault.backups("mysql") if one.id == full.id)
    copy.rewrite(damaged, ARCHIVE, change)

    with _restored(source, copy.vault, full.id) as attempt:
        if attempt.restored is None:
            assert words in attempt.failure.lower()
            assert MARK.decode() not in attempt.failure
        else:
            assert not words
            assert not attempt.comparison.equal


def test_missing_logs_are_noticed(source: Source, copy: VaultCopy, full: StoredBackup) -> None:
    """A clone that cannot be rolled forward to its position is not taken for whole."""
    damaged = next(one for one in copy.vault.backups("mysql") if one.id == full.id)
    copy.rewrite(damaged, LOGS, _logs_cut)

    with _restored(source, copy.vault, full.id) as attempt:
        assert attempt.failed_in == "load"
        assert "binlog truncated" in attempt.failure or "transactions are" in attempt.failure


def test_a_server_that_dies_tells_who_is_to_blame(source: Source, full: StoredBackup) -> None:
    """A server that stops by itself is the backup's doing; a killed sandbox says nothing of it."""
    for how, blame in (("ABRT", RestoreFailed), ("KILL", SandboxTrouble)):
        with _restored(source, source.vault, full.id) as attempt:
            restored = attempt.restored
            assert isinstance(restored, RestoredMySQL)
            container = restored.sandbox.container
            kill = ["bash", "-c", f"kill -{how} $(</proc/1/task/1/children)"]
            killed = restored.sandbox.run(kill, user="mysql")
            assert killed.exit_code == 0, killed.complaint
            container.wait(timeout=60)
            with pytest.raises(blame):
                restored.answer()


def test_no_room_in_the_sandbox_is_no_finding(source: Source, full: StoredBackup) -> None:
    """A full disk under the sandbox says nothing of the backup."""
    small = _small("/var/tmp")
    with (
        pytest.raises(SandboxTrouble, match="no room for the data directory"),
        _restored(source, source.vault, full.id, small),
    ):
        pass


def test_no_room_for_the_recipient_fails_the_job(source: Source, full: StoredBackup) -> None:
    """A full disk under the recipient is one line, and nothing half-written stays."""
    small = replace(source.context, sandboxes=_small("/var/tmp"))
    result = run_job(engines.load("mysql"), small, source.vault, "test", None)

    assert result.backup is None
    assert "CLONE: " in result.problem
    assert "\n" not in result.problem.strip()
    assert not list((source.vault.root / ".incoming").iterdir())


def test_what_keeps_a_source_from_being_cloned_is_named(source: Source) -> None:
    """Plugin, GTIDs, privilege, foreign tables: a line each, with the mend."""
    engine = engines.load("mysql")
    source.run(
        "UNINSTALL PLUGIN clone",
        "CREATE TABLE app.other (a INT) ENGINE=MyISAM",
        "SET GLOBAL gtid_mode = ON_PERMISSIVE",
    )
    try:
        with pytest.raises(SeveralProblems) as refused:
            engine.probe(source.context)
    finally:
        source.run(
            "INSTALL PLUGIN clone SONAME 'mysql_clone.so'",
            "DROP TABLE app.other",
            "SET GLOBAL gtid_mode = ON",
        )
    lines = refused.value.lines()
    for line, expected in zip(
        lines,
        (
            "which is not active -- run at the source: INSTALL PLUGIN clone SONAME",
            "binary logs with GTIDs at the source -- start the source with log_bin",
            "not InnoDB empty: app.other -- ALTER TABLE",
        ),
        strict=True,
    ):
        assert expected in line

    source.run("REVOKE BACKUP_ADMIN ON *.* FROM 'backup'@'%'")
    try:
        with pytest.raises(Exception, match="lacks BACKUP_ADMIN"):
            engine.probe(source.context)
        refused_late = source.back_up()
    finally:
        source.run("GRANT BACKUP_ADMIN ON *.* TO 'backup'@'%'")
    assert "BACKUP_ADMIN" in refused_late.problem
    assert "planted" not in refused_late.problem


class _Small(Sandboxes):
    """Sandboxes with a tiny disk in one place."""

    place: str

    def _started(self, container, role, options):  # type: ignore[no-untyped-def]
        container.with_tmpfs_mount(self.place, "size=60m")
        return super()._started(container, role, options)


def _small(place: str) -> Sandboxes:
    made = _Small("test-clone")
    made.place = place
    return made


def _members(tar: bytes) -> list[tuple[tarfile.TarInfo, bytes]]:
    with tarfile.open(fileobj=BytesIO(tar)) as archive:
        return [
            (one, file.read() if (file := archive.extractfile(one)) else b"")
            for one in archive.getmembers()
        ]


def _packed(members: list[tuple[tarfile.TarInfo, bytes]]) -> bytes:
    out = BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for member, content in members:
            member.size = len(content)
            archive.addfile(member, BytesIO(content))
    return out.getvalue()


def _without(tar: bytes, name: str) -> bytes:
    kept = [(member, content) for member, content in _members(tar) if member.name != name]
    return _packed(kept)


def _flipped(tar: bytes, name: str) -> bytes:
    """One bit of a page turned over: of the row with the mark, or in the first page."""
    members = {member.name: (member, content) for member, content in _members(tar)}
    member, content = members[name]
    at = max(content.find(MARK), 100)
    flipped = content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]
    members[name] = (member, flipped)
    return _packed(list(members.values()))


def _logs_cut(tar: bytes) -> bytes:
    return _packed([(member, content[: len(content) // 2]) for member, content in _members(tar)])
