"""Increments of a MySQL server: its binary logs since the base, replayed to an exact position.

Neither the copy nor the replay complains of a log that is missing in the middle or that ends
early, so both ends are held against GTID sets: at the source, what was purged must be in the
base; in the sandbox, the executed set must become exactly the recorded one.
"""

import secrets
import shlex
from typing import Any

from pymysql.connections import Connection

from restoreproof.engines.contract import ArtifactSink, BackupToRestore, Base
from restoreproof.engines.mysql_connection import rows, value
from restoreproof.engines.mysql_dump import OPTIONS_FILE
from restoreproof.engines.mysql_fingerprint import gtid_executed
from restoreproof.engines.mysql_snapshot import Snapshot
from restoreproof.outcomes import BackupFailed, RestoreFailed
from restoreproof.sandbox import Sandbox

LOGS = "binary-logs.tar"
FOLDER = "/var/tmp/restoreproof-logs"  # noqa: S108  # inside a container of ours alone


def require_continuity(connection: "Connection[Any]", base: Base, taken: Snapshot) -> None:
    """Raise BackupFailed unless the logs that are there lead from the base to the snapshot."""
    full = "take a full backup (restoreproof backup POLICY COMPONENT --full)"
    if not taken.log_file:
        raise BackupFailed("the source writes no binary log, so there can be no increments")
    if not taken.position or not base.position:
        raise BackupFailed("the source keeps no GTIDs (gtid_mode), which increments need")
    if str(value(connection, "SELECT @@GLOBAL.server_uuid")) != base.source_identity:
        raise BackupFailed(f"the source is another server than that of {base.id}; {full}")
    if not _is_subset(connection, base.position, taken.position):
        raise BackupFailed(f"the source's history no longer holds that of {base.id}; {full}")
    purged = str(value(connection, "SELECT @@GLOBAL.gtid_purged") or "")
    if not _is_subset(connection, purged, base.position):
        raise BackupFailed(f"binary logs since {base.id} were purged; {full}")


def store_logs(
    connection: "Connection[Any]", base: Base, taken: Snapshot, tools: Sandbox, sink: ArtifactSink
) -> tuple[str, ...]:
    """Copy the logs from the base to the snapshot into ``sink`` and return their names.

    The last one may go on beyond the snapshot; the replay stops at the recorded position.
    Raise BackupFailed with the tool's words.
    """
    names = [str(row[0]) for row in rows(connection, "SHOW BINARY LOGS")]
    first = base.facts.get("log_file", "")
    begin = names.index(first) if first in names else 0
    wanted = names[begin : names.index(taken.log_file) + 1]
    copy = tools.run(["sh", "-c", f"mkdir -p {FOLDER} && exec {shlex.join(_copy_command(wanted))}"])
    if copy.exit_code != 0:
        raise BackupFailed(f"mysqlbinlog: {copy.complaint}")
    read_through = f"mysqlbinlog --verify-binlog-checksum {shlex.join(wanted)} >/dev/null"
    check = tools.run(["sh", "-c", f"cd {FOLDER} && exec {read_through}"])
    if check.exit_code != 0:
        raise BackupFailed(f"a binary log was damaged on its way: {check.complaint}")
    stream = tools.stream(["tar", "-C", FOLDER, "-cf", "-", *wanted])
    for chunk in stream:
        sink.write(chunk)
    if stream.result().exit_code != 0:
        raise BackupFailed(f"tar: {stream.result().complaint}")
    return tuple(wanted)


def replay_logs(
    connection: "Connection[Any]", sandbox: Sandbox, socket: str, increment: BackupToRestore
) -> None:
    """Apply an increment's transactions, none missing and none beyond its position.

    Raise RestoreFailed with the tool's words, or if the server ends anywhere else.
    """
    folder = f"{FOLDER}-{secrets.token_hex(4)}"
    unpack = ["sh", "-c", f"mkdir {folder} && tar -C {folder} -xf -"]
    unpacked = sandbox.run(unpack, feed=increment.read(LOGS))
    if unpacked.exit_code != 0:
        raise RestoreFailed(f"tar: {unpacked.complaint}")
    names = increment.facts["logs"].split(" ")
    # Without pipefail the shell would take mysql's word for both programs.
    pipe = (
        f"set -o pipefail; cd {folder} && mysqlbinlog --verify-binlog-checksum"
        f" --include-gtids={shlex.quote(increment.position)} {shlex.join(names)}"
        f" | mysql --defaults-extra-file={OPTIONS_FILE} --socket={socket} --binary-mode"
    )
    replayed = sandbox.run(["bash", "-c", pipe])
    if replayed.exit_code != 0:
        sandbox.require_running()
        raise RestoreFailed(f"replaying binary logs: {replayed.complaint}")
    reached = gtid_executed(connection)
    if not _is_same(connection, reached, increment.position):
        raise RestoreFailed(
            f"the replay ended at {reached or 'no position'} and not at {increment.position}:"
            " transactions are missing or too many"
        )


def _copy_command(names: list[str]) -> list[str]:
    return [
        "mysqlbinlog",
        f"--defaults-extra-file={OPTIONS_FILE}",
        "--read-from-remote-server",
        "--raw",
        f"--result-file={FOLDER}/",
        *names,
    ]


def _is_subset(connection: "Connection[Any]", inner: str, outer: str) -> bool:
    return bool(value(connection, "SELECT GTID_SUBSET(%s, %s)", (inner, outer)))


def _is_same(connection: "Connection[Any]", one: str, other: str) -> bool:
    return _is_subset(connection, one, other) and _is_subset(connection, other, one)
