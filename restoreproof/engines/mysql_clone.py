"""One physical full backup of a MySQL server: its data directory, copied by the CLONE plugin.

A clone ends at an instant of the server's choosing, so the binary logs from before it up to
the snapshot are stored with it, and a restore rolls it forward to exactly what was
fingerprinted. The recipient reaches the network, so it never opens what it received: that is
done in a sandbox alone.
"""

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

from pymysql.connections import Connection

from restoreproof.engines.contract import BackupContext, Base, SourceContext
from restoreproof.engines.mysql_connection import SYSTEM_DATABASES, Row, rows, value
from restoreproof.engines.mysql_counters import vouched
from restoreproof.engines.mysql_fingerprint import gtid_executed
from restoreproof.engines.mysql_physical import METHOD_FACT, settings, store_logs_since
from restoreproof.engines.mysql_snapshot import Snapshot
from restoreproof.engines.mysql_source import (
    address,
    connect_source,
    has_binary_log,
    source_of,
)
from restoreproof.errors import SeveralProblems, SourceUnavailable, one_line
from restoreproof.fingerprint import Item
from restoreproof.outcomes import BackupFailed
from restoreproof.sandbox import Sandbox

ARCHIVE = "data-directory.tar"
CLONE = "clone"
PACKET_BYTES = 2 * 1024**2
VERSION = re.compile(r"(?P<series>\d+\.\d+)\.\d+")
PLACE = "/var/tmp/restoreproof-clone"  # noqa: S108  # inside a container of ours alone
# The server's own log tells what its exit code does not. Root has no password, and only root
# inside this container can reach the socket.
RECIPIENT = f"""
set -eu
umask 077
place={PLACE}
mkdir $place
chown mysql: $place
or_its_words() {{
    "$@" && return
    sed -n 's/.*\\[ERROR\\] \\[MY-[0-9]*\\] //p' $place/error.log | head -n 3 >&2
    exit 1
}}
set -- mysqld --no-defaults --user=mysql --datadir=$place/recipient \
    --log-error=$place/error.log --innodb-flush-log-at-trx-commit=0 --loose-mysqlx=OFF "$@"
or_its_words "$@" --initialize-insecure
or_its_words "$@" --daemonize --pid-file=$place/pid --socket=$place/socket --skip-networking \
    --skip-log-bin --event-scheduler=OFF --plugin-load-add=mysql_clone.so
exec mysql --no-defaults --user=root --socket=$place/socket --binary-mode \
    --default-character-set=utf8mb4
"""


def probe_clone(context: SourceContext) -> None:
    """Raise SeveralProblems with all that keeps the source from being cloned."""
    where = f"component {context.component}"
    with closing(connect_source(context)) as connection:
        problems = [
            SourceUnavailable(what, where=where, mend=mend)
            for what, mend in (
                *_settings_problems(connection),
                *_content_problems(connection),
                *_version_problems(connection, context),
            )
        ]
    if problems:
        raise SeveralProblems(problems)


def clone(context: SourceContext, connection: "Connection[Any]", tools: Sandbox) -> Base:
    """Copy the source's data directory into ``tools`` and return where it is to roll on from.

    Raise BackupFailed with the server's words.
    """
    if not has_binary_log(connection) or not gtid_executed(connection):
        raise BackupFailed("the source has no binary log with GTIDs, which method clone needs")
    begun = Base(
        id="the clone",
        position=gtid_executed(connection),
        source_identity=str(value(connection, "SELECT @@GLOBAL.server_uuid")),
        source_version=str(value(connection, "SELECT VERSION()")),
        facts={"log_file": str(rows(connection, "SHOW BINARY LOGS")[-1][0])},
    )
    options = (f"--{name.replace('_', '-')}={found}" for name, found in settings(connection))
    command = ["sh", "-c", RECIPIENT, "recipient", *options]
    cloned = tools.run(command, feed=[_clone_script(context).encode()])
    if cloned.exit_code != 0:
        raise BackupFailed(f"CLONE: {one_line(cloned.complaint)}")
    return begun


def store_clone(
    context: BackupContext, begun: Base, tools: Sandbox, taken: Snapshot
) -> tuple[tuple[Item, ...], dict[str, str]]:
    """Store what was cloned and the logs from there to the snapshot; digest the snapshot.

    Raise BackupFailed with the tool's words.
    """
    taken.release()
    facts = {METHOD_FACT: CLONE, **dict(settings(taken.reader))}
    facts |= store_logs_since(context, begun, tools, taken)
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="fingerprint") as pool:
        items = pool.submit(taken.items)
        with context.artifact(ARCHIVE) as sink:
            stream = tools.stream(["tar", "-C", f"{PLACE}/clone", "-cf", "-", "."])
            for chunk in stream:
                sink.write(chunk)
            if stream.result().exit_code != 0:
                raise BackupFailed(f"tar: {stream.result().complaint}")
    counted = tuple(vouched(taken.reader, taken.databases, items.result()))
    return counted, facts


def _clone_script(context: SourceContext) -> str:
    """The statements of the recipient; they hold the password and go through a pipe."""
    host, port = address(context)
    user = _text(context.text(source_of(context).user))
    password = _text(context.secret(source_of(context).password))
    donor = _text(f"{host}:{port}")
    return (
        f"SET GLOBAL clone_valid_donor_list = {donor};\n"
        f"CLONE INSTANCE FROM {user}@{_text(host)}:{port} IDENTIFIED BY {password}"
        f" DATA DIRECTORY {_text(f'{PLACE}/clone')};\n"
        "SHUTDOWN;\n"
    )


def _text(content: str) -> str:
    escaped = content.replace("\\", "\\\\").replace("'", "''")
    return f"'{escaped}'"


def _settings_problems(connection: "Connection[Any]") -> Iterator[tuple[str, str]]:
    plugin = "SELECT plugin_status FROM information_schema.plugins WHERE plugin_name = 'clone'"
    if rows(connection, plugin) != [("ACTIVE",)]:
        mend = "run at the source: INSTALL PLUGIN clone SONAME 'mysql_clone.so'"
        yield "method clone needs the source's clone plugin, which is not active", mend
    if not has_binary_log(connection) or value(connection, "SELECT @@GLOBAL.gtid_mode") != "ON":
        mend = "start the source with log_bin and gtid_mode=ON, or set source.method: dump"
        yield "method clone needs binary logs with GTIDs at the source", mend
    if value(connection, "SELECT @@GLOBAL.max_allowed_packet") < PACKET_BYTES:
        mend = "run at the source: SET GLOBAL max_allowed_packet = 2097152"
        yield "method clone needs max_allowed_packet of 2 MiB or more at the source", mend


def _content_problems(connection: "Connection[Any]") -> Iterator[tuple[str, str]]:
    other = (
        "SELECT table_schema, table_name, engine FROM information_schema.tables"
        f" WHERE table_type = 'BASE TABLE' AND {_not_the_servers()} AND engine <> 'InnoDB'"
    )
    if found := rows(connection, other, SYSTEM_DATABASES):
        mend = "ALTER TABLE ... ENGINE=InnoDB, or set source.method: dump"
        yield f"CLONE leaves tables that are not InnoDB empty: {_names(found)}", mend
    encrypted = (
        "SELECT table_schema, table_name FROM information_schema.tables"
        f" WHERE {_not_the_servers()} AND create_options LIKE '%%ENCRYPTION=_Y_%%'"
    )
    if found := rows(connection, encrypted, SYSTEM_DATABASES):
        what = "encrypted tables cannot be opened without the source's keyring"
        yield f"{what}: {_names(found)}", "set source.method: dump"


def _version_problems(
    connection: "Connection[Any]", context: SourceContext
) -> Iterator[tuple[str, str]]:
    assert context.image is not None
    source = VERSION.search(str(value(connection, "SELECT VERSION()")))
    with context.sandboxes.tools(context.image) as tools:
        image = VERSION.search(tools.run(["mysqld", "--version"]).output)
    if source is None or image is None or source["series"] != image["series"]:
        seen = image[0] if image else "none"
        what = f"method clone needs the source's version: {source and source[0]}, image {seen}"
        yield what, f"name an image of MySQL {source and source['series']} for this component"


def _not_the_servers() -> str:
    return f"table_schema NOT IN ({', '.join(['%s'] * len(SYSTEM_DATABASES))})"


def _names(found: list[Row]) -> str:
    return ", ".join(f"{database}.{table}" for database, table, *_ in found)
