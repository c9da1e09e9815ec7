"""The times and values of many blocks, side by side: one at a time would cost ten times as much.

Encodings: packages tsm1 and simple8b of InfluxDB; times and integers by Anh and Moffat, "Index
compression using 64-bit words" (2010), floats by Pelkonen et al., "Gorilla" (VLDB 2015).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import cramjam
import numpy as np
from numpy.typing import NDArray

from restoreproof.engines.influxdb_blocks import Block
from restoreproof.outcomes import RestoreFailed

FLOAT, INTEGER, BOOLEAN, STRING, UNSIGNED = range(5)
KINDS = ("float", "integer", "boolean", "string", "unsigned")
RAW, PACKED, RUN = range(3)
"""How times and integers are encoded."""
BITS = np.array([0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 15, 20, 30, 60], dtype=np.uint64)
COUNTS = np.array([240, 120, 60, 30, 20, 15, 12, 10, 8, 7, 6, 5, 4, 3, 2, 1], dtype=np.int64)
ONES = 2
"""Below this a selector of simple8b stands for ones that take no bits."""
END = np.uint64(0x7FF8000000000001)
"""The NaN that ends a block of floats; it is no value, since InfluxDB takes no NaN."""
Words = NDArray[np.uint64]
Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Column:
    """The content of one block: times in nanoseconds since 1970, and as many values.

    Values are 64 bits each, as floats, integers or truths; texts are bytes.
    """

    times: Integers
    values: NDArray[Any] | list[bytes]


def decode(blocks: Sequence[Block], kind: int) -> list[Column]:
    """What blocks of one kind hold. Raise RestoreFailed for one that cannot be read as text or
    numbers."""
    try:
        split = [_split(block.data) for block in blocks]
        times = _integers([one[0] for one in split], times=True)
        values = VALUES[kind]([one[1] for one in split])
    except (IndexError, KeyError, ValueError, cramjam.DecompressionError) as error:
        raise RestoreFailed(f"a block of points cannot be read: {error}") from None
    for one, other in zip(times, values, strict=True):
        if len(one) != len(other):
            raise RestoreFailed(f"a block of points holds {len(one)} times and {len(other)} values")
    return [Column(one, other) for one, other in zip(times, values, strict=True)]


def _split(data: memoryview) -> tuple[memoryview, memoryview]:
    length, at = _varint(data, 1)
    return data[at : at + length], data[at + length :]


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    """An unsigned number of seven bits to a byte, and where it ends."""
    number = shift = 0
    while data[at] >= 0x80:
        number |= (data[at] & 0x7F) << shift
        shift, at = shift + 7, at + 1
    return number | data[at] << shift, at + 1


def _integers(parts: Sequence[memoryview], *, times: bool = False) -> list[Integers]:
    """Numbers, of which all but the first are kept as differences."""
    found: list[Integers] = [np.empty(0, np.int64)] * len(parts)
    packed: list[int] = []
    for number, part in enumerate(parts):
        encoding = part[0] >> 4
        if encoding == PACKED:
            packed.append(number)
        elif encoding == RAW:
            kept = np.frombuffer(part, ">u8", offset=1).astype(np.uint64)
            found[number] = np.cumsum(kept.view(np.int64) if times else _unfolded(kept))
        elif encoding == RUN:
            found[number] = _run(part, times=times)
        else:
            raise ValueError(f"numbers in encoding {encoding}")
    unpacked = _packed([parts[one] for one in packed], times=times)
    for number, read in zip(packed, unpacked, strict=True):
        found[number] = read
    return found


def _run(part: memoryview, *, times: bool) -> Integers:
    first = int.from_bytes(part[1:9])
    step, at = _varint(part, 9)
    count, _ = _varint(part, at)
    if times:
        step *= 10 ** (part[0] & 0xF)
    else:
        first, step, count = _unfold(first), _unfold(step), count + 1
    steps = np.arange(count, dtype=np.uint64) * np.uint64(step % 2**64)
    return (steps + np.uint64(first % 2**64)).view(np.int64)


def _packed(parts: Sequence[memoryview], *, times: bool) -> list[Integers]:
    """Each begins with a number as it is; words of differences follow."""
    if not parts:
        return []
    raw = b"".join(part[1:] for part in parts)
    words = np.frombuffer(raw, ">u8").astype(np.uint64)
    lengths = np.array([len(part) // 8 for part in parts])
    begins = np.concatenate(([0], np.cumsum(lengths)[:-1]))
    is_first = np.zeros(len(words), bool)
    is_first[begins] = True
    selectors = (words >> np.uint64(60)).astype(np.int64)
    counts = np.where(is_first, 1, COUNTS[selectors])
    of = np.repeat(np.arange(len(words)), counts)
    ends = np.cumsum(counts)
    inside = np.arange(ends[-1]) - (ends - counts)[of]
    bits = BITS[selectors][of]
    shifts = bits * inside.astype(np.uint64)
    numbers = (words[of] >> shifts) & ((np.uint64(1) << bits) - np.uint64(1))
    numbers[selectors[of] < ONES] = 1
    firsts = np.concatenate(([0], ends))[begins]
    numbers[firsts] = words[begins]
    sizes = np.diff(np.append(firsts, ends[-1]))
    if times:
        scales = np.array([10 ** (part[0] & 0xF) for part in parts], np.uint64)
        scaled = numbers * np.repeat(scales, sizes)
        scaled[firsts] = words[begins]
        steps = scaled.view(np.int64)
    else:
        steps = _unfolded(numbers)
    return [np.cumsum(one) for one in np.split(steps, firsts[1:])]


def _unfolded(numbers: Words) -> Integers:
    """Signed numbers of which the lowest bit tells the sign."""
    signs = (numbers & np.uint64(1)).view(np.int64)
    return (numbers >> np.uint64(1)).view(np.int64) ^ -signs


def _unfold(number: int) -> int:
    return number >> 1 ^ -(number & 1)


def _unsigned(parts: Sequence[memoryview]) -> list[NDArray[Any]]:
    return [one.view(np.uint64) for one in _integers(parts)]


def _floats(parts: Sequence[memoryview]) -> list[NDArray[Any]]:
    """Each value as what differs from the one before it, by bits."""
    # Two words more, since up to 128 bits are looked at from where one is.
    padded = [bytes(part[1:]) + bytes(16 + -(len(part) - 1) % 8) for part in parts]
    words = np.frombuffer(b"".join(padded), ">u8").astype(np.uint64)
    lengths = np.array([len(one) // 8 for one in padded])
    begins = np.concatenate(([0], np.cumsum(lengths)[:-1]))
    limit = (begins + lengths - 2) * 64
    at = begins * 64
    order = np.arange(len(parts))
    value = words[begins]
    at += 64
    leading = np.zeros(len(parts), np.uint64)
    length = np.zeros(len(parts), np.uint64)
    columns: list[tuple[Integers, Words]] = []
    one, six3 = np.uint64(1), np.uint64(63)
    while True:
        going = value != END
        if not going.all():
            order, value, at, limit = order[going], value[going], at[going], limit[going]
            leading, length = leading[going], length[going]
        if not len(order):
            break
        columns.append((order, value))
        if (at > limit).any():
            raise ValueError("floats without an end")
        index, offset = at >> 6, (at & 63).astype(np.uint64)
        head = words[index] << offset | (words[index + 1] >> (six3 - offset)) >> one
        changed = head >> six3
        anew = changed & (head >> np.uint64(62))
        told = (head >> np.uint64(51)) & six3
        wide = (head >> np.uint64(57)) & np.uint64(31)
        is_new = anew.astype(bool)
        leading = np.where(is_new, wide, leading)
        length = np.where(is_new, np.where(told == 0, np.uint64(64), told), length)
        at = at + (1 + changed.astype(np.int64) + 11 * anew.astype(np.int64))
        index, offset = at >> 6, (at & 63).astype(np.uint64)
        body = words[index] << offset | (words[index + 1] >> (six3 - offset)) >> one
        is_changed = changed.astype(bool)
        size = np.where(is_changed, length, np.uint64(0))
        # A shift by 64 bits is none, and what is shifted so is not looked at.
        bits = body >> (np.uint64(64) - size & six3)
        trailing = np.uint64(64) - leading - size
        value = value ^ np.where(is_changed, bits << (trailing & six3), np.uint64(0))
        at = at + size.astype(np.int64)
    return _by_part(columns, len(parts))


def _by_part(columns: Sequence[tuple[Integers, Words]], parts: int) -> list[NDArray[Any]]:
    sizes = np.zeros(parts, np.int64)
    for order, _ in columns:
        sizes[order] += 1
    begins = np.concatenate(([0], np.cumsum(sizes)))
    found = np.empty(begins[-1], np.uint64)
    for number, (order, value) in enumerate(columns):
        found[begins[order] + number] = value
    return np.split(found.view(np.float64), begins[1:-1])


def _booleans(parts: Sequence[memoryview]) -> list[NDArray[Any]]:
    found: list[NDArray[Any]] = []
    for part in parts:
        count, at = _varint(part, 1)
        bits = np.unpackbits(np.frombuffer(part, np.uint8, offset=at))[:count]
        found.append(bits.astype(bool))
    return found


def _strings(parts: Sequence[memoryview]) -> list[list[bytes]]:
    found: list[list[bytes]] = []
    for part in parts:
        plain = memoryview(bytes(cramjam.snappy.decompress_raw(part[1:])))
        texts: list[bytes] = []
        at = 0
        while at < len(plain):
            length, at = _varint(plain, at)
            texts.append(bytes(plain[at : at + length]))
            at += length
        # A server spells out in another way what is no text.
        b"\n".join(texts).decode()
        found.append(texts)
    return found


VALUES: dict[int, Callable[[Sequence[memoryview]], Sequence[Any]]] = {
    FLOAT: _floats,
    INTEGER: _integers,
    BOOLEAN: _booleans,
    STRING: _strings,
    UNSIGNED: _unsigned,
}
