"""How a policy names files: where they lie, which of them, what is asked of them when restored."""

import posixpath
import re
from typing import Annotated

from pydantic import AfterValidator, Field, field_validator, model_validator

from restoreproof.durations import Duration
from restoreproof.references import Secret, SourceModel
from restoreproof.sizes import Size


def _absolute(path: str) -> str:
    if not path.startswith("/"):
        raise ValueError("not an absolute path; write it as its machine sees it")
    return "/" + posixpath.normpath(path).lstrip("/")


AbsolutePath = Annotated[str, AfterValidator(_absolute)]


class SFTP(SourceModel):
    """A machine with an SSH server. Its host key has to stand in ``known_hosts``.

    ``key_file`` and ``known_hosts`` are relative to the policy; without the latter it is the
    user's own.
    """

    host: str
    port: int = Field(default=22, ge=1, le=65535)
    user: str
    key_file: str = ""
    passphrase: Secret | None = None
    password: Secret | None = None
    known_hosts: str = ""

    @model_validator(mode="after")
    def _one_credential(self) -> "SFTP":
        if bool(self.key_file) == bool(self.password):
            raise ValueError("one credential is needed; give either key_file or password")
        return self


class Limits(SourceModel):
    """How much a backup may hold, so that a restore of a hostile one fills no disk."""

    files: int = Field(default=5_000_000, ge=1)
    bytes: Size = 10**12


class Logs(SourceModel):
    """Logs among the files. Each of ``paths`` names one log and its rotated files: ``app.log*``.

    ``pattern`` finds the time in a line, in its first group, and ``format`` (of strptime) reads it;
    without them the usual forms are known. Times without a zone are of ``time_zone``.
    """

    paths: tuple[AbsolutePath, ...] = Field(min_length=1)
    largest_gap: Duration
    pattern: str = ""
    format: str = ""
    time_zone: str = "UTC"

    @field_validator("pattern")
    @classmethod
    def _one_group(cls, pattern: str) -> str:
        try:
            groups = re.compile(pattern).groups
        except re.error as error:
            raise ValueError(f"not a regular expression: {error}") from None
        if pattern and groups != 1:
            raise ValueError("one group is needed, around the time: '^(\\S+ \\S+) '")
        return pattern

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, name: str) -> str:
        from zoneinfo import ZoneInfo  # noqa: PLC0415

        try:
            ZoneInfo(name)
        except (KeyError, ValueError, OSError):
            raise ValueError(f"unknown time zone {name!r}; write UTC or Europe/Paris") from None
        return name

    @model_validator(mode="after")
    def _both_or_none(self) -> "Logs":
        if bool(self.pattern) != bool(self.format):
            raise ValueError("pattern and format belong together; give both or none")
        return self


class Validation(SourceModel):
    """Asks a program whether it accepts the restored configuration, in a sandbox of the image.

    ``mysqld`` and ``influxd`` name the file that such a server begins with; ``command`` is any
    program with its arguments, which finds the files where they were at the source.
    """

    mysqld: AbsolutePath | None = None
    influxd: AbsolutePath | None = None
    command: tuple[str, ...] = ()
    time_limit: Duration = Field(default="1m", validate_default=True)

    @model_validator(mode="after")
    def _one_program(self) -> "Validation":
        if sum(map(bool, (self.mysqld, self.influxd, self.command))) != 1:
            raise ValueError("one program is needed; give mysqld, influxd or command")
        return self


class FilesSource(SourceModel):
    """Files of this machine, of a container, or of a machine with an SSH server."""

    paths: tuple[AbsolutePath, ...] = Field(min_length=1)
    container: str = ""
    sftp: SFTP | None = None
    exclude: tuple[str, ...] = ()
    limits: Limits = Limits()
    logs: Logs | None = None
    validate_with: tuple[Validation, ...] = Field(default=(), alias="validate")

    @model_validator(mode="after")
    def _one_place(self) -> "FilesSource":
        if self.container and self.sftp:
            raise ValueError("one place is needed; give container or sftp, or neither")
        for path in self.paths:
            above = [
                one for one in self.paths if one != path and path.startswith(f"{one.rstrip('/')}/")
            ]
            if above or self.paths.count(path) > 1:
                raise ValueError(f"{path} is named twice; {above[0] if above else path} holds it")
        return self
