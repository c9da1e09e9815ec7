"""Sources that are not what they seem, and jobs whose tool does not say that it failed."""

import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path

import pytest
from mysql_bench import ROOT_PASSWORD, UNLOGGED, Bench, Verdict, server

from restoreproof import docker_engine
from restoreproof.clock import system_clock
from restoreproof.engines import mysql_dump
from restoreproof.engines.contract import CLOCK_AHEAD
from restoreproof.engines.mysql_replica import LAG, replication_lag
from restoreproof.errors import SourceUnavailable
from restoreproof.recovery_objectives import Disaster, measured_rpo


@pytest.mark.parametrize("ahead", [timedelta(hours=1), timedelta(hours=-1)])
def test_a_source_whose_clock_is_an_hour_off_is_seen(
    bench: Bench, matrix: dict[str, Verdict], ahead: timedelta
) -> None:
    """The job notes how far the source's clock is off, and its heartbeats then measure nothing.

    Ours is set wrong here instead, which is the same to both.
    """
    backup = bench.store(clock=lambda: system_clock() - ahead)
    noted = timedelta(seconds=float(backup.manifest().facts[CLOCK_AHEAD]))
    now = system_clock()

    measured = measured_rpo(now, True, Disaster(now, now), noted)

    matrix[f"clock of the source off by {ahead}"] = Verdict(differences=(measured.basis,))
    assert abs(noted - ahead) < timedelta(seconds=5)
    assert measured.value is None
    right = float(bench.store().manifest().facts[CLOCK_AHEAD])
    assert abs(right) < 5


@pytest.mark.parametrize(
    ("name", "pipe"),
    [
        ("dump without its trailer line", "\"$@\" | sed '/^-- Dump completed/d'"),
        ("empty dump with exit 0", '"$@" >/dev/null'),
        ("dump that a pipe cut short with exit 0", '"$@" | head -c 5000'),
        ("dump of no table with exit 0", '"$@" | grep -v -e "^INSERT" -e "^-- Dump completed"'),
        ("tool that dies after the dump", '"$@"; exit 3'),
        ("tool that is killed", '"$@" | head -c 5000; kill -9 $$'),
    ],
)
def test_a_tool_that_hides_its_failure_is_seen(
    bench: Bench,
    matrix: dict[str, Verdict],
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    pipe: str,
) -> None:
    """Such a dump is never stored: the job fails with what it lacks."""
    real: Callable[..., Sequence[str]] = mysql_dump.dump_command

    def hiding(*arguments: object, **options: object) -> Sequence[str]:
        return ("sh", "-c", pipe, "sh", *real(*arguments, **options))

    monkeypatch.setattr(mysql_dump, "dump_command", hiding)
    before = bench.vault.catalog.entries()

    result = bench.job()

    matrix[name] = Verdict("job", result.problem)
    assert result.backup is None
    assert "mysqldump" in result.problem
    assert bench.vault.catalog.entries() == before
    assert list((bench.vault.root / ".incoming").glob("mysql-*")) == []


def test_nothing_is_not_compared_with_nothing(
    bench: Bench, matrix: dict[str, Verdict], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A source that shows its user no database at all gives no backup."""
    monkeypatch.setattr("restoreproof.engines.mysql.user_databases", lambda _: ())

    result = bench.job()

    matrix["comparison of nothing with nothing"] = Verdict("job", result.problem)
    assert result.backup is None
    assert "holds no database" in result.problem


def test_a_masked_account_is_refused(bench: Bench, matrix: dict[str, Verdict]) -> None:
    """A user who may see everything but one database would leave it out in silence."""
    run = bench.server.run
    run(UNLOGGED, "SET GLOBAL partial_revokes = ON", "REVOKE SELECT ON other.* FROM backup@`%`")
    try:
        with pytest.raises(SourceUnavailable) as caught:
            bench.engine.probe(bench.context())
    finally:
        run(UNLOGGED, "GRANT SELECT ON other.* TO backup@`%`", "SET GLOBAL partial_revokes = OFF")
    matrix["masked account"] = Verdict("probe", str(caught.value))
    assert "SELECT on `other`.*" in str(caught.value)


def test_partial_revokes_are_no_false_alarm(bench: Bench) -> None:
    """An account from which something was taken back comes back with just that."""
    bench.server.run(
        UNLOGGED,
        "SET GLOBAL partial_revokes = ON",
        "CREATE USER partly@`%`",
        "GRANT SELECT, INSERT ON *.* TO partly@`%`",
        "REVOKE INSERT ON shop.* FROM partly@`%`",
    )
    try:
        verdict = bench.verdict(bench.vault, bench.store())
    finally:
        bench.server.run(UNLOGGED, "DROP USER partly@`%`", "SET GLOBAL partial_revokes = OFF")
    assert str(verdict) == "equal"


def test_a_replica_that_stands_still_is_never_equal(
    bench: Bench, matrix: dict[str, Verdict]
) -> None:
    """Its content may be of any time, so nobody says that the backup is of today."""
    bench.server.run("CHANGE REPLICATION SOURCE TO SOURCE_HOST = '127.0.0.1', SOURCE_PORT = 1")
    try:
        backup = bench.store()
    finally:
        bench.server.run("RESET REPLICA ALL")

    with bench.restored(bench.vault, backup) as attempt:
        (undecided,) = attempt.comparison.undecided
        assert attempt.comparison.differences == ()
    matrix["replica that stands still"] = Verdict(differences=(undecided.reason,))
    assert "does not follow its own source" in undecided.reason


def test_a_replica_is_as_old_as_its_lag(
    bench: Bench, tmp_path: Path, matrix: dict[str, Verdict]
) -> None:
    """The recovery point of a backup of a lagging replica is when the lag began, not now."""
    name = bench.server.container.get_wrapped_container().attrs["Id"]
    address = docker_engine.connect().api.inspect_container(name)["NetworkSettings"]["IPAddress"]
    with server("--server-id=2", "--replica-parallel-workers=1") as replica:
        replica.run(
            f"CHANGE REPLICATION SOURCE TO SOURCE_HOST = '{address}', SOURCE_USER = 'root',"
            f" SOURCE_PASSWORD = '{ROOT_PASSWORD}', SOURCE_AUTO_POSITION = 1,"
            " GET_SOURCE_PUBLIC_KEY = 1, SOURCE_DELAY = 3600",
            "CREATE DATABASE mine",
            "START REPLICA",
        )
        deadline = time.monotonic() + 120
        while not (lag := replication_lag(replica.connect())) or lag < timedelta(seconds=2):
            assert time.monotonic() < deadline, f"no lag: {lag}"
            time.sleep(0.2)
        backup = Bench(replica, tmp_path).store()
    manifest = backup.manifest()
    matrix["replica that lags"] = Verdict(differences=(f"lag of {manifest.facts[LAG]} s",))
    assert float(manifest.facts[LAG]) >= 2
    assert manifest.started_at - manifest.recovery_point > timedelta(seconds=1)


def test_a_table_outside_every_snapshot_is_never_equal(bench: Bench) -> None:
    """Nobody can say what a MyISAM table held at the instant, and so nobody says it was equal."""
    bench.server.run("CREATE TABLE shop.loose (a INT) ENGINE=MyISAM")
    try:
        backup = bench.store()
    finally:
        bench.server.run("DROP TABLE shop.loose")

    with bench.restored(bench.vault, backup) as attempt:
        assert [item.name for item in attempt.comparison.undecided] == ["shop.loose"]
        assert not attempt.comparison.equal


def test_events_of_the_estate_do_not_fire_in_the_sandbox(bench: Bench) -> None:
    """An event of every second changes the source all the time, and the restored copy never."""
    bench.server.run(
        "CREATE TABLE shop.ticks (at DATETIME(6))",
        "CREATE EVENT shop.tick ON SCHEDULE EVERY 1 SECOND"
        " DO INSERT INTO shop.ticks VALUES (UTC_TIMESTAMP(6))",
    )
    try:
        backup = bench.store()
        with bench.restored(bench.vault, backup) as attempt:
            assert attempt.restored is not None, attempt.failure
            assert attempt.manifest is not None
            time.sleep(1.5)
            again = attempt.restored.fingerprint(attempt.manifest.fingerprint)
            assert attempt.comparison.equal
            assert again.digest == attempt.manifest.fingerprint.digest
    finally:
        bench.server.run("DROP EVENT shop.tick", "DROP TABLE shop.ticks")
