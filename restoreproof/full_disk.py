"""Notices that a container has no disk left: an error at best, and at worst a wait without end.

MySQL for one goes on trying for ever where a file of certain kinds does not fit, and tells it
to nobody but its log. Such a container is killed, and whoever waits for it learns why.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import docker.errors
from docker.models.containers import Container

from restoreproof.errors import SandboxTrouble
from restoreproof.execution import run

ROOM_BYTES = 8 * 1024**2
"""With less room than this a server cannot enlarge a file any more."""
LOOK_SECONDS = 10.0
NO_DISKS = ("/dev", "/proc", "/sys")


@dataclass
class DiskWatch:
    """What was seen of a container's disks: ``full`` is where it was killed for one, or empty."""

    full: str = ""


def full_disk(container: Container) -> str | None:
    """Where a container has no room left, empty if it has room, None if it does not answer."""
    try:
        shown = run(container, ["df", "-P", "-k"])
    except SandboxTrouble:
        return None
    if shown.exit_code != 0:
        return None
    for line in shown.output.splitlines()[1:]:
        _, _, _, free, _, place = line.split(maxsplit=5)
        if not place.startswith(NO_DISKS) and int(free) * 1024 < ROOM_BYTES:
            return place
    return ""


@contextmanager
def watched(container: Container) -> Iterator[DiskWatch]:
    """Look after a container's disks until the block ends, and kill it if one stays full."""
    watch, stop = DiskWatch(), threading.Event()

    def look() -> None:
        before: str | None = ""
        while not stop.wait(LOOK_SECONDS):
            full = full_disk(container)
            # A server that tidies up after an error is given the time to.
            if full and full == before:
                watch.full = full
                with suppress(docker.errors.DockerException):
                    container.kill()
                return
            before = full

    looking = threading.Thread(target=look, name="disk", daemon=True)
    looking.start()
    try:
        yield watch
    finally:
        stop.set()
        looking.join()
