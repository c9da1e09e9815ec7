"""The newest MariaDB of Debian, where its image is there: building it for a test takes too long."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import mariadb_source
import pytest
from docker.errors import ImageNotFound
from sources import Source

from restoreproof import docker_engine

IMAGE = "restoreproof/mariadb:11.8"


@contextmanager
def source(place: Path) -> Iterator[Source]:
    """Start the server and fill it as the other MariaDB."""
    with closing(docker_engine.connect()) as client:
        try:
            client.images.get(IMAGE)
        except ImageNotFound:
            pytest.skip(f"{IMAGE} was never built on this machine")
    with mariadb_source.source(place, IMAGE) as torture:
        yield torture
