"""Physical backups of a real MariaDB server with mariadb-backup: exact, or the fault is named."""

import random
import struct
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from background import meanwhile
from mariadb_source import IMAGE
from mysql_chains import (
    Source,
    begin_again,
    container_of,
    free_port,
    restored,
    server,
)

from restoreproof import docker_engine, engines
from restoreproof.damage import VaultCopy
from restoreproof.damage_binlog import LOGS, in_log, rewrite_logs
from restoreproof.demo.mysql import statements
from restoreproof.engines import mysql_image
from restoreproof.engines.mysql_connection import rows
from restoreproof.engines.mysql_restored import RestoredMySQL
from restoreproof.engines.mysql_source import ServerContainer
from restoreproof.errors import OutputUnwritable, SeveralProblems, SourceUnavailable
from restoreproof.execution import run
from restoreproof.images import ensure
from restoreproof.incoming import ArtifactWriter
from restoreproof.outcomes import RestoreFailed
from restoreproof.resources import folder
from restoreproof.restore import RestoreAttempt
from restoreproof.vault import StoredBackup

SECRET = "planted-it's-a-\\-\"secret"
ARCHIVE = "data-directory.mbstream.zst"
INFO = "_binlog_info"
MARK = b"row number 7777 "
OPTIONS = (
    "--log-bin=binlog --innodb-data-file-path=ibdata1:12M:autoextend:max:9G"
    " --innodb-undo-tablespaces=3"
)
CONTENT = (
    "CREATE DATABASE `it's a ``base```",
    "CREATE DATABASE app",
    "CREATE TABLE app.busy (id INT AUTO_INCREMENT PRIMARY KEY, n INT, KEY (n))",
    "CREATE TABLE app.many (id INT PRIMARY KEY, t VARCHAR(200), KEY (t))",
    (
        "INSERT INTO app.many SELECT seq, CONCAT('row number ', seq, ' ', SHA2(seq, 256))"
        " FROM app.seq_1_to_10000"
    ),
    "CREATE TABLE app.lossy (f FLOAT)",
    "INSERT INTO app.lossy VALUES (16777216)",
    "CREATE TABLE app.other (a INT) ENGINE=MyISAM",
    "INSERT INTO app.other VALUES (1), (2)",
    "CREATE TABLE app.crashsafe (a INT) ENGINE=Aria",
    "INSERT INTO app.crashsafe VALUES (1), (2)",
    "CREATE TABLE app.parts (a INT) PARTITION BY HASH (a) PARTITIONS 3",
    "INSERT INTO app.parts VALUES (1), (2), (3)",
    "CREATE TABLE app.past (a INT PRIMARY KEY, b INT) WITH SYSTEM VERSIONING",
    "INSERT INTO app.past VALUES (1, 1), (2, 2)",
    "UPDATE app.past SET b = 3",
    "CREATE SEQUENCE app.s",
    "DO NEXTVAL(app.s)",
    "CREATE TABLE app.reserved (id INT AUTO_INCREMENT PRIMARY KEY, t INT)",
    "INSERT INTO app.reserved (t) SELECT id FROM app.many LIMIT 50",
    # Else how many rows it has, and so how it is read, is known only after some seconds.
    "ANALYZE TABLE app.many",
    "CREATE VIEW app.seen AS SELECT id FROM app.many",
    "CREATE PROCEDURE app.nothing() SELECT 1",
    "CREATE EVENT app.never ON SCHEDULE EVERY 1 DAY DO DELETE FROM app.many",
    "CREATE USER reader IDENTIFIED BY 'x'",
    "GRANT SELECT ON app.seen TO reader",
    "CREATE ROLE r",
)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Source]:
    """A server with content and the documented backup user."""
    image, place = ensure(IMAGE, print), tmp_path_factory.mktemp("source")
    with (
        pytest.MonkeyPatch.context() as patch,
        server(image, place, patch, OPTIONS, port=free_port()) as made,
    ):
        patch.setenv("TEST_PHYSICAL_PASSWORD", SECRET)
        user = (folder("fixtures") / "agama" / "mysql" / "backup-user-mariadb.sql").read_text()
        made.run(*CONTENT, *statements(user), "GRANT PROCESS ON *.* TO 'backup'@'%'")
        with closing(made.connect()) as connection:
            alter = "ALTER USER 'backup'@'%%' IDENTIFIED BY %s ACCOUNT UNLOCK"
            rows(connection, alter, (SECRET,))
        # Else its redo log would make damaged pages whole again.
        begin_again(made, killed=False)
        reached = {
            "user": "backup",
            "password": "${TEST_PHYSICAL_PASSWORD}",
            "method": "physical",
            "data": ServerContainer(container=str(container_of(made).name)),
        }
        yield made.described(**reached)


@contextmanager
def _writing(source: Source) -> Iterator[None]:
    """Write to the source all the while, as an application does."""

    def write(stop: threading.Event) -> None:
        drawn, turn = random.Random(7), 0
        with closing(source.connect()) as connection:
            while not stop.is_set():
                turn += 1
                number = drawn.randrange(1000)
                rows(connection, "INSERT INTO app.busy (n) VALUES (%s)", (number,))
                rows(connection, "DELETE FROM app.busy WHERE n = %s", (1000 - number,))
                rows(connection, "UPDATE app.past SET b = b + 1")
                rows(connection, "DO NEXTVAL(app.s)")
                # What has no snapshot, or no definition in one, changes during the copy alone.
                if turn <= 60:
                    rows(connection, "INSERT INTO app.other VALUES (%s)", (turn,))
                    rows(connection, "INSERT INTO app.crashsafe VALUES (%s)", (turn,))
                if turn in (20, 40, 60):
                    rows(
                        connection,
                        f"CREATE TABLE IF NOT EXISTS app.new{turn} (a INT) SELECT {turn} AS a",
                    )

    with meanwhile(write):
        yield


@pytest.fixture(scope="module")
def full(source: Source) -> StoredBackup:
    """A copy that was taken while the source was written to."""
    engines.load("mysql").probe(source.context)
    with _writing(source):
        return source.stored()


@pytest.fixture
def copy(source: Source, full: StoredBackup, tmp_path: Path) -> VaultCopy:
    """A copy of the vault that may be damaged."""
    return VaultCopy.of(source.vault.root, tmp_path / "copy")


def test_a_copy_under_load_comes_back_exactly(source: Source, full: StoredBackup) -> None:
    """Rows to the last bit of a FLOAT, objects, accounts and position are the snapshot's."""
    manifest = full.manifest()
    assert {one.name for one in manifest.artifacts} == {
        ARCHIVE,
        LOGS,
        "privileges.sql.zst",
        "row-digests.zst",
    }

    with restored(source, source.vault, full.id) as attempt:
        assert attempt.failure == ""
        assert [str(one) for one in attempt.comparison.differences] == []
        undecided = {item.name for item in attempt.comparison.undecided}
        assert undecided == {"app.other", "app.crashsafe"}
        assert isinstance(attempt.restored, RestoredMySQL)
        assert attempt.restored.check_tables().complaints == ()
        assert attempt.restored.position == manifest.position
        assert attempt.restored.identity != manifest.source_identity
        assert rows(attempt.restored.connection, "SELECT f + 0e0 FROM app.lossy") == [(16777216.0,)]
        counts = "SELECT (SELECT COUNT(*) FROM app.other), (SELECT COUNT(*) FROM app.crashsafe)"
        with closing(source.connect()) as connection:
            assert rows(attempt.restored.connection, counts) == rows(connection, counts)
        assert attempt.restored.check_tables().complaints == ()
        assert "no network" in attempt.isolation


def test_an_increment_stands_on_a_copy(source: Source, full: StoredBackup, tmp_path: Path) -> None:
    """A chain goes on from a copy, and options that came along with that are not obeyed."""
    with _writing(source):
        source.run("INSERT INTO app.reserved (t) SELECT id FROM app.many LIMIT 50")
        increment = source.stored(full)
    copy = VaultCopy.of(source.vault.root, tmp_path / "copy")
    (hostile,) = (one for one in copy.vault.backups("mysql") if one.id == full.id)
    options = b"[mysqld]\ninnodb_data_file_path=nowhere:12M\nplugin-load=hostile.so\n"
    copy.rewrite(
        hostile, ARCHIVE, lambda stream: _changed(stream, "backup-my.cnf", lambda _: options)
    )

    with restored(source, copy.vault, increment.id) as attempt:
        assert attempt.failure == ""
        assert [str(one) for one in attempt.comparison.differences] == []


def test_no_secret_is_stored_or_left(source: Source, full: StoredBackup) -> None:
    """The password stands in nothing that a backup leaves, and nothing of it stays beside it."""
    manifest = full.manifest()
    stored = [b"".join(full.read(artifact)) for artifact in manifest.artifacts]
    assert SECRET not in manifest.model_dump_json()
    assert not any(SECRET.encode() in content for content in stored)

    left = _beside(source, "ls -A /dev/shm /tmp; cat /proc/[0-9]*/comm")
    assert set(left.split()) - {"/dev/shm:", "/tmp:", "sh", "cat", "ls"} == {"mariadbd"}


def test_a_job_that_is_ended_holds_no_lock(source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    """The program dies with the job that asked for it, and the source can be written to."""

    def full_vault(*_: object) -> None:
        assert "mariadb-backup" in _beside(source, "cat /proc/[0-9]*/comm")
        raise OutputUnwritable("the disk is full", mend="make room")

    monkeypatch.setattr(ArtifactWriter, "write", full_vault)
    result = source.back_up()

    assert isinstance(result.trouble, OutputUnwritable)
    deadline = time.monotonic() + 60
    while "mariadb-backup" in _beside(source, "cat /proc/[0-9]*/comm"):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    source.run("CREATE OR REPLACE TABLE app.after (a INT)", "DROP TABLE app.after")


def _beside(source: Source, script: str) -> str:
    """What a script says in the source's container."""
    with closing(docker_engine.connect()) as engine:
        container = engine.containers.get(source.context.source.data.container)  # type: ignore[attr-defined]
        return str(run(container, ["sh", "-c", script]).output)


def _flipped(content: bytes) -> bytes:
    """One bit turned over: in the row with the mark, or in the middle."""
    at = content.find(MARK) if MARK in content else len(content) // 2
    return content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]


def _last_flipped(content: bytes) -> bytes:
    """One bit turned over where the mark stands last: in the rows, or in an index over them."""
    at = max(content.rfind(MARK), 0)
    return content[:at] + _flipped(content[at:])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda stream: stream[: len(stream) // 2], "mbstream"),
        (lambda stream: _changed(stream, "app/many.ibd", lambda _: None), "tablespace is missing"),
        (lambda stream: _changed(stream, "app/many.ibd", _flipped), ""),
        (lambda stream: _changed(stream, "app/many.ibd", _last_flipped), ""),
        (_flipped, "checksum"),
        (lambda stream: _changed(stream, INFO, lambda _: b"x.1\t5"), "x.1:5"),
        (lambda stream: _changed(stream, "ib_logfile0", lambda _: None), "prepare: "),
    ],
    ids=[
        "cut short",
        "table missing",
        "page flipped",
        "last page flipped",
        "bit flipped",
        "position",
        "no redo",
    ],
)
def test_a_damaged_copy_is_noticed(
    source: Source,
    copy: VaultCopy,
    full: StoredBackup,
    change: Callable[[bytes], bytes],
    words: str,
) -> None:
    """What is lost or changed under hashes made after it is told, with no content of a row."""
    damaged = next(one for one in copy.vault.backups("mysql") if one.id == full.id)
    copy.rewrite(damaged, ARCHIVE, change)

    with restored(source, copy.vault, full.id) as attempt:
        told = attempt.failure or _said(attempt)
        assert told
        assert words in told.lower()
        assert MARK.decode() not in told


def _said(attempt: RestoreAttempt) -> str:
    """What an audit says of content and tables of a server that came to answer, if anything.

    Comparing reads the rows, by their key or by an index that holds all of them.
    """
    assert isinstance(attempt.restored, RestoredMySQL)
    try:
        complaints = attempt.restored.check_tables().complaints
        return "; ".join((*map(str, attempt.comparison.differences), *complaints))
    except RestoreFailed as failure:
        return str(failure)


@pytest.mark.parametrize("fault", ["cut", "misplaced"])
def test_logs_that_do_not_lead_on_are_noticed(
    source: Source, copy: VaultCopy, full: StoredBackup, fault: str
) -> None:
    """A copy that cannot be rolled forward to its position is not taken for whole."""
    damaged = next(one for one in copy.vault.backups("mysql") if one.id == full.id)
    if fault == "cut":
        rewrite_logs(copy, damaged, in_log(-1, lambda log: log[: len(log) // 2]))
    else:
        facts = damaged.manifest().facts
        end = f"{facts['log_file']}\t999999999"
        copy.rewrite(
            damaged, ARCHIVE, lambda stream: _changed(stream, INFO, lambda _: end.encode())
        )
        position = {"copied_position": end.replace("\t", ":")}
        (again,) = (one for one in copy.vault.backups("mysql") if one.id == full.id)
        copy.restate(again, facts=facts | position)

    with restored(source, copy.vault, full.id) as attempt:
        assert attempt.failed_in == "load"
        assert "binary log" in attempt.failure or "transactions are" in attempt.failure


def test_what_keeps_a_source_from_being_copied_is_named(source: Source) -> None:
    """Container, content, privilege, plugin's name: a line each, with the mend."""
    engine = engines.load("mysql")
    nowhere = source.described(data=None)
    with pytest.raises(SeveralProblems, match="the policy does not say where"):
        engine.probe(nowhere.context)
    absent = source.described(data=ServerContainer(container="no-such-container"), method="clone")
    with pytest.raises(SeveralProblems) as refused:
        engine.probe(absent.context)
    told = "\n".join(refused.value.lines())
    assert "method clone is MySQL's alone -- set source.method: physical" in told
    assert "no container no-such-container that runs" in told

    assert source.context.image is not None
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(mysql_image._known, source.context.image.identifier, "11.8.1-MariaDB")
        with pytest.raises(SeveralProblems, match=r"MariaDB 10\.11, image MariaDB 11\.8"):
            engine.probe(source.context)

    source.run("CREATE TABLE app.gone (a INT) ENGINE=MEMORY")
    try:
        with pytest.raises(SeveralProblems, match=r"InnoDB, Aria and MyISAM alone: app\.gone"):
            engine.probe(source.context)
    finally:
        source.run("DROP TABLE app.gone")

    source.run("REVOKE PROCESS ON *.* FROM 'backup'@'%'")
    try:
        with pytest.raises(SourceUnavailable, match=r"lacks PROCESS on \*\.\*"):
            engine.probe(source.context)
        refused_late = source.back_up()
    finally:
        source.run("GRANT PROCESS ON *.* TO 'backup'@'%'")
    assert "mariadb-backup: " in refused_late.problem
    assert "PROCESS" in refused_late.problem
    assert "planted" not in refused_late.problem
    assert not list((source.vault.root / ".incoming").iterdir())


def test_another_server_is_not_copied(source: Source, tmp_path: Path) -> None:
    """A container with another server in it is refused, whoever it lets in."""
    with pytest.MonkeyPatch.context() as patch:
        assert source.context.image is not None
        with server(source.context.image, tmp_path, patch, "--log-bin=binlog") as other:
            place = ServerContainer(container=str(container_of(other).name))
            wrong = source.described(
                data=place, user="root", password="${TEST_INCREMENTS_PASSWORD}"
            )
            with pytest.raises(SeveralProblems, match=r"is not the one at 127\.0\.0\.1"):
                engines.load("mysql").probe(wrong.context)
            denied = source.described(data=place).back_up()
    assert isinstance(denied.trouble, SourceUnavailable)
    assert "cannot be reached inside the container" in denied.problem
    assert SECRET not in denied.problem


def _chunks(stream: bytes) -> Iterator[tuple[str, bytes, int, bytes]]:
    """Name, type, offset and content of every chunk of an mbstream."""
    at = 0
    while at < len(stream):
        assert stream[at : at + 8] == b"XBSTCK01"
        kind, length = stream[at + 9 : at + 10], struct.unpack_from("<I", stream, at + 10)[0]
        at += 14
        name, at = stream[at : at + length].decode(), at + length
        size, offset = 0, 0
        if kind == b"P":
            size, offset = struct.unpack_from("<QQ", stream, at)
            at += 20
        yield name, kind, offset, stream[at : at + size]
        at += size


def _changed(stream: bytes, name: str, change: Callable[[bytes], bytes | None]) -> bytes:
    """The stream with every chunk of a file changed, or left out, under checksums made after."""
    out, told = [], False
    for found, kind, offset, content in _chunks(stream):
        if found.endswith(name):
            told = True
            changed = change(content) if content else content
            if change(b"x" * 1000) is None:
                continue
            content = content if changed is None else changed  # noqa: PLW2901  # the same chunk
        head = b"XBSTCK01\0" + kind + struct.pack("<I", len(found)) + found.encode()
        if kind == b"P":
            head += struct.pack("<QQI", len(content), offset, zlib.crc32(content))
        out += [head, content]
    assert told, name
    return b"".join(out)
