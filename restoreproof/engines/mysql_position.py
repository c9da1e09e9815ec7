"""Where a server stands: its executed GTID set, or a file and a position without GTIDs."""

import re
from typing import Any, Literal

from pymysql.connections import Connection

from restoreproof.engines.contract import BackupToRestore
from restoreproof.engines.mysql_connection import rows
from restoreproof.engines.mysql_dialect import spoken
from restoreproof.engines.mysql_gtids import GtidSet

FILE_POSITION = re.compile(r"(?P<log>[^:,]+\.\d+):(?P<position>\d+)")
# What mysqldump notes of the instant of its snapshot, commented out.
IN_DUMP = re.compile(
    rb"^-- CHANGE (?:REPLICATION SOURCE|MASTER) TO (?:SOURCE|MASTER)_LOG_FILE='(?P<log>[^']+)',"
    rb" (?:SOURCE|MASTER)_LOG_POS=(?P<position>\d+)",
    re.MULTILINE,
)
UUID = r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}"
NAMED = re.compile(rf"{UUID}(?::\w+(?:-\d+)?)+")
ONE_GTID = re.compile(rf"{UUID}(?::[A-Za-z_]\w*)?:\d+")


def keeps_gtids(connection: "Connection[Any]") -> bool:
    """Whether the server's GTIDs make a set that tells of every transaction."""
    modes = [mode for _, mode in rows(connection, "SHOW GLOBAL VARIABLES LIKE 'gtid_mode'")]
    return modes == ["ON"]


def log_position(connection: "Connection[Any]") -> tuple[str, int]:
    """The binary log being written and its end; ``("", 0)`` without one."""
    found = rows(connection, spoken(connection).log_status)
    return (str(found[0][0]), int(found[0][1])) if found else ("", 0)


def file_position(log: str, position: int) -> str:
    """How a position without GTIDs is written."""
    return f"{log}:{position}"


def parsed_file_position(text: str) -> tuple[str, int] | None:
    """Log and position of a position without GTIDs; None for any other."""
    match = FILE_POSITION.fullmatch(text)
    return (match["log"], int(match["position"])) if match else None


def position_in_dump(head: bytes) -> str:
    """The position that a dump itself names at its beginning; empty if it names none."""
    match = IN_DUMP.search(head)
    return file_position(match["log"].decode(), int(match["position"])) if match else ""


def reaches(backup: BackupToRestore, name: str) -> Literal["end", "inside", "not"]:
    """Whether a position, a GTID set or one GTID is where a backup ends, or inside an increment.

    Raise ValueError for what names neither.
    """
    if parsed_file_position(name):
        return "end" if name == backup.position else "not"
    wanted = GtidSet(name)
    if not wanted or not all(NAMED.fullmatch(part) for part in name.replace(" ", "").split(",")):
        raise ValueError(f"{name} is no GTID set")
    if parsed_file_position(backup.position) or not backup.position:
        return "not"
    begin, end = backup.facts.get("base_position"), GtidSet(backup.position)
    if wanted == end:
        return "end"
    if begin is None or not wanted <= end:
        return "not"
    base = GtidSet(begin)
    inside = not wanted <= base if is_one_gtid(name) else base <= wanted and wanted != base
    return "inside" if inside else "not"


def is_one_gtid(name: str) -> bool:
    """Whether a GTID set names one transaction, which stands for all up to it."""
    return ONE_GTID.fullmatch(name) is not None
