"""Shares a dump between the ``mysql`` client, which gets it in order, and parallel connections.

Only the rows of large tables go past the client, each table's after its definition and before
whatever follows that might look at them. What holds for them (database, character set, SQL mode)
is asked of the client's own session at that place, so the dump is never interpreted here.
"""

import re
import secrets
import threading
from collections.abc import Iterable, Iterator

import pymysql

from restoreproof.engines.mysql_dump_reader import DumpReader, Kind, Piece
from restoreproof.engines.mysql_loaders import Loaders, LoadingTable
from restoreproof.engines.mysql_table_plan import (
    Session,
    TablePlan,
    plan_table,
    session_of,
    session_query,
)
from restoreproof.outcomes import RestoreFailed

LARGE_BYTES = 2 * 1024**2
"""A smaller table is loaded sooner than its keys could be made."""
LOOK_SECONDS = 0.5
IDLE_SECONDS = 30
NEVER_WAIT = {Kind.BLANK, Kind.UNLOCK}
BETWEEN = {Kind.BLANK, Kind.SETTING}
OWN = {Kind.LOCK, Kind.KEYS, Kind.ROWS}
LOOKS_ELSEWHERE = re.compile(rb"FOREIGN\s+KEY|REFERENCES|SELECT|UNION", re.IGNORECASE)
# A value that the server replaces by the next number, which depends on the rows before it.
NUMBERED = re.compile(rb"\(\s*(?:NULL|DEFAULT)\b", re.IGNORECASE)


class _ClientEnded(Exception):
    """The client takes no more: its exit code and words say why."""


class ClientAnswers:
    """What the client prints: ``take`` is given it in another thread, and nothing at the end."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._printed = b""
        self._ended = False

    def take(self, chunk: bytes) -> None:
        """Add what was printed."""
        with self._changed:
            self._printed += chunk
            self._ended = self._ended or not chunk
            self._changed.notify_all()

    def line(self, token: str, loaders: Loaders) -> str:
        """The line that begins with the token.

        Raise _ClientEnded, a loader's error, or RestoreFailed if none will come: a dump can
        turn the client's output off.
        """
        idle = 0.0
        while True:
            with self._changed:
                *lines, self._printed = self._printed.split(b"\n")
                for line in lines:
                    if line.startswith(token.encode()):
                        return line.decode("ascii").strip()
                if self._ended:
                    raise _ClientEnded
                asked = self._changed.wait(LOOK_SECONDS)
            loaders.check()
            idle = 0.0 if asked or loaders.server_works() else idle + LOOK_SECONDS
            if idle > IDLE_SECONDS:
                raise RestoreFailed("the mysql client does not answer in the midst of the dump")


class DumpFeed:
    """Iterates over what the client is to be fed; ``complete`` once the dump has been read."""

    def __init__(self, chunks: Iterable[bytes], loaders: Loaders, answers: ClientAnswers) -> None:
        self._reader = DumpReader(chunks)
        self._loaders = loaders
        self._answers = answers
        self._created = b""
        """The table whose definition was fed last, with no more than settings after it."""
        self._held, self._held_bytes = list[Piece](), 0
        self._loading: LoadingTable | None = None
        self.complete = False

    def __iter__(self) -> Iterator[bytes]:
        try:
            for piece in self._reader.pieces():
                yield from self._take(piece)
            yield from self._let_go()
            self._end_table()
            self._loaders.wait()
        except _ClientEnded:
            return
        self.complete = True

    def _take(self, piece: Piece) -> Iterator[bytes]:
        if piece.kind in OWN and piece.table == self._created and self._created:
            if self._loading:
                yield from self._load(piece)
            else:
                self._held.append(piece)
                self._held_bytes += len(piece.text)
                if piece.kind is Kind.ROWS and self._held_bytes >= LARGE_BYTES:
                    yield from self._begin_table()
        elif piece.kind in BETWEEN and self._held and not self._loading:
            self._held.append(piece)
        elif piece.kind is Kind.BLANK:
            yield piece.text
        else:
            self._end_table()
            yield from self._let_go()
            if self._has_to_wait(piece):
                self._loaders.wait()
            if piece.kind is Kind.CREATE_TABLE:
                self._created = piece.table
            elif piece.kind is not Kind.SETTING:
                self._created = b""
            yield piece.text

    def _has_to_wait(self, piece: Piece) -> bool:
        unfinished = self._loaders.unfinished
        if not unfinished or piece.kind in NEVER_WAIT:
            return False
        if piece.kind is Kind.SETTING:
            return b"FOREIGN_KEY_CHECKS" in piece.text.upper()
        if piece.kind in (Kind.ORDERED, Kind.PART, Kind.REST):
            return True
        if piece.kind is Kind.CREATE_TABLE and LOOKS_ELSEWHERE.search(piece.text):
            return True
        name = piece.table.rpartition(b".")[2].strip(b"`").lower()
        return any(table.plan.table.encode().lower() == name for table in unfinished)

    def _begin_table(self) -> Iterator[bytes]:
        yield from (one.text for one in self._held if one.kind in BETWEEN)
        token = secrets.token_hex(16)
        yield f"\n{session_query(token)};\n".encode()
        session = session_of(self._answers.line(token, self._loaders))
        first = next(one.text for one in self._held if one.kind is Kind.ROWS)
        held = [one for one in self._held if one.kind not in BETWEEN]
        self._held, self._held_bytes = [], 0
        plan = self._plan(session, first)
        if plan is None:
            self._created = b""
            yield from (one.text for one in held)
            return
        self._loading = self._loaders.begin(plan)
        for piece in held:
            yield from self._load(piece)

    def _plan(self, session: Session, first: bytes) -> TablePlan | None:
        try:
            return plan_table(self._loaders.own, session, self._created, first)
        except pymysql.MySQLError as error:
            raise RestoreFailed(f"table {self._created.decode()}: {error.args[-1]}") from None

    def _load(self, piece: Piece) -> Iterator[bytes]:
        if piece.kind is not Kind.ROWS:
            # The client's lock would keep the other connections out.
            return
        if self._loading and not self._is_numbered(piece):
            self._loaders.load(self._loading, piece.text)
            return
        # From here on the rows of this table are given in order.
        self._end_table()
        self._created = b""
        self._loaders.wait()
        yield piece.text

    def _is_numbered(self, piece: Piece) -> bool:
        assert self._loading is not None
        if " AUTO_INCREMENT" not in self._loading.plan.definition:
            return False
        if self._reader.trusted:
            return b"(NULL," in piece.text
        return bool(NUMBERED.search(piece.text))

    def _end_table(self) -> None:
        if self._loading is None:
            return
        table, self._loading = self._loading, None
        self._loaders.complete(table)
        checked = table.plan.session["foreign_key_checks"] != "0"
        # Definitions that look at each other are not changed at the same time.
        if checked or table.plan.foreign_keys:
            self._loaders.wait()

    def _let_go(self) -> Iterator[bytes]:
        held, self._held, self._held_bytes = self._held, [], 0
        yield from (one.text for one in held)
