"""Locks between processes: who holds one is told, and a process that dies lets go of it.

The operating system drops the lock with its process, also after ``kill -9``; the file stays and
says who held it last.
"""

import fcntl
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from restoreproof.errors import VaultBusy


@contextmanager
def locked(path: Path, doing: str, now: datetime, *, shared: bool = False) -> Iterator[None]:
    """Hold a lock until the block ends. Raise VaultBusy, saying who holds it, or OSError."""
    with path.open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            raise VaultBusy(
                f"the lock is held by {_holder(path)}",
                where=str(path),
                mend="let it come to its end, and try again",
            ) from None
        file.truncate(0)
        holder = {
            "process": os.getpid(),
            "host": socket.gethostname(),
            "since": now.isoformat(timespec="seconds"),
            "doing": doing,
        }
        file.write(json.dumps(holder) + "\n")
        file.flush()
        yield


def _holder(path: Path) -> str:
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        return f"process {told['process']} on {told['host']}, {told['doing']} since {told['since']}"
    except (OSError, ValueError, KeyError, TypeError):
        # It has the lock and has not written its name yet.
        return "another process"
