"""Faults in binary logs cut where events begin, and leave everything else as it was."""

import struct
import tarfile
import zlib
from io import BytesIO

import pytest

from restoreproof import damage_binlog as faults

FORMAT, GTID, ROWS, COMMIT = 15, 33, 30, 16
SERVER = bytes(range(16))


def event(kind: int, body: bytes) -> bytes:
    """An event with its header and its checksum."""
    header = struct.pack("<IBIIIH", 0, kind, 1, 19 + len(body) + 4, 0, 0)
    return header + body + zlib.crc32(header + body).to_bytes(4, "little")


def transaction(value: bytes) -> bytes:
    """A transaction of one change."""
    gtid = event(GTID, b"\x00" + SERVER + b"\x01" * 8)
    return gtid + event(ROWS, value) + event(COMMIT, b"\x07" * 8)


HEAD = faults.MAGIC + event(FORMAT, b"format")
LOGS = {
    "binlog.1": HEAD + transaction(b"one"),
    "binlog.2": HEAD + transaction(b"two") + transaction(b"three"),
    "binlog.3": HEAD + transaction(b"four") + transaction(b"five"),
}


def packed() -> bytes:
    """The logs as an increment stores them."""
    written = BytesIO()
    with tarfile.open(fileobj=written, mode="w") as archive:
        for name, log in LOGS.items():
            member = tarfile.TarInfo(name)
            member.size = len(log)
            archive.addfile(member, BytesIO(log))
    return written.getvalue()


def unpacked(tar: bytes) -> dict[str, bytes]:
    """Every log with its content."""
    with tarfile.open(fileobj=BytesIO(tar)) as archive:
        return {one.name: archive.extractfile(one).read() for one in archive}  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("change", "changed"),
    [
        (faults.drop_log(1), {"binlog.2": None}),
        (faults.empty_log(1), {"binlog.2": HEAD}),
        (faults.swap_logs(0, 2), {"binlog.1": LOGS["binlog.3"], "binlog.3": LOGS["binlog.1"]}),
        (faults.drop_last_transaction, {"binlog.3": HEAD + transaction(b"four")}),
        (faults.drop_transaction(0), {"binlog.3": HEAD + transaction(b"five")}),
        (faults.drop_last_event, {"binlog.3": LOGS["binlog.3"][: -len(event(COMMIT, b"7" * 8))]}),
        (
            faults.replace_in_events(b"five", b"nine"),
            {"binlog.3": HEAD + transaction(b"four") + transaction(b"nine")},
        ),
    ],
)
def test_a_fault_changes_what_it_says(
    change: faults.Change, changed: dict[str, bytes | None]
) -> None:
    """The log that was meant is another, to the byte, and the others are as they were."""
    expected = {name: log for name, log in (LOGS | changed).items() if log is not None}
    assert unpacked(change(packed())) == expected


def test_another_server_is_in_every_transaction() -> None:
    """The server's identifier is another, the checksums are right, and no length changes."""
    changed = unpacked(faults.change_server(packed()))["binlog.3"]

    assert SERVER not in changed
    other = bytes(byte ^ 0xFF for byte in SERVER)
    gtid = event(GTID, b"\x00" + other + b"\x01" * 8)
    assert changed.count(gtid) == 2
    assert len(changed) == len(LOGS["binlog.3"])


def test_a_fault_that_cannot_be_done_is_a_mistake() -> None:
    """What is not there cannot be changed, and no event may become longer."""
    with pytest.raises(AssertionError, match="no event holds"):
        faults.replace_in_events(b"six", b"ten")(packed())
    with pytest.raises(AssertionError, match="another length"):
        faults.replace_in_events(b"six", b"seven")
