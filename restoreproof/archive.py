"""Where reports land: one folder a run, there only when everything in it is whole.

The folder of a run that died is kept under another name, so that the next report can tell of it.
"""

import os
import secrets
import shutil
from datetime import UTC, datetime
from pathlib import Path

from restoreproof.errors import OutputUnwritable
from restoreproof.processes import is_alive
from restoreproof.storage import sync_folder

INCOMING = ".incoming-"
DIED = "died-"
ESTATE = "estate"
"""Whose run it is, in a folder that is not published yet."""
STAMP = "%Y%m%dT%H%M%SZ"


def new_run_id(now: datetime) -> str:
    """An identifier that sorts by time and that no other run has."""
    return f"{now.astimezone(UTC):{STAMP}}-{secrets.token_hex(3)}"


def started_at(run_id: str) -> datetime | None:
    """When a run of this identifier began; None if it is none."""
    try:
        return datetime.strptime(run_id.partition("-")[0], STAMP).replace(tzinfo=UTC)
    except ValueError:
        return None


class RunFolder:
    """The folder of one run: written aside, renamed into place at the end."""

    def __init__(self, archive: Path, run_id: str, estate: str = "") -> None:
        self.final = archive / run_id
        self.path = archive / f"{INCOMING}{run_id}.{os.getpid()}"
        try:
            archive.mkdir(parents=True, exist_ok=True)
            for leftover in archive.glob(f"{INCOMING}*"):
                _set_aside_if_dead(leftover)
            self.path.mkdir()
            (self.path / ESTATE).write_text(estate, encoding="utf-8")
        except OSError as error:
            raise OutputUnwritable(
                f"reports cannot be written: {error.strerror}",
                where=str(archive),
                mend="give a folder that this user may write with --out",
            ) from None

    def files(self) -> tuple[str, ...]:
        """The names of all files that will be published, sorted."""
        return tuple(sorted(path.name for path in self.path.iterdir() if path.name != ESTATE))

    def publish(self) -> Path:
        """Put the folder in its place."""
        (self.path / ESTATE).unlink()
        sync_folder(self.path)
        self.path.rename(self.final)
        sync_folder(self.final.parent)
        return self.final

    def discard(self) -> None:
        """Leave nothing behind."""
        shutil.rmtree(self.path, ignore_errors=True)


def _set_aside_if_dead(leftover: Path) -> None:
    run_id, _, process = leftover.name.removeprefix(INCOMING).rpartition(".")
    if process.isdecimal() and not is_alive(int(process)):
        leftover.rename(leftover.with_name(f"{DIED}{run_id}"))
