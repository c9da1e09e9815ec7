"""One physical full backup of a MariaDB server: its data directory, streamed by mariadb-backup.

That program reads the server's own files, so it runs where they are: in the server's container,
through the container engine. Nothing is written there. It holds locks while it ends, so it is
never left alone: its input is our connection, and it dies as soon as that is gone.
"""

import re
import shlex
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

from docker.models.containers import Container
from pymysql.connections import Connection

from restoreproof.engines.contract import BackupContext, Base, SourceContext
from restoreproof.engines.mysql_accounts import Account, privileges_script
from restoreproof.engines.mysql_binlog import log_identity
from restoreproof.engines.mysql_connection import SYSTEM_DATABASES, Row, rows, value
from restoreproof.engines.mysql_counters import vouched
from restoreproof.engines.mysql_dialect import name, spoken
from restoreproof.engines.mysql_image import version_in
from restoreproof.engines.mysql_load import PRIVILEGES
from restoreproof.engines.mysql_physical import METHOD_FACT, settings, store_logs_since
from restoreproof.engines.mysql_position import file_position
from restoreproof.engines.mysql_snapshot import Snapshot
from restoreproof.engines.mysql_source import (
    address,
    connect_source,
    has_binary_log,
    options_file,
    source_of,
)
from restoreproof.engines.server_container import server_container
from restoreproof.errors import SeveralProblems, SourceUnavailable, one_line
from restoreproof.execution import Execution, OutputStream
from restoreproof.fingerprint import Item
from restoreproof.outcomes import BackupFailed
from restoreproof.sandbox import Sandbox

MARIADB_BACKUP = "mariadb-backup"
ARCHIVE = "data-directory.mbstream"
COPIED_POSITION = "copied_position"
"""The fact of a backup that says where the server stood when the copy ended."""
COPIED_ENGINES = ("Aria", "CSV", "InnoDB", "MRG_MyISAM", "MyISAM", "SEQUENCE")
UNDO = "innodb_undo_tablespaces"
END = "-- the options end here"
# The options are in a file that has no name any more, since the program reads them twice.
AT_SOURCE = f"""
set -eu
umask 077
file=$(mktemp -p /dev/shm 2>/dev/null || mktemp)
exec 3<>"$file"
rm "$file"
while IFS= read -r line && [ "$line" != {shlex.quote(END)} ]; do printf '%s\\n' "$line"; done >&3
exec 4<&0
program=$1
shift
command -v "$program" >/dev/null || {{ echo "there is no $program in it" >&2; exit 127; }}
"$program" --defaults-extra-file=/dev/fd/3 "$@" </dev/null 4<&- &
ours=$!
{{ cat <&4 >/dev/null || :; kill $ours; }} >/dev/null 2>&1 &
status=0
wait $ours || status=$?
exit $status
"""
POSITION = re.compile(r"binlog position: filename '(?P<log>[^']+)', position '(?P<position>\d+)'")
COMPLAINT = re.compile(r"^(?:\[\d+\] )?(?:[-\d]+ [:\d]+ )?(?:\d+ )?(?P<words>.*)$")
COMPLAINING = re.compile(r"\b(error|fail|denied|missing|cannot|not found|no space)", re.IGNORECASE)


def probe_mariadb_backup(context: SourceContext) -> None:
    """Raise SeveralProblems with all that keeps the source from being copied."""
    where = f"component {context.component}"
    with closing(connect_source(context)) as connection:
        found = [*_settings_problems(connection), *_content_problems(connection)]
        if source_of(context).method == "clone":
            found.append(("method clone is MySQL's alone", "set source.method: physical"))
        found += _version_problems(connection, context)
        problems = [SourceUnavailable(what, where=where, mend=mend) for what, mend in found]
        try:
            with _checked_container(context, connection):
                pass
        except SourceUnavailable as problem:
            problems.append(problem)
    if problems:
        raise SeveralProblems(problems)


def copy(context: BackupContext, connection: "Connection[Any]", tools: Sandbox) -> Base:
    """Store the source's data directory, and return where it is to roll on from.

    Raise BackupFailed with the program's words.
    """
    if not has_binary_log(connection):
        raise BackupFailed("the source has no binary log, which a physical backup needs")
    with _checked_container(context.of, connection) as container:
        command = ("--backup", "--stream=mbstream", "--target-dir=/tmp", "--parallel=2")
        stream = _run(context.of, connection, container, MARIADB_BACKUP, *command)
        with context.artifact(ARCHIVE) as sink, closing(iter(stream)) as chunks:
            for chunk in chunks:
                sink.write(chunk)
        done = stream.result()
    reached = POSITION.search(done.messages)
    if done.exit_code != 0 or reached is None:
        raise BackupFailed(f"{MARIADB_BACKUP}: {words_of(done.complaint)}")
    log, position = reached["log"], int(reached["position"])
    dialect = spoken(connection)
    return Base(
        id="the copy",
        position=file_position(log, position),
        source_identity=str(value(connection, f"SELECT {dialect.identity}")),
        source_version=str(value(connection, "SELECT VERSION()")),
        facts={"log_file": log, "log_identity": log_identity(tools, dialect, log)},
    )


def store_rest(
    context: BackupContext,
    begun: Base,
    tools: Sandbox,
    taken: Snapshot,
    accounts: tuple[Account, ...],
) -> tuple[tuple[Item, ...], dict[str, str]]:
    """Store the logs from the copy to the snapshot; digest the snapshot.

    Raise BackupFailed with the tool's words.
    """
    taken.release()
    facts = {
        METHOD_FACT: MARIADB_BACKUP,
        COPIED_POSITION: begun.position,
        UNDO: str(value(taken.reader, f"SELECT @@GLOBAL.{UNDO}")),
        **dict(settings(taken.reader)),
        **store_logs_since(context, begun, tools, taken),
        "log_identity": log_identity(tools, spoken(taken.reader), taken.log_file),
    }
    # Rolling it forward does not tell who ran a statement.
    with context.artifact(PRIVILEGES) as sink:
        sink.write(privileges_script(accounts))
    return tuple(vouched(taken.reader, taken.databases, taken.items())), facts


@contextmanager
def _checked_container(
    context: SourceContext, connection: "Connection[Any]"
) -> Iterator[Container]:
    """The container that the source runs in. Raise SourceUnavailable if the policy names another.

    A copy of another server would be restored before anybody noticed.
    """
    where, place = f"component {context.component}", source_of(context).data
    if place is None:
        what = f"{MARIADB_BACKUP} reads the server's own files, and the policy does not say where"
        mend = "add source.data: {container: NAME}, or set source.method: dump"
        raise SourceUnavailable(what, where=where, mend=mend)
    called = context.text(place.container)
    key = "source.data.container"
    with server_container(context, place.container, key, running=True) as container:
        identity = f"SELECT {spoken(connection).identity}"
        options = ("--batch", "--skip-column-names", f"--execute={identity}")
        client = spoken(connection).client
        told, done = _told(context, connection, container, client, *options)
        if done.exit_code != 0:
            what = f"the source cannot be reached inside the container {called}"
            mend = "let the backup user connect from localhost too, as 'backup'@'%' may"
            raise SourceUnavailable(f"{what}: {words_of(done.complaint)}", where=where, mend=mend)
        if told != str(value(connection, identity)):
            host, port = address(context)
            what = f"the server in the container {called} is not the one at {host}:{port}"
            mend = "correct source.data.container, or host and port, in the policy"
            raise SourceUnavailable(what, where=where, mend=mend)
        if _told(context, connection, container, MARIADB_BACKUP, "--version")[1].exit_code != 0:
            what = f"the container {called} has no {MARIADB_BACKUP}"
            mend = f"install the package {MARIADB_BACKUP} in it, or set source.method: dump"
            raise SourceUnavailable(what, where=where, mend=mend)
        yield container


def _told(
    context: SourceContext,
    connection: "Connection[Any]",
    container: Container,
    *command: str,
) -> tuple[str, Execution]:
    stream = _run(context, connection, container, *command)
    return b"".join(stream).decode("utf-8", "replace").strip(), stream.result()


def _run(
    context: SourceContext,
    connection: "Connection[Any]",
    container: Container,
    *command: str,
) -> OutputStream:
    """A program beside the server, with all that it needs to reach it in no argument."""
    user, password = (
        context.text(source_of(context).user),
        context.secret(source_of(context).password),
    )
    socket = str(value(connection, "SELECT @@GLOBAL.socket"))
    options = options_file(user=user, password=password, socket=socket, protocol="socket")
    return OutputStream(
        container,
        ["sh", "-c", AT_SOURCE, "restoreproof", *command],
        feed=options + f"{END}\n".encode(),
    )


def _settings_problems(connection: "Connection[Any]") -> Iterator[tuple[str, str]]:
    if not has_binary_log(connection):
        mend = "start the source with log_bin, or set source.method: dump"
        yield "a physical backup needs binary logs at the source", mend
    if str(value(connection, "SELECT @@GLOBAL.innodb_undo_directory")) not in ("./", "."):
        mend = "unset innodb_undo_directory, or set source.method: dump"
        yield "a physical backup needs the undo logs in the data directory", mend


def _content_problems(connection: "Connection[Any]") -> Iterator[tuple[str, str]]:
    ours = ", ".join(["%s"] * len(SYSTEM_DATABASES))
    engines = ", ".join(["%s"] * len(COPIED_ENGINES))
    other = (
        "SELECT table_schema, table_name FROM information_schema.tables"
        " WHERE table_type <> 'VIEW' AND engine IS NOT NULL"
        f" AND table_schema NOT IN ({ours}) AND engine NOT IN ({engines})"
    )
    if found := rows(connection, other, (*SYSTEM_DATABASES, *COPIED_ENGINES)):
        mend = "ALTER TABLE ... ENGINE=InnoDB, or set source.method: dump"
        yield (
            f"a physical backup takes tables of InnoDB, Aria and MyISAM alone: {_names(found)}",
            mend,
        )
    apart = (
        "SELECT REPLACE(name, '/', '.') FROM information_schema.innodb_sys_tablespaces"
        " WHERE name LIKE '%/%' AND filename NOT LIKE './%'"
    )
    if found := rows(connection, apart):
        what = f"tables with a DATA DIRECTORY are not in the copy: {_names(found)}"
        yield what, "move them into the server's own, or set source.method: dump"
    encrypted = (
        "SELECT table_schema, table_name FROM information_schema.tables"
        " WHERE create_options LIKE '%ENCRYPTED%YES%'"
    )
    wanted = str(value(connection, "SELECT @@GLOBAL.innodb_encrypt_tables"))
    if wanted != "OFF" or (found := rows(connection, encrypted)):
        what = "encrypted tables cannot be opened without the source's keys"
        yield f"{what}: {_names(found) or 'innodb_encrypt_tables'}", "set source.method: dump"


def _names(found: list[Row]) -> str:
    return ", ".join(".".join(row) for row in found)


def _version_problems(
    connection: "Connection[Any]", context: SourceContext
) -> Iterator[tuple[str, str]]:
    assert context.image is not None
    image = version_in(context.image, context.sandboxes)
    source = str(value(connection, "SELECT VERSION()"))
    series, of_image = (name(version).rpartition(".")[0] for version in (source, image))
    if series != of_image:
        what = f"a physical backup needs the source's series: {series}, image {of_image}"
        yield what, f"name an image of {series} for this component"


def words_of(complaint: str) -> str:
    """What a program complains of, without all that it did before."""
    lines = [COMPLAINT.sub(r"\g<words>", line) for line in complaint.splitlines()]
    told = [line for line in lines if COMPLAINING.search(line)]
    return one_line(" | ".join((told or lines)[-3:]))
