"""The accidents that can befall a living copy of a MySQL server, and the writer it serves."""

import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pymysql
from pymysql.connections import Connection

from restoreproof.engines.contract import Parts, Restored, SourceContext
from restoreproof.engines.contract_exercise import (
    EXERCISE,
    Accident,
    CannotBePlayed,
    LivingCopy,
)
from restoreproof.engines.mysql_connection import (
    among,
    connect,
    quoted,
    rows,
    user_databases,
    value,
)
from restoreproof.engines.mysql_dump import OPTIONS_FILE
from restoreproof.engines.mysql_output import stem_of_table
from restoreproof.engines.mysql_restored import RestoredMySQL
from restoreproof.engines.mysql_source import MySQLSource, ServerContainer
from restoreproof.fingerprint import Item
from restoreproof.outcomes import RestoreFailed
from restoreproof.storage import write_once

WRITTEN, BALLAST = f"{EXERCISE}.written", f"{EXERCISE}.ballast"
BALLAST_ROWS = 100
MOST_ROWS = 10_000
"""How much a bad statement changes: enough to be seen, and done at once."""
MOST_TABLE_ROWS = 1_000_000
"""Larger tables are left alone: an exercise is not to take longer than the restore."""
TRIES = 20
TICK = timedelta(seconds=1)
CHUNK_BYTES = 1024 * 1024
# What stands in no key and is not computed can be changed without breaking anything else.
COLUMNS = (
    "SELECT c.table_schema, c.table_name, c.column_name, c.is_nullable, c.data_type"
    " FROM information_schema.columns AS c JOIN information_schema.tables AS t"
    " USING (table_schema, table_name) WHERE t.table_type = 'BASE TABLE' AND t.engine = 'InnoDB'"
    " AND c.column_key = '' AND c.extra NOT LIKE '%%GENERATED%%' AND t.table_rows <= %s"
    " AND {of} ORDER BY t.table_rows DESC, c.ordinal_position LIMIT 500"
)
TABLES = (
    "SELECT t.table_schema, t.table_name FROM information_schema.tables AS t"
    " WHERE t.table_type = 'BASE TABLE' AND t.table_rows <= %s AND {of}"
    # A dump rounds FLOAT, so that such a table would come back otherwise.
    " ORDER BY EXISTS (SELECT 1 FROM information_schema.columns AS c WHERE data_type = 'float' AND"
    " (c.table_schema, c.table_name) = (t.table_schema, t.table_name)), t.table_rows DESC LIMIT 1"
)
EMPTIED = {"char": "''", "varchar": "''", "text": "''", "int": "0", "bigint": "0", "decimal": "0"}
"""What a bad statement writes into a column that takes no NULL."""


class LivingMySQL(LivingCopy):
    """A MySQL or MariaDB server that was restored and writes binary logs of its own."""

    restored: RestoredMySQL

    def __init__(
        self, restored: RestoredMySQL, context: SourceContext, connection: "Connection[Any]"
    ) -> None:
        self.restored, self.context = restored, context
        # Jobs of the copy back up its data alone, whatever came back beside it.
        restored.facts = {}
        self._connection = connection

    def prepare(self) -> None:
        self._run(
            f"CREATE DATABASE {EXERCISE}",
            f"CREATE TABLE {WRITTEN} (n INT PRIMARY KEY, at DATETIME(6) NOT NULL)",
            f"CREATE TABLE {BALLAST} (n INT PRIMARY KEY, note VARCHAR(80))",
            f"INSERT INTO {BALLAST} VALUES "
            + ", ".join(f"({n}, 'note {n}')" for n in range(BALLAST_ROWS)),
        )
        source = self.context.source
        assert isinstance(source, MySQLSource)
        if source.physical and self.restored.dialect.clones:
            known = "SELECT plugin_name FROM information_schema.plugins WHERE plugin_name = 'clone'"
            if not self._run(known):
                self._run("INSTALL PLUGIN clone SONAME 'mysql_clone.so'")

    def write(self, number: int) -> None:
        self._run(f"INSERT INTO {WRITTEN} VALUES ({number:d}, UTC_TIMESTAMP(6))")

    def written(self, restored: Restored) -> frozenset[int]:
        assert isinstance(restored, RestoredMySQL)
        try:
            found = rows(restored.connection, f"SELECT n FROM {WRITTEN}")
        except pymysql.MySQLError as error:
            raise RestoreFailed(f"{WRITTEN} cannot be read: {error.args[-1]}") from None
        return frozenset(int(number) for (number,) in found)

    def here(self) -> datetime | str | None:
        if not self.context.increments:
            return None
        if self.restored.dialect.gtid_sets:
            return str(value(self._connection, "SELECT @@GLOBAL.gtid_executed")).replace("\n", "")
        # Its logs note the second alone, which counts to its end: what comes next begins later.
        told: datetime = value(self._connection, "SELECT UTC_TIMESTAMP()")
        while value(self._connection, "SELECT UTC_TIMESTAMP()") < told + TICK:
            time.sleep(0.05)
        return told.replace(microsecond=999_999, tzinfo=UTC)

    def corrupt(self) -> Accident:
        where, databases = self._estates()
        found = self._run(COLUMNS.format(of=where), (MOST_TABLE_ROWS, *databases))
        candidates = [row for row in found if row[3] == "YES" or row[4] in EMPTIED][:TRIES]
        for database, table, column, nullable, kind in (
            *candidates,
            (EXERCISE, "ballast", "note", "YES", "varchar"),
        ):
            wrong = "NULL" if nullable == "YES" else EMPTIED[kind]
            if changed := self._update(quoted(database, table), quoted(column), wrong):
                told = f"one statement set {database}.{table}.{column} to {wrong} in {changed:,}"
                return Accident(f"{told} rows", f"{database}.{table}")
        raise CannotBePlayed("no table has a column that could be changed")

    def _update(self, table: str, column: str, wrong: str) -> int:
        other = f"{column} IS NOT NULL" if wrong == "NULL" else f"{column} <> {wrong}"
        statement = f"UPDATE {table} SET {column} = {wrong} WHERE {other} LIMIT {MOST_ROWS}"
        try:
            with self._connection.cursor() as cursor:
                return int(cursor.execute(statement))
        except pymysql.MySQLError:
            # A constraint or a trigger forbids it: the accident befalls another column.
            return 0

    def delete(self, but: str) -> Accident:
        where, databases = self._estates()
        chosen = f"{where} AND CONCAT(t.table_schema, '.', t.table_name) <> %s"
        found = self._run(TABLES.format(of=chosen), (MOST_TABLE_ROWS, *databases, but))
        database, table = found[0] if found else (EXERCISE, "ballast")
        if f"{database}.{table}" == but:
            raise CannotBePlayed("there is no other table that could be dropped")
        self._run("SET SESSION foreign_key_checks = 0", f"DROP TABLE {quoted(database, table)}")
        return Accident(f"the table {database}.{table} was dropped", f"{database}.{table}")

    def put_back(self, accident: Accident, restored: Restored, folder: Path) -> None:
        restored.write_out(folder, Parts(tables=(accident.part,)))
        database = accident.part.split(".", 1)[0]
        command = (
            self.restored.dialect.client,
            f"--defaults-extra-file={OPTIONS_FILE}",
            f"--socket={self.restored.socket}",
            "--init-command=SET SESSION sql_log_bin = 1",
            "--binary-mode",
            "--comments",
            "--default-character-set=utf8mb4",
            f"--database={database}",
        )
        dump = folder / f"{stem_of_table(accident.part)}.sql"
        loaded = self.restored.sandbox.run(command, feed=_chunks(dump))
        if loaded.exit_code != 0:
            raise RestoreFailed(f"{command[0]}, loading {dump.name}: {loaded.complaint}")

    def is_of(self, kind: str, name: str, part: str) -> bool:
        return kind == "table" and name == part

    def is_busy(self, item: Item) -> bool:
        # The administrator of the copy is an account like any other to what is restored of it.
        administrator = item.kind == "account" and self.restored.administrator in item.name
        return administrator or item.name == WRITTEN

    def _estates(self) -> tuple[str, tuple[str, ...]]:
        """SQL that holds for what is the estate's, and its values."""
        source = self.context.source
        assert isinstance(source, MySQLSource)
        known = source.databases or user_databases(self._connection)
        databases = tuple(one for one in known if one != EXERCISE)
        return among("t.table_schema", databases), databases

    def _run(self, *statements: str | tuple[Any, ...]) -> list[tuple[Any, ...]]:
        """Run statements as the copy's application would; a tuple holds the one's values."""
        texts = [one for one in statements if isinstance(one, str)]
        values = next((one for one in statements if isinstance(one, tuple)), ())
        found: list[tuple[Any, ...]] = []
        try:
            for text in texts:
                found = rows(self._connection, text, values)
        except pymysql.MySQLError as error:
            self.restored.sandbox.require_running()
            raise RestoreFailed(f"the living copy refused: {error.args[-1]}") from None
        return found


@contextmanager
def living(restored: Restored, context: SourceContext) -> Iterator[LivingMySQL]:
    """The living copy that a restored server is, in sandboxes that serve."""
    assert isinstance(restored, RestoredMySQL)
    assert isinstance(context.source, MySQLSource)
    host, port = restored.sandbox.address or ("", 0)
    user, password = restored.login["user"], restored.login["password"]
    databases = context.source.databases
    with context.sandboxes.folder() as folder:
        secret = folder / "password"
        write_once(secret, password.encode(), mode=0o600)
        source = MySQLSource(
            host=host,
            port=port,
            user=user,
            password=f"file:{secret}",
            databases=(*databases, EXERCISE) if databases else (),
            accounts=context.source.accounts,
            method="physical" if context.source.physical else "dump",
            data=ServerContainer(container=str(restored.sandbox.container.name))
            if context.source.physical and not restored.dialect.clones
            else None,
        )
        with closing(connect(user, password, host=host, port=port)) as connection:
            yield LivingMySQL(restored, _context_of(context, source), connection)


def _context_of(context: SourceContext, source: MySQLSource) -> SourceContext:
    """The context by which jobs reach a living copy: its data, as the policy wants it backed up."""
    return SourceContext(
        component=context.component,
        source=source,
        image=context.image,
        folder=context.folder,
        sandboxes=context.sandboxes,
        clock=context.clock,
        increments=context.increments and not source.databases,
    )


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            yield chunk
