"""Chains of a real MySQL server: increments, every boundary restored, and what breaks a chain."""

import random
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from mysql_chains import (
    PASSWORD,
    Source,
    flip,
    in_last_log,
    only_last_transaction_group,
    restored,
    server,
)

from restoreproof.damage import VaultCopy
from restoreproof.damage_binlog import LOGS, rewrite_logs
from restoreproof.engines.mysql_connection import connect, rows
from restoreproof.images import Image, ensure
from restoreproof.vault import StoredBackup


@pytest.fixture(scope="module")
def image() -> Image:
    """MySQL as Debian packages it."""
    return ensure("restoreproof/mysql:9.7", print)


@pytest.fixture(scope="module")
def monkeymodule() -> Iterator[pytest.MonkeyPatch]:
    """Environment of this module."""
    with pytest.MonkeyPatch.context() as patch:
        yield patch


@pytest.fixture(scope="module")
def source(
    image: Image, tmp_path_factory: pytest.TempPathFactory, monkeymodule: pytest.MonkeyPatch
) -> Iterator[Source]:
    """A server whose chain the tests share."""
    with server(image, tmp_path_factory.mktemp("source"), monkeymodule) as made:
        yield made


@pytest.fixture(scope="module")
def chain(source: Source) -> list[StoredBackup]:
    """A full backup and three increments."""
    return source.chain()


@pytest.fixture
def copy(source: Source, chain: list[StoredBackup], tmp_path: Path) -> VaultCopy:
    """A copy of the chain's vault that may be damaged."""
    return VaultCopy.of(source.vault.root, tmp_path / "copy")


@pytest.mark.parametrize("link", range(4))
def test_every_boundary_of_a_chain_comes_back_exactly(
    source: Source, chain: list[StoredBackup], link: int
) -> None:
    """Rows, definitions, counters, accounts and position are equal at each recovery point."""
    with restored(source, source.vault, chain[link].id) as attempt:
        assert attempt.failure == ""
        assert [str(one) for one in attempt.comparison.differences] == []
        assert attempt.comparison.equal
        assert attempt.manifest is not None
        assert attempt.restored.position == attempt.manifest.position  # type: ignore[union-attr]


def test_an_increment_under_load_is_exact(source: Source, chain: list[StoredBackup]) -> None:
    """A source that is written to all the while is no false alarm."""
    stop = threading.Event()

    def write() -> None:
        drawn = random.Random(7)
        with closing(connect("root", PASSWORD, host="127.0.0.1", port=source.port)) as connection:
            while not stop.is_set():
                number = drawn.randrange(10_000)
                rows(connection, "REPLACE INTO app.t VALUES (%s, %s)", (number, number))

    writer = threading.Thread(target=write)
    writer.start()
    try:
        backup = source.stored(chain[-1])
    finally:
        stop.set()
        writer.join()

    with restored(source, source.vault, backup.id) as attempt:
        assert attempt.failure == ""
        assert attempt.comparison.equal


def test_a_missing_link_is_named(
    source: Source, copy: VaultCopy, chain: list[StoredBackup]
) -> None:
    """Without the increment before it, an increment does not come back, and the report says why."""
    copy.remove(next(one for one in copy.vault.backups("mysql") if one.id == chain[2].id))

    with restored(source, copy.vault, chain[3].id) as attempt:
        assert attempt.failed_in == "find chain"
        assert chain[2].id in attempt.failure


def test_an_increment_without_its_transactions_is_noticed(
    source: Source, copy: VaultCopy, chain: list[StoredBackup]
) -> None:
    """An increment that replays nothing ends without an error, and is caught by its position."""
    last = next(one for one in copy.vault.backups("mysql") if one.id == chain[3].id)
    rewrite_logs(copy, last, only_last_transaction_group)
    last = next(one for one in copy.vault.backups("mysql") if one.id == chain[3].id)

    with restored(source, copy.vault, last.id) as attempt:
        assert attempt.failed_in == "replay"


def test_logs_of_two_increments_swapped_are_noticed(
    source: Source, copy: VaultCopy, chain: list[StoredBackup]
) -> None:
    """The logs of an earlier increment in place of the last end too early."""
    early, late = (
        next(one for one in copy.vault.backups("mysql") if one.id == chain[number].id)
        for number in (1, 3)
    )
    manifest = early.manifest()
    content = b"".join(early.read(next(one for one in manifest.artifacts if one.name == LOGS)))
    rewrite_logs(copy, late, lambda _: content)

    with restored(source, copy.vault, chain[3].id) as attempt:
        assert attempt.failed_in == "replay"
        assert "transactions are missing" in attempt.failure


@pytest.mark.parametrize("seed", range(5))
def test_a_flipped_bit_in_a_log_is_noticed(
    source: Source, copy: VaultCopy, chain: list[StoredBackup], seed: int
) -> None:
    """A bit flipped in an event, under hashes made after it, is refused or shows in the content."""
    last = next(one for one in copy.vault.backups("mysql") if one.id == chain[3].id)
    rewrite_logs(copy, last, lambda tar: in_last_log(tar, lambda log: flip(log, seed)))

    with restored(source, copy.vault, chain[3].id) as attempt:
        assert attempt.failure or not attempt.comparison.equal


def test_an_increment_cut_short_is_noticed(
    source: Source, copy: VaultCopy, chain: list[StoredBackup]
) -> None:
    """A log that ends early replays without an error; the position gives it away."""
    last = next(one for one in copy.vault.backups("mysql") if one.id == chain[3].id)
    rewrite_logs(copy, last, lambda tar: in_last_log(tar, lambda log: log[: len(log) * 3 // 4]))

    with restored(source, copy.vault, chain[3].id) as attempt:
        assert attempt.failed_in == "replay"


def test_what_no_increment_can_stand_on_fails_the_job(
    image: Image, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Purged logs, a history that was reset and another server are named, with the mend."""
    with server(image, tmp_path, monkeypatch) as source:
        source.run("CREATE DATABASE app", "CREATE TABLE app.t (a INT PRIMARY KEY)")
        full = source.stored()
        source.run(
            "INSERT INTO app.t VALUES (1)", "FLUSH BINARY LOGS", "INSERT INTO app.t VALUES (2)"
        )
        source.run("PURGE BINARY LOGS BEFORE NOW() + INTERVAL 1 DAY")
        purged = source.back_up(full)
        assert purged.backup is None
        assert "were purged; take a full backup" in purged.problem

        source.run("RESET BINARY LOGS AND GTIDS")
        source.run("INSERT INTO app.t VALUES (3)")
        reset = source.back_up(full)
        assert "history no longer holds" in reset.problem

        copy = VaultCopy.of(source.vault.root, tmp_path / "copy")
        copy.restate(copy.newest("mysql"), source_identity="another-server")
        foreign = source.back_up(copy.newest("mysql"))
        assert "another server" in foreign.problem
        assert [one.id for one in source.vault.backups("mysql")] == [full.id]
