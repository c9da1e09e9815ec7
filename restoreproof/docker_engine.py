"""Finds the Docker engine that answers, and tells how near it is."""

import os
import sys
from pathlib import Path

import docker
import requests
from docker.errors import DockerException

from restoreproof.errors import DockerUnavailable

_CONNECT_SECONDS = 10
# An engine answers an import of an image only when all of it is on its disk.
_ANSWER_SECONDS = 900


def connect() -> docker.DockerClient:
    """A client of the first engine that answers: DOCKER_HOST, Docker's socket, Podman's sockets.

    A DOCKER_HOST that is set is the only one asked: falling back would audit on another machine
    than the user named. Raise `DockerUnavailable` if none answers.
    """
    failures = []
    for address in _addresses():
        try:
            client = _open(address)
        except (DockerException, requests.RequestException, OSError, ValueError) as error:
            failures.append(f"{address}: {_reason(error)}")
        else:
            # Testcontainers makes its own client and looks nowhere but there.
            os.environ["DOCKER_HOST"] = address
            return client
    raise DockerUnavailable(
        f"no Docker engine answers (tried {'; '.join(failures)})", mend=_mend(failures)
    )


def is_local() -> bool:
    """Whether a Unix socket in a folder of this machine, mounted into a container, joins both.

    So it is on a Linux engine behind a Unix socket. Docker Desktop's engine has such a socket
    too, but runs in a virtual machine, where sockets do not pass through mounted folders.
    """
    client = connect()
    try:
        return (
            sys.platform == "linux"
            and str(client.api.base_url).startswith("http+docker://localhost")
            and client.info().get("OperatingSystem") != "Docker Desktop"
        )
    finally:
        client.close()


def _addresses() -> tuple[str, ...]:
    named = os.environ.get("DOCKER_HOST")
    if named:
        return (named,)
    sockets = [Path("/var/run/docker.sock")]
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    if runtime:
        sockets.append(Path(runtime, "podman", "podman.sock"))
    sockets.append(Path("/run/podman/podman.sock"))
    return tuple(f"unix://{socket}" for socket in sockets)


def _open(address: str) -> docker.DockerClient:
    environment = {**os.environ, "DOCKER_HOST": address}
    probe = docker.from_env(timeout=_CONNECT_SECONDS, environment=environment)
    try:
        probe.ping()
    finally:
        probe.close()
    return docker.from_env(timeout=_ANSWER_SECONDS, environment=environment)


def _reason(error: BaseException) -> str:
    """The cause in a few words; the library's own message nests three exceptions in one line."""
    text = str(error)
    for known in ("Permission denied", "Connection refused", "No such file", "timed out"):
        if known.lower() in text.lower():
            return known.lower()
    return text.rsplit("): ", 1)[-1][:200] or type(error).__name__


def _mend(failures: list[str]) -> str:
    if any("permission denied" in failure for failure in failures):
        return "run as root, or put your user in the group `docker` and log in again"
    if os.environ.get("DOCKER_HOST"):
        return "start that engine, or unset DOCKER_HOST"
    return "start Docker (Debian: apt-get install docker.io), or set DOCKER_HOST"
