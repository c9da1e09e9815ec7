"""Chains of a real MySQL server: increments, every boundary restored, and what breaks a chain."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from mysql_bench import content, same
from mysql_chains import WORK, Source, flip, is_refused, restored, restored_exactly, server
from walks import component, walked

from restoreproof.damage import VaultCopy
from restoreproof.damage_binlog import LOGS, empty_log, in_log, rewrite_logs
from restoreproof.images import Image
from restoreproof.vault import StoredBackup


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


@pytest.mark.thorough
@pytest.mark.parametrize("link", range(4))
def test_every_boundary_of_a_chain_comes_back_exactly(
    source: Source, chain: list[StoredBackup], link: int
) -> None:
    """Rows, definitions, counters, accounts and position are equal at each recovery point."""
    with restored_exactly(source, chain[link]):
        pass


def test_a_chain_is_gone_along_on_one_server(source: Source, chain: list[StoredBackup]) -> None:
    """The newest comes first and alone, then each from the one before, equal at each boundary."""
    audited, seen = component("mysql", source.context, source.vault), []
    for attempt in walked(audited):
        assert attempt.restored is not None and attempt.manifest is not None, attempt.failure
        assert attempt.comparison.equal, [str(one) for one in attempt.comparison.differences]
        assert attempt.restored.position == attempt.manifest.position
        assert sum((one.duration for one in attempt.phases), timedelta()) <= attempt.duration
        seen.append((attempt.target.backup.id, attempt.reached_from))
        assert attempt.target.nothing_follows == (attempt.target.backup in (chain[3], chain[2]))

    full, first, second, newest = (one.id for one in chain)
    assert seen == [(newest, ""), (full, ""), (first, full), (second, first)]
    assert [one.target.backup.id for one in audited.attempts] == [one for one, _ in seen]


def test_what_goes_wrong_on_the_way_is_decided_by_an_empty_server(
    source: Source, copy: VaultCopy, chain: list[StoredBackup]
) -> None:
    """An increment that does not replay is restored once more, from the full backup on."""
    rewrite_logs(copy, same(copy.vault, chain[1]), empty_log(-1))
    audited = component("mysql", source.context, copy.vault)

    found = [(one.failed_in, one.reached_from) for one in walked(audited)]

    assert found == [("replay", ""), ("", ""), ("replay", ""), ("replay", "")]


def test_an_increment_under_load_is_exact(source: Source, chain: list[StoredBackup]) -> None:
    """A source that is written to all the while is no false alarm."""
    with source.writing(WORK):
        backup = source.stored(chain[-1])

    with restored(source, source.vault, backup.id) as attempt:
        assert attempt.failure == ""
        assert attempt.comparison.equal


def test_a_missing_link_is_named(
    source: Source, copy: VaultCopy, chain: list[StoredBackup]
) -> None:
    """Without the increment before it, an increment does not come back, and the report says why."""
    copy.remove(same(copy.vault, chain[2]))

    with restored(source, copy.vault, chain[3].id) as attempt:
        assert attempt.failed_in == "find chain"
        assert chain[2].id in attempt.failure


def test_an_increment_without_its_transactions_is_noticed(
    source: Source, copy: VaultCopy, chain: list[StoredBackup]
) -> None:
    """An increment that replays nothing ends without an error, and is caught by its position."""
    is_refused(source, copy, chain[3], empty_log(-1), "missing or too many")


def test_logs_of_two_increments_swapped_are_noticed(
    source: Source, copy: VaultCopy, chain: list[StoredBackup]
) -> None:
    """The logs of an earlier increment in place of the last end too early."""
    early = content(chain[1], LOGS)
    is_refused(source, copy, chain[3], lambda _: early, "transactions are missing")


@pytest.mark.parametrize("seed", range(5))
def test_a_flipped_bit_in_a_log_is_noticed(
    source: Source, copy: VaultCopy, chain: list[StoredBackup], seed: int
) -> None:
    """A bit flipped in an event, under hashes made after it, is refused or shows in the content."""
    rewrite_logs(copy, same(copy.vault, chain[3]), in_log(-1, lambda log: flip(log, seed)))

    with restored(source, copy.vault, chain[3].id) as attempt:
        assert attempt.failure or not attempt.comparison.equal


def test_an_increment_cut_short_is_noticed(
    source: Source, copy: VaultCopy, chain: list[StoredBackup]
) -> None:
    """A log that ends early replays without an error; the position gives it away."""
    cut = in_log(-1, lambda log: log[: len(log) * 3 // 4])
    is_refused(source, copy, chain[3], cut, "it ends in the midst")


def test_what_no_increment_can_stand_on_fails_the_job(
    image: Image, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Purged logs, a history that was reset and another server are named, with the mend."""
    with server(image, tmp_path, monkeypatch) as source:
        source.run("CREATE DATABASE app", "CREATE TABLE app.t (a INT PRIMARY KEY)")
        full = source.stored()
        source.run("INSERT INTO app.t VALUES (1)")
        source.purge_logs()
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
