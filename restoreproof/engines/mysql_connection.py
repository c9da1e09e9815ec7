"""Connections to MySQL servers, and their refusals in a user's words."""

import re
import ssl
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import pymysql
from pydantic import AfterValidator, WithJsonSchema
from pymysql.connections import Connection
from pymysql.constants import CLIENT

from restoreproof.errors import SourceUnavailable

# A digest must not depend on the session that takes it, nor end before it is done: each server
# takes its own comment for a setting and the other's for a comment.
SESSION = (
    "SET SESSION time_zone = '+00:00', SESSION sql_mode = '',"
    " SESSION group_concat_max_len = 67108864"
    " /*!80000 , SESSION max_execution_time = 0 */ /*M!101100 , SESSION max_statement_time = 0 */"
)
NO_SUCH_TABLE, TABLE_CHANGED = 1146, 1412
CHANGED_MEANWHILE = frozenset({NO_SUCH_TABLE, TABLE_CHANGED})
"""What a server answers whoever asks a snapshot for a table that was dropped or made since."""
SYSTEM_DATABASES = ("information_schema", "mysql", "performance_schema", "sys")
CONNECT_SECONDS = 10
ACCESS_DENIED = {1044, 1045, 1698}
ENCRYPTION = re.compile(r"\b(SSL|TLS|certificate)\b", re.IGNORECASE)

Row = tuple[Any, ...]


def _qualified(table: str) -> str:
    if not re.fullmatch(QUALIFIED, table):
        raise ValueError("not a table with its database; write database.table")
    return table


QUALIFIED = r"[^.`]+\.[^.`]+"
QualifiedTable = Annotated[
    str,
    AfterValidator(_qualified),
    WithJsonSchema({"type": "string", "pattern": f"^{QUALIFIED}$"}),
]


def connect(
    user: str,
    password: str,
    *,
    host: str | None = None,
    port: int = 3306,
    socket: Path | None = None,
    several: bool = False,
    encryption: ssl.SSLContext | None = None,
) -> "Connection[Any]":
    """A connection with the session settings that digests need. Raise pymysql.MySQLError.

    With ``several`` one query may hold several statements.
    Without ``encryption`` the connection is encrypted where the server can, and nothing verified.
    """
    return pymysql.connect(
        user=user,
        password=password,
        host=host,
        port=port,
        unix_socket=str(socket) if socket else None,
        ssl=encryption,
        connect_timeout=CONNECT_SECONDS,
        charset="utf8mb4",
        autocommit=True,
        init_command=SESSION,
        client_flag=CLIENT.MULTI_STATEMENTS if several else 0,
    )


def rows(connection: "Connection[Any]", statement: str, values: Sequence[Any] = ()) -> list[Row]:
    """All rows that a statement gives."""
    with connection.cursor() as cursor:
        # Without values a per cent sign is no placeholder.
        cursor.execute(statement, values or None)
        return list(cursor.fetchall())


def value(connection: "Connection[Any]", statement: str, values: Sequence[Any] = ()) -> Any:
    """The first column of the first row."""
    return rows(connection, statement, values)[0][0]


def quoted(*names: str) -> str:
    """A qualified name in backticks."""
    return ".".join("`" + name.replace("`", "``") + "`" for name in names)


def among(column: str, databases: Sequence[str]) -> str:
    """SQL that holds where the column is one of the databases, which are its values."""
    # No database at all is a legitimate answer, and IN () is no SQL.
    places = ", ".join(["%s"] * len(databases)) or "NULL"
    return f"{column} IN ({places})"


def user_databases(connection: "Connection[Any]") -> tuple[str, ...]:
    """All databases that are not the server's own, sorted."""
    names = (str(row[0]) for row in rows(connection, "SHOW DATABASES"))
    return tuple(sorted(name for name in names if name not in SYSTEM_DATABASES))


def refusal(error: pymysql.MySQLError, *, where: str, server: str) -> SourceUnavailable:
    """A server's refusal as one line with its mend. Never holds a password."""
    code = error.args[0] if error.args else None
    words = error.args[1] if len(error.args) > 1 else str(error)
    if code in ACCESS_DENIED:
        mend = "correct user and password in the policy's source section, or grant access"
        return SourceUnavailable(f"{server} refused the login: {words}", where=where, mend=mend)
    if ENCRYPTION.search(str(words)):
        mend = "correct tls in the policy's source section, or the server's certificate"
        return SourceUnavailable(f"{server} cannot be trusted: {words}", where=where, mend=mend)
    mend = "start the server, or correct host and port in the policy's source section"
    return SourceUnavailable(f"{server} cannot be reached: {words}", where=where, mend=mend)
