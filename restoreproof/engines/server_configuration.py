"""The configuration of a server that begins with one file: that, and what else the policy names.

Values may be secrets, so nothing but digests of whole files leaves the vault. What one server
does otherwise than another is a ``Reader``.
"""

import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass

from restoreproof.engines.contract import BackupContext, SourceContext
from restoreproof.engines.file_archive import (
    FILES,
    collecting,
    restored_files,
)
from restoreproof.engines.server_files import Files, NotThere, ServerFilesSource, opened, require
from restoreproof.engines.stored_configuration import CONFIGURATION, FACT, FOLDER, ITEM, KIND
from restoreproof.errors import SourceUnavailable
from restoreproof.fingerprint import Item
from restoreproof.outcomes import BackupFailed
from restoreproof.sandbox import Sandbox

VALUE = re.compile(
    r"""(?mx) (?:^|[{,]) \s* ["']?[\w.-]+["']? \s* [=:] \s*
    (?: "(?P<double>[^"\n]{2,})" | '(?P<single>[^'\n]{2,})' | (?P<bare>[^"'\s#,{}]{2,}) )"""
)


@dataclass(frozen=True)
class Reader:
    """How a server finds its configuration, and how its program is asked about one.

    ``standard`` is where it looks by itself, ``endings`` are those of files that it reads,
    ``script`` is given the file's path, and ``passed_over`` looks in a file and in what the
    program made of it for values that it took for others without a word.
    """

    called: str
    standard: tuple[str, ...]
    endings: tuple[str, ...]
    script: str
    passed_over: Callable[[str, bytes, str], tuple[str, ...]] = lambda _path, _file, _made: ()

    @property
    def no_place(self) -> str:
        """Why backups hold no configuration where the policy names no place, with the mend."""
        return (
            f"the policy does not say where {self.called} is: give source.configuration with the"
            " server's container, or the folder that it takes for /"
        )


@dataclass(frozen=True)
class ConfigurationCheck:
    """How many files a server was given, and what it complains of."""

    examined: int
    complaints: tuple[str, ...]


def require_configuration(
    context: SourceContext, place: ServerFilesSource | None, reader: Reader
) -> None:
    """Raise SourceUnavailable unless the server's configuration is where the policy says."""
    if KIND not in context.coverage or place is None:
        return
    with opened(context, place) as files:
        named = [context.text(path) for path in place.files]
        require(context, files, named)
        if not _main_file(files, named, reader):
            looked = "" if named else f" ({' or '.join(reader.standard)})"
            raise SourceUnavailable(
                f"no {reader.called}{looked}",
                where=f"component {context.component}",
                mend=f"name the server's {reader.called} in source.configuration.files",
            )


def store_configuration(
    context: BackupContext, place: ServerFilesSource | None, reader: Reader
) -> tuple[tuple[Item, ...], dict[str, str]]:
    """Store the configuration if it is to be covered; its items, and facts for the restore.

    Raise BackupFailed.
    """
    if KIND not in context.of.coverage or place is None:
        return (), {}
    with (
        context.artifact(CONFIGURATION) as sink,
        collecting(ITEM, sink) as collection,
        opened(context.of, place) as files,
    ):
        named = [context.of.text(path) for path in place.files]
        main = _main_file(files, named, reader)
        try:
            for path in (main, *named) if main else named:
                for found in files.walk(path):
                    collection.add(found)
        except NotThere as missing:
            raise BackupFailed(f"{missing} went away while it was read") from None
    return tuple(collection.items.values()), {FACT: main}


def check_configuration(
    sandbox: Sandbox, facts: Mapping[str, str], reader: Reader
) -> ConfigurationCheck:
    """Ask a restored server's own program whether it accepts the configuration."""
    main = facts.get(FACT, "")
    if not main:
        return ConfigurationCheck(0, ())
    done = sandbox.run(["sh", "-c", reader.script, "sh", f"{FOLDER}/{FILES}{main}"])
    files = {found.path: found.read() for found in restored_files(sandbox, FOLDER)}
    if main not in files:
        # A program that finds no file may well go by what it knows without one.
        return ConfigurationCheck(1, (f"{main}: did not come back",))
    if done.exit_code == 0:
        taken = reader.passed_over(main, files[main], done.output)
        return ConfigurationCheck(1, tuple(f"{main}: {one}" for one in taken))
    sandbox.require_running()
    words = done.complaint.splitlines()[-1]
    # A value that it cannot take is in its words, and may be a secret.
    for content in files.values():
        for match in VALUE.finditer(content.decode("utf-8", "replace")):
            words = words.replace(match[match.lastgroup or 0], "…")
    return ConfigurationCheck(1, (f"{main}: {words}",))


def _main_file(files: Files, named: list[str], reader: Reader) -> str:
    """The file with which the server begins: the first named one, or where it looks by itself."""
    for path in named or reader.standard:
        if path.endswith(reader.endings):
            with suppress(NotThere):
                if files.whole(path).content is not None:
                    return path
    return ""
