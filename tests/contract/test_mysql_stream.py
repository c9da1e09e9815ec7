"""The stream of binary logs: nothing lost and nothing twice, whoever is interrupted."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from mysql_chains import Source, restored, server

from restoreproof import engines
from restoreproof.engines.contract import STREAMED, Base
from restoreproof.engines.mysql_connection import rows, value
from restoreproof.engines.mysql_gtids import GtidSet
from restoreproof.errors import UserError
from restoreproof.images import Image
from restoreproof.jobs import JobResult, base_of, seal_stream
from restoreproof.outcomes import BackupFailed
from restoreproof.stream_store import StreamStore
from restoreproof.vault import StoredBackup, Vault

PATIENCE_SECONDS = 60
ENGINE = engines.load("mysql")


@pytest.fixture(scope="module")
def source(image: Image, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Source]:
    """A server that the tests share."""
    with (
        pytest.MonkeyPatch.context() as patch,
        server(image, tmp_path_factory.mktemp("source"), patch) as made,
    ):
        made.run("CREATE DATABASE app", "CREATE TABLE app.t (a INT AUTO_INCREMENT PRIMARY KEY)")
        yield made


@pytest.fixture
def vault(source: Source, tmp_path: Path) -> Vault:
    """A vault with one full backup."""
    made = Vault(str(tmp_path / "vault"))
    made.prepare()
    own = Source(source.context, made, source.port)
    own.stored()
    return made


def _base(vault: Vault) -> Base:
    return base_of(vault.backups("mysql")[-1])


def _store(vault: Vault) -> StreamStore:
    return vault.stream("mysql", _base(vault).source_identity)


@contextmanager
def _streaming(source: Source, vault: Vault) -> Iterator[list[str]]:
    """A stream under way, and what it tells."""
    stop, told = threading.Event(), list[str]()
    thread = threading.Thread(
        target=ENGINE.follow,
        args=(source.context, lambda: _base(vault), _store(vault), stop, told.append),
    )
    with _store(vault).locked():
        thread.start()
        try:
            yield told
        finally:
            stop.set()
            thread.join()


def _until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def _executed(source: Source) -> GtidSet:
    with closing(source.connect()) as connection:
        return GtidSet(str(value(connection, "SELECT @@GLOBAL.gtid_executed")))


def _lose_connections(source: Source) -> None:
    """End the connections that send the log, as a network does."""
    with closing(source.connect()) as connection:
        listed = "SELECT id FROM performance_schema.processlist WHERE command LIKE 'Binlog Dump%'"
        for (number,) in rows(connection, listed):
            rows(connection, f"KILL {number}")


def _seal(source: Source, vault: Vault) -> JobResult | None:
    return seal_stream(ENGINE, source.context, vault, "test", vault.backups("mysql")[-1])


def _sealed(source: Source, vault: Vault) -> StoredBackup:
    result = _seal(source, vault)
    assert result is not None
    assert result.backup is not None, result.problem
    return result.backup


def test_a_stream_comes_back_to_its_last_transaction(source: Source, vault: Vault) -> None:
    """Interrupted on either side and continued, it holds every transaction, and each once."""
    with _streaming(source, vault) as told:
        _until(lambda: told)
        source.run("INSERT INTO app.t VALUES ()", "FLUSH BINARY LOGS")
        source.run("INSERT INTO app.t VALUES (), ()")
        _until(lambda: len(_store(vault).segments()) > 1)
        _lose_connections(source)
        source.run("INSERT INTO app.t VALUES ()")
        _until(lambda: any("trying again" in line for line in told))
    source.run("INSERT INTO app.t VALUES ()", "CREATE USER streamed IDENTIFIED BY 'x'")
    with _streaming(source, vault):
        source.run("INSERT INTO app.t VALUES ()")
        expected = _executed(source)
        written_at = source.context.clock()
        _until(lambda: (_store(vault).caught_up_at or written_at) > written_at)

    sealed = _sealed(source, vault)

    assert sealed.entry.kind == STREAMED
    assert GtidSet(sealed.manifest().position) == expected
    assert _seal(source, vault) is None
    following = Source(source.context, vault, source.port).stored(sealed)
    for backup in (sealed, following):
        with restored(source, vault, backup.id) as attempt:
            assert attempt.failure == ""
            fingerprint = following.manifest().fingerprint
            assert attempt.restored is not None
            assert GtidSet(attempt.restored.position) == expected  # type: ignore[attr-defined]
            seen = {
                item.key: item.digest for item in attempt.restored.fingerprint(fingerprint).items
            }
            assert {item.key: item.digest for item in fingerprint.items} == seen


def test_a_second_stream_is_refused(vault: Vault) -> None:
    """Two processes never append to the same logs."""
    with _store(vault).locked(), pytest.raises(UserError, match="by another process"):
        _store(vault).locked().__enter__()


def test_a_gap_ends_the_stream(source: Source, vault: Vault) -> None:
    """Logs that were purged while nobody streamed are named, with the mend."""
    source.run("INSERT INTO app.t VALUES ()")
    source.purge_logs()

    with pytest.raises(BackupFailed, match="were purged before they were stored; take a full"):
        ENGINE.follow(source.context, lambda: _base(vault), _store(vault), threading.Event(), print)


def test_a_stream_needs_gtids(source: Source, vault: Vault) -> None:
    """A base that is named by log and position is refused, and not tried for ever."""
    base = replace(_base(vault), position="binlog.000001:4")

    with pytest.raises(BackupFailed, match="keeps no MySQL GTIDs"):
        ENGINE.follow(source.context, lambda: base, _store(vault), threading.Event(), print)


def test_what_is_stored_is_read_with_care(source: Source, vault: Vault) -> None:
    """The end of a log under way may be missing; a damaged or missing one is named."""
    with _streaming(source, vault):
        source.run("INSERT INTO app.t VALUES ()", "INSERT INTO app.t VALUES ()")
        before = _executed(source)
        source.run("INSERT INTO app.t VALUES ()")
        written_at = source.context.clock()
        _until(lambda: (_store(vault).caught_up_at or written_at) > written_at)
    path = _store(vault).segments()[-1].path
    content = path.read_bytes()
    path.write_bytes(content[:-10])
    assert str(GtidSet(_sealed(source, vault).manifest().position)) == str(before)

    path.write_bytes(content[:-40] + bytes([content[-40] ^ 1]) + content[-39:])
    damaged = _seal(source, vault)
    assert damaged is not None
    assert damaged.backup is None
    assert "checksum" in damaged.problem

    path.rename(path.with_suffix(".999998"))
    gap = _seal(source, vault)
    assert gap is not None
    assert "after the end of" in gap.problem
