"""Settings of a MySQL server that give data and names their meaning."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pymysql
from pymysql.connections import Connection

from restoreproof.engines.contract import BackupToRestore
from restoreproof.engines.mysql_connection import rows, value
from restoreproof.errors import SandboxTrouble
from restoreproof.outcomes import RestoreFailed

NAMES = "lower_case_table_names"
GIVEN = ("sql_mode", "time_zone", "character_set_server", "collation_server")
"""What applications rely on, and what a running server can be given."""
MACHINE = "system_time_zone"
SETTINGS = (*GIVEN, MACHINE, NAMES)


def meaning_of_data(connection: "Connection[Any]") -> dict[str, str]:
    """The settings' global values, for the manifest.

    They are no items of the fingerprint: routines, triggers and events carry their own sql_mode,
    instants are stored in UTC, and a sandbox has settings of ours.
    """
    return {name: str(value(connection, f"SELECT @@GLOBAL.{name}")) for name in SETTINGS}


def take_settings(connection: "Connection[Any]", backup: BackupToRestore) -> tuple[str, ...]:
    """Give a restored server the settings of its source; say what it did not take.

    What was stored does not depend on them, so that is a limit of the proof and no difference.
    """
    taken, limits = [], []
    for name in GIVEN:
        wanted = backup.facts.get(name)
        if wanted is None:
            continue
        try:
            rows(connection, f"SET GLOBAL {name} = %s", (wanted,))
            taken.append(name)
        except pymysql.MySQLError as error:
            limits.append(f"not with the source's {name} {wanted!r}: {error.args[-1]}")
    if taken:
        limits.insert(0, f"runs with the source's {', '.join(taken)}")
    machine, here = backup.facts.get(MACHINE), str(value(connection, f"SELECT @@GLOBAL.{MACHINE}"))
    if backup.facts.get("time_zone") == "SYSTEM" and machine not in (None, here):
        limits.append(f"the source's time zone is its machine's, {machine}, and here {here}")
    return tuple(limits)


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
