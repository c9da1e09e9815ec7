"""The sample estate Agama, alive: a MySQL server, an InfluxDB server and a repository.

1. Both containers start, each filled by a thread of its own; meanwhile the repository is made.
2. ``environment`` holds every variable that ``fixtures/agama/policy.yaml`` needs of the estate.
3. In the end, or when it is interrupted at any point, all of it is removed.
"""

import secrets
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import docker
from docker.errors import APIError

from restoreproof import docker_engine
from restoreproof.demo import influxdb, mysql, repository, server_clock
from restoreproof.demo.influxdb import InfluxDBServer
from restoreproof.demo.mysql import BACKUP_USER, MySQLServer
from restoreproof.demo.simulated_clock import SimulatedClock
from restoreproof.demo.workload import Heartbeats, pass_time, working
from restoreproof.errors import SandboxTrouble
from restoreproof.execution import engine_trouble
from restoreproof.images import Image
from restoreproof.resources import folder as resources
from restoreproof.sandbox import LABEL

Clock = Callable[[], datetime]
ESTATE_LABEL = f"{LABEL}.estate"
REPOSITORY = "agama-ansible.git"


@dataclass(frozen=True)
class Estate:
    """The running estate. ``environment`` holds secrets: it goes into no log and no evidence."""

    mysql: MySQLServer
    influxdb: InfluxDBServer
    repository: Path
    environment: Mapping[str, str] = field(repr=False)
    clock: Clock

    def workload(self) -> AbstractContextManager[Heartbeats]:
        """Write to both servers until the block ends, and tell which beats were acknowledged."""
        return working(self.mysql, self.influxdb, self.clock)

    def pass_time(self, until: datetime) -> None:
        """Have simulated time pass while the estate works. Raise SandboxTrouble."""
        assert isinstance(self.clock, SimulatedClock)
        pass_time(self.mysql, self.influxdb, self.repository, self.clock, until)


@contextmanager
def estate(
    *,
    mysql_image: Image,
    influxdb_image: Image,
    labels: Mapping[str, str],
    folder: Path,
    clock: Clock,
    progress: Callable[[str], None],
) -> Iterator[Estate]:
    """Start and fill the estate; its repository goes into ``folder``.

    With a simulated clock its MySQL server lives by that too. Raise SandboxTrouble, UserError.
    """
    files = resources("fixtures") / "agama"
    client = docker_engine.connect()
    # Containers are found by it even if an interrupt came between their start and our knowing.
    token = secrets.token_hex(8)
    marked = {**labels, ESTATE_LABEL: token}
    repository_path = folder / REPOSITORY
    pool = ThreadPoolExecutor(max_workers=2, thread_name_prefix="estate")
    following = ExitStack()
    try:
        now = clock()
        progress(f"starting MySQL from {mysql_image.reference}")
        progress(f"starting InfluxDB from {influxdb_image.reference}")
        begun = time.monotonic()
        simulated = clock if isinstance(clock, SimulatedClock) else None
        database = mysql.container(mysql_image, marked, files, simulated)
        metrics = influxdb.container(influxdb_image, marked, files)
        rows = pool.submit(mysql.start, database, files, now)
        points = pool.submit(influxdb.start, metrics, now)
        repository.make(repository_path, files / "ansible")
        repository.beat(repository_path, (now,))
        progress("made the Ansible repository")
        for ready in as_completed((rows, points)):
            if ready is rows:
                what = f"MySQL holds {rows.result().rows:,} rows"
            else:
                what = f"InfluxDB holds {points.result().points:,} points"
            progress(f"{what} ({time.monotonic() - begun:.1f} s)")
        if simulated:
            following.enter_context(server_clock.following(database, simulated))
        yield Estate(
            mysql=rows.result(),
            influxdb=points.result(),
            repository=repository_path,
            environment={
                "AGAMA_MYSQL_IMAGE": mysql_image.reference,
                "AGAMA_MYSQL_CONTAINER": rows.result().container,
                "AGAMA_MYSQL_HOST": rows.result().host,
                "AGAMA_MYSQL_PORT": str(rows.result().port),
                "AGAMA_MYSQL_USER": BACKUP_USER,
                "AGAMA_MYSQL_PASSWORD": rows.result().backup_password,
                "AGAMA_INFLUXDB_IMAGE": influxdb_image.reference,
                "AGAMA_INFLUXDB_CONTAINER": points.result().container,
                "AGAMA_INFLUXDB_URL": points.result().url,
                "AGAMA_INFLUXDB_BACKUP": points.result().backup,
                "AGAMA_REPOSITORY": str(repository_path),
            },
            clock=clock,
        )
    finally:
        following.close()
        # Without its server a thread ends at once, unless it was about to start it.
        with suppress(SandboxTrouble):
            _remove(client, token)
        pool.shutdown(cancel_futures=True)
        _remove(client, token)
        client.close()
        shutil.rmtree(repository_path, ignore_errors=True)


def _remove(client: docker.DockerClient, token: str) -> None:
    named = f"{ESTATE_LABEL}={token}"
    with engine_trouble():
        for found in client.containers.list(
            all=True, filters={"label": named}, ignore_removed=True
        ):
            # It may be on its way out already.
            with suppress(APIError):
                found.remove(force=True, v=True)
