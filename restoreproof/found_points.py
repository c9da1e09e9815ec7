"""Recovery points in a store that is not ours, told by its tool's list or by names of files."""

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from restoreproof.command_runs import Runner
from restoreproof.outcomes import BackupFailed
from restoreproof.own_commands import Points

CTIME = "%a %b %d %H:%M:%S %Y"


@dataclass(frozen=True)
class Point:
    """One recovery point: when it was made, its tool's name for it, and where it was told."""

    time: datetime
    name: str
    incremental: bool
    told: str


def list_points(runner: Runner, now: datetime) -> tuple[Point, ...]:
    """The recovery points of a store, the oldest first. Raise BackupFailed."""
    if runner.commands.listing is not None:
        ran = runner.run("list", {}, now)
        if ran.problem:
            raise BackupFailed(f"list: {ran.problem}")
        return _sorted(_in_lines(ran.lines, runner.commands.points), len(ran.lines))
    files = _files(runner)
    return _sorted(_in_files(files, runner), len(files))


def _sorted(points: Iterable[Point], lines: int) -> tuple[Point, ...]:
    found = sorted(points, key=lambda point: point.time)
    if lines and not found:
        raise BackupFailed(f"none of {lines} lines or files tells of a recovery point: see points")
    return tuple(found)


def _in_lines(lines: Iterable[str], points: Points) -> Iterator[Point]:
    for line in lines:
        match = re.search(points.pattern, line)
        if match is None:
            continue
        time = instant(match["time"], points.time_format)
        if time is not None:
            yield _point(match, time, match["time"], line)


def _in_files(files: Iterable[Path], runner: Runner) -> Iterator[Point]:
    store, points = runner.store_folder, runner.commands.points
    assert store is not None
    for path in files:
        relative = str(path.relative_to(store))
        match = re.search(points.pattern, relative)
        time = instant(match["time"], points.time_format) if match else None
        if time is None:
            # Undated names leave the time at which the file was last written.
            time, match = datetime.fromtimestamp(int(path.stat().st_mtime), UTC), None
        incremental = bool(match and match.groupdict().get("incremental"))
        yield Point(time, relative, incremental, relative)


def _files(runner: Runner) -> list[Path]:
    store, pattern = runner.store_folder, runner.commands.backups
    if store is None or pattern is None:
        return []
    if not store.is_dir():
        raise BackupFailed(f"there is no store {store}")
    if not os.access(store, os.R_OK | os.X_OK):
        raise BackupFailed(f"the store {store} cannot be read")
    return sorted(path for path in store.glob(pattern) if path.is_file())


def _point(match: re.Match[str], time: datetime, default: str, told: str) -> Point:
    groups = match.groupdict()
    return Point(time, groups.get("name") or default, bool(groups.get("incremental")), told)


def instant(text: str, form: str | None) -> datetime | None:
    """The instant that a text names, this machine's if it names no zone; None if it is none."""
    try:
        found = _iso_or_ctime(text) if form is None else datetime.strptime(text, form)  # noqa: DTZ007  # a zone is given below
    except ValueError:
        return None
    return found.astimezone(UTC)


def _iso_or_ctime(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return datetime.strptime(text, CTIME)  # noqa: DTZ007  # a zone is given by the caller
