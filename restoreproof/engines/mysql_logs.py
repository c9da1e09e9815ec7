"""The logs of a MySQL server: by SQL where it shows them, else the files that it writes.

Which logs are on, and where they go, the server itself says. One that is on and can be had in
neither way is named in the backup, so that nobody takes what is there for all.
"""

import json
import posixpath
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pymysql
from pymysql.connections import Connection
from pymysql.cursors import SSCursor

from restoreproof.engines.contract import (
    ArtifactSink,
    BackupContext,
    BackupToRestore,
    SourceContext,
)
from restoreproof.engines.file_archive import (
    FILES,
    Collection,
    HashingSink,
    collecting,
    restored_files,
    restored_items,
    unpack,
)
from restoreproof.engines.mysql_connection import NO_SUCH_TABLE, rows
from restoreproof.engines.mysql_source import source_of
from restoreproof.engines.server_files import Files, NotThere, opened, require
from restoreproof.errors import SourceUnavailable
from restoreproof.fingerprint import Item
from restoreproof.outcomes import BackupFailed, RestoreFailed
from restoreproof.sandbox import Sandbox

KIND = "logs"
LOGS = "server-logs.tar"
FOLDER = "/var/tmp/restoreproof-server-logs"  # noqa: S108  # inside a container of ours alone
ITEM = "log"
ERROR_LOG = ("error", "performance_schema.error_log")
GIVE_PLACE = "give source.logs with the server's container, or the folder that it takes for /"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# As a line of text begins, as JSON of ours says it, and as the server's own JSON does.
INSTANT = re.compile(
    r'(?:^|"logged": "|"time" ?: ?")(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+(?:Z|[+-]\d\d:\d\d))',
    re.MULTILINE,
)
TAIL_BYTES = 32 * 1024


@dataclass(frozen=True)
class Log:
    """A log that is on: the table in which the server shows it, the file to which it goes."""

    name: str
    table: str
    file: str

    @property
    def artifact(self) -> str:
        """What its rows are stored as."""
        return f"{self.name}-log.jsonl"


@dataclass(frozen=True)
class LogsCheck:
    """Restored logs: how many, and how far the error log goes.

    ``newest`` is its newest entry that came back, ``written`` the newest that the server had
    written when the backup was made, where it says so.
    """

    examined: int
    newest: datetime | None
    written: datetime | None

    @property
    def reaches(self) -> bool:
        """Whether nothing is missing at the end."""
        return self.written is None or (self.newest is not None and self.newest >= self.written)


def require_logs(context: SourceContext, connection: "Connection[Any]") -> None:
    """Raise SourceUnavailable unless the logs that the policy wants can be read."""
    if KIND not in context.coverage:
        return
    try:
        for log in _logs(connection):
            if log.table:
                rows(connection, f"SELECT 1 FROM {log.table} LIMIT 1")
    except pymysql.MySQLError as error:
        mend = "grant it SELECT on performance_schema.* and mysql.*, or cover no logs"
        what = f"the backup user may not read the logs: {error.args[-1]}"
        where = f"component {context.component}"
        raise SourceUnavailable(what, where=where, mend=mend) from None
    place = source_of(context).logs
    if place is not None:
        with opened(context, place) as files:
            require(context, files, [context.text(path) for path in place.files])


def store_server_logs(
    context: BackupContext, connection: "Connection[Any]"
) -> tuple[tuple[Item, ...], dict[str, str]]:
    """Store the logs if they are to be covered; an item of each, and facts for the restore.

    Raise BackupFailed.
    """
    if KIND not in context.of.coverage:
        return (), {}
    newest, logs = _newest_entry(connection), _logs(connection)
    items, lacking = [], {log.name: _not_shown(connection, log) for log in logs}
    for log in logs:
        if log.table:
            with context.artifact(log.artifact) as sink:
                items.append(_store_table(connection, log, sink))
    place = source_of(context.of).logs
    if place is not None:
        with (
            opened(context.of, place) as files,
            context.artifact(LOGS) as sink,
            collecting(ITEM, sink) as collection,
        ):
            for log in logs:
                problem = _store_file(files, log.file, collection)
                # What SQL shows of a log is all of it: then the file is not needed.
                lacking[log.name] = lacking[log.name] and problem
            for path in place.files:
                if problem := _store_file(files, context.of.text(path), collection):
                    raise BackupFailed(problem)
        items += collection.items.values()
    missing = [f"{name} log: {problem}" for name, problem in lacking.items() if problem]
    if missing and place is None:
        missing.append(GIVE_PLACE)
    return tuple(items), {
        "server_logs": LOGS if place else "",
        "server_log_tables": " ".join(log.artifact for log in logs if log.table),
        "server_logs_missing": "; ".join(missing),
        "error_log": next(log.file for log in logs if log.name == "error"),
        "newest_logged": newest.isoformat() if newest else "",
    }


def restore_server_logs(sandbox: Sandbox, backup: BackupToRestore) -> None:
    """Put the logs of a backup beside a restored server. Raise RestoreFailed."""
    sandbox.run(["rm", "-rf", FOLDER])
    if backup.facts.get("server_logs"):
        unpack(sandbox, FOLDER, backup.read(LOGS))
    for name in backup.facts.get("server_log_tables", "").split():
        script = f"mkdir -p {FOLDER} && cat > {FOLDER}/{name}"
        done = sandbox.run(["sh", "-c", script], feed=backup.read(name))
        if done.exit_code != 0:
            raise RestoreFailed(f"{name}: {done.complaint}")


def server_log_items(sandbox: Sandbox, facts: Mapping[str, str]) -> Iterator[Item]:
    """An item for each log that came back."""
    if _are_there(facts):
        yield from restored_items(sandbox, FOLDER, ITEM)


def check_logs(sandbox: Sandbox, facts: Mapping[str, str]) -> LogsCheck:
    """Read the logs that came back. Raise RestoreFailed if that cannot be done."""
    if not _are_there(facts):
        return LogsCheck(0, None, None)
    examined = sum(1 for found in restored_files(sandbox, FOLDER) if found.content)
    entries = []
    for path in (f"{ERROR_LOG[0]}-log.jsonl", f"{FILES}{facts['error_log']}"):
        end = sandbox.run(["tail", "-c", str(TAIL_BYTES), f"{FOLDER}/{path}"])
        entries += INSTANT.findall(end.output)
    newest = max(map(datetime.fromisoformat, entries), default=None)
    written = facts.get("newest_logged")
    return LogsCheck(examined, newest, datetime.fromisoformat(written) if written else None)


def _are_there(facts: Mapping[str, str]) -> bool:
    return bool(facts.get("server_logs") or facts.get("server_log_tables"))


def _logs(connection: "Connection[Any]") -> tuple[Log, ...]:
    """All logs that are on; the error log always is."""
    known = {str(name): str(setting) for name, setting in rows(connection, "SHOW GLOBAL VARIABLES")}
    outputs = known.get("log_output", "").upper().split(",")
    name, table = ERROR_LOG
    # Switched off, performance_schema has the table still, and nothing in it.
    shown = known.get("performance_schema") == "ON" and _has(connection, table)
    file = known.get("log_error", "")
    found = [Log(name, table if shown else "", "" if file == "stderr" else file)]
    for name, switch in (("slow", "slow_query_log"), ("general", "general_log")):
        if known.get(switch) == "ON" and "NONE" not in outputs:
            table = f"mysql.{name}_log" if "TABLE" in outputs else ""
            found.append(Log(name, table, known[f"{switch}_file"]))
    folder = known["datadir"]
    return tuple(
        replace(one, file=posixpath.normpath(posixpath.join(folder, one.file))) if one.file else one
        for one in found
    )


def _has(connection: "Connection[Any]", table: str) -> bool:
    try:
        rows(connection, f"SELECT 1 FROM {table} LIMIT 1")
    except pymysql.MySQLError as error:
        if error.args[0] != NO_SUCH_TABLE:
            raise
        return False
    return True


def _not_shown(connection: "Connection[Any]", log: Log) -> str:
    """Why SQL does not show all of a log; empty if it does."""
    if not log.table:
        return f"it goes to {log.file or 'the server process alone'}"
    if log.name == "error":
        expired = rows(connection, "SHOW GLOBAL STATUS LIKE 'Error_log_expired_events'")
        if expired and int(expired[0][1]):
            return f"{log.table} no longer holds its {expired[0][1]} oldest entries"
    return ""


def _newest_entry(connection: "Connection[Any]") -> datetime | None:
    """When the server last wrote to its error log, as far as it says so."""
    found = rows(connection, "SHOW GLOBAL STATUS LIKE 'Error_log_latest_write'")
    microseconds = int(found[0][1]) if found else 0
    return EPOCH + timedelta(microseconds=microseconds) if microseconds else None


def _store_table(connection: "Connection[Any]", log: Log, sink: ArtifactSink) -> Item:
    hashing = HashingSink(sink)
    with connection.cursor(SSCursor) as cursor:
        # In the order in which it was written: sorting is work that the source can do without.
        cursor.execute(f"SELECT * FROM {log.table}")
        names = [str(column[0]).lower() for column in cursor.description]
        for row in cursor:
            line = json.dumps(dict(zip(names, map(_plain, row), strict=True)))
            hashing.write(f"{line}\n".encode())
    return Item(kind=ITEM, name=log.artifact, count=hashing.size, digest=hashing.digest)


def _plain(stored: Any) -> Any:
    if isinstance(stored, bytes):
        return stored.decode("utf-8", "surrogateescape")
    if isinstance(stored, datetime):
        return stored.replace(tzinfo=UTC).isoformat(timespec="microseconds")
    return str(stored) if isinstance(stored, timedelta) else stored


def _store_file(files: Files, path: str, collection: Collection) -> str:
    """Store a file as far as it was written by now; say what is wrong if that cannot be done."""
    if not path:
        return "it goes to the server process alone"
    # A container's log may be a link to a device, in which there is nothing to read.
    problem = f"{path} is no file"
    try:
        for found in files.walk(path):
            collection.add(found)
            problem = ""
    except NotThere:
        return f"{path} is not where the policy says"
    return problem
