"""What the sample estate's two servers have in common: how they are published and awaited."""

import socket
import time
from collections.abc import Callable, Mapping
from typing import TypeVar

from testcontainers.core.container import DockerContainer

from restoreproof.errors import SandboxTrouble
from restoreproof.execution import engine_trouble

LOOPBACK = "127.0.0.1"
MEMORY_BYTES = 1024**3
START_SECONDS = 120
POLL_SECONDS = 0.05

ContainerT = TypeVar("ContainerT", bound=DockerContainer)


def publish(
    container: ContainerT, ports: tuple[int, ...], labels: Mapping[str, str], user: str = ""
) -> ContainerT:
    """Publish ports to this machine alone, where the engine runs on it, and set the labels.

    ``user`` is who its processes run as, if not who the image says.
    """
    for port in ports:
        container.ports[str(port)] = (LOOPBACK, None) if _is_here(container) else None  # type: ignore[assignment]  # the engine's client takes an address too
    settings = {"user": user} if user else {}
    container.with_kwargs(labels=dict(labels), mem_limit=MEMORY_BYTES, **settings)
    return container


def address(container: DockerContainer, port: int) -> tuple[str, int]:
    """Host and port of a running container, as this process and the engine's host reach it.

    Never the name localhost: MySQL's clients take it for a Unix socket, and a resolver may
    prefer ::1.
    """
    engine = container.get_docker_client()
    identifier = container.get_container_id()
    published = int(engine.port(identifier, port))
    if not _is_here(container):
        return engine.host(), published
    if _accepts(LOOPBACK, published):
        return LOOPBACK, published
    # This process is in a container itself, beside the one that it started.
    return engine.bridge_ip(identifier), port


def wait_until(ready: Callable[[], bool], container: DockerContainer, *, what: str) -> None:
    """Wait until ``ready()``. Raise SandboxTrouble with the server's last words."""
    deadline = time.monotonic() + START_SECONDS
    while not ready():
        with engine_trouble():
            container.reload()
            stopped = container.status in {"exited", "dead"}
        if stopped or time.monotonic() > deadline:
            problem = "stopped while starting" if stopped else f"not ready after {START_SECONDS} s"
            raise SandboxTrouble(f"{what} {problem}: {_last_words(container)}")
        time.sleep(POLL_SECONDS)


def _is_here(container: DockerContainer) -> bool:
    return container.get_docker_client().host() in {"localhost", LOOPBACK}


def _accepts(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=1).close()
    except OSError:
        return False
    return True


def _last_words(container: DockerContainer) -> str:
    with engine_trouble():
        log = container.get_wrapped_container().logs(tail=8)
    return " | ".join(log.decode("utf-8", "replace").splitlines()) or "no log"
