"""Submodules of the newest version: at which commit, and where their repositories lie."""

import posixpath
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

from git.exc import GitCommandError
from pydantic import BaseModel, ConfigDict, TypeAdapter

from restoreproof.engines.git_command import run_git, shown
from restoreproof.engines.git_versions import SUBMODULE

OVER_SSH = re.compile(r"(?:[^/@]+@)?(?P<host>[^/:]+):(?P<path>.*)")
"""What ssh calls a place without a URL: ``git@host:path``."""
SETTING = re.compile(r"submodule\.(?P<name>.+)\.(?P<key>path|url)", re.DOTALL)


class Submodule(BaseModel):
    """One submodule. ``location`` is empty where .gitmodules does not tell, and names no user."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: str
    commit: str
    location: str


SUBMODULES = TypeAdapter(tuple[Submodule, ...])


def submodules(repository: Path, location: str) -> tuple[Submodule, ...]:
    """Those of the newest version of a repository that lies at a location.

    Raise GitCommandError.
    """
    places = _places(repository)
    found = []
    for line in run_git(["ls-tree", "-r", "-z", "HEAD"], repository).split("\0")[:-1]:
        about, path = line.split("\t", 1)
        mode, _, commit = about.split()
        if mode == SUBMODULE:
            place = _resolved(places.get(path, ""), location)
            found.append(Submodule(path=shown(path), commit=commit, location=shown(place)))
    return tuple(found)


def same_repository(one: str, other: str) -> bool:
    """Whether two places are likely of one repository, however it is reached."""
    return bool(one) and _host_and_path(one) == _host_and_path(other)


def _places(repository: Path) -> dict[str, str]:
    """What .gitmodules says: path to URL."""
    settings: dict[str, dict[str, str]] = {}
    for name, key, value in _settings(repository):
        settings.setdefault(name, {})[key] = value
    return {one["path"]: one.get("url", "") for one in settings.values() if "path" in one}


def _settings(repository: Path) -> Iterator[tuple[str, str, str]]:
    try:
        told = run_git(["config", "--blob", "HEAD:.gitmodules", "--list", "-z"], repository)
    except GitCommandError:
        # There is none, or it is not what git reads; then nobody knows where they lie.
        return
    for entry in told.split("\0"):
        setting, _, value = entry.partition("\n")
        if match := SETTING.fullmatch(setting):
            yield match["name"], match["key"], value


def _resolved(url: str, location: str) -> str:
    """A place without its user; one that begins with a dot is relative to the repository's."""
    if url.startswith(("./", "../")):
        parts = urlsplit(location)
        if "://" in location:
            url = urlunsplit(parts._replace(path=posixpath.normpath(f"{parts.path}/{url}")))
        elif (ssh := OVER_SSH.fullmatch(location)) and not location.startswith("/"):
            path = posixpath.normpath(f"{ssh['path']}/{url}")
            url = f"{ssh['host']}:{path}"
        else:
            url = posixpath.normpath(f"{location}/{url}")
    if "://" in url:
        parts = urlsplit(url)
        url = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
    return url


def _host_and_path(place: str) -> tuple[str, str]:
    host, path = "", place
    if "://" in place:
        parts = urlsplit(place)
        host, path = parts.hostname or "", unquote(parts.path)
    elif not place.startswith("/") and (ssh := OVER_SSH.fullmatch(place)):
        host, path = ssh["host"], ssh["path"]
    path = posixpath.normpath(path.strip("/")).removesuffix("/.git").removesuffix(".git")
    return host.lower(), path
