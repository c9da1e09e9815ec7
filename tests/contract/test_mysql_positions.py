"""Chains of a MySQL server without GTIDs: files and positions are all that tell where it stood."""

from collections.abc import Iterator
from datetime import datetime

import pytest
from mysql_bench import content
from mysql_chains import Source, flip, is_refused, restored, restored_exactly, server

from restoreproof.damage import Change, VaultCopy
from restoreproof.damage_binlog import LOGS, drop_last_event, drop_log, in_log, swap_logs
from restoreproof.engines.mysql_connection import rows
from restoreproof.engines.mysql_replay import ledger, position_at
from restoreproof.engines.mysql_restored import RestoredMySQL
from restoreproof.images import Image
from restoreproof.restore import to_restore
from restoreproof.vault import StoredBackup

WITHOUT_GTIDS = "--gtid-mode=OFF --enforce-gtid-consistency=OFF"


@pytest.fixture(scope="module")
def source(image: Image, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Source]:
    """A server whose chain the tests share."""
    place = tmp_path_factory.mktemp("source")
    with (
        pytest.MonkeyPatch.context() as patch,
        server(image, place, patch, WITHOUT_GTIDS) as made,
    ):
        yield made


@pytest.fixture(scope="module")
def chain(source: Source) -> list[StoredBackup]:
    """A full backup, an increment of three logs, and one that begins inside the last of them."""
    source.run("CREATE DATABASE app", "CREATE TABLE app.t (a INT PRIMARY KEY, b INT)")
    source.run("INSERT INTO app.t VALUES (0, 0)")
    full = source.stored()
    for number in range(1, 4):
        source.run(f"INSERT INTO app.t VALUES ({number}, 0)", "UPDATE app.t SET b = b + 1")
        source.run("FLUSH BINARY LOGS" if number < 3 else "CREATE USER u IDENTIFIED BY 'x'")
    first = source.stored(full)
    source.run("UPDATE app.t SET b = b + 1", "INSERT INTO app.t VALUES (9, 9)")
    return [full, first, source.stored(first)]


@pytest.mark.parametrize("link", range(3))
def test_every_boundary_comes_back_exactly(
    source: Source, chain: list[StoredBackup], link: int
) -> None:
    """Content and position are equal; what stands in two increments is applied once."""
    manifest = chain[link].manifest()
    file, offset = manifest.facts["log_file"], manifest.facts["log_position"]
    assert manifest.position == f"{file}:{offset}"
    with restored_exactly(source, chain[link]) as attempt:
        assert ("without GTIDs" in attempt.limits) == (link > 0)


@pytest.mark.parametrize("count", [0, 1, 4, 6])
def test_any_instant_inside_comes_back(
    source: Source, chain: list[StoredBackup], count: int
) -> None:
    """So many transactions of an increment of three logs are applied, wherever a log ends."""
    increment = to_restore(chain[1], chain[1].manifest())
    commits = [commit for _, commit in ledger(increment)]
    begin = datetime.fromisoformat(chain[0].manifest().facts["source_time"])
    until = commits[count - 1].at if count else begin
    assert until is not None
    with restored(source, source.vault, chain[1].id, until) as attempt:
        assert attempt.failure == ""
        assert isinstance(attempt.restored, RestoredMySQL)
        assert attempt.restored.position == position_at(increment, until)
        found = rows(attempt.restored.connection, "SELECT a, b FROM app.t ORDER BY a")
    inserted = (count + 1) // 2
    assert [number for number, _ in found] == list(range(inserted + 1))
    assert found[0][1] == count // 2


FAULTS: dict[str, tuple[Change, str]] = {
    "log missing in the middle": (drop_log(1), "does not begin at"),
    "two logs swapped": (swap_logs(1, 2), "missing or too many"),
    "last event lost": (drop_last_event, "missing or too many"),
    "log cut short": (in_log(-1, lambda log: log[:-5]), "binary log"),
    "bit flipped": (in_log(-1, lambda log: flip(log, 1)), "binary log"),
}
"""Each with words of the finding."""


@pytest.mark.parametrize("fault", FAULTS)
def test_damaged_logs_are_noticed(
    source: Source, chain: list[StoredBackup], copy: VaultCopy, fault: str
) -> None:
    """Under hashes made after the fault the logs are refused before any is replayed."""
    is_refused(source, copy, chain[1], *FAULTS[fault])


def test_increment_applied_twice_is_noticed(
    source: Source, chain: list[StoredBackup], copy: VaultCopy
) -> None:
    """The logs of the increment before, given once more, lead to another position."""
    early = content(chain[1], LOGS)
    is_refused(source, copy, chain[2], lambda _: early, "missing or too many")


def test_what_no_increment_can_stand_on_fails_the_job(
    source: Source, chain: list[StoredBackup], copy: VaultCopy
) -> None:
    """Purged logs, GTIDs switched on and a history that began anew are named, with the mend."""
    last = copy.newest("mysql")
    facts = last.manifest().facts
    copy.restate(last, facts={**facts, "log_identity": "another"})
    other = source.back_up(copy.newest("mysql"))
    assert "history no longer holds" in other.problem

    copy.restate(copy.newest("mysql"), position="00000000-0000-0000-0000-000000000001:1-5")
    switched = source.back_up(copy.newest("mysql"))
    assert "switched since" in switched.problem

    source.purge_logs()
    purged = source.back_up(chain[2])
    assert "were purged; take a full backup" in purged.problem

    source.run("RESET BINARY LOGS AND GTIDS", "INSERT INTO app.t VALUES (77, 7)")
    reset = source.back_up(chain[0])
    assert "history no longer holds" in reset.problem
