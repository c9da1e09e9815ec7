"""The configuration of a MySQL server: its option files, its variables, and what it persisted.

Option files are taken where the policy says that they lie, with all that they include. Their
values may be secrets, so nothing but digests of whole files leaves the vault.
"""

import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import pymysql
from pymysql.connections import Connection

from restoreproof.engines.contract import BackupContext, SourceContext
from restoreproof.engines.file_archive import Collection, collecting
from restoreproof.engines.mysql_connection import NO_SUCH_TABLE, Row, rows
from restoreproof.engines.mysql_option_files import (
    PERSISTED,
    PLUGINS,
    VARIABLES,
    ConfigurationCheck,
    Include,
    included,
    is_read,
    option_file,
    validate,
)
from restoreproof.engines.mysql_source import source_of
from restoreproof.engines.server_files import (
    Files,
    NotThere,
    ServerFilesSource,
    opened,
    require,
)
from restoreproof.engines.stored_configuration import CONFIGURATION, FACT, FOLDER, ITEM, KIND
from restoreproof.errors import SourceUnavailable
from restoreproof.fingerprint import Item
from restoreproof.outcomes import BackupFailed
from restoreproof.sandbox import Sandbox

STANDARD = ("/etc/my.cnf", "/etc/mysql/my.cnf")
"""Where mysqld looks first of all."""
OPTION_FILE = (".cnf", ".ini")
NO_PLACE = (
    "the policy does not say where the server's option files are: give source.configuration"
    " with the server's container, or the folder that it takes for /"
)


def require_configuration(context: SourceContext) -> None:
    """Raise SourceUnavailable unless the option files are where the policy says."""
    place = source_of(context).configuration
    if KIND not in context.coverage or place is None:
        return
    with opened(context, place) as files:
        named = [context.text(path) for path in place.files]
        require(context, files, named)
        if not _option_files(files, named):
            what = "no option file of the server" + ("" if named else f" ({' or '.join(STANDARD)})")
            mend = "name the server's my.cnf in source.configuration.files"
            raise SourceUnavailable(what, where=f"component {context.component}", mend=mend)


def store_configuration(
    context: BackupContext, connection: "Connection[Any]"
) -> tuple[tuple[Item, ...], dict[str, str]]:
    """Store the configuration if it is to be covered; its items, and facts for the restore.

    Raise BackupFailed.
    """
    if KIND not in context.of.coverage:
        return (), {}
    place = source_of(context.of).configuration
    with context.artifact(CONFIGURATION) as sink, collecting(ITEM, sink) as collection:
        collection.add_text(VARIABLES, _as_json(rows(connection, "SHOW GLOBAL VARIABLES")))
        collection.add_text(PLUGINS, _as_json(_plugins(connection)))
        collection.add_text(PERSISTED, _persisted(connection))
        option_files = _store_files(context.of, place, collection) if place else ()
    return tuple(collection.items.values()), {
        FACT: "yes",
        "option_files": "\n".join(option_files),
    }


def check_configuration(sandbox: Sandbox, facts: Mapping[str, str]) -> ConfigurationCheck:
    """Ask a restored server whether it accepts the configuration. Raise RestoreFailed."""
    option_files = facts.get("option_files", "").splitlines()
    if not option_files:
        return ConfigurationCheck(0, (), ())
    return validate(sandbox, FOLDER, option_files)


def _store_files(
    context: SourceContext, place: ServerFilesSource, collection: Collection
) -> tuple[str, ...]:
    with opened(context, place) as files:
        named = [context.text(path) for path in place.files]
        option_files = _option_files(files, named)
        try:
            for path in option_files:
                _store_option_file(files, path, collection)
            for path in named:
                for found in files.walk(path):
                    collection.add(found)
        except NotThere as missing:
            raise BackupFailed(f"{missing} went away while it was read") from None
    return option_files


def _option_files(files: Files, named: list[str]) -> tuple[str, ...]:
    """The files with which a server begins: those named, or those where it looks first."""
    found = []
    for path in named or STANDARD:
        if not path.endswith(OPTION_FILE):
            continue
        with suppress(NotThere):
            if files.whole(path).content is not None:
                found.append(path)
    return tuple(found)


def _store_option_file(files: Files, path: str, collection: Collection) -> None:
    found = files.whole(path)
    collection.add(found)
    if found.content is None:
        return
    found.content.seek(0)
    for include in included(found.read()):
        # What a server makes of one that is not there, a check asks the restored one.
        with suppress(NotThere):
            for name in _names(files, include, collection):
                if name not in collection.items:
                    with suppress(NotThere):
                        _store_option_file(files, name, collection)


def _names(files: Files, include: Include, collection: Collection) -> list[str]:
    """The option files that a directive names; a folder itself is stored too."""
    if not include.folder:
        return [include.path]
    names = []
    for found in files.walk(include.path):
        if found.content is None and found.path == include.path:
            collection.add(found)
        elif found.content is not None and is_read(found.path, include.path):
            names.append(found.path)
    return names


def _as_json(pairs: list[Row]) -> str:
    return json.dumps({str(name): value for name, value in pairs}, indent=1, default=str) + "\n"


def _plugins(connection: "Connection[Any]") -> list[Row]:
    """Plugins that are not part of the server, and the library of each."""
    return rows(
        connection,
        "SELECT plugin_name, plugin_library FROM information_schema.plugins"
        " WHERE plugin_library IS NOT NULL ORDER BY plugin_name",
    )


def _persisted(connection: "Connection[Any]") -> str:
    """What was set with SET PERSIST, as an option file; empty where a server has no such thing."""
    try:
        found = rows(
            connection,
            "SELECT variable_name, variable_value FROM performance_schema.persisted_variables"
            " ORDER BY variable_name",
        )
    except pymysql.MySQLError as error:
        if error.args[0] != NO_SUCH_TABLE:
            raise
        return ""
    return option_file([(str(name), str(value)) for name, value in found]) if found else ""
