"""Users, roles and their privileges: read from a server, written into another.

A dump leaves them out. They stand in no snapshot, so they are read before and after a dump,
and what changed in between is undecided.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import pymysql
from pymysql.connections import Connection

from restoreproof.engines.mysql_connection import rows
from restoreproof.engines.mysql_dialect import Dialect, spoken
from restoreproof.fingerprint import Item

# The role that everybody has in MariaDB: nobody makes it, and it is not there until it may do
# something.
PUBLIC = "PUBLIC"
# The roles must be there before an account can name one as its default.
DEFAULT_ROLE = re.compile(r" DEFAULT ROLE (?P<roles>.+?)(?= REQUIRE )")


@dataclass(frozen=True)
class Account:
    """A user or a role, as the statements that make it and give it what it may do.

    ``created`` is empty for what need not be made.
    """

    name: str
    created: str
    grants: tuple[str, ...]
    kind: str = "USER"

    @property
    def item(self) -> Item:
        """The account in a fingerprint: by digest, since it holds a hash of the password."""
        text = "\n".join((self.created, *sorted(self.grants)))
        digest = hashlib.sha256(text.encode()).hexdigest()
        return Item(kind="account", name=self.name, digest=digest)


def read_accounts(connection: "Connection[Any]", *, leave_out: str = "") -> tuple[Account, ...]:
    """All accounts but the server's own and, of a sandbox, ours. Raise pymysql.MySQLError."""
    dialect = spoken(connection)
    left_out = {*dialect.system_accounts, leave_out}
    found = _listed(connection, dialect)
    return tuple(account for user, account in found if user not in left_out)


def _listed(connection: "Connection[Any]", dialect: Dialect) -> Iterator[tuple[str, Account]]:
    for setting in dialect.account_session:
        rows(connection, setting)
    is_role = "is_role = 'Y'" if dialect.roles_apart else "FALSE"
    statement = f"SELECT user, host, {is_role} FROM mysql.user ORDER BY user, host"
    for user, host, role in rows(connection, statement):
        if role:
            yield from ((user, account) for account in _role(connection, user))
            continue
        name = f"{_quoted(user)}@{_quoted(host)}"
        created = rows(connection, f"SHOW CREATE USER {name}")[0][0]
        grants = (str(line) for (line,) in rows(connection, f"SHOW GRANTS FOR {name}"))
        yield user, Account(name, str(created), tuple(grants))


def _role(connection: "Connection[Any]", user: str) -> Iterator[Account]:
    """A role of MariaDB, which is no user; none where it is the one that need not be there."""
    name = user if user == PUBLIC else _quoted(user)
    lines = (str(line) for (line,) in rows(connection, f"SHOW GRANTS FOR {name}"))
    # What a role has from other roles is theirs.
    own = tuple(line for line in lines if re.search(rf" TO {re.escape(name)}(?: WITH |$)", line))
    if user != PUBLIC:
        yield Account(name, f"CREATE ROLE {name}", own, "ROLE")
    elif own:
        yield Account(name, "", own, "ROLE")


def creation_script(accounts: Sequence[Account]) -> bytes:
    """SQL that makes the accounts: before the content, whose views and routines name them."""
    return _script(DEFAULT_ROLE.sub("", account.created) for account in accounts if account.created)


def privileges_script(accounts: Sequence[Account]) -> bytes:
    """SQL that gives the accounts their privileges: after the tables and routines they name."""
    return _script(_privileges(accounts))


def make_administrator(connection: "Connection[Any]", name: str, password: str) -> None:
    """Make an account of ours in a sandbox, with all privileges there are."""
    for host in ("localhost", "%"):
        account = f"{_quoted(name)}@{_quoted(host)}"
        made = f"CREATE USER {account.replace('%', '%%')} IDENTIFIED BY %s"
        rows(connection, made, (password,))
        rows(connection, f"GRANT ALL ON *.* TO {account} WITH GRANT OPTION")
        # Not among all privileges, and only root at the machine itself can pass it on.
        with suppress(pymysql.MySQLError):
            anybody = spoken(connection).anybody
            rows(connection, f"GRANT PROXY ON {anybody} TO {account} WITH GRANT OPTION")


def clear_accounts(connection: "Connection[Any]", *, keep: str) -> None:
    """Drop every account of a sandbox but the server's own and ours."""
    for account in read_accounts(connection, leave_out=keep):
        rows(connection, f"DROP {account.kind} {account.name}")


@contextmanager
def lent_privileges(connection: "Connection[Any]", *, keep: str) -> Iterator[None]:
    """Let every account do everything while content is loaded into a sandbox.

    A view cannot be made while its definer has no privileges on what it shows, and privileges
    on tables and routines cannot be given before these are there.
    """
    names = [account.name for account in read_accounts(connection, leave_out=keep)]
    for name in names:
        rows(connection, f"GRANT ALL ON *.* TO {name}")
    yield
    for name in names:
        rows(connection, f"REVOKE ALL PRIVILEGES, GRANT OPTION FROM {name}")


def _script(statements: Iterable[str]) -> bytes:
    return "".join(f"{statement};\n" for statement in statements).encode()


def _privileges(accounts: Sequence[Account]) -> Iterator[str]:
    for account in accounts:
        # REVOKE lines take back part of what a GRANT before them gave.
        yield from sorted(account.grants, key=lambda line: not line.startswith("GRANT"))
    for account in accounts:
        if match := DEFAULT_ROLE.search(account.created):
            yield f"ALTER USER {account.name} DEFAULT ROLE {match['roles']}"


def _quoted(name: str) -> str:
    return "`" + str(name).replace("`", "``") + "`"
