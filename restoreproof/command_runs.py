"""Prepares and runs the commands of one component: variables, secrets, folders, limits."""

import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from restoreproof.errors import SourceUnavailable, UserError
from restoreproof.foreign_store import used_bytes
from restoreproof.own_commands import Command, Commands, filled, is_reference
from restoreproof.own_processes import Ran, run
from restoreproof.redaction import remember
from restoreproof.references import expand, reveal

LEAST_FREE_BYTES = 64 * 1024**2
"""A command is ended before it leaves less than this free where it writes for us."""
LINE_OF_SECRET = 8
REDIRECTIONS = "<>"
SEPARATORS = frozenset({"|", "||", "&&", ";", "&", "|&", "("})
SUBSTITUTION = re.compile(r"\$\([^()]*\)|`[^`]*`")
# Words before which a line of sh has no program's name yet.
PREFIXES = frozenset({"!", "{", "}", "if", "then", "else", "elif", "fi", "while", "until", "do",
                      "done", "time", "exec", "env", "nice", "sudo"})  # fmt: skip


@dataclass(frozen=True)
class Runner:
    """Runs commands. ``folder`` is the policy's own; ``tell`` is told each line they say."""

    component: str
    commands: Commands
    folder: Path
    tell: Callable[[str], None] = lambda _: None

    @property
    def store(self) -> str:
        """The store as commands are given it. Raise SecretMissing."""
        store = expand(self.commands.store, where=self._where)
        return store if "://" in store else str((self.folder / store).resolve())

    @property
    def store_folder(self) -> Path | None:
        """The folder in which the store lies; None if it is none of this machine."""
        return None if "://" in self.store else Path(self.store)

    @property
    def work_folder(self) -> Path:
        """Where commands are run. Raise UserError if it is no folder."""
        given = expand(self.commands.folder or ".", where=self._where)
        path = (self.folder / given).resolve()
        if not path.is_dir():
            what = f"commands.folder {path}: not a folder"
            raise UserError(what, where=self._where, mend="give the folder that they run in")
        return path

    def probe(self) -> None:
        """Raise UserError for what keeps commands from being run at all."""
        work, environment = self.work_folder, self._environment({}, None)
        path = environment.get("PATH", os.environ.get("PATH", os.defpath))
        for kind, command in self.commands.all.items():
            self._require_syntax(kind, command)
            for program in _programs(command):
                beside = "/" in program and not (work / program).exists()
                if beside or ("/" not in program and not _is_known(program, path)):
                    raise SourceUnavailable(
                        f"commands.{kind}: {program}: command not found",
                        where=self._where,
                        mend="install it, or correct the command",
                    )
        store = self.store_folder
        if store is not None and (store.exists() and not store.is_dir()):
            mend = "give the folder in which the backups lie"
            raise SourceUnavailable(
                f"commands.store {store}: not a folder", where=self._where, mend=mend
            )
        if store is not None and self.commands.full is None and not store.is_dir():
            mend = "correct commands.store, or mount it"
            raise SourceUnavailable(
                f"commands.store {store}: there is none", where=self._where, mend=mend
            )

    def run(
        self,
        kind: str,
        variables: Mapping[str, str],
        time: datetime,
        *,
        fills: Sequence[Path] = (),
        home: Path | None = None,
    ) -> Ran:
        """Run the command of a kind to its end; ``fills`` are folders that it may fill.

        It is ended before it takes the last of their disk, or of the store's where that had room.
        With a ``home`` it finds that in the place of this user's. Raise UserError if it cannot
        be started.
        """
        known = {"store": self.store, **variables}
        environment = self._environment(known, time)
        store = self.store_folder
        shared = [store] if store is not None and not _filled(store) else []
        if home is not None:
            environment = {"HOME": str(home), **environment}
        try:
            return run(
                filled(self.commands.all[kind], known, time),
                folder=self.work_folder,
                environment=environment,
                limit=self.commands.limits.time,
                stop=lambda: self._too_much(fills) or next(filter(None, map(_filled, shared)), ""),
                tell=lambda line: self.tell(f"{self.component} {kind}: {line}"),
            )
        except KeyError as error:
            what = f"commands.{kind}: {{{error.args[0]}}} is not known of this component"
            raise UserError(what, where=self._where, mend="leave it out of the command") from None
        except OSError as error:
            what = f"commands.{kind} cannot be started: {error.strerror}"
            mend = "correct the command, or who may run it"
            raise SourceUnavailable(what, where=self._where, mend=mend) from None

    @property
    def _where(self) -> str:
        return f"component {self.component}"

    def _too_much(self, fills: Sequence[Path]) -> str:
        most = self.commands.limits.bytes
        for folder in fills:
            if not folder.exists():
                continue
            if most is not None and used_bytes(folder) > most:
                return f"ended because it wrote more than {most:,} bytes"
            if problem := _filled(folder):
                return problem
        return ""

    def _environment(self, known: Mapping[str, str], time: datetime | None) -> dict[str, str]:
        made = {}
        for name, text in self.commands.environment.items():
            if is_reference(text):
                made[name] = reveal(text, where=self._where, folder=self.folder)
                # A key of several lines may be printed line by line.
                for line in made[name].splitlines():
                    if len(line) >= LINE_OF_SECRET:
                        remember(line)
            elif time is None:
                made[name] = text
            else:
                try:
                    made[name] = filled((text,), known, time)[0]
                except KeyError:
                    # It is for another of the commands.
                    continue
        return made

    def _require_syntax(self, kind: str, command: Command) -> None:
        if not isinstance(command, str):
            return
        checked = subprocess.run(
            ["/bin/sh", "-n", "-c", command], capture_output=True, text=True, check=False
        )
        if checked.returncode != 0:
            words = checked.stderr.strip().rpartition(": ")[2] or "it ends too early"
            what = f"commands.{kind} is no line of sh: {words}"
            raise UserError(what, where=self._where, mend="correct its quotes and brackets")


def _filled(folder: Path) -> str:
    """Why a command has to be ended for the sake of a folder's disk; empty if there is room."""
    free = shutil.disk_usage(folder).free if folder.exists() else LEAST_FREE_BYTES
    return (
        f"ended because it filled the disk: {free:,} bytes were left"
        if free < LEAST_FREE_BYTES
        else ""
    )


def _programs(command: Command) -> list[str]:
    """The programs that a command begins, as far as that shows."""
    if not isinstance(command, str):
        return [command[0]]
    line = command
    while (shorter := SUBSTITUTION.sub("$", line)) != line:
        line = shorter
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    found, first, skip = [], True, False
    try:
        for word in lexer:
            if skip:
                skip = False
            elif set(word) <= set("<>&") and set(word) & set(REDIRECTIONS):
                skip = True
            elif word in SEPARATORS:
                first = True
            elif first and word not in PREFIXES and "=" not in word:
                # What the shell has to work out first cannot be told from here.
                found += [] if set(word) & set("${}`*()") else [word]
                first = False
    except ValueError:
        return []
    return found


def _is_known(program: str, path: str) -> bool:
    if shutil.which(program, path=path):
        return True
    known = subprocess.run(
        ["/bin/sh", "-c", 'command -v -- "$1"', "sh", program],
        env={"PATH": path},
        capture_output=True,
        check=False,
    )
    return known.returncode == 0
