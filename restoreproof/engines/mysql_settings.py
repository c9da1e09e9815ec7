"""Settings of a MySQL server that give data and names their meaning."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pymysql.connections import Connection

from restoreproof.engines.contract import BackupToRestore
from restoreproof.engines.mysql_connection import value
from restoreproof.errors import SandboxTrouble
from restoreproof.outcomes import RestoreFailed

NAMES = "lower_case_table_names"
SETTINGS = ("sql_mode", "time_zone", "system_time_zone", NAMES)


def meaning_of_data(connection: "Connection[Any]") -> dict[str, str]:
    """The settings' global values, for the manifest.

    They are no items of the fingerprint: routines, triggers and events carry their own sql_mode,
    instants are stored in UTC, and a sandbox has settings of ours.
    """
    return {name: str(value(connection, f"SELECT @@GLOBAL.{name}")) for name in SETTINGS}


@contextmanager
def named_as_at_source(connection: "Connection[Any]", backup: BackupToRestore) -> Iterator[None]:
    """Take a load that fails for trouble of ours where the sandbox treats names otherwise.

    Whether names differ by case is settled when a server is initialised. Raise SandboxTrouble.
    """
    # Asked before, since the server may not outlive a load that fails.
    before, here = backup.facts.get(NAMES), str(value(connection, f"SELECT @@GLOBAL.{NAMES}"))
    try:
        yield
    except RestoreFailed as failure:
        if before in (None, here):
            raise
        raise SandboxTrouble(
            f"{failure} (the source has {NAMES}={before}, the sandbox {here})",
            mend=f"use an image whose server was initialised with {NAMES}={before}",
        ) from failure
