"""Heartbeats of ours on real servers: written, read back, removed, by a user who may no more."""

import os
import secrets
import threading
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timedelta

import pymysql
import pytest
from beats import MONDAY, newest, refuse_in_one_line
from mysql_source import FILES, MySQLTorture
from sources import PASSWORD, SECRET, provider

from restoreproof.demo.mysql import statements
from restoreproof.engines.influxdb_client import InfluxClient
from restoreproof.engines.mysql_connection import rows
from restoreproof.errors import UserError
from restoreproof.heartbeats import heartbeat
from restoreproof.policy import PolicyDocument
from restoreproof.policy_file import read_policy

SECOND = timedelta(seconds=1)
POLICY = """\
estate: Harbour
objectives: {{rpo: 1h, rto: 4h, restore_test_every: 31d}}
vault: {{location: vault}}
components:
  database:
    engine: mysql
    image: mysql:9.7
    source:
      host: {host}
      port: {port}
      user: backup
      password: ${{{password}}}
      heartbeat:
        table: restoreproof.heartbeat
        column: beat_at
        writer: {{user: heartbeat, password: "${{BEATING}}"}}
    coverage: [data]
  metrics:
    engine: influxdb
    image: influxdb:1.6
    source:
      url: {url}
      backup: {backup}
      user: backup
      password: ${{{password}}}
      heartbeat:
        database: restoreproof
        measurement: heart beat
        writer: {{user: heartbeat, password: "${{BEATING}}"}}
    coverage: [data]
  wiki:
    engine: git
    source: {{repository: x}}
    coverage: [data]
"""


@pytest.fixture(scope="module")
def document(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[PolicyDocument]:
    """A policy over a MySQL and an InfluxDB server with a user who may write heartbeats."""
    place = tmp_path_factory.mktemp("heartbeats")
    password = secrets.token_hex(8)
    with (
        provider("mysql")(place) as mysql,
        provider("influxdb")(place) as influxdb,
        pytest.MonkeyPatch.context() as patch,
    ):
        assert isinstance(mysql, MySQLTorture)
        for statement in statements((FILES / "heartbeat-user.sql").read_text(encoding="utf-8")):
            rows(mysql.root, statement)
        alter = "ALTER USER 'heartbeat'@'%%' IDENTIFIED BY %s ACCOUNT UNLOCK"
        rows(mysql.root, alter, (password,))
        source = influxdb.good
        url = str(source.url)  # type: ignore[attr-defined]
        with closing(InfluxClient.over_network(url, "backup", SECRET)) as client:
            for statement in (
                "CREATE DATABASE restoreproof",
                f"CREATE USER heartbeat WITH PASSWORD '{password}'",
                "GRANT ALL ON restoreproof TO heartbeat",
            ):
                client.query(statement)
        patch.setenv("BEATING", password)
        text = POLICY.format(
            host=mysql.host, port=mysql.port, password=PASSWORD, url=url,
            backup=source.backup,  # type: ignore[attr-defined]
        )  # fmt: skip
        path = place / "policy.yaml"
        path.write_text(text)
        yield read_policy(path)


def test_beats_are_written_read_and_removed(document: PolicyDocument) -> None:
    """One a beat with the time that was passed in; all but the newest go on request."""
    told: list[str] = []
    last = MONDAY + timedelta(seconds=2, microseconds=345_678)
    for at in (MONDAY, MONDAY + SECOND, last):
        heartbeat(document, (), lambda at=at: at, told.append)
    assert not told
    for name in ("database", "metrics"):
        assert newest(document, name) == last

    for removed in (2, 0):
        heartbeat(document, (), lambda: MONDAY, told.append, clear=True)
        assert told == [f"{name}: {removed} old heartbeats removed" for name in ("database", "metrics")]  # fmt: skip  # noqa: E501
        told.clear()
    for name in ("database", "metrics"):
        assert newest(document, name) == last


def test_beats_go_on_until_stopped(document: PolicyDocument) -> None:
    """With a time between them there is one each time."""
    beats, stop = [MONDAY + number * SECOND for number in range(100, 104)], threading.Event()
    coming = iter(beats)

    def clock() -> datetime:
        at = next(coming)
        if at == beats[-1]:
            stop.set()
        return at

    # The first instant names the run.
    heartbeat(
        document, ("database",), clock, lambda _: None, every=timedelta(milliseconds=1), stop=stop
    )
    assert newest(document, "database") == beats[-1]


def test_writer_may_do_nothing_else(document: PolicyDocument) -> None:
    """The user of the table can neither read the application's rows nor change the table."""
    source = document.policy.components["database"].source
    with closing(
        pymysql.connect(
            host=source.host,  # type: ignore[attr-defined]
            port=source.port,  # type: ignore[attr-defined]
            user="heartbeat",
            password=os.environ["BEATING"],
        )
    ) as connection:
        for statement in (
            "SELECT * FROM torture.numbers",
            "DROP TABLE restoreproof.heartbeat",
            "UPDATE restoreproof.heartbeat SET beat_at = NOW()",
            "CREATE TABLE restoreproof.other (n INT)",
        ):
            with pytest.raises(pymysql.MySQLError, match="denied"):
                rows(connection, statement)


@pytest.mark.parametrize("name", ["database", "metrics"])
def test_refusal_is_one_line_without_the_password(
    document: PolicyDocument, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wrong password is the user's mistake, told with the mend."""
    monkeypatch.setenv("BEATING", "wrong-and-secret")
    refuse_in_one_line(document, name, "wrong-and-secret")


def test_policy_without_a_writer_is_told_so(document: PolicyDocument) -> None:
    """A component whose heartbeat is the application's own is not written to."""
    with pytest.raises(UserError, match="nobody who writes") as caught:
        heartbeat(document, ("wiki",), lambda: MONDAY, lambda _: None)
    assert "writer:" in caught.value.mend
