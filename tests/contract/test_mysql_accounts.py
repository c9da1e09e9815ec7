"""Users, roles and privileges of a real server of MySQL and of MariaDB, in another one."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager

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
MYSQL = """
CREATE ROLE reader, `it's a ``role```;
GRANT SELECT ON app.* TO reader;
GRANT reader TO `it's a ``role```;
CREATE USER plain@localhost IDENTIFIED BY 'p%q"r\\\\s' COMMENT 'DEFAULT ROLE x REQUIRE ';
CREATE USER fond@`10.%` IDENTIFIED BY 'x' DEFAULT ROLE reader REQUIRE SSL
  WITH MAX_USER_CONNECTIONS 3 PASSWORD EXPIRE INTERVAL 90 DAY ACCOUNT LOCK;
GRANT reader TO fond@`10.%` WITH ADMIN OPTION;
GRANT SELECT (a), UPDATE (b) ON app.t TO owner@`%`;
GRANT EXECUTE ON PROCEDURE app.p TO plain@localhost WITH GRANT OPTION;
GRANT BACKUP_ADMIN ON *.* TO plain@localhost;
"""
MARIADB = """
CREATE ROLE reader;
CREATE ROLE `it's a ``role```;
GRANT SELECT ON app.* TO reader;
GRANT reader TO `it's a ``role```;
GRANT INSERT ON app.t TO PUBLIC;
CREATE USER plain@localhost IDENTIFIED BY 'p%q"r\\\\s';
CREATE USER either@localhost IDENTIFIED VIA unix_socket OR mysql_native_password
  USING PASSWORD('x');
CREATE USER fond@`10.%` IDENTIFIED BY 'x' REQUIRE SUBJECT 'a TO b' ISSUER 'it is'
  WITH MAX_USER_CONNECTIONS 3 ACCOUNT LOCK PASSWORD EXPIRE INTERVAL 90 DAY;
GRANT reader TO fond@`10.%` WITH ADMIN OPTION;
SET DEFAULT ROLE reader FOR fond@`10.%`;
GRANT SELECT (a), UPDATE (b) ON app.t TO owner@`%`;
GRANT EXECUTE ON PROCEDURE app.p TO plain@localhost WITH GRANT OPTION;
GRANT BINLOG MONITOR ON *.* TO plain@localhost;
GRANT PROXY ON plain@localhost TO either@localhost;
"""
IMAGES = {"MySQL": "restoreproof/mysql:9.7", "MariaDB": "restoreproof/mariadb:10.11"}


@pytest.fixture(scope="module")
def sandboxes() -> Sandboxes:
    """Throwaway servers."""
    return Sandboxes("test-accounts")


@contextmanager
def _servers(family: str, count: int, sandboxes: Sandboxes) -> Iterator[list[RestoredMySQL]]:
    engine, image = engines.load("mysql"), ensure(IMAGES[family], print)
    with ExitStack() as stack:
        made = [
            stack.enter_context(engine.provision(SOURCE, image, sandboxes)) for _ in range(count)
        ]
        yield [one for one in made if isinstance(one, RestoredMySQL)]


def _restore(into: RestoredMySQL, artifacts: Mapping[str, bytes]) -> None:
    backup = BackupToRestore(
        position="",
        source_version=into.server_version,
        facts={"accounts": "yes"},
        fingerprint=Fingerprint.of(METHOD, system_clock(), ()),
        read=lambda name: iter([artifacts[name]]),
        read_stored=lambda name: iter([zstandard.compress(artifacts[name])]),
    )
    engines.load("mysql").load(into, backup)


@pytest.mark.parametrize(
    ("family", "who", "reader"),
    [("MySQL", MYSQL, "`reader`@`%`"), ("MariaDB", MARIADB, "`reader`")],
)
def test_accounts_come_back_with_all_their_privileges(
    sandboxes: Sandboxes, family: str, who: str, reader: str
) -> None:
    """Users, roles, defaults, limits and privileges of every level are equal after a restore."""
    with _servers(family, 2, sandboxes) as (source, target):
        _accounts_come_back(source, target, who, reader)


def _accounts_come_back(
    source: RestoredMySQL, target: RestoredMySQL, who: str, reader: str
) -> None:
    rows(source.connection, "CREATE USER owner@`%` IDENTIFIED BY 'x'")
    for statement in (*CONTENT.split(";\n"), *who.split(";\n")):
        if statement.strip():
            rows(source.connection, statement.strip())
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
    assert [one.name for one in compare(expected, seen).differences] == [reader]


BACKUP = "SELECT, SHOW VIEW, TRIGGER, EVENT, RELOAD, REPLICATION CLIENT, REPLICATION SLAVE"
GRANTED: tuple[tuple[str, tuple[str, ...], dict[str, tuple[str, ...]]], ...] = (
    (f"{BACKUP} ON *.*", (), {}),
    ("ALL ON *.*", (), {}),
    (
        f"{BACKUP.replace(' TRIGGER,', '')} ON *.*",
        (),
        {"MySQL": ("TRIGGER on *.*",), "MariaDB": ("TRIGGER on *.*",)},
    ),
    (
        "SELECT, SHOW VIEW, TRIGGER, EVENT ON `ap_`.*",
        ("app",),
        {
            "MySQL": (
                "RELOAD or FLUSH_TABLES on *.*",
                "REPLICATION CLIENT on *.*",
                "REPLICATION SLAVE on *.*",
                "SHOW_ROUTINE on *.*",
                "SELECT on mysql.* (or set source.accounts: false)",
            ),
            "MariaDB": (
                "RELOAD on *.*",
                "BINLOG MONITOR on *.*",
                "REPLICATION SLAVE on *.*",
                "SELECT on mysql.proc",
                "SELECT on mysql.* (or set source.accounts: false)",
            ),
        },
    ),
)
# What else is enough to see the routines.
ROUTINES = {"MySQL": "SHOW_ROUTINE ON *.*", "MariaDB": "SELECT ON mysql.proc"}


@pytest.mark.parametrize("family", IMAGES)
def test_privileges_that_a_backup_needs_are_named(sandboxes: Sandboxes, family: str) -> None:
    """What a backup user lacks is named before a job would leave something out in silence."""
    with _servers(family, 1, sandboxes) as (server,):
        for number, (granted, databases, missing) in enumerate(GRANTED):
            user = f"b{number}@localhost"
            rows(server.connection, f"CREATE USER {user} IDENTIFIED BY ''")
            rows(server.connection, f"GRANT {granted} TO {user}")
            assert _lacking(server, user, databases) == missing.get(family, ()), granted

        rows(server.connection, f"GRANT {ROUTINES[family]} TO b3@localhost")
        assert not [
            one
            for one in _lacking(server, "b3@localhost", ("app",))
            if "OUTINE" in one or "proc" in one
        ]
        assert "SELECT on *.*" in _lacking(server, "b3@localhost", ())

        rows(server.connection, "CREATE ROLE backups")
        rows(server.connection, f"GRANT {BACKUP} ON *.* TO backups")
        rows(server.connection, "CREATE USER r@localhost IDENTIFIED BY ''")
        rows(server.connection, "GRANT backups TO r@localhost")
        assert "TRIGGER on *.*" in _lacking(server, "r@localhost", ())
        of = "TO" if family == "MySQL" else "FOR"
        rows(server.connection, f"SET DEFAULT ROLE backups {of} r@localhost")
        assert _lacking(server, "r@localhost", ()) == ()


def _lacking(server: RestoredMySQL, user: str, databases: tuple[str, ...]) -> tuple[str, ...]:
    assert server.sandbox.socket is not None
    name = user.removesuffix("@localhost")
    with closing(connect(name, "", socket=server.sandbox.socket)) as connection:
        assert value(connection, "SELECT CURRENT_USER()") == user
        return missing_privileges(
            connection, databases, accounts=True, binary_log=True, increments=True
        )
