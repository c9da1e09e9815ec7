"""Where reports land: one folder a run, there only when everything in it is whole."""

import os
import secrets
import shutil
from datetime import UTC, datetime
from pathlib import Path

from restoreproof.errors import OutputUnwritable
from restoreproof.processes import is_alive
from restoreproof.storage import sync_folder

INCOMING = ".incoming-"


def new_run_id(now: datetime) -> str:
    """An identifier that sorts by time and that no other run has."""
    return f"{now.astimezone(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}"


class RunFolder:
    """The folder of one run: written aside, renamed into place at the end."""

    def __init__(self, archive: Path, run_id: str) -> None:
        self.final = archive / run_id
        self.path = archive / f"{INCOMING}{run_id}.{os.getpid()}"
        try:
            archive.mkdir(parents=True, exist_ok=True)
            for leftover in archive.glob(f"{INCOMING}*"):
                _drop_if_dead(leftover)
            self.path.mkdir()
        except OSError as error:
            raise OutputUnwritable(
                f"reports cannot be written: {error.strerror}",
                where=str(archive),
                mend="give a folder that this user may write with --out",
            ) from None

    def publish(self) -> Path:
        """Put the folder in its place."""
        sync_folder(self.path)
        self.path.rename(self.final)
        sync_folder(self.final.parent)
        return self.final

    def discard(self) -> None:
        """Leave nothing behind."""
        shutil.rmtree(self.path, ignore_errors=True)


def _drop_if_dead(leftover: Path) -> None:
    process = leftover.name.rpartition(".")[2]
    if process.isdecimal() and not is_alive(int(process)):
        shutil.rmtree(leftover, ignore_errors=True)
