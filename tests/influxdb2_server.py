"""A real InfluxDB 2.x server in a container, with its first organization and operator token."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field

import httpx
import pytest
from testcontainers.core.container import DockerContainer

from restoreproof import images
from restoreproof.demo.servers import address, publish, wait_until
from restoreproof.engines.influxdb2_client import Influx2Client, Influx2Refused
from restoreproof.errors import ImageUnavailable
from restoreproof.sandbox import Sandboxes

IMAGE = "influxdb:2.7"
CONFIGURED = "/etc/influxdb2/config.toml"


@dataclass(frozen=True)
class Server:
    """A living server: how it is reached, and a client with the operator token."""

    image: images.Image
    container: str
    url: str
    client: Influx2Client = field(repr=False)
    organization: str
    """Its first organization's id."""


@contextmanager
def serving(token: str, organization: str, bucket: str, configuration: bytes) -> Iterator[Server]:
    """Start it. The image is of a registry: who has none skips these tests, told with its name."""
    try:
        image = images.ensure(IMAGE, lambda _: None)
    except ImageUnavailable as missing:
        pytest.skip(str(missing))
    container = DockerContainer(image.reference)
    container.with_copy_into_container(configuration, CONFIGURED)
    container.with_env("INFLUXD_CONFIG_PATH", CONFIGURED)
    publish(container, (8086,), Sandboxes("tests").labels("source"))
    with container:
        host, port = address(container, 8086)
        url = f"http://{host}:{port}"
        with closing(Influx2Client(url)) as client:
            wait_until(lambda: _answers(client), container, what="the InfluxDB server")
            first = {"username": "admin", "password": token, "org": organization, "bucket": bucket}
            made = client.post("/api/v2/setup", first | {"token": token})
            client.use(token)
            name = str(container.get_wrapped_container().name)
            yield Server(image, name, url, client, made["org"]["id"])


def _answers(client: Influx2Client) -> bool:
    try:
        return bool(client.get("/health")["status"] == "pass")
    except (httpx.HTTPError, Influx2Refused):
        return False
