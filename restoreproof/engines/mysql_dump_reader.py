"""Cuts a dump into the statements that the ``mysql`` client would see, in constant memory.

The pieces joined are the dump, byte for byte. Nothing is cut where the client would not cut;
from the first thing on that is not understood, all that follows is one run of ``REST``.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum, auto

FILL_BYTES = 2 * 1024**2
LOOK_AHEAD_BYTES = 4096
LARGEST_STATEMENT_BYTES = 16 * 1024**2
"""A longer statement is handed on in parts: the largest packet of MySQL is 1 GiB."""


class Kind(Enum):
    """What a piece is. All but BLANK and PART are whole statements with their delimiter."""

    BLANK = auto()
    SETTING = auto()
    LOCK = auto()
    UNLOCK = auto()
    KEYS = auto()
    DROP_TABLE = auto()
    CREATE_TABLE = auto()
    ROWS = auto()
    """A plain INSERT of literals."""
    ORDERED = auto()
    """A statement that takes part in no more than its place in the order."""
    PART = auto()
    """Part of a statement that is too long to be held."""
    REST = auto()
    """What was not understood, and all that follows."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Part of a dump. ``table`` is the table's name as the dump writes it."""

    kind: Kind
    text: bytes
    table: bytes = b""


_NAME = rb"(?:`(?:[^`]|``)+`|[A-Za-z0-9_$]+)"
_TABLE = rb"(?P<table>%s(?:\.%s)?)" % (_NAME, _NAME)
_OPENED = rb"(?:/\*M?!\d+ *)?"
_KINDS = tuple(
    (kind, re.compile(_OPENED + pattern, re.IGNORECASE))
    for kind, pattern in (
        (Kind.SETTING, rb"SET\s"),
        (Kind.LOCK, rb"LOCK TABLES %s (?:WRITE|READ)(?: LOCAL)?(?: \*/)?\s*;" % _TABLE),
        (Kind.UNLOCK, rb"(?:UNLOCK TABLES|COMMIT)(?: \*/)?\s*;"),
        (Kind.KEYS, rb"ALTER TABLE %s (?:DIS|EN)ABLE KEYS(?: \*/)?\s*;" % _TABLE),
        (Kind.DROP_TABLE, rb"DROP TABLE (?:IF EXISTS )?%s(?: \*/)?\s*;" % _TABLE),
        (Kind.CREATE_TABLE, rb"CREATE TABLE (?:IF NOT EXISTS )?%s\s*\(" % _TABLE),
        (
            Kind.ORDERED,
            rb"(?:USE\b|(?:INSERT|REPLACE)\s|(?:CREATE|DROP|ALTER)\s*"
            rb"(?:(?:OR REPLACE|ALGORITHM=\w+|DEFINER=%s@%s|SQL SECURITY \w+|\*/|/\*M?!\d+)\s*)*"
            rb"(?:DATABASE|TABLE|VIEW|TRIGGER|PROCEDURE|FUNCTION|EVENT|PACKAGE|SEQUENCE)\b)"
            % (_NAME, _NAME),
        ),
    )
)
_SETTINGS = {
    b"autocommit", b"character_set_client", b"character_set_connection",
    b"character_set_results", b"collation_connection", b"foreign_key_checks",
    b"global.gtid_purged", b"names", b"note_verbosity", b"sql_log_bin", b"sql_mode", b"sql_notes",
    b"sql_quote_show_create", b"time_zone", b"unique_checks",
}  # fmt: skip
_SET_NAMES = re.compile(rb"(@@|@)?(?:(?:SESSION|LOCAL)[ .])?([\w.]+|`[^`]+`)\s*:?=", re.IGNORECASE)
_INSERT = re.compile(rb"INSERT INTO %s (?P<columns>\([^()']*\) )?VALUES\s*\(" % _TABLE)
_LARGE = re.compile(rb"(?:INSERT|REPLACE)\s", re.IGNORECASE)
_LITERALS = re.compile(
    rb"(?>[(),\s]++|'(?>[^'\\]++|\\.)*+'|(?>NULL|0x[0-9A-Fa-f]++|_[a-z0-9]++|[bx](?=')"
    rb"|[-+]?[0-9.]++(?:[eE][-+]?[0-9]++)?)(?![\w(]))*+;",
    re.DOTALL,
)
_MADE_BY = re.compile(rb"(?m)^-- (?:MySQL|MariaDB) dump \d")
_BLANK = re.compile(
    rb"(?>\s++|(?:--(?=\s)|#)[^\n]*+\n|/\*(?![!+]|M!\d{5,6} )(?>[^*]++|\*(?!/))*+\*/)+"
)
# With a line that ends in \r\n the client takes the \r for part of the delimiter.
_DELIMITER = re.compile(rb"DELIMITER[ \t]+(\S+)[ \t]*\n", re.IGNORECASE)
_WITHIN = {
    quote: re.compile(body, re.DOTALL)
    for quote, body in (
        (b"'", rb"(?>[^'\\]++|\\.)*+"),
        (b'"', rb'(?>[^"\\]++|\\.)*+'),
        (b"`", rb"[^`]*+"),
    )
}
_ENDS = {b"#": b"\n", b"--": b"\n", b"/*": b"*/"}


class _NotUnderstood(Exception):
    """From here on nothing is cut any more."""


class DumpReader:
    """Reads a dump once, from chunks of any size."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._buffer = b""
        self._at = 0
        """Where the piece begins that is being read."""
        self._ended = False
        self._delimiter = b";"
        self._plain = _plain(self._delimiter)
        self._begun = False
        self.trusted = False
        """Whether mysqldump says it made the dump: then no line break is inside a value."""

    def pieces(self) -> Iterator[Piece]:
        """All pieces in order."""
        try:
            while self._at < len(self._buffer) or self._fill():
                yield from self._next()
        except _NotUnderstood:
            yield self._cut(Kind.REST, len(self._buffer))
            while self._fill():
                yield self._cut(Kind.REST, len(self._buffer))

    def _next(self) -> Iterator[Piece]:
        if not self._begun:
            self._begun = True
            head = self._buffer[:4096]
            self.trusted = bool(_MADE_BY.search(head)) and b"\r" not in head
        if blank := self._match(_BLANK):
            yield self._cut(Kind.BLANK, blank.end())
        elif self._buffer[self._at : self._at + 10].upper().startswith(b"DELIMITER"):
            yield self._change_delimiter()
        elif self.trusted and self._delimiter == b";" and (rows := self._trusted_rows()):
            yield rows
        else:
            yield from self._statement()

    def _match(self, pattern: re.Pattern[bytes]) -> re.Match[bytes] | None:
        """Match here, with enough of the dump at hand that more of it changes nothing."""
        while True:
            found = pattern.match(self._buffer, self._at)
            known = found.end() if found else self._at
            # A comment may go on after what is at hand.
            if (known + LOOK_AHEAD_BYTES < len(self._buffer)) or not self._fill():
                return found

    def _trusted_rows(self) -> Piece | None:
        head = _INSERT.match(self._buffer, self._at)
        if head is None:
            return None
        begin, end = head.end() - self._at, head.end() - self._at
        while end < LARGEST_STATEMENT_BYTES:
            found = self._buffer.find(b";\n", self._at + end)
            if found < 0:
                end = max(end, len(self._buffer) - self._at - 1)
                if not self._fill():
                    return None
            elif _balanced(self._buffer[self._at + begin : found]):
                return self._cut(Kind.ROWS, found + 1, head["table"])
            else:
                end = found + 1 - self._at
        return None

    def _change_delimiter(self) -> Piece:
        found = self._match(_DELIMITER)
        if found is None or found[1][:1] in b"'\"`\\#-/" or len(found[1]) > 15:
            raise _NotUnderstood
        self._delimiter = found[1]
        self._plain = _plain(self._delimiter)
        return self._cut(Kind.BLANK, found.end())

    def _statement(self) -> Iterator[Piece]:
        end, inside = self._at, b""
        in_parts = False
        while True:
            end, inside, complete = self._scan(end, inside)
            if complete:
                yield self._cut(Kind.PART, end) if in_parts else self._recognised(end)
                return
            if end - self._at > LARGEST_STATEMENT_BYTES:
                if not in_parts and not _LARGE.match(self._buffer, self._at):
                    raise _NotUnderstood
                in_parts = True
                yield self._cut(Kind.PART, end)
            before = self._at
            if not self._fill():
                # The client sends what is left without a delimiter too.
                yield self._cut(Kind.REST, len(self._buffer))
                return
            end -= before - self._at

    def _scan(self, at: int, inside: bytes) -> tuple[int, bytes, bool]:
        """Go on in a statement: where it got to, in which quotes, and whether it is complete."""
        buffer, delimiter = self._buffer, self._delimiter
        while at < len(buffer):
            if inside in _WITHIN:
                at = _WITHIN[inside].match(buffer, at).end()  # type: ignore[union-attr]  # matches nothing at least
                if buffer[at : at + 1] != inside:
                    return at, inside, False
                at, inside = at + 1, b""
            elif inside:
                found = buffer.find(_ENDS[inside], at)
                if found < 0:
                    # The end itself may be cut in two.
                    return max(at, len(buffer) - 1), inside, False
                at, inside = found + len(_ENDS[inside]), b""
            else:
                at = self._plain.match(buffer, at).end()  # type: ignore[union-attr]  # as above
                if buffer.startswith(delimiter, at):
                    return at + len(delimiter), b"", True
                if len(buffer) - at < max(3, len(delimiter)) and not self._ended:
                    return at, b"", False
                at, inside = self._special(at)
        return at, inside, False

    def _special(self, at: int) -> tuple[int, bytes]:
        buffer = self._buffer
        first, pair = buffer[at : at + 1], buffer[at : at + 2]
        if first in _WITHIN or first == b"#":
            return at + 1, first
        if first == b"\\":
            raise _NotUnderstood
        if pair == b"--" and buffer[at + 2 : at + 3].isspace():
            return at + 2, pair
        if pair == b"/*" and buffer[at + 2 : at + 3] not in (b"!", b"+"):
            return at + 2, pair
        return at + 1, b""

    def _recognised(self, end: int) -> Piece:
        text = self._buffer[self._at : end]
        if self._delimiter == b";":
            rows = _INSERT.match(text)
            if rows and _LITERALS.fullmatch(text, rows.end() - 1):
                return self._cut(Kind.ROWS, end, rows["table"])
        for kind, pattern in _KINDS:
            if found := pattern.match(text):
                if kind is Kind.SETTING and not _is_known_setting(text):
                    break
                return self._cut(kind, end, found.groupdict().get("table") or b"")
        raise _NotUnderstood

    def _cut(self, kind: Kind, end: int, table: bytes = b"") -> Piece:
        text = self._buffer[self._at : end]
        self._at = end
        return Piece(kind, text, table)

    def _fill(self) -> bool:
        """Read on; what was cut is forgotten. Return False at the end of the dump."""
        kept = len(self._buffer) - self._at
        wanted, read = max(FILL_BYTES, kept), 0
        parts = [self._buffer[self._at :]]
        for chunk in self._chunks:
            parts.append(chunk)
            read += len(chunk)
            if read >= wanted:
                break
        else:
            self._ended = True
        if not read:
            return False
        self._buffer, self._at = b"".join(parts), 0
        return True


def _plain(delimiter: bytes) -> re.Pattern[bytes]:
    """All that neither ends a statement nor begins a text or comment."""
    first = re.escape(delimiter[:1])
    return re.compile(
        rb"(?>[^'\"`#/\\\-%s]++|'(?>[^'\\]++|\\.)*+'"
        rb"|\"(?>[^\"\\]++|\\.)*+\"|`[^`]*+`|-(?=[^-])|/(?=[^*/]))*+" % first,
        re.DOTALL,
    )


def _balanced(values: bytes) -> bool:
    """Whether every text that is begun in these values has ended."""
    if b"\\" in values:
        values = values.replace(b"\\\\", b"")
        single = values.count(b"'") - values.count(b"\\'")
        double = values.count(b'"') - values.count(b'\\"')
    else:
        single, double = values.count(b"'"), values.count(b'"')
    return single % 2 == 0 and double == 0


def _is_known_setting(text: bytes) -> bool:
    # With it a backslash is no escape, and every text would have to be cut in another way.
    if b"NO_BACKSLASH_ESCAPES" in text.upper() or b"(" in text:
        return False
    # The client would print its answers in another character set.
    if re.search(rb"UCS2|UTF16|UTF32", text, re.IGNORECASE):
        return False
    named = _SET_NAMES.findall(text)
    if not named:
        return bool(re.match(_OPENED + rb"SET NAMES \w+", text, re.IGNORECASE))
    return all(mark == b"@" or name.lower() in _SETTINGS for mark, name in named)
