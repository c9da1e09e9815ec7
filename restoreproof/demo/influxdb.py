"""The sample estate's InfluxDB 1.x server: started, and filled with a week of metrics."""

import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import httpx
from testcontainers.core.container import DockerContainer

from restoreproof.demo.metrics import (
    DATABASE,
    DEFAULT_POLICY,
    EMPTY_DATABASE,
    HEARTBEAT,
    LONG_POLICY,
    line,
    measurements,
    nanoseconds,
)
from restoreproof.demo.servers import address, publish, wait_until
from restoreproof.errors import SandboxTrouble
from restoreproof.execution import engine_trouble
from restoreproof.images import Image

HTTP_PORT, BACKUP_PORT = 8086, 8088
BATCH = 10_000
ANSWER_SECONDS = 60
STATEMENTS = (
    (
        f"CREATE DATABASE {DATABASE}"
        f" WITH DURATION 30d REPLICATION 1 SHARD DURATION 1d NAME {DEFAULT_POLICY}"
    ),
    (
        f"CREATE RETENTION POLICY {LONG_POLICY} ON {DATABASE}"
        " DURATION INF REPLICATION 1 SHARD DURATION 52w"
    ),
    # Nothing is written to it, and still it has to come back.
    f"CREATE DATABASE {EMPTY_DATABASE}",
    # influxd brings none of these back by itself.
    (
        "CREATE CONTINUOUS QUERY daily_load ON telegraf BEGIN SELECT mean(load1) AS load1"
        " INTO telegraf.long_term.load_daily FROM telegraf.thirty_days.system"
        " GROUP BY time(1d), host END"
    ),
    # A user whom nobody can log in as: its password is forgotten at once.
    f"CREATE USER dashboards WITH PASSWORD '{secrets.token_hex(16)}'",
    f"GRANT READ ON {DATABASE} TO dashboards",
)


@dataclass(frozen=True)
class InfluxDBServer:
    """The running server: its container's name, its HTTP address and its backup port."""

    container: str
    url: str
    backup: str
    points: int

    def writer(self) -> httpx.Client:
        """A client for ``write``."""
        # A proxy of the environment is none for servers of our own.
        return httpx.Client(base_url=self.url, timeout=ANSWER_SECONDS, trust_env=False)


def container(image: Image, labels: Mapping[str, str], folder: Path) -> DockerContainer:
    """The server's container, not started yet. ``folder`` holds the estate's files."""
    made = DockerContainer(image.reference)
    configuration = folder / "influxdb" / "influxdb.conf"
    made.with_copy_into_container(configuration, "/etc/influxdb/influxdb.conf")
    return publish(made, (HTTP_PORT, BACKUP_PORT), labels)


def start(made: DockerContainer, now: datetime) -> InfluxDBServer:
    """Start the server and fill it. Raise SandboxTrouble."""
    with engine_trouble():
        made.start()
        name = str(made.get_wrapped_container().name)
        host, port = address(made, HTTP_PORT)
        backup = ":".join(map(str, address(made, BACKUP_PORT)))
    url = f"http://{host}:{port}"
    with (
        _refusals("the sample estate's InfluxDB server"),
        closing(httpx.Client(base_url=url, timeout=ANSWER_SECONDS, trust_env=False)) as client,
    ):
        wait_until(lambda: _answers(client), made, what="the sample estate's InfluxDB server")
        for statement in STATEMENTS:
            client.post("/query", data={"q": statement}).raise_for_status()
        points = 0
        for measured in measurements(now):
            points += len(measured.lines)
            for first in range(0, len(measured.lines), BATCH):
                write(client, measured.lines[first : first + BATCH], policy=measured.policy)
        write(client, [line(HEARTBEAT, {}, {"seq": 0}, nanoseconds(now))])
    return InfluxDBServer(name, url, backup, points)


def write(client: httpx.Client, lines: Sequence[str], policy: str = DEFAULT_POLICY) -> None:
    """Write points and wait until they are acknowledged. Raise httpx.HTTPError."""
    target = {"db": DATABASE, "rp": policy, "precision": "ns"}
    answer = client.post("/write", params=target, content="\n".join(lines).encode())
    answer.raise_for_status()


@contextmanager
def _refusals(server: str) -> Iterator[None]:
    try:
        yield
    except httpx.HTTPStatusError as error:
        raise SandboxTrouble(f"{server} refused: {error.response.text}") from None
    except httpx.HTTPError as error:
        raise SandboxTrouble(f"{server} does not answer: {error}") from None


def _answers(client: httpx.Client) -> bool:
    try:
        return client.get("/ping").status_code == httpx.codes.NO_CONTENT
    except httpx.HTTPError:
        return False
