"""Writing files so that a crash leaves either the whole file or none: temp, fsync, rename."""

import os
import tempfile
from pathlib import Path

READ_ONLY = 0o444


def write_once(path: Path, content: bytes, *, mode: int = READ_ONLY) -> None:
    """Write a new file. Raise FileExistsError rather than replace one that is there.

    A hard link publishes the finished file, because unlike a rename it refuses to overwrite.
    """
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
            os.fchmod(file.fileno(), mode)
        os.link(temporary, path)
    finally:
        Path(temporary).unlink()
    sync_folder(path.parent)


def replace(path: Path, content: bytes) -> None:
    """Write a file anew: after a crash it holds either what it held or all of ``content``."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    sync_folder(path.parent)


def append_line(path: Path, line: bytes) -> None:
    """Append one line to a file and wait until it is on disk."""
    with path.open("ab") as file:
        file.write(line + b"\n")
        file.flush()
        os.fsync(file.fileno())
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
