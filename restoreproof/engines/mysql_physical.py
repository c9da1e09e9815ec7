"""What physical backups of MySQL and MariaDB share: a copy, and the logs that roll it forward.

A copy ends at an instant of its tool's choosing. The binary logs from there up to the snapshot
are stored with it, so that a restore ends at exactly what was fingerprinted.
"""

from collections.abc import Iterator
from typing import Any

from pymysql.connections import Connection

from restoreproof.engines.contract import BackupContext, BackupToRestore, Base
from restoreproof.engines.mysql_binlog import require_continuity, store_logs
from restoreproof.engines.mysql_connection import value
from restoreproof.engines.mysql_dialect import spoken
from restoreproof.engines.mysql_replay import LOGS
from restoreproof.engines.mysql_snapshot import Snapshot
from restoreproof.sandbox import Sandbox

METHOD_FACT = "method"
SETTINGS = ("innodb_page_size", "innodb_data_file_path", "lower_case_table_names")
"""What a server must be started with to open the data directory of another."""
PLACE = "/var/tmp/restoreproof-data"  # noqa: S108  # inside a container of ours alone
DATA = f"{PLACE}/data"
"""Where a data directory is unpacked in a sandbox."""


def is_physical(full: BackupToRestore) -> bool:
    """Whether a full backup is a data directory."""
    return METHOD_FACT in full.facts


def store_logs_since(
    context: BackupContext, begun: Base, tools: Sandbox, taken: Snapshot
) -> dict[str, str]:
    """Store the logs from a copy up to the snapshot, if there are any; return their facts.

    Raise BackupFailed if they do not lead there, or with the tool's words.
    """
    dialect = spoken(taken.reader)
    require_continuity(taken.reader, begun, taken, tools, dialect)
    lengths: dict[str, int] = {}
    if taken.position != begun.position:
        with context.artifact(LOGS) as sink:
            lengths = store_logs(taken.reader, begun, taken, tools, dialect, sink)
    return {"logs": " ".join(lengths), "logs_bytes": " ".join(map(str, lengths.values()))}


def settings(connection: "Connection[Any]") -> Iterator[tuple[str, str]]:
    """The settings of ``SETTINGS`` with their values at a server."""
    for name in SETTINGS:
        yield name, str(value(connection, f"SELECT @@GLOBAL.{name}"))
