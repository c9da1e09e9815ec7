"""Where a stream of MariaDB's binary logs is cut: after the last transaction that is whole."""

import struct
import zlib
from io import BytesIO
from pathlib import Path

import pytest

from restoreproof.engines.contract import Base
from restoreproof.engines.mysql_binlog_reader import MAGIC, beginning_of
from restoreproof.engines.mysql_seal import seal
from restoreproof.outcomes import BackupFailed
from restoreproof.stream_store import StreamStore

NAME = "binlog.000007"
SECOND = 1_700_000_000
Events = list[tuple[int, bytes]]


def _query(statement: bytes) -> tuple[int, bytes]:
    # No database and no variables.
    return 2, bytes(13) + b"\0" + statement


def _gtid(flags: int) -> tuple[int, bytes]:
    return 162, bytes(12) + bytes([flags]) + bytes(6)


FORMAT = (15, b"the format\x01")
ROWS, XID, CHECKPOINT, VARIABLE, COMPRESSED = 23, (16, b"x"), (161, b"x"), (5, b"x"), (165, b"x")
TRANSACTION, ALONE = _gtid(4), _gtid(1)
WHOLE: dict[str, Events] = {
    "rows": [TRANSACTION, (ROWS, b"x"), XID],
    "statements": [TRANSACTION, _query(b"INSERT"), _query(b"UPDATE"), XID],
    "without transactions": [_gtid(0), _query(b"INSERT"), _query(b"COMMIT")],
    "rolled back": [TRANSACTION, _query(b"INSERT"), _query(b"ROLLBACK")],
    "prepared": [_gtid(64), _query(b"INSERT"), (38, b"x")],
    "definition": [ALONE, _query(b"CREATE TABLE")],
    "alone with a variable": [ALONE, VARIABLE, _query(b"INSERT")],
    "compressed definition": [ALONE, COMPRESSED],
}


def _log(events: Events) -> bytes:
    log = MAGIC
    for kind, content in events:
        length = 19 + len(content) + 4
        event = struct.pack("<IBIIIH", SECOND, kind, 3, length, len(log) + length, 0) + content
        log += event + zlib.crc32(event).to_bytes(4, "little")
    return log


BEGIN = len(_log([FORMAT]))
BASE = Base(
    "base", f"{NAME}:{BEGIN}", "server", "10.11.1-MariaDB",
    {"log_file": NAME, "log_position": str(BEGIN), "log_identity": "known"},
)  # fmt: skip


def _store(place: Path, log: bytes) -> StreamStore:
    store = StreamStore(place, "mysql", "server")
    with store.locked():
        store.append(NAME, [log])
    return store


@pytest.mark.parametrize("kind", WHOLE)
def test_a_whole_transaction_is_taken_and_half_of_one_is_not(tmp_path: Path, kind: str) -> None:
    """However a transaction ends: what comes before its last event is left for later."""
    first = [FORMAT, TRANSACTION, XID, CHECKPOINT]
    end = f"{NAME}:{len(_log([FORMAT, TRANSACTION, XID]))}"
    whole = _log([*first, *WHOLE[kind]])

    sealed = seal(BASE, _store(tmp_path / "whole", whole))
    assert sealed is not None
    assert (sealed.position, sealed.transactions) == (f"{NAME}:{len(whole)}", 2)

    for fewer in range(1, len(WHOLE[kind])):
        half = _log([*first, *WHOLE[kind][:-fewer]])
        sealed = seal(BASE, _store(tmp_path / str(fewer), half))
        assert sealed is not None
        assert (sealed.position, sealed.transactions) == (end, 1)


def test_what_no_stream_can_stand_on_is_refused(tmp_path: Path) -> None:
    """Without the base's log by name and nature nothing is sealed."""
    store = _store(tmp_path, _log([FORMAT, TRANSACTION, XID]))
    without = {name: fact for name, fact in BASE.facts.items() if name != "log_identity"}
    with pytest.raises(BackupFailed, match="not made to be followed by a stream"):
        seal(Base("base", BASE.position, "server", "10.11.1-MariaDB", without), store)
    with pytest.raises(BackupFailed, match="after the end of base"):
        seal(Base("base", "binlog.000006:4", "server", "10.11.1-MariaDB",
                  {**BASE.facts, "log_file": "binlog.000006"}), store)  # fmt: skip


def test_a_log_is_told_as_its_reader_tells_it() -> None:
    """Instant, server, end and checksum of the first event."""
    log = _log([FORMAT])
    checksum = int.from_bytes(log[-4:], "little")
    told = f"231114 22:13:20 server id 3 end_log_pos {len(log)} CRC32 0x{checksum:08x}"
    assert beginning_of(BytesIO(log)) == told
