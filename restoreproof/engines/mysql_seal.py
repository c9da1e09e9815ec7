"""Makes an increment of what a stream has stored: no source is needed for it.

It ends with the last transaction that arrived whole. It holds no fingerprint, since at that
instant nobody looked at the source: its restore is judged by the ledger of commits.
"""

import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import cast

from restoreproof.engines.contract import (
    CLOCK_AHEAD,
    STREAMED,
    ArtifactSink,
    BackupContent,
    BackupContext,
    Base,
)
from restoreproof.engines.mysql_binlog_reader import (
    BEGINNINGS,
    MARIADB_COMPRESSED_QUERY,
    MARIADB_GTID,
    QUERY,
    Commit,
    Event,
    LogCut,
    LogDamaged,
    beginning_of,
    commits_of,
    is_alone,
    read_events,
    statement_of,
)
from restoreproof.engines.mysql_fingerprint import METHOD
from restoreproof.engines.mysql_gtids import GtidSet
from restoreproof.engines.mysql_position import file_position, parsed_file_position
from restoreproof.engines.mysql_replay import LOGS
from restoreproof.fingerprint import Fingerprint
from restoreproof.outcomes import BackupFailed
from restoreproof.stream_store import Segment, StreamStore

# The last events of a transaction: commit, prepared commit, and one that was compressed.
COMMITTED = {16, 38, 40}


@dataclass(frozen=True)
class Sealed:
    """Where the increment ends, when that was committed, and the length of each log."""

    position: str
    committed_at: datetime | None
    lengths: dict[str, int]
    transactions: int


def require_position(base: Base) -> None:
    """Raise BackupFailed unless a stream can continue the base."""
    if not base.position:
        raise BackupFailed("the source writes no binary log, which a stream needs")
    if parsed_file_position(base.position) and "log_identity" not in base.facts:
        raise BackupFailed(f"{base.id} was not made to be followed by a stream")


def seal(base: Base, store: StreamStore) -> Sealed | None:
    """What the stored logs add to a backup; None if that is nothing.

    Raise BackupFailed if they do not continue the backup or are damaged.
    """
    require_position(base)
    first, begin = base.facts.get("log_file", ""), int(base.facts.get("log_position", "0"))
    segments = _since(first, base, store)
    if not segments:
        return None
    numbers = [int(segment.name.rpartition(".")[2]) for segment in segments]
    if numbers != list(range(numbers[0], numbers[0] + len(numbers))):
        raise BackupFailed("a binary log in the midst of the stream is missing")
    by_file = bool(parsed_file_position(base.position))
    held, lengths, last, count = (
        GtidSet("" if by_file else base.position),
        dict[str, int](),
        None,
        0,
    )
    for segment in segments:
        lengths[segment.name] = 0
        for commit in _whole(segment, last_segment=segment is segments[-1]):
            lengths[segment.name] = commit.end
            if segment.name == first and commit.end <= begin:
                continue
            if commit.uuid:
                held.add(commit.uuid, commit.tag, commit.number)
            last, count = commit, count + 1
        if segment is not segments[-1]:
            lengths[segment.name] = segment.stored_bytes
    lengths = {name: length for name, length in lengths.items() if length}
    if last is None:
        return None
    position = file_position(*next(reversed(lengths.items()))) if by_file else str(held)
    return Sealed(position, last.at, lengths, count)


def sealed_content(context: BackupContext, store: StreamStore) -> BackupContent | None:
    """Store an increment of what was streamed since the base; None if that is nothing."""
    base = context.base
    assert base is not None
    sealed = seal(base, store)
    if sealed is None:
        return None
    with context.artifact(LOGS) as sink:
        _write_logs(sealed, store, sink)
    now = context.of.clock()
    reached = max(filter(None, (sealed.committed_at, store.caught_up_at)), default=now)
    last, end = next(reversed(sealed.lengths.items()))
    facts = {
        STREAMED: "yes",
        CLOCK_AHEAD: base.facts.get(CLOCK_AHEAD, "0"),
        "accounts": base.facts.get("accounts", ""),
        "base_position": base.position,
        "logs": " ".join(sealed.lengths),
        "logs_bytes": " ".join(map(str, sealed.lengths.values())),
        "log_file": last,
        "log_position": str(end),
        "gtid_executed": "" if parsed_file_position(sealed.position) else sealed.position,
        "transactions": str(sealed.transactions),
    }
    if parsed_file_position(sealed.position):
        with (store.folder / last).open("rb") as file:
            facts["log_identity"] = beginning_of(file)
    return BackupContent(
        recovery_point=min(reached, now),
        position=sealed.position,
        fingerprint=Fingerprint.of(METHOD, reached, ()),
        source_version=base.source_version,
        source_identity=base.source_identity,
        facts=facts,
    )


def _write_logs(sealed: Sealed, store: StreamStore, sink: ArtifactSink) -> None:

    class Writer:
        def write(self, content: bytes) -> int:
            sink.write(content)
            return len(content)

    with tarfile.open(fileobj=cast("tarfile._Fileobj", Writer()), mode="w|") as archive:
        for name, length in sealed.lengths.items():
            member = tarfile.TarInfo(name)
            member.size = length
            with (store.folder / name).open("rb") as file:
                archive.addfile(member, file)


def _since(first: str, base: Base, store: StreamStore) -> tuple[Segment, ...]:
    segments = store.segments()
    begin = int(first.rpartition(".")[2] or 0)
    later = tuple(one for one in segments if int(one.name.rpartition(".")[2]) >= begin)
    if later and later[0].name != first:
        raise BackupFailed(f"the stream begins with {later[0].name}, after the end of {base.id}")
    return later


def _whole(segment: Segment, *, last_segment: bool) -> Iterator[Commit]:
    """Every transaction of a log that arrived whole."""
    with segment.path.open("rb") as file:
        try:
            yield from commits_of(_transactions(_arrived(read_events(file), last_segment)))
        except LogDamaged as damage:
            raise BackupFailed(f"the stored {segment.name}: {damage}") from None


def _arrived(events: Iterator[Event], last_segment: bool) -> Iterator[Event]:
    """The events, without the one that was arriving last."""
    try:
        yield from events
    except LogCut:
        if not last_segment:
            raise


def _transactions(events: Iterator[Event]) -> Iterator[Event]:
    """The events without those of a transaction whose end has not arrived."""
    group: list[Event] = []
    for event in events:
        if event.type in BEGINNINGS:
            group = [event]
        elif not group:
            yield event
        elif _ends(event, group[0], second=len(group) == 1):
            yield from (*group, event)
            group = []
        elif len(group) == 1:
            # Between the first event and the last none tells anything, and there may be millions.
            group.append(event)


def _ends(event: Event, first: Event, *, second: bool) -> bool:
    if event.type in COMMITTED:
        return True
    if first.type == MARIADB_GTID and is_alone(first):
        return event.type in (QUERY, MARIADB_COMPRESSED_QUERY)
    if event.type != QUERY:
        return False
    statement = statement_of(event).split(b"\0")[0].strip().upper()
    if second and first.type != MARIADB_GTID:
        return not statement.startswith((b"BEGIN", b"XA START"))
    return statement.startswith((b"COMMIT", b"ROLLBACK", b"XA PREPARE"))
