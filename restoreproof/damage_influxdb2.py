"""Faults inside the archive of one shard of InfluxDB 2.x, for ``VaultCopy.rewrite``."""

import io
import random
import tarfile
from collections.abc import Callable

from restoreproof.damage import Change

TSM = ".tsm"


def drop_points(archive: bytes) -> bytes:
    """Leave out every file that holds points."""
    return _files(archive, lambda name, content: None if name.endswith(TSM) else content)


def cut_points(archive: bytes) -> bytes:
    """Keep only the first half of every file that holds points."""
    return _files(archive, lambda _, content: content[: len(content) // 2])


def flip_bit(seed: int = 0) -> Change:
    """Turn over one bit of the blocks of points."""

    def flip(_: str, content: bytes) -> bytes:
        changed = bytearray(content)
        # The first half of a TSM file is blocks of points, the rest an index of them.
        changed[random.Random(seed).randrange(16, len(content) // 2)] ^= 1  # noqa: S311  # no secret
        return bytes(changed)

    return lambda archive: _files(archive, flip)


def truncate(archive: bytes) -> bytes:
    """Let the archive break off in its midst."""
    return archive[: len(archive) // 2]


def _files(archive: bytes, change: Callable[[str, bytes], bytes | None]) -> bytes:
    """The archive with its files changed; a file whose change is None is left out."""
    written = io.BytesIO()
    with (
        tarfile.open(fileobj=io.BytesIO(archive)) as before,
        tarfile.open(fileobj=written, mode="w", format=before.format) as after,
    ):
        for member in before:
            file = before.extractfile(member)
            content = change(member.name, file.read()) if file else b""
            if content is not None:
                member.size = len(content)
                after.addfile(member, io.BytesIO(content))
    return written.getvalue()
