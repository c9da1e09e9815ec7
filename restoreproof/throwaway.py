"""Containers and networks of the engine that live for one block, and are gone after it.

Whatever ends the block, and also when Ctrl-C comes while one of them is made or removed: the engine
goes on making what its client no longer waits for.
"""

import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import docker
import docker.errors
from docker.models.containers import Container
from testcontainers.core.container import DockerContainer

from restoreproof import interrupts
from restoreproof.execution import engine_trouble


@dataclass(frozen=True)
class Throwaway:
    """Makes what lives for a block on one engine. Each method raises SandboxTrouble."""

    client: docker.DockerClient
    token_label: str
    """Carries a value of its own for each container, by which it is found again."""
    kept: Callable[[], bool]
    """Asked at the end of a block: whether to leave what is there."""

    @contextmanager
    def container(
        self, described: DockerContainer, labels: Mapping[str, str], options: Mapping[str, object]
    ) -> Iterator[Container]:
        """A running container."""
        token = secrets.token_hex(8)
        described.with_kwargs(labels={**labels, self.token_label: token}, **options)
        with engine_trouble():
            try:
                with interrupts.put_off():
                    described.start()
                yield described.get_wrapped_container()
            finally:
                # By label and not by what Testcontainers knows: a start may fail after the engine
                # made the container and before its name was known here.
                if not self.kept():
                    with interrupts.put_off():
                        self._remove(token)

    def _remove(self, token: str) -> None:
        marked: dict[str, str | list[str] | bool] = {"label": f"{self.token_label}={token}"}
        for found in self.client.containers.list(all=True, filters=marked, ignore_removed=True):
            with suppress(docker.errors.NotFound):
                found.remove(force=True, v=True)

    @contextmanager
    def network(self, prefix: str, labels: Mapping[str, str]) -> Iterator[str]:
        """The name of a network whose containers can be reached and cannot reach out."""
        name = f"{prefix}{secrets.token_hex(4)}"
        with engine_trouble():
            try:
                with interrupts.put_off():
                    self.client.networks.create(
                        name,
                        driver="bridge",
                        options={"com.docker.network.bridge.enable_ip_masquerade": "false"},
                        labels=dict(labels),
                    )
                yield name
            finally:
                if not self.kept():
                    with interrupts.put_off():
                        for found in self.client.networks.list(names=[name]):
                            found.remove()
