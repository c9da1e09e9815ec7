"""The configuration of an InfluxDB 1.x server: influxdb.conf and what else the policy names.

Values may be secrets, so nothing but digests of whole files leaves the vault.
"""

import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

from restoreproof.engines.contract import BackupContext, SourceContext
from restoreproof.engines.file_archive import (
    FILES,
    collecting,
    restored_files,
)
from restoreproof.engines.influxdb_source import source_of
from restoreproof.engines.server_files import Files, NotThere, opened, require
from restoreproof.engines.stored_configuration import CONFIGURATION, FACT, FOLDER, ITEM, KIND
from restoreproof.errors import SourceUnavailable
from restoreproof.fingerprint import Item
from restoreproof.outcomes import BackupFailed
from restoreproof.sandbox import Sandbox

STANDARD = ("/etc/influxdb/influxdb.conf", "/root/.influxdb/influxdb.conf")
"""Where influxd looks by itself."""
ENDING = (".conf", ".toml")
NO_PLACE = (
    "the policy does not say where influxdb.conf is: give source.configuration with the server's"
    " container, or the folder that it takes for /"
)
VALUE = re.compile(rb"=\s*[\"']?(?P<value>[^\"'\s#]{2,})")


@dataclass(frozen=True)
class ConfigurationCheck:
    """How many files a server was given, and what it complains of."""

    examined: int
    complaints: tuple[str, ...]


def require_configuration(context: SourceContext) -> None:
    """Raise SourceUnavailable unless influxdb.conf is where the policy says."""
    place = source_of(context).configuration
    if KIND not in context.coverage or place is None:
        return
    with opened(context, place) as files:
        named = [context.text(path) for path in place.files]
        require(context, files, named)
        if not _main_file(files, named):
            what = "no influxdb.conf" + ("" if named else f" ({' or '.join(STANDARD)})")
            mend = "name the server's influxdb.conf in source.configuration.files"
            raise SourceUnavailable(what, where=f"component {context.component}", mend=mend)


def store_configuration(context: BackupContext) -> tuple[tuple[Item, ...], dict[str, str]]:
    """Store the configuration if it is to be covered; its items, and facts for the restore.

    Raise BackupFailed.
    """
    place = source_of(context.of).configuration
    if KIND not in context.of.coverage or place is None:
        return (), {}
    with (
        context.artifact(CONFIGURATION) as sink,
        collecting(ITEM, sink) as collection,
        opened(context.of, place) as files,
    ):
        named = [context.of.text(path) for path in place.files]
        main = _main_file(files, named)
        try:
            for path in (main, *named) if main else named:
                for found in files.walk(path):
                    collection.add(found)
        except NotThere as missing:
            raise BackupFailed(f"{missing} went away while it was read") from None
    return tuple(collection.items.values()), {FACT: main}


def check_configuration(sandbox: Sandbox, facts: Mapping[str, str]) -> ConfigurationCheck:
    """Ask a restored server's own program whether it accepts the configuration."""
    main = facts.get(FACT, "")
    if not main:
        return ConfigurationCheck(0, ())
    # Variables of the sandbox would replace what the file says.
    script = 'exec env -i PATH="$PATH" influxd config -config "$1"'
    done = sandbox.run(["sh", "-c", script, "sh", f"{FOLDER}/{FILES}{main}"])
    if done.exit_code == 0:
        return ConfigurationCheck(1, ())
    sandbox.require_running()
    words = done.complaint.splitlines()[-1]
    # A value that it cannot take is in its words, and may be a secret.
    for found in restored_files(sandbox, FOLDER):
        for match in VALUE.finditer(found.read()):
            words = words.replace(match["value"].decode("utf-8", "replace"), "…")
    return ConfigurationCheck(1, (f"{main}: {words}",))


def _main_file(files: Files, named: list[str]) -> str:
    """The file with which the server begins: the first named one, or where it looks by itself."""
    for path in named or STANDARD:
        if path.endswith(ENDING):
            with suppress(NotThere):
                if files.whole(path).content is not None:
                    return path
    return ""
