"""Users, roles and privileges of a real MySQL server, in another one."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack

import pytest
import zstandard

from restoreproof import engines
from restoreproof.clock import system_clock
from restoreproof.engines.contract import BackupToRestore
from restoreproof.engines.mysql_accounts import creation_script, privileges_script, read_accounts
from restoreproof.engines.mysql_connection import connect, rows, value
from restoreproof.engines.mysql_fingerprint import METHOD
from restoreproof.engines.mysql_load import ACCOUNTS, DUMP, PRIVILEGES
from restoreproof.engines.mysql_privileges import missing_privileges
from restoreproof.engines.mysql_restored import RestoredMySQL
from restoreproof.engines.mysql_source import MySQLSource
from restoreproof.fingerprint import Fingerprint, compare
from restoreproof.images import ensure
from restoreproof.sandbox import Sandboxes

SOURCE = MySQLSource(host="nowhere", user="nobody", password="${UNUSED}")
CONTENT = """
CREATE DATABASE app;
CREATE TABLE app.t (a INT PRIMARY KEY, b INT);
CREATE PROCEDURE app.p() SELECT 1;
CREATE DEFINER=`owner`@`%` SQL SECURITY DEFINER VIEW app.v AS SELECT a FROM app.t;
"""
WHO = """
CREATE ROLE reader, `it's a ``role```;
GRANT SELECT ON app.* TO reader;
GRANT reader TO `it's a ``role```;
CREATE USER plain@localhost IDENTIFIED BY 'p%q"r\\\\s' COMMENT 'DEFAULT ROLE x REQUIRE ';
CREATE USER fond@`10.%` IDENTIFIED BY 'x' DEFAULT ROLE reader REQUIRE SSL
  WITH MAX_USER_CONNECTIONS 3 PASSWORD EXPIRE INTERVAL 90 DAY ACCOUNT LOCK;
GRANT reader TO fond@`10.%` WITH ADMIN OPTION;
CREATE USER owner@`%` IDENTIFIED BY 'x';
GRANT SELECT (a), UPDATE (b) ON app.t TO owner@`%`;
GRANT EXECUTE ON PROCEDURE app.p TO plain@localhost WITH GRANT OPTION;
GRANT BACKUP_ADMIN ON *.* TO plain@localhost;
"""


@pytest.fixture(scope="module")
def sandboxes() -> Sandboxes:
    """Throwaway servers."""
    return Sandboxes("test-accounts")


@pytest.fixture
def servers(sandboxes: Sandboxes) -> Iterator[tuple[RestoredMySQL, RestoredMySQL]]:
    """Two empty servers."""
    engine, image = engines.load("mysql"), ensure("restoreproof/mysql:9.7", print)
    with ExitStack() as stack:
        made = [stack.enter_context(engine.provision(SOURCE, image, sandboxes)) for _ in range(2)]
        assert isinstance(made[0], RestoredMySQL)
        assert isinstance(made[1], RestoredMySQL)
        yield made[0], made[1]


def _restore(into: RestoredMySQL, artifacts: Mapping[str, bytes]) -> None:
    backup = BackupToRestore(
        position="",
        facts={"accounts": "yes"},
        fingerprint=Fingerprint.of(METHOD, system_clock(), ()),
        read=lambda name: iter([artifacts[name]]),
        read_stored=lambda name: iter([zstandard.compress(artifacts[name])]),
    )
    engines.load("mysql").load(into, backup)


def test_accounts_come_back_with_all_their_privileges(
    servers: tuple[RestoredMySQL, RestoredMySQL],
) -> None:
    """Users, roles, defaults, limits and privileges of every level are equal after a restore."""
    source, target = servers
    statements = [one.strip() for one in WHO.split(";\n") if one.strip()]
    rows(source.connection, "CREATE USER owner@`%` IDENTIFIED BY 'x'")
    for statement in CONTENT.split(";\n"):
        if statement.strip():
            rows(source.connection, statement.strip())
    for statement in statements:
        if not statement.startswith("CREATE USER owner"):
            rows(source.connection, statement)
    accounts = read_accounts(source.connection, leave_out=source.administrator)

    _restore(
        target,
        {
            ACCOUNTS: creation_script(accounts),
            DUMP: CONTENT.encode(),
            PRIVILEGES: privileges_script(accounts),
        },
    )

    restored = read_accounts(target.connection, leave_out=target.administrator)
    expected = Fingerprint.of(METHOD, system_clock(), (account.item for account in accounts))
    seen = Fingerprint.of(METHOD, system_clock(), (account.item for account in restored))
    assert [str(one) for one in compare(expected, seen).differences] == []
    assert len(accounts) >= 6

    rows(target.connection, "REVOKE SELECT ON app.* FROM reader")
    changed = read_accounts(target.connection, leave_out=target.administrator)
    seen = Fingerprint.of(METHOD, system_clock(), (account.item for account in changed))
    assert [one.name for one in compare(expected, seen).differences] == ["`reader`@`%`"]


@pytest.mark.parametrize(
    ("granted", "databases", "missing"),
    [
        (
            (
                "SELECT, SHOW VIEW, TRIGGER, EVENT, RELOAD, REPLICATION CLIENT,"
                " REPLICATION SLAVE ON *.*"
            ),
            (),
            (),
        ),
        ("ALL ON *.*", (), ()),
        (
            "SELECT, SHOW VIEW, EVENT, RELOAD, REPLICATION CLIENT, REPLICATION SLAVE ON *.*",
            (),
            ("TRIGGER on *.*",),
        ),
        ("SELECT, SHOW VIEW, TRIGGER, EVENT ON app.*", (), None),
        (
            "SELECT, SHOW VIEW, TRIGGER, EVENT ON `ap_`.*",
            ("app",),
            (
                "RELOAD or FLUSH_TABLES on *.*",
                "REPLICATION CLIENT on *.*",
                "REPLICATION SLAVE on *.*",
                "SELECT on mysql.* (or set source.accounts: false)",
            ),
        ),
    ],
)
def test_privileges_that_a_backup_needs_are_named(
    servers: tuple[RestoredMySQL, RestoredMySQL],
    granted: str,
    databases: tuple[str, ...],
    missing: tuple[str, ...] | None,
) -> None:
    """What a backup user lacks is named before a job would leave something out in silence."""
    server, _ = servers
    rows(server.connection, "CREATE USER b@localhost IDENTIFIED BY ''")
    rows(server.connection, f"GRANT {granted} TO b@localhost")
    assert server.sandbox.socket is not None
    connection = connect("b", "", socket=server.sandbox.socket)
    lacking = missing_privileges(
        connection, databases, accounts=True, binary_log=True, increments=True
    )
    assert value(connection, "SELECT CURRENT_USER()") == "b@localhost"
    connection.close()

    if missing is None:
        assert "SELECT on *.*" in lacking
    else:
        assert lacking == missing
