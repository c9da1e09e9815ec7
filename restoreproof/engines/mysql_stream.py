"""Stores a source's binary logs as they are written, second by second.

mysqldump and increments leave hours between two recovery points; a stream leaves seconds. The
source's own tool asks for the logs as a replica would. Each log is stored from its beginning,
and what is stored is only ever added to, so after an interruption of either side the log under
way is read again, held against what is there, and continued: no gap, no duplicate.
"""

import secrets
import shlex
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from itertools import chain
from typing import Any

import pymysql
from pymysql.connections import Connection

from restoreproof.engines.contract import Base, SourceContext
from restoreproof.engines.mysql_binlog import log_identity
from restoreproof.engines.mysql_binlog_reader import IN_USE
from restoreproof.engines.mysql_connection import rows, value
from restoreproof.engines.mysql_dialect import Dialect
from restoreproof.engines.mysql_dump import OPTIONS_FILE
from restoreproof.engines.mysql_image import dialect_of
from restoreproof.engines.mysql_position import log_position
from restoreproof.engines.mysql_seal import require_position
from restoreproof.engines.mysql_source import connect_source, place_source_options
from restoreproof.errors import SandboxTrouble, SourceUnavailable
from restoreproof.outcomes import BackupFailed
from restoreproof.sandbox import Sandbox
from restoreproof.stream_store import StreamStore

FOLDER = "/var/tmp/restoreproof-stream"  # noqa: S108  # inside a container of ours alone
POLL_SECONDS = 1.0
FIRST_WAIT, LONGEST_WAIT = timedelta(seconds=1), timedelta(seconds=30)
# Where the first event of a log says that the log is being written to.
FLAGS_AT = 4 + 17
FULL = "take a full backup (restoreproof backup POLICY COMPONENT --full)"

Tell = Callable[[str], None]


@dataclass(frozen=True)
class _Stream:
    """One connection's worth of streaming."""

    connection: "Connection[Any]"
    tools: Sandbox
    store: StreamStore
    context: SourceContext
    newest: Callable[[], Base]


def follow(
    context: SourceContext,
    newest: Callable[[], Base],
    store: StreamStore,
    stop: threading.Event,
    tell: Tell,
) -> None:
    """Store the logs from the newest backup on, until ``stop`` is set.

    A source that goes away is waited for. Raise BackupFailed if what it gives does not continue
    what is stored, OutputUnwritable if it cannot be stored.
    """
    require_position(newest())
    wait = FIRST_WAIT
    while not stop.is_set():
        before = _stored_bytes(store)
        try:
            _follow_once(context, newest, store, stop, tell)
        except (SourceUnavailable, SandboxTrouble, pymysql.MySQLError) as lost:
            tell(f"{context.component}: {lost}")
        if stop.is_set():
            return
        wait = FIRST_WAIT if _stored_bytes(store) > before else min(2 * wait, LONGEST_WAIT)
        tell(f"{context.component}: trying again in {wait.total_seconds():.0f} s")
        stop.wait(wait.total_seconds())


def _follow_once(
    context: SourceContext,
    newest: Callable[[], Base],
    store: StreamStore,
    stop: threading.Event,
    tell: Tell,
) -> None:
    assert context.image is not None
    with (
        closing(connect_source(context)) as connection,
        context.sandboxes.tools(context.image) as tools,
    ):
        place_source_options(tools, context)
        dialect = dialect_of(context.image, context.sandboxes)
        first = _first_log(connection, newest(), store, tools, dialect)
        ended: list[str] = []
        reading = threading.Thread(
            target=lambda: ended.append(_read(tools, dialect, first)),
            name="log reader",
            daemon=True,
        )
        reading.start()
        tell(f"{context.component}: following the binary log from {first}")
        stream = _Stream(connection, tools, store, context, newest)
        verified: set[str] = set()
        while not stop.wait(POLL_SECONDS):
            over = list(ended)
            _take(stream, verified, tell)
            if over:
                raise SourceUnavailable(f"the stream ended: {over[0]}")
        # What the source had written when it was asked to stop is taken along.
        _take(stream, verified, tell)


def _first_log(
    connection: "Connection[Any]",
    base: Base,
    store: StreamStore,
    tools: Sandbox,
    dialect: Dialect,
) -> str:
    """The log to begin with: the last that is stored, else the one of the base."""
    if str(value(connection, f"SELECT {dialect.identity}")) != base.source_identity:
        raise BackupFailed(f"the source is another server than that of {base.id}; {FULL}")
    there = {str(row[0]) for row in rows(connection, "SHOW BINARY LOGS")}
    stored = [segment.name for segment in store.segments()][-1:]
    # What a backup holds by now need not be streamed any more.
    of_base = base.facts.get("log_file", "")
    known = base.facts.get("log_identity")
    if known and of_base in there and _identity(tools, dialect, of_base) != known:
        raise BackupFailed(f"the source's history no longer holds that of {base.id}; {FULL}")
    for first in (*stored, of_base):
        if first in there:
            return first
    raise BackupFailed(f"binary logs since {base.id} were purged before they were stored; {FULL}")


def _identity(tools: Sandbox, dialect: Dialect, log: str) -> str:
    try:
        return log_identity(tools, dialect, log)
    except BackupFailed as failure:
        # It may go away at any moment.
        raise SourceUnavailable(str(failure)) from None


def _read(tools: Sandbox, dialect: Dialect, first: str) -> str:
    """Read logs into the container until the source goes away; return why it ended."""
    command = shlex.join(
        (
            dialect.log_reader,
            f"--defaults-extra-file={OPTIONS_FILE}",
            "--read-from-remote-server",
            "--raw",
            "--stop-never",
            f"{dialect.log_reader_id}={secrets.randbelow(2**31) + 2**31}",
            f"--result-file={FOLDER}/",
            first,
        )
    )
    try:
        return tools.run(["sh", "-c", f"mkdir -p {FOLDER} && exec {command}"]).complaint
    except SandboxTrouble as trouble:
        return str(trouble)


def _take(stream: _Stream, verified: set[str], tell: Tell) -> None:
    """Store what has arrived in the container since the last time."""
    names = list(_arrived(stream.tools))
    for number, (name, size) in enumerate(names):
        stored = stream.store.stored_bytes(name)
        last = number == len(names) - 1
        if name not in verified and stored:
            if size < stored:
                if last:
                    # The tool is still reading what is known already.
                    return
                raise BackupFailed(f"the source no longer holds all of {name}; {FULL}")
            _require_same(stream, name, stored)
        verified.add(name)
        if size > stored:
            stream.store.append(name, _part(stream.tools, name, stored, size))
            if not stored:
                tell(f"{stream.context.component}: storing {name}")
                stream.store.forget_before(stream.newest().facts.get("log_file", ""))
        if not last:
            stream.tools.run(["rm", f"{FOLDER}/{name}"])
    if names and log_position(stream.connection) == names[-1]:
        stream.store.note_caught_up(stream.context.clock())


def _arrived(tools: Sandbox) -> Iterator[tuple[str, int]]:
    listed = tools.run(["sh", "-c", f"cd {FOLDER} && stat -c '%n %s' *.[0-9]*"])
    lines = listed.output.splitlines() if listed.exit_code == 0 else []
    for line in sorted(lines, key=lambda one: int(one.split()[0].rpartition(".")[2])):
        name, size = line.split()
        yield name, int(size)


def _require_same(stream: _Stream, name: str, stored: int) -> None:
    """Raise BackupFailed unless a log begins with what is stored of it."""
    with (stream.store.folder / name).open("rb") as file:
        at = 0
        for chunk in _part(stream.tools, name, 0, stored):
            known = file.read(len(chunk))
            if _without_flag(known, at) != _without_flag(chunk, at):
                raise BackupFailed(f"the source's {name} is another than the stored one; {FULL}")
            at += len(chunk)


def _without_flag(chunk: bytes, at: int) -> bytes:
    index = FLAGS_AT - at
    if not 0 <= index < len(chunk):
        return chunk
    return bytes(chain(chunk[:index], [chunk[index] & ~IN_USE], chunk[index + 1 :]))


def _part(tools: Sandbox, name: str, begin: int, end: int) -> Iterator[bytes]:
    script = f"tail -c +{begin + 1} {FOLDER}/{shlex.quote(name)} | head -c {end - begin}"
    output = tools.stream(["sh", "-c", script])
    received = 0
    for chunk in output:
        received += len(chunk)
        yield chunk
    if received != end - begin:
        raise SandboxTrouble(f"{name} could not be read: {output.result().complaint}")


def _stored_bytes(store: StreamStore) -> int:
    return sum(segment.stored_bytes for segment in store.segments())
