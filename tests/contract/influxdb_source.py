"""An InfluxDB server that asks for a password, with points that are hard to bring back."""

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from time import time_ns
from typing import Any

import httpx
from sources import PASSWORD, SECRET, WRONG_PASSWORD, Fault, Source
from testcontainers.core.container import DockerContainer

from restoreproof import damage_influxdb as faults
from restoreproof import images
from restoreproof.demo.servers import address, publish, wait_until
from restoreproof.engines.contract import Restored
from restoreproof.engines.influxdb import RestoredInfluxDB
from restoreproof.engines.influxdb_client import InfluxClient
from restoreproof.engines.influxdb_source import InfluxDBSource
from restoreproof.resources import folder
from restoreproof.sandbox import Sandboxes

DATABASE, QUOTED = "torture", '"torture"'
STRANGE = "имя с пробелом"
LONG = "long term"
STATEMENTS = (
    f"CREATE USER backup WITH PASSWORD '{SECRET}' WITH ALL PRIVILEGES",
    f"CREATE DATABASE {QUOTED}",
    f'CREATE RETENTION POLICY "{LONG}" ON {QUOTED} DURATION INF REPLICATION 1 SHARD DURATION 52w',
    f'CREATE DATABASE "{STRANGE}"',
    'CREATE DATABASE "nothing in it"',
    # A portable backup brings none of these back.
    (
        f'CREATE CONTINUOUS QUERY "a mean" ON {QUOTED} RESAMPLE EVERY 30m FOR 2h BEGIN SELECT'
        ' mean("v") INTO "long term"."means, all" FROM "series" GROUP BY time(1h), * END'
    ),
    f"CREATE SUBSCRIPTION \"a 'copy'\" ON {QUOTED}.\"{LONG}\" DESTINATIONS ANY 'udp://127.0.0.1:9'",
    """CREATE USER "o'reader \\"x\\"" WITH PASSWORD 'unknown to all'""",
    f"CREATE USER weak WITH PASSWORD '{SECRET}'",
    f"""GRANT READ ON {QUOTED} TO "o'reader \\"x\\"" """,
)
POINTS = r"""
kinds,t=a f=1.5,i=1i,u=true,s="text" 1600000000000000001
kinds,t=a f=-0.0,i=-9223372036854775808i,u=false,s="" 1600000000000000002
kinds,t=a f=1.7976931348623157e308,u=t,s="said \"no\", then = rested" 1600000000000000003
kinds,t=a i=9223372036854775807i 1600000000000000003
kinds,t=b f=5e-324,i=9007199254740993i 1600000000000000001
kinds,t=b s="路径 C:\\temp ы 🧨" 1600000000000000004
kinds,t=b f=0.1 1600000000000000005
before\ 1970 v=1i -1
before\ 1970 v=2i -5000000000000000000
before\ 1970 v=3i 0
far v=1i 4102444800000000000
odd\ na\,me,with\ space=a\ b\,c\=d,empty\ tag=x fie\ ld="v" 1500000000000000000
same,h=x a=1i 1600000000000000000
same,h=y a=1i 1600000000000000000
"""
LINES = 'lines text="one\ntwo\n\nfour" 1600000000000000009'
MANY = "\n".join(
    f"series,n={number % 20} v={number * 1.1},w={number}i {1600000000 + number * 3600}000000000"
    for number in range(4000)
)


class InfluxDBTorture(Source):
    """The running server."""

    engine = "influxdb"
    artifact = "portable.tar.zst"
    faults = (
        Fault("one shard is not there", (faults.drop_shard(3),), ("points torture.",)),
        Fault(
            "a bit of the points is another", (faults.flip_bit_in_shard(3),), ("points torture.",)
        ),
    )

    def __init__(self, container: DockerContainer, image: images.Image) -> None:
        self.image = image
        self.host, self.port = address(container, 8086)
        self.backup = ":".join(map(str, address(container, 8088)))
        self.url = f"http://{self.host}:{self.port}"
        self.client = InfluxClient.over_network(self.url, "backup", SECRET)

    def fill(self) -> None:
        """Make the databases and the user that backs up."""
        # Until there is a user, only the statement that makes one is taken.
        with closing(InfluxClient.over_network(self.url)) as nobody:
            nobody.query(STATEMENTS[0])
        for statement in STATEMENTS[1:]:
            self.client.query(statement)
        for lines in (POINTS, LINES, MANY):
            self.client.write(DATABASE, lines.strip("\n"))
        self.client.write(STRANGE, "other v=1i 1600000000000000000")
        self._write(LONG, "kinds,t=a f=2.5 1000000000000000000")

    @property
    def good(self) -> InfluxDBSource:
        return self._source(databases=(DATABASE, STRANGE))

    @property
    def empty(self) -> InfluxDBSource:
        return self._source(databases=("nothing in it",))

    @property
    def refused(self) -> Mapping[str, InfluxDBSource]:
        return {
            "nobody at the port": self._source(url="http://127.0.0.1:1"),
            "nobody at the backup port": self._source(backup="127.0.0.1:1"),
            "wrong password": self._source(password=f"${{{WRONG_PASSWORD}}}"),
            "unknown user": self._source(user="nobody"),
            "user without rights": self._source(user="weak"),
            "no such database": self._source(databases=(DATABASE, "never made")),
        }

    def state(self) -> object:
        return [
            self.client.query("SHOW DATABASES"),
            self.client.query("SHOW USERS"),
            self.client.query("SHOW CONTINUOUS QUERIES"),
            self.client.query("SHOW SHARDS"),
            self.client.query("SELECT * FROM /.*/ GROUP BY *", DATABASE),
            self.client.query("SELECT * FROM /.*/ GROUP BY *", STRANGE),
        ]

    def work(self, number: int) -> None:
        at = time_ns()
        self.client.write(DATABASE, f"busy,n={number % 5} v={number}i {at}")
        if number % 50 == 0:
            self.client.write(DATABASE, f"new_{number} v=1i {at}")

    def tamper(self, restored: Restored) -> str:
        assert isinstance(restored, RestoredInfluxDB)
        restored.client.write(DATABASE, "kinds,t=b i=9007199254740992i 1600000000000000001")
        return "points torture.autogen.kinds from 2020-09-07 to 2020-09-14: other content"

    def _write(self, policy: str, lines: str) -> None:
        target = {"db": DATABASE, "rp": policy, "precision": "ns"}
        httpx.post(
            f"{self.url}/write", params=target, content=lines, auth=("backup", SECRET)
        ).raise_for_status()

    def _source(self, **other: Any) -> InfluxDBSource:
        known = {
            "url": self.url,
            "backup": self.backup,
            "user": "backup",
            "password": f"${{{PASSWORD}}}",
            "lateness": "1s",
        }
        return InfluxDBSource.model_validate(known | other)


@contextmanager
def source(_place: Path) -> Iterator[Source]:
    """Start the server and fill it."""
    image = images.ensure("restoreproof/influxdb:1.6", lambda _: None)
    container = DockerContainer(image.reference)
    configuration = folder("fixtures") / "agama" / "influxdb" / "influxdb.conf"
    container.with_copy_into_container(configuration, "/etc/influxdb/influxdb.conf")
    container.with_env("INFLUXDB_HTTP_AUTH_ENABLED", "true")
    publish(container, (8086, 8088), Sandboxes("contract").labels("source"))
    with container:
        torture = InfluxDBTorture(container, image)
        wait_until(lambda: _answers(torture), container, what="the InfluxDB server")
        torture.fill()
        yield torture
        torture.client.close()


def _answers(torture: InfluxDBTorture) -> bool:
    try:
        return bool(torture.client.version())
    except httpx.HTTPError:
        return False
