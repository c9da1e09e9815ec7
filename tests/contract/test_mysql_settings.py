"""Settings of the source: the restored server runs with them, or its limits tell why not."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from mysql_bench import Bench, image, server

from restoreproof.engines.contract import BackupToRestore
from restoreproof.engines.mysql_connection import rows, value
from restoreproof.engines.mysql_empty_server import empty_server
from restoreproof.engines.mysql_restored import RestoredMySQL
from restoreproof.engines.mysql_settings import take_settings
from restoreproof.errors import SourceUnavailable
from restoreproof.fingerprint import Fingerprint
from restoreproof.jobs import moved
from restoreproof.sandbox import Sandboxes

OPTIONS = (
    "--sql-mode=ANSI_QUOTES,NO_ZERO_DATE",
    "--default-time-zone=+05:30",
    "--character-set-server=latin1",
)


@pytest.fixture(scope="module")
def restored() -> Iterator[RestoredMySQL]:
    """A sandbox for both tests."""
    with empty_server(image(), Sandboxes("settings")) as made:
        yield made


def test_a_restored_server_runs_with_the_settings_of_its_source(
    restored: RestoredMySQL, tmp_path: Path
) -> None:
    """What decides about new data is as it was; an event keeps its own mode and time zone.

    And a server that takes another's place is told of, for a full backup asks nobody.
    """
    with server(*OPTIONS) as source:
        source.run(
            "CREATE DATABASE app",
            "SET SESSION time_zone = '-03:00'",
            "CREATE EVENT app.later ON SCHEDULE AT '2099-01-01' DO SELECT 1",
        )
        bench = Bench(source, tmp_path, restored)
        backup = bench.store()
        with pytest.raises(SourceUnavailable, match="increments hold all databases"):
            bench.engine.probe(bench.context(source=source.source(databases=["app"])))
    with bench.restored(bench.vault, backup) as attempt:
        assert attempt.comparison.equal
        connection = restored.connection
        assert value(connection, "SELECT @@GLOBAL.sql_mode") == "ANSI_QUOTES,NO_ZERO_DATE"
        assert value(connection, "SELECT @@GLOBAL.time_zone") == "+05:30"
        assert value(connection, "SELECT @@GLOBAL.character_set_server") == "latin1"
        assert value(connection, "SELECT @@GLOBAL.collation_server") == "latin1_swedish_ci"
        assert "runs with the source's sql_mode, time_zone, character_set_server" in attempt.limits
        # Its definition is the same, in the session's time zone instead of its own.
        rows(connection, "ALTER EVENT app.later ON SCHEDULE AT '2099-01-01 03:00:00'")
        assert [str(one.name) for one in replace(attempt).comparison.differences] == ["app.later"]
    assert moved(bench.vault.backups("mysql")) == ()
    with server() as other:
        other.run("CREATE DATABASE app")
        bench = Bench(other, tmp_path, restored)
        second = bench.store()
    assert moved(bench.vault.backups("mysql")) == (
        f"{second.id} was taken from another server than {backup.id}",
    )


def test_a_setting_that_is_not_taken_is_a_limit(restored: RestoredMySQL) -> None:
    """A time zone that nobody here knows, and one that is that of the source's machine."""
    fingerprint = Fingerprint(method="", taken_at="2026-11-23T00:00:00Z", items=())  # type: ignore[arg-type]

    def limits(**facts: str) -> str:
        backup = BackupToRestore("", "", facts, fingerprint, lambda _: iter([]), lambda _: iter([]))
        return "; ".join(take_settings(restored.connection, backup))

    assert limits() == ""
    assert "not with the source's time_zone 'Mars/Phobos': Unknown" in limits(
        time_zone="Mars/Phobos", sql_mode=""
    )
    assert limits(time_zone="SYSTEM", system_time_zone="CEST").endswith(
        "the source's time zone is its machine's, CEST, and here UTC"
    )
