"""Physical backups of a real MySQL server with the CLONE plugin: exact, or the fault is named."""

import tarfile
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import pytest
from mysql_bench import same
from mysql_chains import Source, restored, server

from restoreproof import engines
from restoreproof.damage import VaultCopy
from restoreproof.damage_binlog import LOGS
from restoreproof.demo.mysql import statements
from restoreproof.engines.contract import SourceContext
from restoreproof.engines.mysql_connection import rows
from restoreproof.engines.mysql_restored import RestoredMySQL
from restoreproof.errors import SandboxTrouble, SeveralProblems
from restoreproof.images import Image
from restoreproof.outcomes import RestoreFailed
from restoreproof.resources import folder
from restoreproof.sandbox import Sandboxes
from restoreproof.vault import StoredBackup

SECRET = "planted-it's-a-\\-\"secret"
ARCHIVE = "data-directory.tar.zst"
ROW_DIGESTS = "row-digests.zst"
OPTIONS = "--mysqlx=ON --innodb-data-file-path=ibdata1:12M:autoextend:max:9G"
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

WORK = (
    "INSERT INTO app.busy (n) VALUES ({n} % 1000)",
    "DELETE FROM app.busy WHERE n = 1000 - {n} % 1000",
)


@pytest.fixture(scope="module")
def source(
    image: Image, tmp_path_factory: pytest.TempPathFactory, monkeymodule: pytest.MonkeyPatch
) -> Iterator[Source]:
    """A server with content, the clone plugin and the documented backup user."""
    monkeymodule.setenv("TEST_CLONE_PASSWORD", SECRET)
    with server(image, tmp_path_factory.mktemp("source"), monkeymodule, OPTIONS) as made:
        user = (folder("fixtures") / "agama" / "mysql" / "backup-user.sql").read_text()
        made.run(*CONTENT, *statements(user), "GRANT BACKUP_ADMIN ON *.* TO 'backup'@'%'")
        with closing(made.connect()) as connection:
            alter = "ALTER USER 'backup'@'%%' IDENTIFIED BY %s ACCOUNT UNLOCK"
            rows(connection, alter, (SECRET,))
        made.run("INSTALL COMPONENT 'file://component_validate_password'")
        secret = "${TEST_CLONE_PASSWORD}"
        yield made.described(user="backup", password=secret, method="clone")


@pytest.fixture(scope="module")
def full(source: Source) -> StoredBackup:
    """A clone that was taken while the source was written to."""
    engines.load("mysql").probe(source.context)
    with source.writing(*WORK):
        return source.stored()


@pytest.fixture
def copy(source: Source, full: StoredBackup, tmp_path: Path) -> VaultCopy:
    """A copy of the vault that may be damaged."""
    return VaultCopy.of(source.vault.root, tmp_path / "copy")


def test_a_clone_under_load_comes_back_exactly(source: Source, full: StoredBackup) -> None:
    """Rows to the last bit of a FLOAT, objects, accounts and position are the snapshot's."""
    manifest = full.manifest()
    assert {one.name for one in manifest.artifacts} - {ROW_DIGESTS} == {ARCHIVE, LOGS}

    with restored(source, source.vault, full.id) as attempt:
        assert attempt.failure == ""
        assert [str(one) for one in attempt.comparison.differences] == []
        assert attempt.comparison.equal
        clone = attempt.restored
        assert isinstance(clone, RestoredMySQL)
        assert clone.position == manifest.position
        assert clone.identity != manifest.source_identity
        assert rows(clone.connection, "SELECT f + 0e0, 1 / (d = 0), CAST(d AS CHAR) FROM"
                    " app.lossy") == [(16777216.0, 1, "-0")]  # fmt: skip
        assert "durability relaxed" in clone.limits


def test_an_increment_stands_on_a_clone(source: Source, full: StoredBackup) -> None:
    """A chain goes on from a physical backup as from a dump."""
    with source.writing(*WORK):
        source.run("INSERT INTO app.reserved (t) SELECT id FROM app.many LIMIT 50")
        increment = source.stored(full)
    assert increment.entry.kind == "incremental"

    with restored(source, source.vault, increment.id) as attempt:
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
    copy.rewrite(same(copy.vault, full), ARCHIVE, change)

    with restored(source, copy.vault, full.id) as attempt:
        if attempt.restored is None:
            assert words in attempt.failure.lower()
            assert MARK.decode() not in attempt.failure
        else:
            # A page that nothing read before the server answered is met by the comparison.
            assert not attempt.comparison.equal


def test_missing_logs_are_noticed(source: Source, copy: VaultCopy, full: StoredBackup) -> None:
    """A clone that cannot be rolled forward to its position is not taken for whole."""
    copy.rewrite(same(copy.vault, full), LOGS, _logs_cut)

    with restored(source, copy.vault, full.id) as attempt:
        assert attempt.failed_in == "load"
        assert "binlog truncated" in attempt.failure or "transactions are" in attempt.failure


def test_a_server_that_dies_tells_who_is_to_blame(source: Source, full: StoredBackup) -> None:
    """A server that stops by itself is the backup's doing; a killed sandbox says nothing of it."""
    for how, blame in (("ABRT", RestoreFailed), ("KILL", SandboxTrouble)):
        with restored(source, source.vault, full.id) as attempt:
            clone = attempt.restored
            assert isinstance(clone, RestoredMySQL)
            container = clone.sandbox.container
            kill = ["bash", "-c", f"kill -{how} $(</proc/1/task/1/children)"]
            killed = clone.sandbox.run(kill, user="mysql")
            assert killed.exit_code == 0, killed.complaint
            container.wait(timeout=60)
            with pytest.raises(blame):
                clone.answer()


def test_no_room_in_the_sandbox_is_no_finding(source: Source, full: StoredBackup) -> None:
    """A full disk under the sandbox says nothing of the backup."""
    small = replace(source, context=_small(source))
    with (
        pytest.raises(SandboxTrouble, match="no room for the data directory"),
        restored(small, source.vault, full.id),
    ):
        pass


def test_no_room_for_the_recipient_fails_the_job(source: Source, full: StoredBackup) -> None:
    """A full disk under the recipient is one line, and nothing half-written stays."""
    result = replace(source, context=_small(source)).back_up()

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
    """Sandboxes with a tiny disk where files that come and go lie."""

    def _started(self, container, role, options):  # type: ignore[no-untyped-def]
        container.with_tmpfs_mount("/var/tmp", "size=60m")
        return super()._started(container, role, options)


def _small(source: Source) -> SourceContext:
    return replace(source.context, sandboxes=_Small("test-clone"))


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
