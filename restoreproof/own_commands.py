"""The organisation's own commands as a policy gives them: lines, variables, limits, store."""

import re
import shlex
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator

from restoreproof.durations import Duration
from restoreproof.references import VARIABLE
from restoreproof.sizes import Size

SOURCE = frozenset({"host", "port", "user", "password_file", "defaults_file"})
SERVER = SOURCE | {"socket", "container", "restored"}
ALWAYS = frozenset({"store", "time"})
VARIABLES = {
    "full": ALWAYS | SOURCE | {"staging"},
    "incremental": ALWAYS | SOURCE | {"staging"},
    "restore": ALWAYS | SERVER | {"target", "name"},
    "list": ALWAYS,
    "verify": ALWAYS,
}
"""What each command may name in braces."""
ALL = frozenset().union(*VARIABLES.values())
NAMED = re.compile(r"(?<!\$)\{(?P<name>" + "|".join(sorted(ALL)) + r")(?::(?P<format>[^{}]+))?\}")
OTHER_HOST = re.compile(
    r"\b(?:mysql|mariadb|myloader)\b[^|;&]*?[\s\0](?:-h[\s\0]*|--host[=\s\0])(?!\{host\})"
)
"""A client that would restore into a server of its own choice, perhaps over the source."""
SECRETIVE = re.compile(
    r"pass(word|phrase|wd)|_pwd|secret|token|credential|(access|api)_?key", re.IGNORECASE
)
PLAIN_NAME = re.compile(r"[\w.:/@+=,%~-]+")

Command = Annotated[str, Field(min_length=1)] | Annotated[tuple[str, ...], Field(min_length=1)]
"""One line for /bin/sh, or a list of a program and its arguments."""


def _check_pattern(pattern: str) -> str:
    try:
        groups = re.compile(pattern).groupindex
    except re.error as error:
        raise ValueError(f"not a regular expression: {error}; correct it") from None
    if "time" not in groups:
        raise ValueError("it names no time; write it with a group (?P<time>...)")
    return pattern


class Limits(BaseModel):
    """After what time a command is ended, and how much it may put where it writes for us."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    time: Duration = timedelta(hours=1)
    bytes: Size | None = None


class Points(BaseModel):
    """How recovery points are told from lines of ``list``, or from names of files.

    ``pattern`` is a regular expression with a group ``time``, and perhaps ``name`` and
    ``incremental``, which takes part where a point is an increment. ``time_format`` is that of
    strptime; without one ISO 8601 and ctime's are understood. Without a zone it is this machine's.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    pattern: Annotated[str, AfterValidator(_check_pattern)] = r"^(?P<time>\S+)(?: +(?P<name>\S+))?"
    time_format: str | None = None


class Commands(BaseModel):
    """How the organisation makes, lists, verifies and restores its own backups.

    ``store`` is the folder in which they lie, or where else; it is read and nothing more.
    ``backups`` is a glob in the store where each file is a recovery point. ``rewritten`` are
    globs of files there that the tool rewrites as it likes; ``moving`` names what changes as a
    whole all the time, so that of it no more is asked than that it comes back.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    full: Command | None = None
    incremental: Command | None = None
    restore: Command
    listing: Command | None = Field(default=None, alias="list")
    verify: Command | None = None
    store: str = Field(min_length=1)
    backups: str | None = None
    points: Points = Points()
    rewritten: tuple[str, ...] = ()
    moving: tuple[str, ...] = ()
    folder: str | None = None
    environment: Mapping[str, str] = Field(default_factory=dict)
    limits: Limits = Limits()

    @field_validator("environment")
    @classmethod
    def _secrets_by_reference(cls, environment: Mapping[str, str]) -> Mapping[str, str]:
        for name, text in environment.items():
            if SECRETIVE.search(name) and not is_reference(text):
                raise ValueError(
                    f"{name} looks like a secret, and one is given by reference;"
                    " write ${NAME} or file:PATH"
                )
        return environment

    @model_validator(mode="after")
    def _says_enough(self) -> Self:
        if self.full is None and self.listing is None and self.backups is None:
            raise ValueError(
                "nobody makes backups and nothing finds any;"
                " give full, or list or backups for those that are made elsewhere"
            )
        if self.backups is not None and "://" in self.store:
            raise ValueError("backups are files of a folder, and the store is none; give list")
        if self.incremental is not None and self.full is None:
            raise ValueError("increments with no full backup to stand on; give full too")
        for kind, command in self.all.items():
            wrong = sorted(set(named_in(command)) - VARIABLES[kind])
            if wrong:
                known = ", ".join(f"{{{name}}}" for name in sorted(VARIABLES[kind]))
                raise ValueError(f"{kind} cannot know {{{wrong[0]}}}; it may name {known}")
        if OTHER_HOST.search(_text(self.restore)):
            raise ValueError(
                "restore names a host of its own and would go there, perhaps over the source;"
                " leave the host out, or write {host}"
            )
        return self

    @property
    def all(self) -> dict[str, Command]:
        """The commands that are given, by what they do."""
        given = {
            "full": self.full,
            "incremental": self.incremental,
            "restore": self.restore,
            "list": self.listing,
            "verify": self.verify,
        }
        return {kind: command for kind, command in given.items() if command is not None}


def is_reference(text: str) -> bool:
    """Whether a value of the environment refers to a secret, and is none itself."""
    variable = VARIABLE.fullmatch(text)
    return text.startswith("file:") or bool(variable and variable["default"] is None)


def named_in(command: Command) -> tuple[str, ...]:
    """The variables that a command names."""
    return tuple(match["name"] for match in NAMED.finditer(_text(command)))


def _text(command: Command) -> str:
    return command if isinstance(command, str) else "\0".join(command)


def filled(command: Command, variables: Mapping[str, str], time: datetime) -> list[str]:
    """The arguments of a process that runs a command.

    Raise KeyError for a variable that is not known, ValueError for one that no line may hold.
    """
    if not isinstance(command, str):
        return [_filled(part, variables, time) for part in command]
    safe = {}
    for name in set(named_in(command)) - {"time"}:
        if not PLAIN_NAME.fullmatch(variables[name]):
            # A shell could take it for more than a name; a list of arguments has no shell.
            safe[name] = shlex.quote(variables[name])
    return ["/bin/sh", "-c", _filled(command, {**variables, **safe}, time)]


def _filled(text: str, variables: Mapping[str, str], time: datetime) -> str:
    def value(match: re.Match[str]) -> str:
        if match["name"] == "time":
            return time.strftime(match["format"]) if match["format"] else time.isoformat()
        return variables[match["name"]]

    return NAMED.sub(value, text)
