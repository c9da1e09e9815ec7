"""A throwaway MySQL server, and what it answers."""

import re
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import pymysql
from pymysql.connections import Connection

from restoreproof.breakdown import narrowed
from restoreproof.engines import mysql_join_mariadb
from restoreproof.engines.contract import BackupToRestore, Parts, Restored, SourceContext
from restoreproof.engines.mysql_accounts import clear_accounts, make_administrator, read_accounts
from restoreproof.engines.mysql_configuration import check_configuration
from restoreproof.engines.mysql_connection import (
    SESSION,
    quoted,
    rows,
    user_databases,
    value,
)
from restoreproof.engines.mysql_dialect import Dialect, spoken, unfit
from restoreproof.engines.mysql_dump import OPTIONS_FILE
from restoreproof.engines.mysql_fingerprint import (
    METHOD,
    content_items,
    counter_items,
    gtid_executed,
)
from restoreproof.engines.mysql_health import TableCheck, Usefulness, check_tables, write_and_read
from restoreproof.engines.mysql_join import Joined, join, why_not_join
from restoreproof.engines.mysql_logs import (
    LogsCheck,
    check_logs,
    restore_server_logs,
    server_log_items,
)
from restoreproof.engines.mysql_option_files import ConfigurationCheck
from restoreproof.engines.mysql_output import write_dumps
from restoreproof.engines.mysql_reach import reach_files
from restoreproof.engines.mysql_readers import readers
from restoreproof.engines.mysql_row_digests import differing_rows
from restoreproof.engines.mysql_settings import take_settings
from restoreproof.engines.mysql_source import MySQLSource, newest_heartbeat, options_file
from restoreproof.engines.mysql_start import RELAXED, connect_to
from restoreproof.engines.mysql_tables import read_tables
from restoreproof.engines.stored_configuration import configuration_items, restore_configuration
from restoreproof.fingerprint import Fingerprint, Item
from restoreproof.outcomes import BackupFailed, RestoreFailed
from restoreproof.references import SourceModel
from restoreproof.sandbox import Sandbox
from restoreproof.storage import write_once

AS_SERVED = "SET SESSION sql_mode = @@GLOBAL.sql_mode, SESSION time_zone = @@GLOBAL.time_zone"
CONNECTION_LOST = (2006, 2013)
# Else a client of this machine would obey commands such as \\! in a dump.
HOSTILE = b"[mysql]\nbinary-mode\nlocal-infile=0\n"
UNKNOWN_DATABASE = re.compile(r"Unknown database '([^']+)'")


class RestoredMySQL(Restored):
    """A MySQL server in its sandbox."""

    connection: "Connection[Any]"
    dialect: Dialect

    def __init__(self, sandbox: Sandbox, administrator: str) -> None:
        self.sandbox = sandbox
        self.administrator = administrator
        self.with_accounts = False
        self.facts: Mapping[str, str] = {}
        self.backup: BackupToRestore | None = None
        """The last one that was loaded or replayed."""
        self.file_position = ""
        """Where a source without GTIDs stood, as a dump and the logs after it say."""
        self.log_identity = ""
        """What tells the log of that position from another of its name."""
        self.server_version = self.identity = ""
        self.isolation = sandbox.isolation
        self.limits = f"{sandbox.limits.describe()}; {RELAXED}"

    def serve(self, connection: "Connection[Any]", password: str) -> None:
        """Take the administrator's connection to the running server, and his password."""
        self.connection = connection
        self.login = {"user": self.administrator, "password": password}
        self.connect_again = partial(
            connect_to, self.sandbox, self.administrator, password, several=True
        )
        self.server_version = str(value(connection, "SELECT VERSION()"))
        self.dialect = spoken(connection)
        self.identity = str(value(connection, f"SELECT {self.dialect.identity}"))

    def note(self, how: str) -> None:
        """Have the report say how the server was filled."""
        if how not in self.limits:
            self.limits += f"; {how}"

    @property
    def socket(self) -> str:
        """The path of the server's Unix socket inside the sandbox."""
        return str(value(self.connection, "SELECT @@GLOBAL.socket"))

    @property
    def position(self) -> str:
        """The restored server's executed GTID set; log and position of a source without."""
        return self.file_position or gtid_executed(self.connection)

    def answer(self) -> str:
        try:
            tables = rows(
                self.connection,
                "SELECT table_schema, table_name FROM information_schema.tables"
                " WHERE table_type IN ('BASE TABLE', 'SYSTEM VERSIONED') AND table_schema NOT IN"
                " ('mysql', 'sys', 'performance_schema') ORDER BY 1, 2",
            )
            for table in tables:
                # The row stays there: the driver takes a VECTOR for text and fails on it.
                one = f"(SELECT * FROM {quoted(*table)} LIMIT 1)"
                rows(self.connection, f"SELECT COUNT(*) FROM {one} AS one")
        except pymysql.MySQLError as error:
            self.sandbox.require_running()
            raise RestoreFailed(f"the restored server does not answer: {error.args[-1]}") from None
        return f"read a row of each of {len(tables)} tables"

    def fingerprint(self, expected: Fingerprint) -> Fingerprint:
        try:
            databases = user_databases(self.connection)
            counters = tuple(counter_items(self.connection, databases))
            known = {item.name: item.breakdown for item in expected.items if item.kind == "table"}
            with readers(self.connect_again) as several:
                items = list(content_items(several, databases, counters, known=known))
            if self.with_accounts:
                accounts = read_accounts(self.connection, leave_out=self.administrator)
                items += [account.item for account in accounts]
            items += configuration_items(self.sandbox, self.facts)
            items += server_log_items(self.sandbox, self.facts)
        except (pymysql.MySQLError, BackupFailed) as error:
            self.sandbox.require_running()
            raise RestoreFailed(f"the restored content cannot be read: {error}") from None
        return Fingerprint.of(METHOD, expected.taken_at, items)

    def narrow(self, expected: Item, seen: Item, *, show_values: bool) -> str:
        before, after = expected.breakdown, seen.breakdown
        if self.backup is None or expected.kind != "table" or before is None or after is None:
            return super().narrow(expected, seen, show_values=show_values)
        places = None
        if before.by != "rows":
            tables = read_tables(self.connection, user_databases(self.connection))
            table = next(one for one in tables if one.label == expected.name)
            places = differing_rows(
                self.connection, table, before, after, self.backup, show_values=show_values
            )
        return narrowed(before, after, show_values=show_values, known=places)

    def newest_heartbeat(self, source: SourceModel) -> datetime | None:
        return newest_heartbeat(self.connection, source)

    def access(self, folder: Path) -> tuple[str, ...]:
        host, port = self.sandbox.address or ("localhost", 3306)
        place: dict[str, str | int] = {"host": host, "port": port}
        if self.sandbox.socket is not None:
            place = {"socket": str(self.sandbox.socket)}
        options = folder / "client.cnf"
        write_once(options, options_file(**self.login, **place), mode=0o600)
        client, name = self.dialect.client, self.sandbox.container.name
        inside = f"--defaults-extra-file={OPTIONS_FILE} --socket={self.socket}"
        return (
            f"{self.server_version} in container {name}: {self.isolation}",
            f"it stands at {self.position or 'no position'}",
            f"log in: {client} --defaults-extra-file={options}",
            f"or:     docker exec -it {name} {client} {inside}",
            *(["the source's accounts are there with their passwords"] * self.with_accounts),
        )

    def reach(self, folder: Path) -> Mapping[str, str]:
        host, port = self.sandbox.address or ("localhost", 3306)
        place: dict[str, str | int] = {"host": host, "port": port, "protocol": "tcp"}
        if self.sandbox.socket is not None:
            place = {"host": host, "socket": str(self.sandbox.socket), "protocol": "socket"}
        return reach_files(folder, self.login, place, HOSTILE) | {
            "port": str(port),
            "socket": str(self.sandbox.socket or ""),
            "container": str(self.sandbox.container.name),
        }

    def take(self, backup: BackupToRestore) -> None:
        reason = backup.source_version and unfit(backup.source_version, self.server_version)
        if reason:
            raise RestoreFailed(f"{reason}: name an image of the source's own series")
        self.with_accounts = backup.facts.get("accounts") == "yes"
        if self.with_accounts:
            # Else those of the image would stand for accounts that did not come back.
            clear_accounts(self.connection, keep=self.administrator)
        self.take_files(backup)

    def help_with(self, complaint: str) -> str:
        unknown = UNKNOWN_DATABASE.search(complaint)
        if unknown is None:
            return ""
        rows(self.connection, f"CREATE DATABASE {quoted(unknown[1])}")
        done = f"the empty database {unknown[1]} was made by hand, since the restore names it"
        self.note(done)
        return done

    def settle(self, backup: BackupToRestore) -> None:
        try:
            self.connect_again().close()
        except pymysql.MySQLError:
            # A dump of the server's own tables took our account away.
            make_administrator(self.connection, self.administrator, str(self.login["password"]))
            self.connect_again().close()

    def write_out(self, folder: Path, parts: Parts) -> tuple[str, ...]:
        try:
            return write_dumps(
                self.connection,
                self.sandbox,
                self.dialect,
                self.socket,
                folder,
                parts,
                accounts_but=self.administrator if self.with_accounts else None,
            )
        except pymysql.MySQLError as error:
            self.sandbox.require_running()
            raise RestoreFailed(f"the restored content cannot be read: {error}") from None

    def take_files(self, backup: BackupToRestore) -> None:
        """Put configuration and logs of a backup beside the server, and take its settings.

        Raise RestoreFailed.
        """
        if not backup.overtaken:
            restore_configuration(self.sandbox, backup)
            restore_server_logs(self.sandbox, backup)
        for limit in take_settings(self.connection, backup):
            self.note(limit)
        self.facts, self.backup = backup.facts, backup

    def check_configuration(self) -> ConfigurationCheck:
        """What the server says of the configuration that came back. Raise RestoreFailed."""
        return check_configuration(self.sandbox, self.facts)

    def check_logs(self) -> LogsCheck:
        """What the logs hold that came back. Raise RestoreFailed."""
        return check_logs(self.sandbox, self.facts)

    def check_tables(self) -> TableCheck:
        """What CHECK TABLE says of everything. Raise RestoreFailed if the server dies of it."""
        try:
            # Without its accounts a restored server has no definer for its views either.
            return check_tables(self.connection, views=self.with_accounts)
        except pymysql.MySQLError as error:
            lost = error.args[0] in CONNECTION_LOST
            words = (self.sandbox.words_of_a_crash("[ERROR]") if lost else "") or str(
                error.args[-1]
            )
            raise RestoreFailed(f"CHECK TABLE broke off: {words}") from None

    def write_and_read(self, source: SourceModel) -> Usefulness:
        """Write and read as the application does. Raise RestoreFailed with the server's words."""
        assert isinstance(source, MySQLSource)
        # As an application finds the server that names nothing for its session.
        with suppress(pymysql.MySQLError):
            rows(self.connection, AS_SERVED)
        try:
            return write_and_read(self.connection, source.probe_query)
        finally:
            with suppress(pymysql.MySQLError):
                rows(self.connection, SESSION)

    def why_not_join(self, context: SourceContext) -> str:
        """Why the server cannot be tried as a replica of its source; empty if it can be.

        Raise RestoreFailed if it holds what the source never had.
        """
        if not self.dialect.gtid_sets:
            return mysql_join_mariadb.why_not_join(self.position, self.log_identity, context)
        return why_not_join(self.connection, self.position, context)

    def join(self, context: SourceContext) -> Joined:
        """Catch up with the source as its replica, and leave. Raise RestoreFailed if it cannot."""
        if not self.dialect.gtid_sets:
            return mysql_join_mariadb.join(self.connection, self.sandbox, self.position, context)
        return join(self.connection, self.sandbox, context)
