"""Whether a user of MySQL or MariaDB may see and lock all that a backup has to hold.

A dump leaves out what its user may not see, and ends without an error: without TRIGGER every
trigger is missing from it, and from the same user's fingerprint too. So the privileges
are asked for before the job, not inferred from its silence.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from pymysql.connections import Connection

from restoreproof.engines.mysql_connection import SYSTEM_DATABASES, rows, value
from restoreproof.engines.mysql_dialect import spoken

GRANT = re.compile(r"^(GRANT|REVOKE) (.+?) ON (.+?) (?:TO|FROM) ")
LEVEL = re.compile(r"^`(?P<database>(?:[^`]|``)+)`\.\*$")
IN_DATABASES = ("SELECT", "SHOW VIEW", "TRIGGER", "EVENT")
LOGS = "REPLICATION SLAVE"
EVERYTHING = "ALL PRIVILEGES"


def missing_privileges(
    connection: "Connection[Any]",
    databases: Sequence[str],
    *,
    accounts: bool,
    binary_log: bool,
    increments: bool,
    physical: bool = False,
    join: bool = False,
) -> tuple[str, ...]:
    """What a backup needs and the connection's user lacks, such as 'TRIGGER on *.*'.

    Without ``databases`` all are to be backed up, and then rights on single ones are not
    enough: the user would not see that there are others.
    """
    dialect = spoken(connection)
    rights = list(_rights(connection))
    granted = [(level, privilege) for verb, level, privilege in rights if verb == "GRANT"]
    everywhere = {privilege for level, privilege in granted if level == "*.*"}
    missing = []
    if EVERYTHING not in everywhere:
        if not everywhere.intersection(dialect.locking):
            missing.append(f"{' or '.join(dialect.locking)} on *.*")
        if binary_log and dialect.reading_position not in everywhere:
            missing.append(f"{dialect.reading_position} on *.*")
        if (increments or physical or join) and LOGS not in everywhere:
            missing.append(f"{LOGS} on *.*")
        if physical and dialect.copying not in everywhere:
            missing.append(f"{dialect.copying} on *.*")
    for privilege in IN_DATABASES:
        lacking = _lacking(privilege, everywhere, granted, databases)
        missing += [f"{privilege} on {level}" for level in lacking]
    if not everywhere.intersection(("SELECT", EVERYTHING)) and not any(
        (level, privilege) in granted for privilege, level in dialect.routines
    ):
        privilege, level = dialect.routines[-1]
        missing.append(f"{privilege} on {level.replace('`', '')}")
    for verb, level, privilege in rights:
        # Partial revokes: what is held on all databases, and was taken back on one of them.
        if verb == "REVOKE" and _is_wanted(level, privilege, databases, accounts=accounts):
            missing.append(f"{privilege} on {level}")
    if accounts and _lacking("SELECT", everywhere, granted, ("mysql",)):
        missing.append("SELECT on mysql.* (or set source.accounts: false)")
    return tuple(dict.fromkeys(missing))


def may_replicate(connection: "Connection[Any]") -> bool:
    """Whether the connection's user may read the binary logs as a replica does."""
    return any(
        (verb, level) == ("GRANT", "*.*") and privilege in (LOGS, EVERYTHING)
        for verb, level, privilege in _rights(connection)
    )


def _lacking(
    privilege: str,
    everywhere: set[str],
    granted: Iterable[tuple[str, str]],
    databases: Sequence[str],
) -> list[str]:
    if everywhere.intersection((privilege, EVERYTHING)):
        return []
    if not databases:
        return ["*.*"]
    levels = [level for level, held in granted if held in (privilege, EVERYTHING)]
    return [
        f"{database}.*"
        for database in databases
        if not any(_covers(level, database) for level in levels)
    ]


def _is_wanted(level: str, privilege: str, databases: Sequence[str], *, accounts: bool) -> bool:
    match = LEVEL.match(level)
    if match is None or privilege not in IN_DATABASES:
        return False
    database = match["database"].replace("``", "`")
    if database in SYSTEM_DATABASES:
        return accounts and (database, privilege) == ("mysql", "SELECT")
    return database in databases or not databases


def _rights(connection: "Connection[Any]") -> Iterator[tuple[str, str, str]]:
    """GRANT or REVOKE, level and privilege of all that the user holds, active roles included."""
    roles = value(connection, "SELECT CURRENT_ROLE()")
    using = "" if roles in (None, "NONE") else f" USING {roles}"
    for (line,) in rows(connection, spoken(connection).own_grants.format(using=using)):
        match = GRANT.match(str(line))
        if match:
            # A list of dynamic privileges has no spaces.
            for privilege in re.split(", ?", match[2]):
                yield match[1], match[3], privilege


def _covers(level: str, database: str) -> bool:
    """Whether a level such as `app\\_%`.* includes a database; % and _ are wildcards."""
    match = LEVEL.match(level)
    if match is None:
        return False
    pattern, name = "", match["database"].replace("``", "`")
    for part in re.findall(r"\\.|[%_]|[^\\%_]+", name):
        pattern += {"%": ".*", "_": "."}.get(part) or re.escape(part.removeprefix("\\"))
    return re.fullmatch(pattern, database) is not None
