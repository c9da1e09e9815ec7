"""Ctrl-C while a container or a network is made or removed leaves neither."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import docker
import pytest
from docker.models.containers import Container, ContainerCollection
from docker.models.networks import NetworkCollection
from testcontainers.core.container import DockerContainer

from restoreproof import docker_engine, interrupts
from restoreproof.images import ensure
from restoreproof.throwaway import Throwaway

IMAGE = "restoreproof/influxdb:1.6"
LABEL = f"org.restoreproof.test-throwaway-{os.getpid()}"

pytestmark = pytest.mark.usefixtures("watched")


@pytest.fixture
def client() -> Iterator[docker.DockerClient]:
    ensure(IMAGE, lambda _: None)
    with closing(docker_engine.connect()) as client:
        yield client
        for left in client.containers.list(all=True, filters={"label": LABEL}):
            left.remove(force=True)
        client.networks.prune(filters={"label": LABEL})


def _left(client: docker.DockerClient) -> list[Any]:
    marked: dict[str, Any] = {"label": LABEL}
    containers = client.containers.list(all=True, filters=marked, ignore_removed=True)
    return [*containers, *client.networks.list(filters=marked)]


def _interrupted(real: Callable[..., Any]) -> Callable[..., Any]:
    """The same call, with a Ctrl-C as it begins: what it asked of the engine is under way."""

    def call(*arguments: Any, **options: Any) -> Any:
        signal.raise_signal(signal.SIGINT)
        return real(*arguments, **options)

    return call


@pytest.mark.parametrize(
    ("of", "call"),
    [
        (ContainerCollection, "create"),
        (Container, "start"),
        (Container, "remove"),
        (NetworkCollection, "create"),
        (NetworkCollection, "list"),
    ],
    ids=["container made", "started", "removed", "network made", "network removed"],
)
def test_interrupt_leaves_nothing(
    client: docker.DockerClient, monkeypatch: pytest.MonkeyPatch, of: type, call: str
) -> None:
    """The call comes to its end, what it made is removed, and the interrupt counts all the same."""
    made = Throwaway(client, f"{LABEL}.token", lambda: False)
    described = DockerContainer(IMAGE).with_command(["86400"])
    options = {"entrypoint": ["sleep"]}
    monkeypatch.setattr(of, call, _interrupted(getattr(of, call)))

    with (
        pytest.raises(KeyboardInterrupt),
        made.network("test-throwaway-", {LABEL: "network"}),
        made.container(described, {LABEL: "container"}, options),
    ):
        pass

    monkeypatch.undo()
    assert _left(client) == []


def test_second_interrupt_does_not_wait() -> None:
    """Where the engine hangs, a second Ctrl-C ends what the first one let go on."""
    reached = []

    def interrupted_twice() -> None:
        with interrupts.put_off():
            signal.raise_signal(signal.SIGINT)
            reached.append("after the first")
            signal.raise_signal(signal.SIGINT)
            reached.append("after the second")

    with pytest.raises(KeyboardInterrupt):
        interrupted_twice()
    assert reached == ["after the first"]
