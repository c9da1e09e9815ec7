"""Faults inside backups of InfluxDB, for ``VaultCopy.rewrite``: each is a named function.

Those of 1.x take a whole portable backup, those of 2.x the archive of one shard.
"""

import gzip
import io
import random
import tarfile
from collections.abc import Callable
from typing import IO

from restoreproof.damage import Change, NotApplicable

SHARD = ".tar.gz"
POINTS = ".tsm"


# Portable backups of InfluxDB 1.x


def drop_shard(seed: int = 0) -> Change:
    """Leave out the file of one shard."""

    def change(tar: bytes) -> bytes:
        shard = _any_shard(tar, seed)
        return _members(tar, lambda name, content: None if name == shard else content)

    return change


def truncate_shard(seed: int = 0) -> Change:
    """Keep only the first half of one shard's file."""

    def change(tar: bytes) -> bytes:
        shard = _any_shard(tar, seed)
        return _members(
            tar, lambda name, content: content[: len(content) // 2] if name == shard else content
        )

    return change


def foreign_manifest(other: bytes) -> Change:
    """Store influxd's own manifests of another backup in place of these."""

    def change(tar: bytes) -> bytes:
        with tarfile.open(fileobj=io.BytesIO(other)) as archive:
            files = (archive.extractfile(one) for one in archive if one.name.endswith(".manifest"))
            manifests = [file.read() for file in files if file]
        return _members(
            tar,
            lambda name, content: manifests.pop(0) if name.endswith(".manifest") else content,
        )

    return change


def flip_bit_in_shard(seed: int = 0) -> Change:
    """Turn over one bit of the points that one shard holds, and pack them again."""

    def flip(packed: bytes) -> bytes:
        return gzip.compress(_members(gzip.decompress(packed), lambda _, file: _flip(file, seed)))

    def change(tar: bytes) -> bytes:
        shard = _any_shard(tar, seed)
        return _members(tar, lambda name, content: flip(content) if name == shard else content)

    return change


def flip_bits_in_shard(seed: int = 0) -> Change:
    """Turn over one bit in every hundred bytes of the points of the oldest shard."""

    def flips(content: bytes) -> bytes:
        changed = bytearray(content)
        chance = random.Random(seed)  # noqa: S311  # no secret
        # Some bits are of checksums that no server looks at: one alone might change nothing.
        for at in range(16, len(content) // 2, 100):
            changed[at + chance.randrange(min(100, len(content) // 2 - at))] ^= 1
        return bytes(changed)

    def flip(packed: bytes) -> bytes:
        return gzip.compress(_members(gzip.decompress(packed), lambda _, file: flips(file)))

    def change(tar: bytes) -> bytes:
        with tarfile.open(fileobj=io.BytesIO(tar)) as archive:
            shards = [name for name in archive.getnames() if name.endswith(SHARD)]
        assert shards, "the backup holds no shard"
        oldest = min(shards, key=lambda name: int(name.removesuffix(SHARD).rpartition(".s")[2]))
        return _members(tar, lambda name, content: flip(content) if name == oldest else content)

    return change


# Archives of shards of InfluxDB 2.x


def drop_points(archive: bytes) -> bytes:
    """Leave out every file that holds points."""
    _first_points(archive)
    return _members(archive, lambda name, content: None if name.endswith(POINTS) else content)


def cut_points(archive: bytes) -> bytes:
    """Keep only the first half of every file that holds points."""
    _first_points(archive)
    return _members(archive, lambda _, content: content[: len(content) // 2])


def flip_bit(seed: int = 0) -> Change:
    """Turn over one bit of the blocks of points."""
    return lambda archive: _members(archive, lambda _, content: _flip(content, seed))


def truncate(archive: bytes) -> bytes:
    """Let the archive break off in the midst of the first file that holds points."""
    first = _first_points(archive)
    return archive[: first.offset_data + first.size // 2]


def _first_points(archive: bytes) -> tarfile.TarInfo:
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        for member in files:
            if member.name.endswith(POINTS):
                return member
    raise NotApplicable("the shard holds no file of points")


def _flip(file: bytes, seed: int) -> bytes:
    changed = bytearray(file)
    # The first half of a TSM file is blocks of points, the rest an index with checksums.
    changed[random.Random(seed).randrange(16, len(file) // 2)] ^= 1  # noqa: S311  # no secret
    return bytes(changed)


def _any_shard(tar: bytes, seed: int) -> str:
    with tarfile.open(fileobj=io.BytesIO(tar)) as archive:
        shards = sorted(
            one.name
            for one in archive
            if one.name.endswith(SHARD) and _holds_points(archive.extractfile(one))
        )
    assert shards, "the backup holds no shard"
    return random.Random(seed).choice(shards)  # noqa: S311  # no secret


def _holds_points(shard: IO[bytes] | None) -> bool:
    assert shard is not None
    try:
        with tarfile.open(fileobj=shard) as files:
            return any(one.name.endswith(POINTS) for one in files)
    except (tarfile.TarError, EOFError):
        return False


def _members(tar: bytes, change: Callable[[str, bytes], bytes | None]) -> bytes:
    """The archive with its files changed; a file whose change is None is left out."""
    written = io.BytesIO()
    with (
        tarfile.open(fileobj=io.BytesIO(tar)) as before,
        tarfile.open(fileobj=written, mode="w", format=before.format) as after,
    ):
        for member in before:
            file = before.extractfile(member)
            content = change(member.name, file.read()) if file else b""
            if content is not None:
                member.size = len(content)
                after.addfile(member, io.BytesIO(content))
    return written.getvalue()
