"""Chains of a MySQL server without GTIDs: files and positions are all that tell where it stood."""

import tarfile
from collections.abc import Callable, Iterator
from datetime import datetime
from io import BytesIO
from pathlib import Path

import pytest
from mysql_chains import Source, flip, in_last_log, restored, server

from restoreproof.damage import Change, VaultCopy
from restoreproof.damage_binlog import rewrite_logs
from restoreproof.engines.mysql_connection import rows
from restoreproof.engines.mysql_replay import ledger, position_at
from restoreproof.engines.mysql_restored import RestoredMySQL
from restoreproof.images import Image, ensure
from restoreproof.restore import to_restore
from restoreproof.vault import StoredBackup

WITHOUT_GTIDS = "--gtid-mode=OFF --enforce-gtid-consistency=OFF"


@pytest.fixture(scope="module")
def image() -> Image:
    """MySQL as Debian packages it."""
    return ensure("restoreproof/mysql:9.7", print)


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


@pytest.fixture
def copy(source: Source, chain: list[StoredBackup], tmp_path: Path) -> VaultCopy:
    """A copy of the chain's vault that may be damaged."""
    assert chain
    return VaultCopy.of(source.vault.root, tmp_path / "copy")


@pytest.mark.parametrize("link", range(3))
def test_every_boundary_comes_back_exactly(
    source: Source, chain: list[StoredBackup], link: int
) -> None:
    """Content and position are equal; what stands in two increments is applied once."""
    with restored(source, source.vault, chain[link].id) as attempt:
        assert attempt.failure == ""
        assert [str(one) for one in attempt.comparison.differences] == []
        assert attempt.manifest is not None
        facts = attempt.manifest.facts
        assert attempt.manifest.position == f"{facts['log_file']}:{facts['log_position']}"
        assert attempt.restored.position == attempt.manifest.position  # type: ignore[union-attr]
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
    "log missing in the middle": (
        lambda tar: _members(tar, lambda all_: [all_[0], *all_[2:]]),
        "does not begin at",
    ),
    "two logs swapped": (
        lambda tar: _members(tar, lambda all_: [all_[0], all_[2], all_[1]]),
        "missing or too many",
    ),
    "last event lost": (
        lambda tar: in_last_log(tar, _without_last_event),
        "missing or too many",
    ),
    "log cut short": (lambda tar: in_last_log(tar, lambda log: log[:-5]), "binary log"),
    "bit flipped": (lambda tar: in_last_log(tar, lambda log: flip(log, 1)), "binary log"),
}
"""Each with words of the finding."""


@pytest.mark.parametrize("fault", FAULTS)
def test_damaged_logs_are_noticed(
    source: Source, chain: list[StoredBackup], copy: VaultCopy, fault: str
) -> None:
    """Under hashes made after the fault the logs are refused before any is replayed."""
    backup = next(one for one in copy.vault.backups("mysql") if one.id == chain[1].id)
    change, words = FAULTS[fault]
    rewrite_logs(copy, backup, change)

    with restored(source, copy.vault, chain[1].id) as attempt:
        assert attempt.failed_in == "replay"
        assert words in attempt.failure


def test_increment_applied_twice_is_noticed(
    source: Source, chain: list[StoredBackup], copy: VaultCopy
) -> None:
    """The logs of the increment before, given once more, lead to another position."""
    early, late = (
        next(one for one in copy.vault.backups("mysql") if one.id == chain[number].id)
        for number in (1, 2)
    )
    content = b"".join(early.read(next(one for one in early.manifest().artifacts)))
    rewrite_logs(copy, late, lambda _: content)

    with restored(source, copy.vault, chain[2].id) as attempt:
        assert attempt.failed_in == "replay"
        assert "missing or too many" in attempt.failure


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

    source.run("FLUSH BINARY LOGS", "PURGE BINARY LOGS BEFORE NOW() + INTERVAL 1 DAY")
    purged = source.back_up(chain[2])
    assert "were purged; take a full backup" in purged.problem

    source.run("RESET BINARY LOGS AND GTIDS", "INSERT INTO app.t VALUES (77, 7)")
    reset = source.back_up(chain[0])
    assert "history no longer holds" in reset.problem


def _without_last_event(log: bytes) -> bytes:
    position = 4
    while position < len(log):
        last, position = (
            position,
            position + int.from_bytes(log[position + 9 : position + 13], "little"),
        )
    return log[:last]


def _members(tar: bytes, change: Callable[[list[bytes]], list[bytes]]) -> bytes:
    """Other contents under the names of the logs; the names of those that are gone are gone."""
    with tarfile.open(fileobj=BytesIO(tar)) as archive:
        contents = {one: archive.extractfile(one).read() for one in archive.getmembers()}  # type: ignore[union-attr]
    out = BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        changed = change(list(contents.values()))
        kept = [one for one, content in contents.items() if content in changed]
        for member, content in zip(kept, changed, strict=True):
            member.size = len(content)
            archive.addfile(member, BytesIO(content))
    return out.getvalue()
