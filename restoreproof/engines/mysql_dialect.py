"""What differs between MySQL, MariaDB and their series: one table, an entry where one begins.

Programs and their options are those of the image, statements those of the server that is asked.
"""

import re
from dataclasses import dataclass, replace
from typing import Any

from pymysql.connections import Connection

VERSION = re.compile(r"^(?:5\.5\.5-)?(?P<major>\d+)\.(?P<minor>\d+)(?:\.(?P<patch>\d+))?")
SUPPORTED = "MySQL 8.0 and later, MariaDB 10.11 and later"
# MariaDB's BIT_XOR takes numbers of 64 bits, MySQL's any bytes.
FOUR_LANES = ", ".join(
    f"LPAD(HEX(BIT_XOR(CAST(CONV(SUBSTRING({{0}}, {at}, 16), 16, 10) AS UNSIGNED))), 16, '0')"
    for at in (1, 17, 33, 49)
)


class UnknownSeries(LookupError):
    """A server that no entry of the table describes. Its text names the server."""


@dataclass(frozen=True)
class Dialect:
    """How to speak with the servers of a family from one version on."""

    family: str
    since: tuple[int, int, int]
    server: str
    client: str
    dump: str
    log_reader: str
    log_reader_id: str
    """The log reader's option for the number by which a server knows it."""
    dump_options: tuple[str, ...]
    dump_position: tuple[str, ...]
    """Options that make a dump name its position, where there is a binary log."""
    log_status: str
    """The statement that names the binary log being written, in its first column."""
    gtid_sets: bool
    """Whether GTIDs make sets, which tell of every transaction whether it was executed."""
    identity: str
    """SQL for what no two servers share."""
    session: tuple[str, ...]
    """Settings of a session that reads the data dictionary."""
    account_session: tuple[str, ...]
    """Settings of a session that reads accounts."""
    exclusive_or: str
    """SQL that folds many SHA-256, in hex at ``{0}``, into one of 64 digits.

    If one of them is NULL the answer is shorter, or an error.
    """
    sandbox_options: tuple[str, ...]
    system_accounts: tuple[str, ...]
    anybody: str
    """The account for which root stands proxy."""
    roles_apart: bool
    """Whether roles are no users: made, shown and dropped by statements of their own."""
    own_grants: str
    """The statement that shows what the user asking may do."""
    locking: tuple[str, ...]
    """Privileges of which one is needed to take the global read lock."""
    reading_position: str
    """The privilege that is needed to read the position."""
    clones: bool
    """Whether its data directory is copied by a plugin of the server's own."""
    copying: str
    """The privilege that a copy of the data directory needs besides."""
    routines: tuple[tuple[str, str], ...]
    """Privileges, each with its level, of which one is needed to see every routine. SELECT on all
    databases will do too."""
    grants_file: str
    """The file of ours that grants what a backup needs."""


MYSQL_8_0 = Dialect(
    family="MySQL",
    since=(8, 0, 0),
    server="mysqld",
    client="mysql",
    dump="mysqldump",
    log_reader="mysqlbinlog",
    log_reader_id="--connection-server-id",
    dump_options=(),
    dump_position=("--master-data=2",),
    log_status="SHOW MASTER STATUS",
    gtid_sets=True,
    identity="@@GLOBAL.server_uuid",
    # Otherwise the server answers with figures up to a day old.
    session=("SET SESSION information_schema_stats_expiry = 0",),
    # Salts are bytes that no text can hold.
    account_session=("SET SESSION print_identified_with_as_hex = ON",),
    exclusive_or="HEX(BIT_XOR(IFNULL(UNHEX({0}), '')))",
    sandbox_options=(
        "--gtid-mode=ON",
        "--enforce-gtid-consistency=ON",
        # Relay logs of a source with the same id would be skipped in silence.
        "--replicate-same-server-id",
        "--secure-file-priv=NULL",
        # Otherwise what was taken back from an account on one database could not be taken here.
        "--loose-partial-revokes=ON",
        "--loose-mysqlx=OFF",
    ),
    system_accounts=("mysql.infoschema", "mysql.session", "mysql.sys"),
    anybody="``@``",
    roles_apart=False,
    own_grants="SHOW GRANTS FOR CURRENT_USER(){using}",
    locking=("RELOAD", "FLUSH_TABLES"),
    reading_position="REPLICATION CLIENT",
    clones=True,
    copying="BACKUP_ADMIN",
    routines=(("SHOW_ROUTINE", "*.*"),),
    grants_file="fixtures/agama/mysql/backup-user.sql",
)
MYSQL_8_0_26 = replace(MYSQL_8_0, since=(8, 0, 26), dump_position=("--source-data=2",))
MYSQL_8_2 = replace(MYSQL_8_0_26, since=(8, 2, 0), log_status="SHOW BINARY LOG STATUS")
MARIADB_10_11 = Dialect(
    family="MariaDB",
    since=(10, 11, 0),
    server="mariadbd",
    client="mariadb",
    dump="mariadb-dump",
    log_reader="mariadb-binlog",
    log_reader_id="--stop-never-slave-server-id",
    # Else the past of system-versioned tables is left out, and a table whose default is a
    # sequence's next value cannot be loaded: under LOCK TABLES the sequence is out of reach.
    dump_options=("--dump-history", "--skip-add-locks"),
    dump_position=("--master-data=2",),
    log_status="SHOW MASTER STATUS",
    gtid_sets=False,
    # No part of a data directory is visible that another could not share: a server is told
    # by its machine and its place there.
    identity="CONCAT(@@GLOBAL.hostname, ':', @@GLOBAL.port, ':', @@GLOBAL.datadir)",
    session=(),
    account_session=(),
    exclusive_or=f"IF(COUNT({{0}}) = COUNT(*), CONCAT({FOUR_LANES}), '')",
    sandbox_options=(
        # An empty folder that only root can write to, and MariaDB knows no NULL.
        "--secure-file-priv=/mnt",
        # Accounts that sign in with it can be made only where it is loaded; an image without it
        # starts all the same.
        "--plugin-load-add=auth_ed25519",
    ),
    system_accounts=("mariadb.sys",),
    anybody="``@`%`",
    roles_apart=True,
    own_grants="SHOW GRANTS",
    locking=("RELOAD",),
    reading_position="BINLOG MONITOR",
    clones=False,
    copying="PROCESS",
    routines=(("SELECT", "`mysql`.*"), ("SELECT", "`mysql`.`proc`")),
    grants_file="fixtures/agama/mysql/backup-user-mariadb.sql",
)
MARIADB_11_3 = replace(
    MARIADB_10_11,
    since=(11, 3, 0),
    routines=(*MARIADB_10_11.routines, ("SHOW CREATE ROUTINE", "*.*")),
)
DIALECTS = (MYSQL_8_0, MYSQL_8_0_26, MYSQL_8_2, MARIADB_10_11, MARIADB_11_3)


def dialect(version: str) -> Dialect:
    """The dialect of a server by its own words for its version. Raise UnknownSeries."""
    family, number = _parsed(version)
    fitting = [one for one in DIALECTS if one.family == family and one.since <= number]
    if not fitting:
        raise UnknownSeries(name(version))
    return fitting[-1]


def spoken(connection: "Connection[Any]") -> Dialect:
    """The dialect of the server at the other end. Raise UnknownSeries."""
    return dialect(str(connection.get_server_info()))  # type: ignore[no-untyped-call]  # the library has no types for it


def name(version: str) -> str:
    """A server in a reader's words, such as 'MariaDB 10.11.18'."""
    family, number = _parsed(version)
    return f"{family} {'.'.join(map(str, number))}"


def unfit(source: str, target: str) -> str:
    """Why a server cannot take over from another, by their versions; empty where it can.

    Within a family a later series reads what an earlier one wrote, never the reverse.
    """
    (family, number), (other_family, other) = _parsed(source), _parsed(target)
    if family != other_family:
        return f"{name(target)} does not take a backup of {name(source)}"
    if other[:2] < number[:2]:
        return f"{name(target)} is older than {name(source)}, of which the backup is"
    return ""


def _parsed(version: str) -> tuple[str, tuple[int, int, int]]:
    found = VERSION.match(version)
    if found is None:
        raise UnknownSeries(f"a server of version {version!r}")
    family = "MariaDB" if "mariadb" in version.lower() else "MySQL"
    return family, (int(found["major"]), int(found["minor"]), int(found["patch"] or 0))
