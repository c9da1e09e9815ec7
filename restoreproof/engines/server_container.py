"""The container in which a source lives, by the name that the policy gives it."""

from collections.abc import Iterator
from contextlib import closing, contextmanager

import docker.errors
from docker.models.containers import Container

from restoreproof import docker_engine
from restoreproof.engines.contract import SourceContext
from restoreproof.errors import SourceUnavailable
from restoreproof.execution import engine_trouble


@contextmanager
def server_container(
    context: SourceContext, name: str, key: str, *, running: bool = False
) -> Iterator[Container]:
    """A container of the engine that we use; where ``running``, only one that runs.

    ``name`` is as the policy has it, ``key`` says where there. Raise SourceUnavailable.
    """
    called = context.text(name)
    with closing(docker_engine.connect()) as client:
        with engine_trouble():
            try:
                container = client.containers.get(called)
            except docker.errors.NotFound:
                container = None
        if container is None or (running and container.status != "running"):
            raise SourceUnavailable(
                f"no container {called}{' that runs' * running}",
                where=f"component {context.component}",
                mend=f"correct {key} in the policy, or start it",
            )
        yield container
