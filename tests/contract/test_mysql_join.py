"""A restored server joins a real source as its replica, or the answer says why it does not."""

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import timedelta

import pytest
from mysql_chains import PASSWORD, WORK, Source, restored, server
from mysql_replicas import outside

from restoreproof import docker_engine
from restoreproof.engines.mysql_connection import rows
from restoreproof.engines.mysql_join import Joined
from restoreproof.engines.mysql_restored import RestoredMySQL
from restoreproof.engines.mysql_source import Encryption, MySQLSource, probe
from restoreproof.engines.server_files import ContainerFiles
from restoreproof.errors import SourceUnavailable
from restoreproof.images import Image
from restoreproof.outcomes import RestoreFailed
from restoreproof.vault import StoredBackup

Joining = Callable[[Source, StoredBackup], Joined]


@pytest.fixture(scope="module")
def source(
    image: Image, tmp_path_factory: pytest.TempPathFactory, monkeymodule: pytest.MonkeyPatch
) -> Iterator[Source]:
    """A server that the tests share; the order of the tests is that of its life."""
    with server(image, tmp_path_factory.mktemp("source"), monkeymodule) as made:
        made.run("CREATE DATABASE app", "CREATE TABLE app.t (a INT PRIMARY KEY, b INT)")
        yield made


def test_chain_joins_a_source_that_is_written_to(source: Source) -> None:
    """An increment's end catches up under load, and neither side keeps anything of it."""
    full = source.stored()
    source.run("INSERT INTO app.t VALUES (20001, 1)")
    increment = source.stored(full)

    with (
        source.writing(WORK),
        outside(source, increment) as server,
    ):
        assert server.why_not_join(source.context) == ""
        found = server.join(source.context)

        assert found.unproven == ""
        assert found.fetched > 0
        assert found.took > timedelta()
        assert rows(server.connection, "SHOW REPLICA STATUS") == []
        closed = "SELECT @@GLOBAL.skip_networking, @@GLOBAL.skip_replica_start"
        assert rows(server.connection, closed) == [(1, 1)]
        assert PASSWORD not in server.sandbox.container.logs().decode()
    with closing(source.connect()) as connection:
        assert len(rows(connection, "SHOW BINARY LOGS")) >= 1
        held = rows(connection, "SELECT COUNT(*) FROM information_schema.tables"
                    " WHERE table_schema = 'app'")  # fmt: skip
        assert held == [(1,)]


def test_source_that_stands_still_is_joined_too(source: Source) -> None:
    """With nothing to fetch, the source's own word is waited for; by name and certificate too."""
    backup = source.stored()
    client = docker_engine.connect()
    (container,) = client.containers.list(filters={"publish": str(source.port)})
    found_ca = ContainerFiles(container).whole("/var/lib/mysql/ca.pem").read()
    client.close()
    (source.context.folder / "ca.pem").write_bytes(found_ca)
    trusting = Encryption(ca="ca.pem", identity=False)

    with outside(source, backup) as server:
        kept = "events_statements_history_long"
        consumers = "UPDATE performance_schema.setup_consumers SET enabled = 'YES'"
        rows(server.connection, f"{consumers} WHERE name = '{kept}'")
        found = server.join(source.described(host="localhost", tls=trusting).context)
        assert (found.unproven, found.fetched) == ("", 0)
        said = repr(rows(server.connection, f"SELECT sql_text FROM performance_schema.{kept}"))
        assert "START REPLICA" in said
        assert PASSWORD not in said
        # The password was that of the source's user, and another is refused.
        wrong = source.described(user="nobody").context
        assert "cannot be reached" in server.join(wrong).unproven
        assert "cannot be reached" in server.why_not_join(wrong)


@pytest.mark.thorough
def test_clone_joins_too(source: Source) -> None:
    """A data directory that came back is a replica's as well."""
    source.run("INSTALL PLUGIN clone SONAME 'mysql_clone.so'")
    cloned = source.described(method="clone")
    backup = cloned.stored()
    source.run("INSERT INTO app.t VALUES (25001, 1)")

    with outside(cloned, backup) as server:
        closed = "SELECT @@GLOBAL.skip_networking, @@GLOBAL.skip_replica_start"
        assert rows(server.connection, closed) == [(1, 1)]
        found = server.join(cloned.context)
        assert (found.unproven, found.fetched) == ("", 1)


def test_content_that_does_not_fit_is_noticed(source: Source) -> None:
    """A row that the restored server lacks, and the source changes, stops it."""
    source.run("INSERT INTO app.t VALUES (30001, 1)")
    backup = source.stored()

    with outside(source, backup) as server:
        rows(server.connection, "DELETE FROM app.t WHERE a = 30001")
        source.run("UPDATE app.t SET b = 2 WHERE a = 30001")
        with pytest.raises(RestoreFailed, match="applying what the source sent: ") as caught:
            server.join(source.context)
        assert "Can't find record in 't'" in str(caught.value)


def test_user_without_the_privilege_is_named(
    source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the joining needs is asked for before the job, and is no finding without it."""
    source.run(
        "CREATE USER meagre IDENTIFIED BY 'source-secret'",
        "GRANT SELECT, SHOW VIEW, TRIGGER, EVENT, REPLICATION CLIENT, RELOAD ON *.* TO meagre",
    )
    meagre = source.described(user="meagre", join_as_replica=True)
    without = replace(meagre.context, increments=False)

    with pytest.raises(SourceUnavailable, match=r"lacks REPLICATION SLAVE on \*\.\*"):
        probe(without)
    probe(replace(meagre.described(join_as_replica=False).context, increments=False))
    with restored(source, source.vault, source.stored().id) as attempt:
        assert isinstance(attempt.restored, RestoredMySQL)
        assert "REPLICATION SLAVE" in attempt.restored.why_not_join(without)
        monkeypatch.setenv("TEST_JOIN_LONG", "x" * 33)
        endless = source.described(password="${TEST_JOIN_LONG}").context
        assert "no password" in attempt.restored.why_not_join(endless)


def test_purged_logs_are_a_finding(source: Source) -> None:
    """A source that no longer has the logs after the backup is not to be joined from there."""
    backup = source.stored()
    source.run("INSERT INTO app.t VALUES (40001, 1)")
    source.purge_logs()

    with outside(source, backup) as server:
        with pytest.raises(RestoreFailed, match=r"reading from the source: .*purged") as caught:
            server.join(source.context)
        assert PASSWORD not in str(caught.value)


def test_source_with_another_history_is_a_finding(source: Source) -> None:
    """What the source never executed cannot be reached from it; one that is gone says nothing."""
    backup = source.stored()
    source.run("RESET BINARY LOGS AND GTIDS")

    with restored(source, source.vault, backup.id) as attempt:
        assert isinstance(attempt.restored, RestoredMySQL)
        with pytest.raises(RestoreFailed, match="never had all of that"):
            attempt.restored.why_not_join(source.context)
        gone = source.described(port=1).context
        assert "cannot be reached" in attempt.restored.why_not_join(gone)
        assert "cannot be reached" in attempt.restored.join(gone).unproven
        # A sandbox without a network, as every other is.
        assert "by the restored server" in attempt.restored.join(source.context).unproven


def test_part_of_a_source_is_no_replica() -> None:
    """A policy that leaves something out cannot ask for a replica."""
    for part in ({"databases": ("app",)}, {"accounts": False}):
        with pytest.raises(ValueError, match="a replica holds all"):
            MySQLSource(host="h", user="u", password="${P}", join_as_replica=True, **part)  # type: ignore[arg-type]
