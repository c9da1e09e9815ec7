"""Users, roles and their privileges: read from a server, written into another.

mysqldump leaves them out. They stand in no snapshot, so they are read before and after a dump,
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
from restoreproof.fingerprint import Item

SYSTEM_ACCOUNTS = ("mysql.infoschema", "mysql.session", "mysql.sys")
# The roles must be there before an account can name one as its default.
DEFAULT_ROLE = re.compile(r" DEFAULT ROLE (?P<roles>.+?)(?= REQUIRE )")


@dataclass(frozen=True)
class Account:
    """A user or a role, as the statements that make it."""

    name: str
    created: str
    grants: tuple[str, ...]

    @property
    def item(self) -> Item:
        """The account in a fingerprint: by digest, since it holds a hash of the password."""
        text = "\n".join((self.created, *sorted(self.grants)))
        digest = hashlib.sha256(text.encode()).hexdigest()
        return Item(kind="account", name=self.name, digest=digest)


def read_accounts(connection: "Connection[Any]", *, leave_out: str = "") -> tuple[Account, ...]:
    """All accounts but the server's own and, of a sandbox, ours. Raise pymysql.MySQLError."""
    # Salts are bytes that no text can hold.
    rows(connection, "SET SESSION print_identified_with_as_hex = ON")
    found = []
    for user, host in rows(connection, "SELECT user, host FROM mysql.user ORDER BY user, host"):
        if user in SYSTEM_ACCOUNTS or user == leave_out:
            continue
        name = f"{_quoted(user)}@{_quoted(host)}"
        created = rows(connection, f"SHOW CREATE USER {name}")[0][0]
        grants = (str(line) for (line,) in rows(connection, f"SHOW GRANTS FOR {name}"))
        found.append(Account(name, str(created), tuple(grants)))
    return tuple(found)


def creation_script(accounts: Sequence[Account]) -> bytes:
    """SQL that makes the accounts: before the content, whose views and routines name them."""
    return _script(DEFAULT_ROLE.sub("", account.created) for account in accounts)


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
            rows(connection, f"GRANT PROXY ON ``@`` TO {account} WITH GRANT OPTION")


def clear_accounts(connection: "Connection[Any]", *, keep: str) -> None:
    """Drop every account of a sandbox but the server's own and ours."""
    for account in read_accounts(connection, leave_out=keep):
        rows(connection, f"DROP USER {account.name}")


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
