"""What is left of a run, as the engine knows it."""

from uuid import uuid4

import pytest

from restoreproof import cleanup, images
from restoreproof.sandbox import Sandboxes


def test_servers_of_a_run_are_counted_while_they_are_there() -> None:
    """One of this run, none of it afterwards, and never another run's."""
    run = f"counted-{uuid4()}"
    image = images.ensure("restoreproof/influxdb:1.6", print)

    with Sandboxes(run).tools(image):
        assert cleanup.servers_left(run) == 1
        assert cleanup.servers_left(f"{run}0") == 0
    assert cleanup.servers_left(run) == 0


def test_an_engine_that_does_not_answer_is_no_proof(monkeypatch: pytest.MonkeyPatch) -> None:
    """That nothing is left has to be said by the engine itself."""
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")

    assert cleanup.servers_left("any") is None
