"""Reads binary logs event by event: every checksum, every end, and what was committed when.

Their tools end without an error on a log that was cut between two events, and know a
damaged one only if they are told to look.
"""

import struct
import tarfile
import uuid
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import IO, NamedTuple, Protocol

MAGIC = b"\xfebin"
HEADER = struct.Struct("<IBIIIH")
QUERY, STOP, ROTATE, FORMAT = 2, 3, 4, 15
GTID, ANONYMOUS, TAGGED = 33, 34, 42
MARIADB_CHECKPOINT, MARIADB_GTID, MARIADB_GTID_LIST = 161, 162, 163
MARIADB_COMPRESSED_QUERY = 165
BEGINNINGS = {GTID, ANONYMOUS, TAGGED, MARIADB_GTID}
# A checkpoint may come long after the transaction before it.
ENDS = {STOP, ROTATE, MARIADB_CHECKPOINT, MARIADB_GTID_LIST}
IN_USE = 1
CRC32_BYTES = 4
KEPT_BYTES = 64 * 1024
"""How much of an event is kept in memory: its beginning."""
READ_BYTES = 1024**2
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
WRAPPED = 2**32


class LogDamaged(Exception):
    """A binary log that is not as its server wrote it, in words."""


class LogCut(LogDamaged):
    """A binary log that ends in the midst of an event."""


class Event(NamedTuple):
    """One event: where it begins and ends in its log, and the beginning of its content.

    ``second`` since 1970 is when the statement that wrote it began.
    """

    type: int
    begin: int
    end: int
    content: bytes
    second: int


class Commit(NamedTuple):
    """One transaction as its log tells of it; ``end`` is the position after it.

    Without GTIDs that make sets ``uuid`` is empty. ``microseconds`` since 1970 are when its server
    committed it, by that server's clock; None in logs of servers that did not note it. MariaDB
    notes the second alone, so there they are its end.
    """

    uuid: str
    tag: str
    number: int
    microseconds: int | None
    begin: int
    end: int

    @property
    def at(self) -> datetime | None:
        """The instant of the commit."""
        if self.microseconds is None:
            return None
        return EPOCH + timedelta(microseconds=self.microseconds)

    @property
    def gtid(self) -> str:
        """The transaction's GTID; empty without one."""
        return ":".join(filter(None, (self.uuid, self.tag, str(self.number)))) if self.uuid else ""


class Readable(Protocol):
    """What a log is read from."""

    def read(self, size: int, /) -> bytes: ...


class Chunks:
    """Chunks of bytes as a file that can only be read on."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._rest = b""

    def read(self, size: int, /) -> bytes:
        """Exactly ``size`` bytes; fewer only at the end."""
        parts, missing = [], size
        while missing:
            if not self._rest:
                self._rest = next(filter(None, self._chunks), b"")
                if not self._rest:
                    break
            parts.append(self._rest[:missing])
            self._rest = self._rest[missing:]
            missing -= len(parts[-1])
        return b"".join(parts)


class _Member:
    """A file of a tar that may break off in the midst of it."""

    def __init__(self, content: IO[bytes]) -> None:
        self._content = content

    def read(self, size: int, /) -> bytes:
        try:
            return self._content.read(size)
        except tarfile.TarError as error:
            raise LogDamaged(f"it breaks off: {error}") from None


def logs_in(tar: Iterator[bytes]) -> Iterator[tuple[str, int, Readable]]:
    """Name, length and content of every log of a tar, in its order. Raise LogDamaged."""
    try:
        with tarfile.open(fileobj=Chunks(tar), mode="r|") as archive:  # type: ignore[call-overload]  # reads, and nothing else
            for member in archive:
                content = archive.extractfile(member) if member.isreg() else None
                if content is None:
                    raise LogDamaged(f"{member.name} is no file")
                yield member.name, member.size, _Member(content)
    except tarfile.TarError as error:
        raise LogDamaged(f"the tar cannot be read: {error}") from None


def read_events(log: Readable) -> Iterator[Event]:
    """Every event of a log. Raise LogDamaged at the first that is not as it was written."""
    if log.read(len(MAGIC)) != MAGIC:
        raise LogDamaged("it does not begin as a binary log does")
    position, checked = len(MAGIC), True
    while header := log.read(HEADER.size):
        if len(header) < HEADER.size:
            raise LogCut(f"it ends in the midst of the event at {position}")
        second, kind, _, length, claimed_end, flags = HEADER.unpack(header)
        end = position + length
        # MariaDB 11.8 leaves it open inside a transaction; the checksum covers the length too.
        if length < HEADER.size or claimed_end not in (end % WRAPPED, 0):
            raise LogDamaged(f"the event at {position} does not end where it says")
        missing = length - HEADER.size
        content = last = log.read(min(READ_BYTES, missing))
        missing -= len(content)
        if kind == FORMAT:
            # The last thing before the checksum says whether there are checksums at all; and
            # while a log is written to, the event says so, which its checksum leaves out.
            checked = len(content) > CRC32_BYTES and content[-CRC32_BYTES - 1] == 1
            header = header[:17] + struct.pack("<H", flags & ~IN_USE)
        crc = zlib.crc32(header)
        while missing and (more := log.read(min(missing, READ_BYTES))):
            crc, last = zlib.crc32(last[:-CRC32_BYTES], crc), last[-CRC32_BYTES:] + more
            missing -= len(more)
        if missing:
            raise LogCut(f"it ends in the midst of the event at {position}")
        if checked and zlib.crc32(last[:-CRC32_BYTES], crc) != _number(last[-CRC32_BYTES:]):
            raise LogDamaged(f"the checksum of the event at {position} is wrong")
        yield Event(kind, position, end, content[:KEPT_BYTES], second)
        position = end


def commits_of(events: Iterable[Event]) -> Iterator[Commit]:
    """Every transaction of a log's events, in the order of their commits. Raise LogDamaged."""
    group: list[Event] = []
    for event in events:
        begins = event.type in BEGINNINGS
        if group and (begins or event.type in ENDS):
            yield _commit_of(group)
            group = []
        if begins:
            group = [event]
        elif group:
            # Only the first and the last of a transaction's events tell of it.
            group[1:] = [event]
    if group:
        yield _commit_of(group)


def beginning_of(log: Readable) -> str:
    """When a log was begun, by whom, and the checksum over that, as log readers show it.

    Raise LogDamaged.
    """
    if len(begin := log.read(len(MAGIC) + HEADER.size)) < len(MAGIC) + HEADER.size:
        raise LogCut("it ends in its beginning")
    second, _, server, length, end, _ = HEADER.unpack(begin[len(MAGIC) :])
    content = log.read(length - HEADER.size)
    at = EPOCH + timedelta(seconds=second)
    told = f"{at:%y%m%d} {at.hour}:{at:%M:%S} server id {server} end_log_pos {end}"
    checked = len(content) > CRC32_BYTES and content[-CRC32_BYTES - 1] == 1
    return f"{told} CRC32 0x{_number(content[-CRC32_BYTES:]):08x}" if checked else told


def is_alone(event: Event) -> bool:
    """Whether a transaction of MariaDB that begins so is one statement, without a commit."""
    return bool(event.content[12] & 1)


def statement_of(event: Event) -> bytes:
    """The beginning of the statement that an event holds; empty for one that holds none."""
    if event.type != QUERY:
        return b""
    length_of_database, length_of_variables = event.content[8], _number(event.content[11:13])
    return event.content[13 + length_of_variables + length_of_database + 1 :]


def _commit_of(group: list[Event]) -> Commit:
    first, end = group[0], group[-1].end
    if first.type == TAGGED:
        fields = _tagged_fields(first.content)
        source = _uuid(bytes(fields.uuid))
        return Commit(source, fields.tag, fields.number, fields.at, first.begin, end)
    if first.type == MARIADB_GTID:
        return Commit("", "", 0, first.second * 10**6 + 999_999, first.begin, end)
    at = _instant(first.content[42:49])
    if first.type == ANONYMOUS:
        return Commit("", "", 0, at, first.begin, end)
    source, number = _uuid(first.content[1:17]), _number(first.content[17:25])
    return Commit(source, "", number, at, first.begin, end)


@cache
def _uuid(content: bytes) -> str:
    return str(uuid.UUID(bytes=content))


@dataclass
class _Tagged:
    uuid: bytearray
    tag: str = ""
    number: int = 0
    at: int = 0


def _tagged_fields(content: bytes) -> _Tagged:
    """The fields of a GTID event with a tag, in MySQL's own serialization."""
    reader = _Varlen(content)
    for _ in ("version of the format", "length", "last field that must be known"):
        reader.unsigned()
    found = _Tagged(bytearray())
    # Flags, UUID, number, tag, two logical times, and the instant of the commit.
    for wanted in range(7):
        identifier = reader.unsigned()
        if identifier != wanted:
            raise LogDamaged(f"field {identifier} of a tagged GTID stands out of place")
        if wanted == 1:
            found.uuid.extend(reader.unsigned() for _ in range(16))
        elif wanted == 3:
            found.tag = reader.text()
        elif wanted == 2:
            found.number = reader.signed()
        elif wanted == 6:
            found.at = reader.unsigned()
        elif wanted == 0:
            reader.unsigned()
        else:
            reader.signed()
    return found


class _Varlen:
    """Integers whose first byte says, by its trailing ones, how many follow."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._at = 0

    def unsigned(self) -> int:
        first = self._content[self._at]
        more = 0
        while more < 8 and first >> more & 1:
            more += 1
        number = int.from_bytes(self._content[self._at : self._at + more + 1], "little")
        self._at += more + 1
        return number >> 8 if more == 8 else number >> (more + 1)

    def signed(self) -> int:
        number = self.unsigned()
        return -(number >> 1) - 1 if number & 1 else number >> 1

    def text(self) -> str:
        length = self.unsigned()
        self._at += length
        return self._content[self._at - length : self._at].decode("utf-8", "replace")


def _instant(stamp: bytes) -> int | None:
    """Seven bytes of microseconds; the highest bit says that another instant follows."""
    return _number(stamp) & ~(1 << 55) if len(stamp) == 7 else None


def _number(content: bytes) -> int:
    return int.from_bytes(content, "little")
