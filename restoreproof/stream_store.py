"""The live end of a chain: logs that are appended to while their source writes them.

    streams/<component>/<identity of the server>/<log>
    streams/<component>/<identity of the server>/caught-up

What was appended is on disk before ``append`` returns and is never written again, so a process
that dies loses nothing that it reported as stored.
"""

import fcntl
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from restoreproof.errors import OutputUnwritable, UserError
from restoreproof.storage import replace, sync_folder

FOLDER = "streams"
CAUGHT_UP = "caught-up"
LOCK = "lock"


@dataclass(frozen=True)
class Segment:
    """One log as far as it was stored."""

    name: str
    path: Path
    stored_bytes: int


class StreamStore:
    """The stored logs of one component and one server."""

    def __init__(self, vault: Path, component: str, identity: str) -> None:
        self.folder = vault / FOLDER / component / identity

    def segments(self) -> tuple[Segment, ...]:
        """All logs, in the order in which the server wrote them."""
        if not self.folder.is_dir():
            return ()
        logs = (path for path in self.folder.iterdir() if path.suffix[1:].isdecimal())
        ordered = sorted(logs, key=lambda path: int(path.suffix[1:]))
        return tuple(Segment(path.name, path, path.stat().st_size) for path in ordered)

    def stored_bytes(self, name: str) -> int:
        """How much of a log is stored."""
        path = self.folder / name
        return path.stat().st_size if path.is_file() else 0

    def append(self, name: str, chunks: Iterable[bytes]) -> None:
        """Add to a log's end and wait until it is on disk. Raise OutputUnwritable."""
        path = self.folder / name
        new = not path.exists()
        with self._writing(), path.open("ab") as file:
            for chunk in chunks:
                file.write(chunk)
            file.flush()
            os.fsync(file.fileno())
        if new:
            sync_folder(self.folder)

    def forget_before(self, name: str) -> None:
        """Remove the logs before one, which are in a backup by now."""
        names = [segment.name for segment in self.segments()]
        if name in names:
            for segment in self.segments()[: names.index(name)]:
                segment.path.unlink()

    @property
    def caught_up_at(self) -> datetime | None:
        """When the store was last seen to hold everything that the server had written."""
        path = self.folder / CAUGHT_UP
        return datetime.fromisoformat(path.read_text()) if path.is_file() else None

    def note_caught_up(self, at: datetime) -> None:
        """Note that at this instant nothing was missing."""
        with self._writing():
            replace(self.folder / CAUGHT_UP, at.isoformat().encode())

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep others from following the same server. Raise UserError if one does already."""
        with self._writing():
            self.folder.mkdir(parents=True, exist_ok=True)
            file = (self.folder / LOCK).open("w")
        with file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise UserError(
                    "this component is streamed by another process already",
                    where=str(self.folder),
                    mend="stop the other one, or let it go on",
                ) from None
            yield

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise OutputUnwritable(
                f"the stream cannot be stored: {error.strerror}",
                where=str(self.folder),
                mend="give the vault a folder that this user may write, with space left",
            ) from None
