"""The running sample estate: it is worth restoring, and leaves nothing behind."""

import dataclasses
import secrets
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import docker
import pymysql
import pytest
from pymysql.connections import Connection
from test_demo_fixtures import INSTANT, policy

from restoreproof import docker_engine, images
from restoreproof.demo import content, metrics
from restoreproof.demo.estate import Estate, estate
from restoreproof.demo.simulated_clock import SimulatedClock
from restoreproof.demo.workload import working
from restoreproof.engines.influxdb_client import InfluxClient, Literal
from restoreproof.errors import SandboxTrouble
from restoreproof.policy import Policy
from restoreproof.references import expand

__all__ = ["policy"]

MYSQL, INFLUXDB = "restoreproof/mysql:9.7", "restoreproof/influxdb:1.6"
LABEL = "restoreproof.test"
TOKEN = secrets.token_hex(4)


def _now() -> datetime:
    return datetime.now(UTC)


def _silent(_message: str) -> None:
    """Progress that nobody reads."""


@pytest.fixture(scope="module")
def engine() -> Iterator[docker.DockerClient]:
    """A client of the container engine."""
    client = docker_engine.connect()
    yield client
    client.close()


@pytest.fixture(scope="module")
def agama(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Estate]:
    """The running estate, one for all tests of this module."""
    with _started(tmp_path_factory.mktemp("agama"), TOKEN) as running:
        yield running


def _started(place: Path, token: str, progress: Any = _silent) -> Any:
    return estate(
        mysql_image=images.ensure(MYSQL, _silent),
        influxdb_image=images.ensure(INFLUXDB, _silent),
        labels={LABEL: token},
        folder=place,
        clock=SimulatedClock(_now() - timedelta(days=3)),
        progress=progress,
    )


@pytest.fixture(scope="module")
def backup_user(agama: Estate) -> Iterator["Connection[Any]"]:
    """A connection of the user that backs up."""
    connection = pymysql.connect(
        host=agama.mysql.host,
        port=agama.mysql.port,
        user=agama.environment["AGAMA_MYSQL_USER"],
        password=agama.environment["AGAMA_MYSQL_PASSWORD"],
        autocommit=True,
    )
    with closing(connection):
        yield connection


def _rows(connection: "Connection[Any]", statement: str) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return list(cursor.fetchall())


def _left(engine: docker.DockerClient, token: str) -> list[Any]:
    named = f"{LABEL}={token}"
    return engine.containers.list(all=True, filters={"label": named}, ignore_removed=True)


# The running estate


def test_environment_is_all_that_the_policy_needs(policy: Policy, agama: Estate) -> None:
    """With the estate's variables every place and secret of a source can be resolved."""
    for name, component in policy.components.items():
        values = component.source.model_dump().values()
        for text in (component.image or "", *values):
            if isinstance(text, str):
                assert "$" not in expand(text, where=name, environment=agama.environment)


def test_secrets_show_nowhere(agama: Estate) -> None:
    """An estate that is printed tells no password."""
    for password in (agama.mysql.backup_password, agama.mysql.application_password):
        assert password not in repr(agama)


def test_ports_are_open_to_this_machine_alone(agama: Estate, engine: docker.DockerClient) -> None:
    """Nobody else can reach the servers: their ports are bound to the loopback address."""
    mine = _left(engine, TOKEN)
    addresses = {
        binding["HostIp"]
        for found in mine
        for bindings in found.ports.values()
        for binding in bindings or ()
    }

    assert len(mine) == 2
    assert addresses == {"127.0.0.1"}


def test_every_table_holds_what_was_generated(
    agama: Estate, backup_user: "Connection[Any]"
) -> None:
    """No row is lost on the way in, and the archive is empty as it should be."""
    for table in content.tables(INSTANT):
        if table.name not in {"agama.ticket_events", "agama.tickets", "agama.logins"}:
            assert len(_rows(backup_user, f"TABLE {table.name}")) == len(table.rows), table.name
    assert _rows(backup_user, "SELECT COUNT(*) FROM agama.archived_tickets") == [(0,)]
    assert agama.mysql.rows > 20_000


def test_rows_are_hard_to_restore(backup_user: "Connection[Any]") -> None:
    """There are rows equal in every column, and NULL and the empty text side by side."""
    equal = (
        "SELECT login_at FROM agama.logins GROUP BY login_at, account, outcome HAVING COUNT(*) > 1"
    )
    notes = "SELECT COUNT(*), SUM(note IS NULL), SUM(note = '') FROM agama.customers"
    rows, without, empty = _rows(backup_user, notes)[0]

    assert _rows(backup_user, equal)
    assert 0 < without < rows
    assert 0 < empty < rows
    assert _rows(backup_user, "SELECT bytes FROM agama.canaries WHERE name = 'every byte'") == [
        (bytes(range(256)),)
    ]


def test_every_kind_of_object_is_there(backup_user: "Connection[Any]") -> None:
    """Views, triggers, routines, an event, partitions and generated columns can be lost too."""
    count = "SELECT COUNT(*) FROM information_schema.{} WHERE {} IN ('agama', 'agama_billing')"
    expected = {
        ("views", "table_schema"): 3,
        ("triggers", "trigger_schema"): 2,
        ("routines", "routine_schema"): 2,
        ("events", "event_schema"): 1,
        ("referential_constraints", "constraint_schema"): 8,
    }
    columns = (
        "SELECT DISTINCT extra FROM information_schema.columns WHERE table_schema LIKE 'agama%'"
    )
    extras = " ".join(str(row[0]) for row in _rows(backup_user, columns))
    partitions = (
        "SELECT COUNT(partition_name) FROM information_schema.partitions"
        " WHERE table_schema = 'agama'"
    )

    for (view, column), number in expected.items():
        assert _rows(backup_user, count.format(view, column)) == [(number,)], view
    assert all(word in extras for word in ("VIRTUAL", "STORED", "INVISIBLE", "auto_increment"))
    assert _rows(backup_user, partitions) == [(3,)]


def test_triggers_can_be_dumped(backup_user: "Connection[Any]") -> None:
    """No trigger's text ends with a semicolon: mysqldump would make a dump that does not load."""
    texts = _rows(backup_user, "SELECT action_statement FROM information_schema.triggers")

    assert not [text for (text,) in texts if text.rstrip().endswith(";")]


def test_backup_user_can_change_nothing(backup_user: "Connection[Any]") -> None:
    """The user that backs up reads everything and writes nothing."""
    for statement in (
        "DELETE FROM agama.customers",
        "INSERT INTO agama.heartbeat (beat_at) VALUES (NOW())",
        "DROP TABLE agama.heartbeat",
        "CREATE DATABASE mine",
        "SET GLOBAL read_only = ON",
        "FLUSH BINARY LOGS",
    ):
        with pytest.raises(pymysql.MySQLError, match=r"(?i)denied"):
            _rows(backup_user, statement)


def test_every_point_is_there(agama: Estate) -> None:
    """Both retention policies hold what was generated, and the empty database is empty."""
    with closing(InfluxClient.over_network(agama.influxdb.url)) as client:
        for measured in metrics.measurements(INSTANT):
            statement = f"SELECT * FROM {measured.policy}.{measured.name}"  # our own
            found = client.query(statement, "telegraf")
            # The workload may have written more to a measurement that it shares.
            assert sum(len(series.values) for series in found) >= len(measured.lines)
        databases = [row[0] for series in client.query("SHOW DATABASES") for row in series.values]
        assert {"telegraf", "agama_reserve"} <= set(databases)
        assert client.query("SHOW MEASUREMENTS", "agama_reserve") == []


def test_integers_are_beyond_a_float(agama: Estate) -> None:
    """Some integers have more digits than a float can hold, and come back exactly."""
    with closing(InfluxClient.over_network(agama.influxdb.url)) as client:
        found = client.query("SELECT MIN(bytes_read) FROM disk", "telegraf")

    assert found[0].values[0][1] == Literal(str(2**53 + 1))


def test_workload_writes_heartbeats_to_both_servers(agama: Estate) -> None:
    """Every acknowledged beat is at the server, and nothing is written after the end."""
    with agama.workload() as beats:
        assert beats.mysql
        assert beats.influxdb
    with closing(agama.mysql.as_application()) as connection:
        newest = _rows(connection, "SELECT MAX(beat_at) FROM agama.heartbeat")[0][0]
        logins = "SELECT COUNT(*) FROM agama.logins WHERE account = 'night shift'"
        changed = _rows(connection, logins)
    with closing(InfluxClient.over_network(agama.influxdb.url)) as client:
        last = client.query("SELECT * FROM heartbeat ORDER BY time DESC LIMIT 1", "telegraf")

    assert newest.replace(tzinfo=UTC) == beats.mysql[-1]
    assert changed[0][0] > 0
    assert last[0].values[0][0] == Literal(str(metrics.nanoseconds(beats.influxdb[-1])))


def test_time_passes_at_the_server_as_it_is_simulated(
    agama: Estate, backup_user: "Connection[Any]"
) -> None:
    """The server's clock is the simulated one, before and after that was put forward."""
    for until in (agama.clock(), agama.clock() + timedelta(hours=7)):
        agama.pass_time(until)
        told = _rows(backup_user, "SELECT UTC_TIMESTAMP(6)")[0][0].replace(tzinfo=UTC)
        newest = _rows(backup_user, "SELECT MAX(beat_at) FROM agama.heartbeat")[0][0]

        assert abs(agama.clock() - told) < timedelta(seconds=10)
        assert until <= newest.replace(tzinfo=UTC) <= agama.clock()


def test_workload_that_is_refused_raises(agama: Estate) -> None:
    """A write that a server refuses is not swallowed."""
    locked_out = dataclasses.replace(agama.mysql, application_password="wrong")

    with (
        pytest.raises(SandboxTrouble, match="the workload on MySQL was refused: Access denied"),
        working(locked_out, agama.influxdb, _now),
    ):
        pass


@pytest.mark.parametrize("message", ["starting InfluxDB", "made the Ansible", "InfluxDB holds"])
def test_interrupt_leaves_nothing(
    tmp_path: Path, engine: docker.DockerClient, message: str
) -> None:
    """Ctrl-C while the estate starts leaves no container and no repository."""
    token = secrets.token_hex(4)

    def interrupt(told: str) -> None:
        if told.startswith(message):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), _started(tmp_path, token, interrupt):
        pytest.fail("the estate started in spite of it")

    assert _left(engine, token) == []
    assert list(tmp_path.iterdir()) == []


def test_end_leaves_nothing(tmp_path: Path, engine: docker.DockerClient) -> None:
    """When the block ends, with an error too, containers and repository are gone."""
    token = secrets.token_hex(4)

    def fail() -> None:
        with _started(tmp_path, token):
            assert len(_left(engine, token)) == 2
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()

    assert _left(engine, token) == []
    assert list(tmp_path.iterdir()) == []
