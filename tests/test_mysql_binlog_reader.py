"""Binary logs of MariaDB as the reader sees them, event by event."""

import struct
import tarfile
import zlib
from io import BytesIO

import pytest

from restoreproof.engines.mysql_binlog_reader import (
    MAGIC,
    LogDamaged,
    commits_of,
    logs_in,
    read_events,
)

FORMAT, XID, CHECKPOINT, GTID = 15, 16, 161, 162
SECOND = 1_700_000_000


def _log(*kinds: int, stated_ends: bool) -> bytes:
    """A log of such events, which say where they end or, inside a transaction, leave it open."""
    log = MAGIC
    for kind in kinds:
        # The format's own last byte says that there are checksums.
        content = b"content\x01"
        length = 19 + len(content) + 4
        end = len(log) + length if stated_ends or kind != XID else 0
        event = struct.pack("<IBIIIH", SECOND, kind, 1, length, end, 0) + content
        log += event + zlib.crc32(event).to_bytes(4, "little")
    return log


@pytest.mark.parametrize("stated_ends", [True, False])
def test_a_transaction_ends_before_the_checkpoint_after_it(stated_ends: bool) -> None:
    """Its instant is the end of the second that its first event names."""
    log = _log(FORMAT, GTID, XID, CHECKPOINT, GTID, XID, stated_ends=stated_ends)
    each = (len(log) - len(MAGIC)) // 6

    first, second = commits_of(read_events(BytesIO(log)))

    assert (first.begin, first.end) == (len(MAGIC) + each, len(MAGIC) + 3 * each)
    assert (second.begin, second.end) == (len(MAGIC) + 4 * each, len(log))
    assert (first.microseconds, first.gtid) == (SECOND * 10**6 + 999_999, "")


def test_an_end_that_is_not_there_is_damage() -> None:
    """An event may leave its end open, and may not say a wrong one."""
    log = bytearray(_log(FORMAT, GTID, XID, stated_ends=True))
    log[-31 + 13] ^= 1
    with pytest.raises(LogDamaged, match="does not end where it says"):
        list(read_events(BytesIO(bytes(log))))


def test_a_tar_that_breaks_off_inside_a_log_is_damage() -> None:
    """Its reader meets the end in the midst of a log: damage, and no error of another kind."""
    packed = BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        described = tarfile.TarInfo("binlog.1")
        described.size = 8192
        archive.addfile(described, BytesIO(bytes(8192)))
    half = logs_in(iter([packed.getvalue()[:4096]]))
    _, length, content = next(half)

    with pytest.raises(LogDamaged, match="it breaks off"):
        content.read(length)
