"""Notices that a container has no disk left, or takes more of it than it may, and kills it.

MySQL for one goes on trying for ever where a file of certain kinds does not fit, and tells it
to nobody but its log; and a hostile backup would fill the disk of this machine.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import docker.errors
from docker.models.containers import Container

from restoreproof.errors import SandboxTrouble
from restoreproof.execution import engine_trouble, run

ROOM_BYTES = 8 * 1024**2
"""With less room than this a server cannot enlarge a file any more."""
LOOK_SECONDS = 10.0
MEASURE_SECONDS = 1.0
NO_DISKS = ("/dev", "/proc", "/sys")


@dataclass
class DiskWatch:
    """For what a container was killed: a place that is ``full``, or more bytes than it may hold."""

    full: str = ""
    exceeding_bytes: int = 0


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


def held_bytes(container: Container) -> int:
    """How much a container holds on the engine's disk beyond its image. Raise SandboxTrouble."""
    with engine_trouble():
        api = container.client.api  # type: ignore[union-attr]  # set on every container that is listed or made
        (listed,) = api.containers(all=True, size=True, filters={"id": container.id})
        volumes = [one["Destination"] for one in listed["Mounts"] if one["Type"] == "volume"]
    held = int(listed.get("SizeRw", 0))
    if volumes:
        shown = run(container, ["du", "-skx", *volumes])
        held += sum(int(line.split()[0]) * 1024 for line in shown.output.splitlines())
    return held


@contextmanager
def watched(container: Container, most_bytes: int | None = None) -> Iterator[DiskWatch]:
    """Look after a container's disks until the block ends.

    It is killed if one stays full, and if it holds more than ``most_bytes``.
    """
    watch, stop = DiskWatch(), threading.Event()

    def end() -> None:
        with suppress(docker.errors.DockerException):
            container.kill()

    def look() -> None:
        before: str | None = ""
        looked = time.monotonic()
        while not stop.wait(LOOK_SECONDS if most_bytes is None else MEASURE_SECONDS):
            if most_bytes is not None:
                with suppress(SandboxTrouble):
                    held = held_bytes(container)
                    if held > most_bytes:
                        watch.exceeding_bytes = held
                        end()
                        return
            if time.monotonic() - looked < LOOK_SECONDS:
                continue
            looked = time.monotonic()
            full = full_disk(container)
            # A server that tidies up after an error is given the time to.
            if full and full == before:
                watch.full = full
                end()
                return
            before = full

    looking = threading.Thread(target=look, name="disk", daemon=True)
    looking.start()
    try:
        yield watch
    finally:
        stop.set()
        looking.join()
