"""Several connections that fill tables of a sandbox at once, each statement as the dump has it.

The first error of any of them is the load's error, and ends it.
"""

import threading
from collections import deque
from collections.abc import Callable
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Any, Self

import pymysql
from pymysql.connections import Connection

from restoreproof.engines.mysql_connection import rows
from restoreproof.engines.mysql_table_plan import Session, TablePlan, same_definition, show_create
from restoreproof.outcomes import RestoreFailed

QUEUED_BYTES = 8 * 1024**2
BATCH_BYTES = 1024**2
"""A dump with a row a statement is sent so much at a time."""
LOCK_SECONDS = 600
TRIES = 5
LOST_RACES = {1205, 1213}
"""Lock wait timeout and deadlock: the statement was rolled back and can be sent again."""
CLIENT_GONE = (pymysql.MySQLError, OSError)

Connect = Callable[[], "Connection[Any]"]


@dataclass(eq=False)
class LoadingTable:
    """A table under way: how many batches are not done yet, and whether more may come."""

    plan: TablePlan
    batches: int = 0
    complete: bool = False


@dataclass
class _Batch:
    """Statements for one connection; none at all stands for bringing the keys back."""

    table: LoadingTable
    statements: list[bytes] = field(default_factory=list)
    size: int = 0


class Loaders:
    """The connections and their threads, for the length of a ``with`` block."""

    def __init__(self, connect: Connect, number: int) -> None:
        self._connect = connect
        self._number = number
        self._changed = threading.Condition()
        self._queue = deque[_Batch]()
        self._queued_bytes = 0
        self._unfinished = list[LoadingTable]()
        self._failure: Exception | None = None
        self._stopped = False
        self._connections = list["Connection[Any]"]()
        self._threads = list[threading.Thread]()
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with self._stack:
            # One more, which prepares tables, and ends what still runs after an error.
            for _ in range(self._number + 1):
                connection = self._stack.enter_context(closing(self._connect()))
                self._connections.append(connection)
                rows(connection, "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")
                rows(connection, f"SET SESSION lock_wait_timeout = {LOCK_SECONDS}")
                with suppress(pymysql.MySQLError):  # MariaDB has no such variables
                    rows(connection, f"SET SESSION innodb_ddl_threads = {self._number}")
                    rows(connection, f"SET innodb_parallel_read_threads = {self._number}")
            self._own, *workers = self._connections
            for connection in workers:
                thread = threading.Thread(target=self._work, args=(connection,), daemon=True)
                thread.start()
                self._threads.append(thread)
            self._stack = self._stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with self._changed:
            self._stopped = True
            self._queue.clear()
            self._changed.notify_all()
        with self._stack:
            if error is not None:
                for connection in self._connections[1:]:
                    with suppress(*CLIENT_GONE):
                        number = connection.thread_id()  # type: ignore[no-untyped-call]  # PyMySQL's stubs lack it
                        rows(self._own, f"KILL {number}")
            for thread in self._threads:
                thread.join()

    @property
    def own(self) -> "Connection[Any]":
        """A connection beside those that load, for questions about tables."""
        return self._own

    def server_works(self) -> bool:
        """Whether the server is executing anything."""
        statement = (
            "SELECT COUNT(*) FROM information_schema.processlist"
            " WHERE id <> CONNECTION_ID() AND command NOT IN ('Sleep', 'Daemon')"
        )
        return bool(rows(self._own, statement)[0][0])

    @property
    def unfinished(self) -> tuple[LoadingTable, ...]:
        """The tables whose rows or keys are not all there yet."""
        with self._changed:
            return tuple(self._unfinished)

    def begin(self, plan: TablePlan) -> LoadingTable:
        """Take the keys that can wait away from an empty table; where it is refused, none."""
        if plan.drop:
            self._enter_neutral(self._own, plan)
            try:
                rows(self._own, plan.drop)
            except pymysql.MySQLError:
                plan = replace(plan, drop="", add="")
        table = LoadingTable(plan)
        with self._changed:
            self._unfinished.append(table)
        return table

    def load(self, table: LoadingTable, statement: bytes) -> None:
        """Have a statement executed by whichever connection is free. Raise what went wrong."""
        with self._changed:
            last = self._queue[-1] if self._queue else None
            fits = last and last.table is table and last.size + len(statement) <= BATCH_BYTES
            if last and fits and last.statements:
                last.statements.append(statement)
                last.size += len(statement)
            else:
                self._changed.wait_for(
                    lambda: (
                        self._failure
                        or not self._queue
                        or self._queued_bytes + len(statement) <= QUEUED_BYTES
                    )
                )
                table.batches += 1
                self._queue.append(_Batch(table, [statement], len(statement)))
                self._changed.notify_all()
            self._queued_bytes += len(statement)
        self.check()

    def complete(self, table: LoadingTable) -> None:
        """No more statements will come for this table: its keys follow its last row."""
        with self._changed:
            table.complete = True
            if table.batches == 0:
                self._all_rows_are_there(table)

    def wait(self) -> None:
        """Wait until every table is finished. Raise what went wrong."""
        with self._changed:
            self._changed.wait_for(lambda: self._failure or not self._unfinished)
        self.check()

    def check(self) -> None:
        """Raise what went wrong in a connection: RestoreFailed, or that it was lost."""
        if self._failure is not None:
            raise self._failure

    def _work(self, connection: "Connection[Any]") -> None:
        session: Session | None = None
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._queue or self._stopped or self._failure)
                if self._stopped or self._failure:
                    return
                batch = self._queue.popleft()
                self._queued_bytes -= batch.size
                self._changed.notify_all()
            try:
                if batch.statements:
                    if session != batch.table.plan.session:
                        session = batch.table.plan.session
                        for statement in session.statements:
                            rows(connection, statement)
                    _execute(connection, batch.statements)
                else:
                    session = None
                    self._bring_keys_back(connection, batch.table.plan)
            except CLIENT_GONE as error:
                self._fail(RestoreFailed(f"table {batch.table.plan}: {error.args[-1]}"))
                return
            except RestoreFailed as error:
                self._fail(error)
                return
            with self._changed:
                self._done(batch)

    def _done(self, batch: _Batch) -> None:
        table = batch.table
        if not batch.statements:
            self._unfinished.remove(table)
            self._changed.notify_all()
            return
        table.batches -= 1
        if table.complete and table.batches == 0:
            self._all_rows_are_there(table)

    def _all_rows_are_there(self, table: LoadingTable) -> None:
        if table.plan.add:
            self._queue.append(_Batch(table))
        else:
            self._unfinished.remove(table)
        self._changed.notify_all()

    def _bring_keys_back(self, connection: "Connection[Any]", plan: TablePlan) -> None:
        self._enter_neutral(connection, plan)
        rows(connection, plan.add)
        if not same_definition(plan, show_create(connection, plan.database, plan.table)):
            raise RestoreFailed(f"table {plan}: its keys did not come back as they were")

    @staticmethod
    def _enter_neutral(connection: "Connection[Any]", plan: TablePlan) -> None:
        # Keys are made by their definition alone: rows are not judged by it a second time.
        rows(connection, "SET NAMES utf8mb4")
        rows(connection, f"USE {plan.database_quoted}")
        rows(connection, "SET sql_mode = 'NO_AUTO_VALUE_ON_ZERO', foreign_key_checks = 0")

    def _fail(self, error: Exception) -> None:
        with self._changed:
            self._failure = self._failure or error
            self._queue.clear()
            self._changed.notify_all()


def _execute(connection: "Connection[Any]", statements: list[bytes]) -> None:
    done = tries = 0
    while done < len(statements):
        try:
            with connection.cursor() as cursor:
                cursor.execute(b"".join(statements[done:]))
                done += 1
                while cursor.nextset():
                    done += 1
        except pymysql.MySQLError as error:
            tries += 1
            if error.args[0] not in LOST_RACES or tries == TRIES:
                raise
