"""The files in which InfluxDB keeps points: which blocks they hold, and of which series.

Format: package tsdb/engine/tsm1 of InfluxDB. A file is a header, blocks with a checksum each, an
index of where the blocks of each field of each series lie, and a footer.
"""

import re
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from restoreproof.outcomes import RestoreFailed

HEADER = b"\x16\xd1\x16\xd1\x01"
FOOTER_BYTES = 8
CHECKSUM_BYTES = 4
SEPARATOR = b"#!~#"
"""Between the series and the field in a key."""
ENTRY = struct.Struct(">qqQI")
"""First and last time of a block, where it lies and how long it is."""
PART = re.compile(rb"(?:[^\\,]|\\[, =])+")
TAG = re.compile(rb"((?:[^\\=]|\\[, =])+)=((?:[^\\=]|\\[, =])+)")
ESCAPED = re.compile(rb"\\([, =])")

Tags = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Block:
    """Values of one field of one series, as they were encoded; times in nanoseconds since 1970.

    ``kind`` is a number that stands for the type of its values. ``data`` is what follows the
    checksum, which was right.
    """

    key: bytes
    kind: int
    first: int
    last: int
    data: memoryview

    @property
    def series(self) -> bytes:
        """Measurement and tags, as InfluxDB writes them."""
        return self.key.rpartition(SEPARATOR)[0]

    @property
    def field(self) -> bytes:
        """The field's key."""
        return self.key.rpartition(SEPARATOR)[2]


def blocks(content: memoryview) -> Iterator[Block]:
    """The blocks of a file in the order of its index. Raise RestoreFailed where it is damaged."""
    try:
        yield from _blocks(content)
    except (struct.error, IndexError):
        raise RestoreFailed("a file of points breaks off") from None


def measured(series: bytes) -> tuple[str, Tags]:
    """Measurement and tags of a series. Raise RestoreFailed for one whose words are ambiguous."""
    parts = PART.findall(series)
    tags = [TAG.fullmatch(part) for part in parts[1:]]
    if b",".join(parts) != series or not all(tags):
        raise RestoreFailed("the name of a series can be read in more than one way")
    try:
        known = ((_plain(tag[1]), _plain(tag[2])) for tag in tags if tag)
        return _plain(parts[0]), tuple(sorted(known))
    except UnicodeDecodeError:
        raise RestoreFailed("the name of a series is no text") from None


def _plain(escaped: bytes) -> str:
    return ESCAPED.sub(rb"\1", escaped).decode()


def _blocks(content: memoryview) -> Iterator[Block]:
    end = len(content) - FOOTER_BYTES
    if content[: len(HEADER)] != HEADER or end < len(HEADER):
        raise RestoreFailed("a file of points has no header that is known")
    (at,) = struct.unpack_from(">Q", content, end)
    if not len(HEADER) <= at <= end:
        raise RestoreFailed("a file of points has no index")
    while at < end:
        (length,) = struct.unpack_from(">H", content, at)
        key = bytes(content[at + 2 : at + 2 + length])
        at += 2 + length
        kind, count = struct.unpack_from(">BH", content, at)
        at += 3
        for first, last, place, size in ENTRY.iter_unpack(content[at : at + count * ENTRY.size]):
            stored = content[place : place + size]
            (checksum,) = struct.unpack_from(">I", stored)
            data = stored[CHECKSUM_BYTES:]
            if len(stored) != size or zlib.crc32(data) != checksum:
                raise RestoreFailed(f"a block of {size} bytes has another checksum than it says")
            yield Block(key, kind, first, last, data)
        at += count * ENTRY.size
