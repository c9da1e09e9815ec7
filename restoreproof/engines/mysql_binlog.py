"""Increments of MySQL and MariaDB: a server's binary logs since the base, up to an exact position.

The copy does not complain of a log that is missing: what was purged must be in the base. Where
the server keeps no GTIDs, the base's log must still be there, and be the same one.
"""

import re
import shlex
from typing import Any

from pymysql.connections import Connection

from restoreproof.engines.contract import ArtifactSink, Base
from restoreproof.engines.mysql_connection import rows, value
from restoreproof.engines.mysql_dialect import Dialect, spoken
from restoreproof.engines.mysql_dump import OPTIONS_FILE
from restoreproof.engines.mysql_gtids import GtidSet
from restoreproof.engines.mysql_position import parsed_file_position
from restoreproof.engines.mysql_snapshot import Snapshot
from restoreproof.outcomes import BackupFailed
from restoreproof.sandbox import Sandbox

FOLDER = "/var/tmp/restoreproof-logs"  # noqa: S108  # inside a container of ours alone
FROM_SOURCE = (f"--defaults-extra-file={OPTIONS_FILE}", "--read-from-remote-server")
FULL = "take a full backup (restoreproof backup POLICY COMPONENT --full)"
# When a log was begun, by whom, and the checksum over that.
BEGINNING = re.compile(r"^#(.+?)\tStart: binlog v .+$", re.MULTILINE)


def require_continuity(
    connection: "Connection[Any]", base: Base, taken: Snapshot, tools: Sandbox, dialect: Dialect
) -> None:
    """Raise BackupFailed unless the logs that are there lead from the base to the snapshot."""
    if not taken.log_file:
        raise BackupFailed("the source writes no binary log, so there can be no increments")
    if str(value(connection, f"SELECT {spoken(connection).identity}")) != base.source_identity:
        raise BackupFailed(f"the source is another server than that of {base.id}; {FULL}")
    begin = parsed_file_position(base.position)
    if not base.position or bool(begin) == bool(taken.gtids):
        raise BackupFailed(f"binary log or GTIDs were switched since {base.id}; {FULL}")
    if begin:
        _require_same_log(connection, base, begin, tools, dialect)
        return
    if not GtidSet(base.position) <= GtidSet(taken.gtids):
        raise BackupFailed(f"the source's history no longer holds that of {base.id}; {FULL}")
    purged = str(value(connection, "SELECT @@GLOBAL.gtid_purged") or "")
    if not GtidSet(purged) <= GtidSet(base.position):
        raise BackupFailed(f"binary logs since {base.id} were purged; {FULL}")


def log_identity(tools: Sandbox, dialect: Dialect, log: str) -> str:
    """What tells a binary log of the source from another of its name.

    Raise BackupFailed with the tool's words.
    """
    begin = ["--start-position=4", "--stop-position=5", log]
    shown = tools.run(["env", "TZ=UTC", dialect.log_reader, *FROM_SOURCE, *begin])
    match = BEGINNING.search(shown.output)
    if shown.exit_code != 0 or match is None:
        raise BackupFailed(f"{dialect.log_reader}: {shown.complaint}")
    return " ".join(match[1].split())


def _require_same_log(
    connection: "Connection[Any]",
    base: Base,
    begin: tuple[str, int],
    tools: Sandbox,
    dialect: Dialect,
) -> None:
    log, position = begin
    lengths = _lengths(connection)
    if "log_identity" not in base.facts:
        raise BackupFailed(f"{base.id} was not made to be followed by increments; {FULL}")
    if log not in lengths and log < min(lengths):
        raise BackupFailed(f"binary logs since {base.id} were purged; {FULL}")
    same = (
        lengths.get(log, 0) >= position
        and log_identity(tools, dialect, log) == base.facts["log_identity"]
    )
    if not same:
        raise BackupFailed(f"the source's history no longer holds that of {base.id}; {FULL}")


def store_logs(
    connection: "Connection[Any]",
    base: Base,
    taken: Snapshot,
    tools: Sandbox,
    dialect: Dialect,
    sink: ArtifactSink,
) -> dict[str, int]:
    """Copy the logs from the base to the snapshot into ``sink``; return their lengths by name.

    The last one is cut at the snapshot's position, so that they hold nothing beyond it. Raise
    BackupFailed with the tool's words.
    """
    lengths = _lengths(connection) | {taken.log_file: taken.log_position}
    names = list(lengths)
    first = base.facts.get("log_file", "")
    begin = names.index(first) if first in names else 0
    wanted = names[begin : names.index(taken.log_file) + 1]
    fetch = [dialect.log_reader, *FROM_SOURCE, "--raw", f"--result-file={FOLDER}/", *wanted]
    cut = f"truncate -s {taken.log_position} {shlex.quote(f'{FOLDER}/{taken.log_file}')}"
    copy = tools.run(["sh", "-c", f"mkdir -p {FOLDER} && {shlex.join(fetch)} && {cut}"])
    if copy.exit_code != 0:
        raise BackupFailed(f"{dialect.log_reader}: {copy.complaint}")
    sizes = tools.run(["sh", "-c", f"cd {FOLDER} && stat -c %s {shlex.join(wanted)}"])
    if list(map(int, sizes.output.split())) != [lengths[name] for name in wanted]:
        raise BackupFailed("a binary log was copied in part; take the increment again")
    read_through = f"{dialect.log_reader} --verify-binlog-checksum {shlex.join(wanted)} >/dev/null"
    check = tools.run(["sh", "-c", f"cd {FOLDER} && exec {read_through}"])
    if check.exit_code != 0:
        raise BackupFailed(f"a binary log was damaged on its way: {check.complaint}")
    stream = tools.stream(["tar", "-C", FOLDER, "-cf", "-", *wanted])
    for chunk in stream:
        sink.write(chunk)
    if stream.result().exit_code != 0:
        raise BackupFailed(f"tar: {stream.result().complaint}")
    return {name: lengths[name] for name in wanted}


def _lengths(connection: "Connection[Any]") -> dict[str, int]:
    return {str(row[0]): int(row[1]) for row in rows(connection, "SHOW BINARY LOGS")}
