"""What the files of a backup or of a restored server hold: digests of points by window.

They are read for less than a tenth of what a server takes to write its answer. What cannot be
told from files alone is left out here, and then the server is asked for it: points that are
marked as deleted or that lie in memory, shards that overlap in time, files that are damaged, or
that are not all the files that the server has of the shard.
"""

import heapq
import mmap
import shutil
import tarfile
import zlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import groupby, pairwise
from operator import attrgetter
from pathlib import Path, PurePosixPath
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from restoreproof.engines.influxdb_block_values import KINDS, Column, decode
from restoreproof.engines.influxdb_blocks import Block, blocks, measured
from restoreproof.engines.influxdb_client import InfluxClient
from restoreproof.engines.influxdb_layout import Layout, Window
from restoreproof.engines.influxdb_points import Field, Points, SeriesHash, Tally, Times
from restoreproof.engines.server_files import ChunkStream
from restoreproof.execution import OutputStream
from restoreproof.outcomes import RestoreFailed

BLOCKS_AT_ONCE = 1000
"""Of 1,000 values each, which InfluxDB puts into a block at most."""
SHARD, POINTS, DELETED = ".tar.gz", ".tsm", ".tombstone"
Of = tuple[str, str]
"""Database and retention policy."""


@dataclass(frozen=True)
class Held:
    """Points of one measurement in one window, and how many values each field has there."""

    points: Points
    values: Mapping[Field, int]


Found = dict[tuple[str, str, str, Window], Held]
"""By database, retention policy, measurement and window."""


@dataclass(frozen=True)
class Files:
    """The files of points that a server has of a shard: where, how many, and how large together."""

    place: PurePosixPath
    number: int
    bytes: int


def files_of(client: InfluxClient) -> dict[str, Files]:
    """What a server says of each shard, named as ``database/policy/number``.

    Shards of which it holds anything in memory alone are left out.
    """
    in_memory = {one.place for one in _statistics(client, "tsm1_cache", "memBytes", "memBytes")
                 if one.bytes}  # fmt: skip
    told = _statistics(client, "tsm1_filestore", "numFiles", "diskBytes")
    return {"/".join(one.place.parts[-3:]): one for one in told if one.place not in in_memory}


def _statistics(client: InfluxClient, module: str, number: str, size: str) -> Iterator[Files]:
    for series in client.query(f"SHOW STATS FOR '{module}'"):
        told = dict(zip(series.columns, series.values[0], strict=True))
        place = PurePosixPath(dict(series.tags)["path"])
        yield Files(place, int(told[number].text), int(told[size].text))


def held_in(
    stream: OutputStream, layout: Layout, folder: Path, whole: Mapping[str, Files]
) -> Found:
    """What the files in a tar archive hold of closed windows; nothing if that is not whole.

    The archive is one of a server's data folder, or of portable backups, which hold an archive of
    each shard. Shards of which it has not the ``whole`` of the server's files are left out.
    """
    try:
        found = _held(stream, layout, folder, whole)
    except (tarfile.TarError, EOFError, zlib.error):
        return {}
    return found if stream.result().exit_code == 0 else {}


def _held(
    chunks: Iterable[bytes], layout: Layout, folder: Path, whole: Mapping[str, Files]
) -> Found:
    tallies: dict[tuple[str, str, str, Window], Tally] = {}
    twice: set[tuple[str, str, str, Window]] = set()
    with tarfile.open(fileobj=ChunkStream(chunks), mode="r|") as archive:
        for shard, paths in _shards(archive, folder):
            database, policy, _ = shard.split("/")
            size = sum(path.stat().st_size for path in paths)
            known = whole.get(shard)
            if known is None or not paths or (known.number, known.bytes) != (len(paths), size):
                continue
            try:
                found = _tallies(paths, list(layout.closed(database, policy)))
            except RestoreFailed:
                continue
            for (measurement, window), tally in found.items():
                key = (database, policy, measurement, window)
                if key in tallies:
                    twice.add(key)
                tallies[key] = tally
    return {
        key: Held(tally.points(), tally.values)
        for key, tally in tallies.items()
        if key not in twice
    }


def _shards(archive: tarfile.TarFile, folder: Path) -> Iterator[tuple[str, list[Path]]]:
    """Each shard with its files, the oldest first, which are gone afterwards; without any where
    something was deleted."""
    members = (member for member in archive if member.isfile())
    for within, group in groupby(members, key=lambda one: PurePosixPath(one.name).parent):
        paths: dict[str, Path] = {}
        deleted = False
        for member in group:
            content = archive.extractfile(member)
            assert content is not None
            if member.name.endswith(SHARD):
                with tarfile.open(fileobj=content, mode="r|gz") as inner:
                    yield from _shards(inner, folder)
            elif member.name.endswith(POINTS):
                paths[member.name] = _spooled(content, folder / f"{len(paths)}{POINTS}")
            deleted |= DELETED in member.name
        if paths:
            shard = "/".join(within.parts[-3:])
            yield shard, [] if deleted else [paths[name] for name in sorted(paths)]


def _spooled(content: IO[bytes], path: Path) -> Path:
    with path.open("wb") as file:
        shutil.copyfileobj(content, file, 1024 * 1024)
    return path


def _tallies(paths: Sequence[Path], windows: Sequence[Window]) -> dict[tuple[str, Window], Tally]:
    """What the files of one shard hold, by measurement and window."""
    found: dict[tuple[str, Window], Tally] = defaultdict(Tally)
    ends = np.array([window.end for window in windows], np.int64)
    with ExitStack() as opened:
        files = [blocks(_mapped(path, opened)) for path in paths]
        merged = heapq.merge(*files, key=attrgetter("key"))
        for series, fields in _series(merged):
            measurement, tags = measured(series)
            hashes: dict[int, SeriesHash] = {}
            times: dict[int, list[Times]] = defaultdict(list)
            for of, column in fields.items():
                cuts = [0, *np.searchsorted(column.times, ends).tolist()]
                for number, (begin, end) in enumerate(pairwise(cuts)):
                    if begin == end:
                        continue
                    if number not in hashes:
                        hashes[number] = SeriesHash(measurement, tags)
                    hashes[number].add(of, column.times[begin:end], column.values[begin:end])
                    times[number].append(column.times[begin:end])
            for number, one in hashes.items():
                one.count = _different(times[number])
                found[measurement, windows[number]].add(one)
    return found


def _mapped(path: Path, opened: ExitStack) -> memoryview:
    if not path.stat().st_size:
        raise RestoreFailed("a file of points is empty")
    file = opened.enter_context(path.open("rb"))
    return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))


def _different(times: Sequence[Times]) -> int:
    """How many different times there are."""
    first, *others = times
    if all(np.array_equal(first, one) for one in others):
        return len(first)
    return len(np.unique(np.concatenate(times)))


def _series(merged: Iterable[Block]) -> Iterator[tuple[bytes, dict[Field, Column]]]:
    """Every series with its fields, decoded many blocks at a time."""
    batch: list[list[Block]] = []
    size = 0
    for _, group in groupby(merged, key=attrgetter("series")):
        batch.append(list(group))
        size += len(batch[-1])
        if size >= BLOCKS_AT_ONCE:
            yield from _decoded(batch)
            batch, size = [], 0
    yield from _decoded(batch)


def _decoded(batch: Sequence[Sequence[Block]]) -> Iterator[tuple[bytes, dict[Field, Column]]]:
    by_kind: dict[int, list[Block]] = defaultdict(list)
    for block in (block for series in batch for block in series):
        by_kind[block.kind].append(block)
    columns = {kind: iter(decode(of_kind, kind)) for kind, of_kind in by_kind.items()}
    for series in batch:
        fields: dict[Field, list[Column]] = defaultdict(list)
        for block in series:
            of = (block.field.decode(errors="replace"), KINDS[block.kind])
            fields[of].append(next(columns[block.kind]))
        yield series[0].series, {of: _joined(parts) for of, parts in fields.items()}


def _joined(parts: Sequence[Column]) -> Column:
    """One column of several, the oldest file's first: of what two say of a time the later holds."""
    if len(parts) == 1:
        return parts[0]
    times = np.concatenate([part.times for part in parts])
    values: NDArray[Any] | list[bytes]
    if isinstance(parts[0].values, list):
        values = [text for part in parts for text in part.values]
    else:
        values = np.concatenate([part.values for part in parts])
    if (np.diff(times) > 0).all():
        return Column(times, values)
    order = np.argsort(times, kind="stable")
    ordered = times[order]
    kept = order[np.append(ordered[1:] != ordered[:-1], True)]
    if isinstance(values, list):
        return Column(times[kept], [values[at] for at in kept])
    return Column(times[kept], values[kept])
