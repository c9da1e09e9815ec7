"""Replays the binary logs of an increment into its sandbox, to an exact position.

Neither way of replaying complains of a log that is missing in the middle or that ends early:
what the logs hold is read before, and where the server ended is held against it afterwards.
"""

import re
import secrets
import shlex
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import pymysql

from restoreproof.engines.contract import BackupToRestore, Until
from restoreproof.engines.mysql_binlog_reader import (
    QUERY,
    Commit,
    Event,
    LogDamaged,
    commits_of,
    logs_in,
    read_events,
    statement_of,
)
from restoreproof.engines.mysql_connection import rows
from restoreproof.engines.mysql_dump import OPTIONS_FILE
from restoreproof.engines.mysql_gtids import GtidSet
from restoreproof.engines.mysql_position import (
    file_position,
    is_one_gtid,
    parsed_file_position,
)
from restoreproof.engines.mysql_relay import applies_relay_logs, apply_as_relay_logs
from restoreproof.engines.mysql_restored import RestoredMySQL
from restoreproof.outcomes import RestoreFailed

LOGS = "binary-logs.tar"
FOLDER = "/var/tmp/restoreproof-replay"  # noqa: S108  # inside a container of ours alone
LOG_NAME = re.compile(r"[\w.-]+\.\d+")
ON_EVENTS = re.compile(rb"\bEVENT\b", re.IGNORECASE)
MISSING = "transactions are missing or too many"


@dataclass
class Plan:
    """What is to be replayed: logs, up to which position of the last, and where that leads.

    ``begun`` says whether the logs hold an event that ends where the replay is to begin.
    ``last`` is the end of the last transaction, ``expected`` the position in the end; ``unfit``
    says why a replica could not apply the logs as they are.
    """

    begin: tuple[str, int] | None
    begun: bool = False
    logs: list[str] = field(default_factory=list)
    end: int = 0
    last: str = ""
    expected: str = ""
    unfit: str = ""


def replay_logs(restored: RestoredMySQL, increment: BackupToRestore, until: Until | None) -> None:
    """Apply an increment's transactions: all of them, or those committed up to ``until``.

    Raise RestoreFailed with the tool's words, or if the server ends anywhere else.
    """
    try:
        plan = _plan(restored.position, increment, until)
        if plan.logs:
            _apply(restored, increment, plan)
    except pymysql.MySQLError as error:
        restored.sandbox.require_running()
        raise RestoreFailed(f"replaying binary logs: {error.args[-1]}") from None
    if plan.begin:
        restored.file_position = plan.expected
    elif GtidSet(restored.position) != GtidSet(plan.expected):
        raise RestoreFailed(
            f"the replay ended at {restored.position or 'no position'} and not at"
            f" {plan.expected}: {MISSING}"
        )


def ledger(increment: BackupToRestore) -> Iterator[tuple[str, Commit]]:
    """Log and transaction of every commit that an increment adds to its base, in their order.

    Raise RestoreFailed for damaged logs.
    """
    base = increment.facts.get("base_position", "")
    begin = parsed_file_position(base)
    known = GtidSet("" if begin else base)
    for name, events in _logs(increment):
        for commit in commits_of(events):
            told = commit.uuid and known.holds(commit.uuid, commit.tag, commit.number)
            if not told and not _is_before(begin, name, commit):
                yield name, commit


def position_at(increment: BackupToRestore, instant: datetime) -> str:
    """The position after everything that was committed up to an instant.

    Raise RestoreFailed for damaged logs.
    """
    base = increment.facts.get("base_position", "")
    begin = parsed_file_position(base)
    reached, held = base, GtidSet("" if begin else base)
    for name, commit in ledger(increment):
        if _is_beyond(commit, instant):
            break
        reached = file_position(name, commit.end)
        if commit.uuid:
            held.add(commit.uuid, commit.tag, commit.number)
    return reached if begin else str(held)


def _plan(reached: str, increment: BackupToRestore, until: Until | None) -> Plan:
    """What to replay from the position that was reached. Raise RestoreFailed if it leads astray."""
    begin = parsed_file_position(reached)
    if bool(begin) != bool(parsed_file_position(increment.position)):
        raise RestoreFailed(f"the increment leads to {increment.position}, not from {reached}")
    plan = Plan(begin)
    held = _read(plan, GtidSet(reached), increment, until)
    if begin:
        plan.unfit = "without GTIDs a replica would not know what it applied"
        _require_contiguous(begin, plan.logs)
        if not plan.begun:
            raise RestoreFailed(f"no event of {begin[0]} ends at {begin[1]}: {MISSING}")
        # Up to an instant it is the end of the last transaction, wherever the next one begins.
        end = file_position(plan.logs[-1], plan.end)
        plan.expected = end if until is None else plan.last or reached
    else:
        plan.expected = str(held)
    whole = increment.position if begin else str(GtidSet(increment.position))
    if until is None and plan.expected != whole:
        raise RestoreFailed(
            f"the stored logs lead to {plan.expected} and not to {whole}: {MISSING}"
        )
    return plan


def _read(plan: Plan, held: GtidSet, increment: BackupToRestore, until: Until | None) -> GtidSet:
    """Find where to stop, and add every transaction up to there to the set."""
    stopped = False
    one, wanted = "", GtidSet()
    if isinstance(until, str):
        one, wanted = _stop(until)

    def watched(events: Iterable[Event]) -> Iterator[Event]:
        for event in events:
            plan.begun = plan.begun or plan.begin == (plan.logs[-1], event.end)
            if event.type == QUERY and ON_EVENTS.search(statement_of(event)):
                plan.unfit = "a replica disables the events that they define"
            if not stopped:
                plan.end = event.end
            yield event

    for name, events in _logs(increment):
        if not stopped:
            plan.logs.append(name)
        # What comes after the stop is read all the same: damage there is damage.
        for commit in commits_of(watched(events)):
            if stopped or _is_before(plan.begin, name, commit):
                continue
            foreign = wanted and not wanted.holds(commit.uuid, commit.tag, commit.number)
            # What a base holds already is in its logs too.
            known = held.holds(commit.uuid, commit.tag, commit.number)
            if _is_beyond(commit, until) or (foreign and not known):
                plan.end, stopped = commit.begin, True
                continue
            plan.last = file_position(name, commit.end)
            if commit.uuid:
                held.add(commit.uuid, commit.tag, commit.number)
            if one and commit.gtid == one:
                plan.end, stopped = commit.end, True
    if one and not stopped:
        raise RestoreFailed(f"the increment's logs do not hold {until}")
    if wanted and held != wanted:
        raise RestoreFailed(f"the increment's logs do not lead to exactly {until}")
    return held


def _stop(until: str) -> tuple[str, GtidSet]:
    """The one transaction to stop after, or the set of all to apply; the other one is empty."""
    if is_one_gtid(until):
        return until.lower(), GtidSet()
    try:
        return "", GtidSet(until)
    except ValueError:
        raise RestoreFailed(f"the increment's logs do not hold {until}") from None


def _logs(increment: BackupToRestore) -> Iterator[tuple[str, Iterator[Event]]]:
    """Name and events of every stored log. Raise RestoreFailed unless they are as recorded."""
    recorded = zip(
        increment.facts.get("logs", "").split(),
        map(int, increment.facts.get("logs_bytes", "").split()),
        strict=False,
    )
    name = ""
    try:
        for name, length, content in logs_in(increment.read(LOGS)):
            if (name, length) != next(recorded, None) or not LOG_NAME.fullmatch(name):
                raise LogDamaged(f"its {length} bytes are not what was recorded: {MISSING}")
            yield name, _undamaged(name, read_events(content))
    except LogDamaged as damage:
        raise RestoreFailed(f"binary log {name}: {damage}") from None
    if missing := next(recorded, None):
        raise RestoreFailed(f"binary log {missing[0]} is missing: {MISSING}")


def _undamaged(name: str, events: Iterator[Event]) -> Iterator[Event]:
    try:
        yield from events
    except LogDamaged as damage:
        raise RestoreFailed(f"binary log {name}: {damage}") from None


def _is_before(begin: tuple[str, int] | None, name: str, commit: Commit) -> bool:
    return begin is not None and name == begin[0] and commit.end <= begin[1]


def _is_beyond(commit: Commit, until: Until | None) -> bool:
    if not isinstance(until, datetime):
        return False
    if commit.at is None:
        raise RestoreFailed("the logs do not tell when their transactions were committed")
    return commit.at > until


def _require_contiguous(begin: tuple[str, int], logs: Sequence[str]) -> None:
    """Without GTIDs only the logs' names tell that none is missing in between."""
    numbers = [int(name.rpartition(".")[2]) for name in logs]
    if not logs or logs[0] != begin[0] or numbers != list(range(numbers[0], numbers[-1] + 1)):
        raise RestoreFailed(
            f"{', '.join(logs) or 'no log'} does not begin at {begin[0]}: {MISSING}"
        )


def _apply(restored: RestoredMySQL, increment: BackupToRestore, plan: Plan) -> None:
    sandbox, folder = restored.sandbox, f"{FOLDER}-{secrets.token_hex(4)}"
    unpack = f"mkdir {folder} && cd {folder} && tar -xf - && truncate -s {plan.end} {plan.logs[-1]}"
    unpacked = sandbox.run(["sh", "-c", unpack], feed=increment.read(LOGS))
    if unpacked.exit_code != 0:
        raise RestoreFailed(f"unpacking binary logs: {unpacked.complaint}")
    unfit = plan.unfit
    if not unfit and not applies_relay_logs(restored.connection):
        unfit = "this server takes none"
    if unfit:
        restored.note(
            f"binary logs replayed by {restored.dialect.log_reader}, not as relay logs: {unfit}"
        )
        _pipe(restored, folder, plan)
        sandbox.run(["rm", "-rf", folder])
    else:
        restored.note("no redo log while logs were applied")
        restored.note("binary logs applied as relay logs")
        apply_as_relay_logs(restored.connection, sandbox, folder, plan.logs, plan.expected)


def _pipe(restored: RestoredMySQL, folder: str, plan: Plan) -> None:
    dialect = restored.dialect
    if plan.begin and dialect.gtid_sets:
        _take_transactions_without_gtids(restored)
    start = f"--start-position={plan.begin[1]} " if plan.begin else ""
    # Without pipefail the shell would take mysql's word for both programs.
    pipe = (
        f"set -o pipefail; cd {folder} && {dialect.log_reader} --verify-binlog-checksum"
        f" {start}{shlex.join(plan.logs)}"
        f" | {dialect.client} --defaults-extra-file={OPTIONS_FILE} --socket={restored.socket}"
        # Else clients before MySQL 9 and all of MariaDB leave out the comments in routines.
        " --binary-mode --comments"
    )
    replayed = restored.sandbox.run(["bash", "-c", pipe])
    if replayed.exit_code != 0:
        restored.sandbox.require_running()
        raise RestoreFailed(f"replaying binary logs: {replayed.complaint}")


def _take_transactions_without_gtids(restored: RestoredMySQL) -> None:
    for (mode,) in rows(restored.connection, "SELECT @@GLOBAL.gtid_mode"):
        if mode == "ON":
            rows(restored.connection, "SET GLOBAL gtid_mode = ON_PERMISSIVE")
            rows(restored.connection, "SET GLOBAL gtid_mode = OFF_PERMISSIVE")
            rows(restored.connection, "SET GLOBAL enforce_gtid_consistency = OFF")
