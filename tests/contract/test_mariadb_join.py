"""A restored MariaDB server joins its source as a replica, or the answer says why it does not."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest
from mariadb_source import IMAGE
from mysql_chains import PASSWORD, WORK, Source, container_of, restored, server
from mysql_replicas import outside

from restoreproof.engines.mysql_connection import rows
from restoreproof.engines.mysql_restored import RestoredMySQL
from restoreproof.engines.mysql_source import ServerContainer
from restoreproof.images import ensure
from restoreproof.outcomes import RestoreFailed

pytestmark = pytest.mark.thorough

LEFT = "ls /var/lib/mysql /var/tmp/restoreproof-data/data 2>/dev/null | grep -E 'relay|master-'"


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Source]:
    """A server that the tests share; the order of the tests is that of its life."""
    place = tmp_path_factory.mktemp("source")
    with (
        pytest.MonkeyPatch.context() as patch,
        server(ensure(IMAGE, print), place, patch, "--log-bin=binlog") as made,
    ):
        made.run("CREATE DATABASE app", "CREATE TABLE app.t (a INT PRIMARY KEY, b INT)")
        yield made


def test_chain_joins_a_source_that_is_written_to(source: Source) -> None:
    """An increment's end catches up under load, and neither side keeps anything of it."""
    full = source.stored()
    source.run("INSERT INTO app.t VALUES (20001, 1)", "FLUSH BINARY LOGS")
    increment = source.stored(full)

    with source.writing(WORK), outside(source, increment) as server:
        assert server.why_not_join(source.context) == ""
        found = server.join(source.context)

        assert found.unproven == ""
        assert found.fetched > 0
        assert found.took > timedelta()
        assert rows(server.connection, "SHOW ALL SLAVES STATUS") == []
        assert rows(server.connection, "SELECT @@GLOBAL.skip_networking") == [(1,)]
        assert PASSWORD not in server.sandbox.container.logs().decode()
        assert server.sandbox.run(["sh", "-c", LEFT]).output == ""


def test_source_that_stands_still_is_joined_too(source: Source) -> None:
    """With nothing to fetch, the source's own word is waited for; a data directory joins too."""
    place = ServerContainer(container=str(container_of(source).name))
    physical = source.described(method="physical", data=place, host="localhost")
    backup = physical.stored()

    with outside(physical, backup) as server:
        found = server.join(physical.context)
        assert (found.unproven, found.fetched) == ("", 0)
        source.run("INSERT INTO app.t VALUES (25001, 1)")
        found = server.join(physical.context)
        assert (found.unproven, found.fetched) == ("", 1)
        # The password was that of the source's user, and another is refused.
        wrong = physical.described(user="nobody").context
        assert "cannot be reached" in server.join(wrong).unproven
        assert "cannot be reached" in server.why_not_join(wrong)


def test_content_that_does_not_fit_is_noticed(source: Source) -> None:
    """A row that the restored server lacks, and the source changes, stops it."""
    source.run("INSERT INTO app.t VALUES (30001, 1)")
    backup = source.stored()

    with outside(source, backup) as server:
        rows(server.connection, "INSERT INTO app.t VALUES (30002, 1)")
        source.run("INSERT INTO app.t VALUES (30002, 2)")
        with pytest.raises(RestoreFailed, match="applying what the source sent: ") as caught:
            server.join(source.context)
        assert "Duplicate entry" in str(caught.value)


def test_what_cannot_be_tried_is_named(source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the joining needs is asked for before, and is no finding without it."""
    monkeypatch.setenv("TEST_JOIN_LONG", "x" * 97)
    meagre = "GRANT SELECT, BINLOG MONITOR ON *.* TO meagre IDENTIFIED BY 'source-secret'"
    source.run(meagre)
    alone = replace(source, context=replace(source.context, increments=False))
    with restored(source, source.vault, alone.stored().id) as attempt:
        server = attempt.restored
        assert isinstance(server, RestoredMySQL)
        assert "does not tell its binary log" in server.why_not_join(source.context)
        server.log_identity = "of another log"
        with pytest.raises(RestoreFailed, match="never had all of that"):
            server.why_not_join(source.context)
        endless = source.described(password="${TEST_JOIN_LONG}").context
        assert "no password" in server.why_not_join(endless)
        assert "REPLICATION SLAVE" in server.why_not_join(source.described(user="meagre").context)
        # A sandbox without a network, as every other is.
        assert "by the restored server" in server.join(source.context).unproven


def test_purged_logs_are_a_finding(source: Source) -> None:
    """A source that no longer has the logs after the backup is not to be joined from there."""
    backup = source.stored()
    source.run("INSERT INTO app.t VALUES (40001, 1)")
    source.purge_logs()

    with outside(source, backup) as server:
        assert server.why_not_join(source.context) == ""
        with pytest.raises(RestoreFailed, match="reading from the source: ") as caught:
            server.join(source.context)
        assert PASSWORD not in str(caught.value)


def test_source_with_another_history_is_a_finding(source: Source) -> None:
    """A log of the same name that is another one is not read on from."""
    source.run("RESET MASTER")
    backup = source.stored()
    source.run(
        "DO SLEEP(1.1)", "RESET MASTER", *["INSERT INTO app.t SELECT 1 + MAX(a), 1 FROM app.t"] * 5
    )

    with restored(source, source.vault, backup.id) as attempt:
        assert isinstance(attempt.restored, RestoredMySQL)
        with pytest.raises(RestoreFailed, match="never had all of that"):
            attempt.restored.why_not_join(source.context)
        gone = source.described(port=1).context
        assert "cannot be reached" in attempt.restored.why_not_join(gone)
        assert "cannot be reached" in attempt.restored.join(gone).unproven
