"""Faults inside the binary logs of an increment, for ``rewrite_logs``: named functions.

Like those in ``damage_content`` they take an artifact's content and give it back with one fault
in it, in memory, and an assertion says where the fault cannot be done.
"""

import struct
import tarfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from io import BytesIO

from restoreproof.damage import Change, VaultCopy
from restoreproof.vault import StoredBackup

LOGS = "binary-logs.tar.zst"
MAGIC = b"\xfebin"
HEADER_BYTES, CHECKSUM_BYTES = 19, 4
SERVER = slice(HEADER_BYTES + 1, HEADER_BYTES + 17)
"""Where in an event with a GTID the server's UUID stands."""
CRC32 = 1
"""How the first event of a log says that every event ends in a checksum."""
GTID_EVENTS = frozenset({33, 34, 42, 162})
"""Types of the events with which a transaction begins: with a GTID, without, tagged, MariaDB's."""


def rewrite_logs(copy: VaultCopy, backup: StoredBackup, change: Change) -> None:
    """Change a backup's logs, every hash over them, and the list of their names and lengths.

    With the old list a fault would be told by that alone, and what is asked of the logs
    themselves would never be seen to answer.
    """
    lists: dict[str, str] = {}

    def noted(tar: bytes) -> bytes:
        changed = change(tar)
        logs = _logs(changed)
        lists["logs"] = " ".join(logs)
        lists["logs_bytes"] = " ".join(str(len(log)) for log in logs.values())
        return changed

    copy.rewrite(backup, LOGS, noted)
    known = copy.vault.backups(backup.entry.component)
    rewritten = next(one for one in known if one.id == backup.id)
    copy.restate(rewritten, facts={**rewritten.manifest().facts, **lists})


def in_log(number: int, change: Change) -> Change:
    """Change one log, counted from the end if the number is negative."""

    def changed(logs: Mapping[str, bytes]) -> Mapping[str, bytes]:
        name = list(logs)[number]
        return {**logs, name: change(logs[name])}

    return lambda tar: _in_logs(tar, changed)


def drop_log(number: int) -> Change:
    """Leave out one log."""

    def change(logs: Mapping[str, bytes]) -> Mapping[str, bytes]:
        assert len(logs) > 1, "one log alone"
        lost = list(logs)[number]
        return {name: log for name, log in logs.items() if name != lost}

    return lambda tar: _in_logs(tar, change)


def empty_log(number: int) -> Change:
    """Keep of one log only what stands before its first transaction."""
    return in_log(number, lambda log: log[: _transactions(log)[0]])


def swap_logs(one: int, other: int) -> Change:
    """Give each of two logs the name of the other."""

    def change(logs: Mapping[str, bytes]) -> Mapping[str, bytes]:
        names = list(logs)
        names[one], names[other] = names[other], names[one]
        return dict(sorted(zip(names, logs.values(), strict=True)))

    return lambda tar: _in_logs(tar, change)


def drop_last_event(tar: bytes) -> bytes:
    """Let the last log end before its last event, which is the commit of a transaction."""
    return in_log(-1, lambda log: log[: _events(log)[-1][0]])(tar)


def drop_last_transaction(tar: bytes) -> bytes:
    """Let the last log end before its last transaction."""
    return in_log(-1, lambda log: log[: _transactions(log)[-1]])(tar)


def drop_transaction(number: int) -> Change:
    """Leave out a transaction of the last log."""

    def change(log: bytes) -> bytes:
        begins = [*_transactions(log), len(log)]
        return log[: begins[number]] + log[begins[number + 1] :]

    return in_log(-1, change)


def replace_in_events(old: bytes, new: bytes) -> Change:
    """Put other bytes of the same length into events, whose checksums are made anew."""
    assert len(old) == len(new), "an event would have another length"

    def change(log: bytes) -> bytes:
        assert old in log, f"no event holds {old!r}"
        return _in_events(log, lambda _, event: event.replace(old, new))

    return in_log(-1, change)


def change_server(tar: bytes) -> bytes:
    """Let the transactions of the last log be those of another server."""

    def change(kind: int, event: bytes) -> bytes:
        if kind not in GTID_EVENTS:
            return event
        other = bytes(byte ^ 0xFF for byte in event[SERVER])
        return event[: SERVER.start] + other + event[SERVER.stop :]

    return in_log(-1, lambda log: _in_events(log, change))(tar)


def has_checksums(log: bytes) -> bool:
    """Whether the log's events end in checksums, as its first event says."""
    end = _events(log)[1][0]
    return log[end - CHECKSUM_BYTES - 1] == CRC32


def _in_events(log: bytes, change: Callable[[int, bytes], bytes]) -> bytes:
    events = _events(log)
    ends = [at for at, _ in events[1:]] + [len(log)]
    parts = [log[: len(MAGIC)]]
    for (begin, kind), end in zip(events, ends, strict=True):
        before = log[begin : end - CHECKSUM_BYTES]
        after = change(kind, before)
        checksum = log[end - CHECKSUM_BYTES : end]
        if after != before:
            checksum = zlib.crc32(after).to_bytes(CHECKSUM_BYTES, "little")
        parts += [after, checksum]
    return b"".join(parts)


def _transactions(log: bytes) -> list[int]:
    """Where each transaction begins."""
    found = [at for at, kind in _events(log) if kind in GTID_EVENTS]
    assert found, "the log holds no transaction"
    return found


def _events(log: bytes) -> list[tuple[int, int]]:
    """Where each event begins, and its type."""
    assert log.startswith(MAGIC), "not a binary log"
    return list(_headers(log))


def _headers(log: bytes) -> Iterator[tuple[int, int]]:
    at = len(MAGIC)
    while at + HEADER_BYTES <= len(log):
        _, kind, _, size = struct.unpack_from("<IBII", log, at)
        yield at, kind
        at += size


def _in_logs(tar: bytes, change: Callable[[Mapping[str, bytes]], Mapping[str, bytes]]) -> bytes:
    written = BytesIO()
    with tarfile.open(fileobj=written, mode="w") as archive:
        for name, log in change(_logs(tar)).items():
            described = tarfile.TarInfo(name)
            described.size = len(log)
            archive.addfile(described, BytesIO(log))
    return written.getvalue()


def _logs(tar: bytes) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    with tarfile.open(fileobj=BytesIO(tar)) as archive:
        for member in archive:
            file = archive.extractfile(member)
            assert file, f"{member.name} is no file"
            found[member.name] = file.read()
    return found
