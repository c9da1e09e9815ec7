"""Heartbeats that we write into a table of ours at a MySQL source: one row a beat."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from typing import Any

import pymysql
from pymysql.connections import Connection

from restoreproof.engines.contract import SourceContext
from restoreproof.engines.mysql_connection import quoted
from restoreproof.engines.mysql_source import Heartbeat, connect_as, source_of
from restoreproof.errors import SourceUnavailable


def beat(context: SourceContext, at: datetime) -> None:
    """Write one row with this instant. Raise SourceUnavailable with the server's words."""
    with _writing(context) as (connection, heartbeat):
        table, column = _names(heartbeat)
        statement = f"INSERT INTO {table} ({column}) VALUES (%s)"
        with connection.cursor() as cursor:
            cursor.execute(statement, (at.astimezone(UTC).replace(tzinfo=None),))
        connection.commit()


def clear(context: SourceContext) -> int:
    """Remove every row but the newest and return how many. Raise SourceUnavailable."""
    with _writing(context) as (connection, heartbeat):
        table, column = _names(heartbeat)
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT MAX({column}) FROM {table}")
            (newest,) = cursor.fetchone() or (None,)
            removed: int = cursor.execute(f"DELETE FROM {table} WHERE {column} < %s", (newest,))
        connection.commit()
        return removed


def _names(heartbeat: Heartbeat) -> tuple[str, str]:
    return quoted(*heartbeat.table.split(".")), quoted(heartbeat.column)


@contextmanager
def _writing(context: SourceContext) -> Iterator[tuple["Connection[Any]", Heartbeat]]:
    heartbeat = source_of(context).heartbeat
    assert heartbeat is not None
    assert heartbeat.writer is not None
    user = context.text(heartbeat.writer.user)
    password = context.secret(heartbeat.writer.password) if heartbeat.writer.password else ""
    try:
        with closing(connect_as(context, user, password)) as connection:
            yield connection, heartbeat
    except pymysql.MySQLError as error:
        mend = "make the table and grant this user SELECT, INSERT, DELETE on it: heartbeat-user.sql"
        what = f"heartbeat {heartbeat.table}: {error.args[-1]}"
        raise SourceUnavailable(what, where=f"component {context.component}", mend=mend) from None
