"""What a restored server holds, or parts of it, as plain dumps that any server can load.

A table's dump drops nothing: loaded where the table still is, it fails rather than replace it.
"""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from pymysql.connections import Connection

from restoreproof.engines.contract import Parts
from restoreproof.engines.mysql_accounts import creation_script, privileges_script, read_accounts
from restoreproof.engines.mysql_connection import rows, user_databases
from restoreproof.engines.mysql_dialect import Dialect
from restoreproof.engines.mysql_dump import OPTIONS_FILE, TRAILER
from restoreproof.execution import OutputStream
from restoreproof.outcomes import RestoreFailed
from restoreproof.sandbox import Sandbox
from restoreproof.storage import sync_folder, write_once

KEPT_TAIL = 256
SECRET = 0o600
"""Dumps hold the estate's data: they are for the user alone."""


def write_dumps(
    connection: "Connection[Any]",
    sandbox: Sandbox,
    dialect: Dialect,
    socket: str,
    folder: Path,
    parts: Parts,
    *,
    accounts_but: str | None,
) -> tuple[str, ...]:
    """Write dumps into a folder and say what each is. Raise RestoreFailed, OSError.

    Without parts it is all databases and, but for one, all accounts; ``accounts_but`` is None
    where accounts did not come back.
    """
    command = (
        dialect.dump,
        f"--defaults-extra-file={OPTIONS_FILE}",
        f"--socket={socket}",
        "--single-transaction",
        *dialect.dump_options,
        # Else a live server would be told that it has executed what is loaded.
        *(["--set-gtid-purged=OFF"] if dialect.gtid_sets else []),
        "--triggers",
        "--hex-blob",
        "--no-tablespaces",
        "--default-character-set=utf8mb4",
    )
    said = []
    whole = () if parts else user_databases(connection)
    jobs: list[tuple[str, Sequence[str]]] = []
    if whole:
        jobs.append(("all-databases", ("--routines", "--events", "--databases", "--", *whole)))
    jobs += [
        (_file(name), ("--routines", "--events", "--databases", "--", name))
        for name in parts.databases
    ]
    jobs += [
        (stem_of_table(name), ("--skip-add-drop-table", "--", *name.split(".", 1)))
        for name in parts.tables
    ]
    for name, arguments in jobs:
        path = folder / f"{name}.sql"
        size = _store(path, sandbox.stream((*command, *arguments)), dialect)
        said.append(f"{path}: {size:,} bytes")
    if not parts and accounts_but is not None:
        accounts = read_accounts(connection, leave_out=accounts_but)
        for name, script in (
            ("accounts", creation_script(accounts)),
            ("privileges", privileges_script(accounts)),
        ):
            path = folder / f"{name}.sql"
            write_once(path, script, mode=SECRET)
            said.append(f"{path}: {len(script):,} bytes")
    if rounded := _floats(connection, parts):
        said.append(f"{dialect.dump} rounds FLOAT values: {', '.join(rounded)}")
    return tuple(said)


def _store(path: Path, stream: OutputStream, dialect: Dialect) -> int:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    size, tail = 0, b""
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, SECRET)
        with os.fdopen(descriptor, "wb") as file:
            for chunk in stream:
                file.write(chunk)
                size, tail = size + len(chunk), (tail + chunk)[-KEPT_TAIL:]
            file.flush()
            os.fsync(file.fileno())
        result = stream.result()
        if result.exit_code != 0:
            raise RestoreFailed(f"{dialect.dump}: {result.complaint}")
        if TRAILER not in tail:
            raise RestoreFailed(f"{dialect.dump} ended without an error and without a whole dump")
        temporary.rename(path)
    finally:
        temporary.unlink(missing_ok=True)
    sync_folder(path.parent)
    return size


def stem_of_table(name: str) -> str:
    """How the dump of a table, named with its database, is called but for its ending."""
    return ".".join(map(_file, name.split(".", 1)))


def _file(name: str) -> str:
    return quote(name, safe=" ") or name


def _floats(connection: "Connection[Any]", parts: Parts) -> Iterable[str]:
    """Columns of what was written that a dump does not hold exactly."""
    found = rows(
        connection,
        "SELECT table_schema, table_name, column_name FROM information_schema.columns"
        " WHERE data_type = 'float' AND table_schema NOT IN"
        " ('mysql', 'sys', 'performance_schema', 'information_schema') ORDER BY 1, 2, 3",
    )
    return [
        f"{database}.{table}.{column}"
        for database, table, column in found
        if not parts or database in parts.databases or f"{database}.{table}" in parts.tables
    ]
