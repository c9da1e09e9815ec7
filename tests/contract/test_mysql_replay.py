"""How binary logs are replayed: as relay logs, by mysqlbinlog, up to an instant or a GTID."""

import tarfile
from collections.abc import Iterator
from datetime import UTC, datetime
from io import BytesIO
from itertools import pairwise

import pytest
from mysql_chains import Source, flip, restored, server

from restoreproof.engines.mysql_binlog_reader import Commit
from restoreproof.engines.mysql_connection import rows
from restoreproof.engines.mysql_empty_server import empty_server
from restoreproof.engines.mysql_gtids import GtidSet
from restoreproof.engines.mysql_relay import apply_as_relay_logs
from restoreproof.engines.mysql_replay import LOGS, ledger
from restoreproof.engines.mysql_restored import RestoredMySQL
from restoreproof.images import Image
from restoreproof.outcomes import RestoreFailed
from restoreproof.restore import to_restore
from restoreproof.sandbox import Sandbox, Sandboxes
from restoreproof.vault import StoredBackup

FOLDER = "/var/tmp/logs"  # inside a sandbox


@pytest.fixture(scope="module")
def source(image: Image, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Source]:
    """A server whose chain the tests share."""
    place = tmp_path_factory.mktemp("source")
    with pytest.MonkeyPatch.context() as patch, server(image, place, patch) as made:
        yield made


@pytest.fixture(scope="module")
def chain(source: Source) -> list[StoredBackup]:
    """A full backup, an increment over two logs, and one that defines an event."""
    source.run("CREATE DATABASE app", "CREATE TABLE app.t (a INT PRIMARY KEY, at DATETIME(6))")
    full = source.stored()
    for number in range(10):
        source.run(
            "SET GTID_NEXT = 'AUTOMATIC:tagged'" if number == 3 else "DO 0",
            f"INSERT INTO app.t VALUES ({number}, UTC_TIMESTAMP(6))",
            "FLUSH BINARY LOGS" if number == 4 else "DO 0",
        )
    first = source.stored(full)
    source.run("CREATE EVENT app.e ON SCHEDULE EVERY 1 DAY DISABLE DO DELETE FROM app.t")
    return [full, first, source.stored(first)]


@pytest.fixture(scope="module")
def commits(chain: list[StoredBackup]) -> list[Commit]:
    """The ten inserts of the first increment."""
    return [commit for _, commit in ledger(to_restore(chain[1], chain[1].manifest()))][-10:]


def test_logs_are_given_to_the_server_as_relay_logs(
    source: Source, chain: list[StoredBackup]
) -> None:
    """The report says how it was replayed, and nothing of it is left in the server."""
    with restored(source, source.vault, chain[1].id) as attempt:
        assert attempt.failure == ""
        assert attempt.limits.endswith("binary logs applied as relay logs")
        assert isinstance(attempt.restored, RestoredMySQL)
        assert not rows(attempt.restored.connection, "SHOW REPLICA STATUS")
        assert "no redo log while logs were applied" in attempt.limits
        redo = "SHOW STATUS LIKE 'Innodb_redo_log_enabled'"
        assert rows(attempt.restored.connection, redo)[0][1] == "ON"
        order = "SELECT @@GLOBAL.replica_preserve_commit_order"
        assert rows(attempt.restored.connection, order) == [(1,)]
        left = attempt.restored.sandbox.run(["sh", "-c", "ls /var/lib/mysql /var/tmp"])
        assert "increment_" not in left.output
        assert "replay" not in left.output


def test_events_are_replayed_as_they_were(source: Source, chain: list[StoredBackup]) -> None:
    """A replica would disable them for good, so these logs go through mysqlbinlog."""
    with restored(source, source.vault, chain[2].id) as attempt:
        assert attempt.failure == ""
        assert attempt.comparison.equal
        assert "not as relay logs: a replica disables" in attempt.limits


def test_the_ledger_tells_what_was_committed_when(
    source: Source, chain: list[StoredBackup], commits: list[Commit]
) -> None:
    """Its instants are those of the commits, its GTIDs those of the manifest."""
    base, manifest = chain[0].manifest(), chain[1].manifest()
    held = GtidSet(base.position)
    for commit in commits:
        held.add(commit.uuid, commit.tag, commit.number)
    assert held == GtidSet(manifest.position)
    assert commits[3].tag == "tagged"
    instants = [one.at for one in commits]
    assert None not in instants
    assert all(a < b for a, b in pairwise(filter(None, instants)))
    first, last = (datetime.fromisoformat(one.facts["source_time"]) for one in (base, manifest))
    assert first < instants[0] <= instants[-1] < last  # type: ignore[operator]
    assert first.tzinfo == UTC
    assert {"gtid_executed", "log_file", "log_position"} <= set(manifest.facts)


@pytest.mark.parametrize("by", ["instant", "instant between", "gtid", "begin"])
def test_any_instant_inside_a_chain_comes_back(
    source: Source, chain: list[StoredBackup], commits: list[Commit], by: str
) -> None:
    """What was committed up to there is in it, and nothing beyond; the position is exact."""
    sixth = commits[5]
    assert sixth.at is not None
    until, count = {
        "instant": (sixth.at, 6),
        "instant between": (sixth.at + (commits[6].at - sixth.at) / 2, 6),  # type: ignore[operator]
        "gtid": (commits[3].gtid, 4),
        "begin": (datetime.fromisoformat(chain[0].manifest().facts["source_time"]), 0),
    }[by]
    with restored(source, source.vault, chain[1].id, until) as attempt:
        assert attempt.failure == ""
        assert isinstance(attempt.restored, RestoredMySQL)
        found = rows(attempt.restored.connection, "SELECT a FROM app.t ORDER BY a")
        assert [number for (number,) in found] == list(range(count))
        expected = GtidSet(chain[0].manifest().position)
        for commit in commits[:count]:
            expected.add(commit.uuid, commit.tag, commit.number)
        assert GtidSet(attempt.restored.position) == expected


def test_a_gtid_that_the_logs_do_not_hold_is_refused(
    source: Source, chain: list[StoredBackup]
) -> None:
    """It is named, and the restore has failed."""
    unknown = "00000000-0000-0000-0000-00000000000a:1"
    with restored(source, source.vault, chain[1].id, unknown) as attempt:
        assert f"do not hold {unknown}" in attempt.failure


@pytest.mark.parametrize("damage", ["bit flipped", "too little"])
def test_what_the_applier_meets_is_told_at_once(
    image: Image, chain: list[StoredBackup], damage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server itself is the second line of defence, behind our own reading of the logs."""
    monkeypatch.setattr("restoreproof.engines.mysql_relay.IDLE_SECONDS", 2)
    increment = chain[1].manifest()
    tar = b"".join(to_restore(chain[1], increment).read(LOGS))
    with tarfile.open(fileobj=BytesIO(tar)) as archive:
        log = archive.extractfile(archive.getmembers()[0]).read()  # type: ignore[union-attr]
    with empty_server(image, Sandboxes("test-replay")) as made:
        _place(made.sandbox, flip(log, 2) if damage == "bit flipped" else log)
        with pytest.raises(RestoreFailed, match=r"applying relay logs|came to the end"):
            apply_as_relay_logs(made.connection, made.sandbox, FOLDER, ["log"], increment.position)
        assert not rows(made.connection, "SHOW REPLICA STATUS")


def _place(sandbox: Sandbox, log: bytes) -> None:
    assert sandbox.run(["mkdir", FOLDER]).exit_code == 0
    assert sandbox.run(["sh", "-c", f"cat > {FOLDER}/log"], feed=[log]).exit_code == 0
