"""An InfluxDB 2.x server with points, tasks and tokens that are hard to bring back."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from time import time_ns
from typing import Any

from influxdb2_server import Server, serving
from sources import PASSWORD, SECRET, WRONG_PASSWORD, Fault, Source

from restoreproof import damage_influxdb as faults
from restoreproof.engines.contract import Restored
from restoreproof.engines.influxdb2_content import EVER, Bucket, buckets
from restoreproof.engines.influxdb2_restored import RestoredInfluxDB2
from restoreproof.engines.influxdb2_source import InfluxDB2Source

POWERLESS = "CONTRACT_POWERLESS_TOKEN"
HOME, TORTURE = "home", "torture"
STRANGE, EMPTY, SHORT = "имя с пробелом", "nothing in it", "kept for a week"
KINDS = r"""
kinds,t=a f=1.5,i=1i,u=1u,b=true,s="text" 1600000000000000001
kinds,t=a f=-0.0,i=-9223372036854775808i,u=0u,b=false,s="" 1600000000000000002
kinds,t=a f=1.7976931348623157e308,b=t,s="said \"no\", then = rested" 1600000000000000003
kinds,t=a i=9223372036854775807i,u=18446744073709551615u 1600000000000000003
kinds,t=b f=5e-324,i=9007199254740993i 1600000000000000001
kinds,t=b s="路径 C:\\temp ы 🧨" 1600000000000000004
kinds,t=b f=0.1 1600000000000000005
"""
POINTS = r"""
before\ 1970 v=1i -1
before\ 1970 v=2i -5000000000000000000
before\ 1970 v=3i 0
far v=1i 4102444800000000000
odd\ na\,me,with\ space=a\ b\,c\=d,empty\ tag=x fie\ ld="v" 1500000000000000000
same,h=x a=1i 1600000000000000000
same,h=y a=1i 1600000000000000000
ulp v=1.5 1600000000000000000
zero v=-0.0 1600000000000000000
nano v=1i 1600000000000000001
big v=9007199254740993i 1600000000000000000
unsigned v=18446744073709551615u 1600000000000000000
"""
LINES = 'lines text="one\ntwo\r\n\nfour" 1600000000000000009'
MANY = "\n".join(
    f"series,n={number % 20} v={number * 1.1},w={number}i {1600000000 + number * 60}000000000"
    for number in range(4000)
)
CONFIGURATION = b'log-level = "error"\n'
TASK = 'option task = {name: "a mean", every: 1h}\nfrom(bucket: "torture") |> range(start: -1h)'


class InfluxDB2Torture(Source):
    """The running server."""

    engine = "influxdb2"
    artifact = "shard-1.tar.zst"
    faults = (
        Fault("points are not there", (faults.drop_points,), ("points home/torture.kinds: is mi",)),
    )
    has_socket = False
    keeps_secrets = frozenset({"metadata.bolt.zst"})

    def __init__(self, server: Server) -> None:
        self.image, self.container, self.url = server.image, server.container, server.url
        self.client, self.home = server.client, server.organization

    def fill(self) -> None:
        """Make what there is to back up."""
        home = self.home
        for name, seconds in ((STRANGE, 0), (EMPTY, 0), (SHORT, 7 * 24 * 3600)):
            rules = [{"type": "expire", "everySeconds": seconds}]
            self.client.post(
                "/api/v2/buckets", {"orgID": home, "name": name, "retentionRules": rules}
            )
        for lines in (KINDS, POINTS, LINES, MANY):
            self.write(TORTURE, lines.strip("\n"))
        self.write(STRANGE, "other v=1i 1600000000000000000")
        day = 24 * 3600 * 10**9
        self.write(SHORT, "\n".join(f"v v={age}i {time_ns() - age * day}" for age in range(1, 3)))
        self._own()

    def _own(self) -> None:
        home, post = self.home, self.client.post
        post("/api/v2/tasks", {"orgID": home, "flux": TASK})
        board = post("/api/v2/dashboards", {"orgID": home, "name": "what there is"})
        cell = post(f"/api/v2/dashboards/{board['id']}/cells", {"x": 0, "y": 0, "w": 4, "h": 4})
        view = {"name": "a view", "properties": {"type": "markdown", "shape": "chronograf-v2",
                                                 "note": "the **note**"}}  # fmt: skip
        self.client.change(f"/api/v2/dashboards/{board['id']}/cells/{cell['id']}/view", view)
        values = {"type": "constant", "values": ["a", "b"]}
        post("/api/v2/variables", {"orgID": home, "name": "which", "arguments": values})
        post("/api/v2/labels", {"orgID": home, "name": "a label"})
        bucket = self.bucket(TORTURE).id
        mapping = {"orgID": home, "bucketID": bucket, "database": "old", "default": True,
                   "retention_policy": "autogen"}  # fmt: skip
        post("/api/v2/dbrps", mapping)
        post("/api/v2/orgs", {"name": "another"})
        post("/api/v2/users", {"name": "somebody"})
        self.client.change(f"/api/v2/orgs/{home}/secrets", {"a key": SECRET})
        rights = [{"action": "read", "resource": {"type": "buckets", "id": bucket, "orgID": home}}]
        reader = {"orgID": home, "description": "a reader", "permissions": rights}
        os.environ[POWERLESS] = post("/api/v2/authorizations", reader)["token"]
        post("/api/v2/authorizations", reader | {"description": "another reader"})
        post("/private/legacy/authorizations", reader | {"token": "of 1.x", "description": "v1"})

    def bucket(self, name: str) -> Bucket:
        """A bucket of ours by its name."""
        return next(one for one in buckets(self.client).values() if one.name == name)

    def write(self, bucket: str, lines: str) -> None:
        """Write points into a bucket of ours."""
        self.client.write(self.home, bucket, [lines.encode()])

    @property
    def good(self) -> InfluxDB2Source:
        return self.named(buckets=(TORTURE, STRANGE, SHORT))

    @property
    def empty(self) -> InfluxDB2Source:
        return self.named(buckets=(EMPTY,))

    @property
    def refused(self) -> Mapping[str, InfluxDB2Source]:
        return {
            "nobody at the port": self.named(url="http://127.0.0.1:1"),
            "no such address": self.named(url="http://[nowhere"),
            "wrong token": self.named(token=f"${{{WRONG_PASSWORD}}}"),
            "a token without rights": self.named(token=f"${{{POWERLESS}}}"),
            "no such bucket": self.named(buckets=(TORTURE, "never made")),
            "no such organization": self.named(organization="nobody's", buckets=()),
            "no bucket for heartbeats": self.named(
                heartbeat={"bucket": "never made", "measurement": "x"}
            ),
        }

    def state(self) -> object:
        held = [self.client.get(f"/api/v2/{path}") for path in ("orgs", "buckets", "users")]
        for name in (TORTURE, STRANGE, SHORT):
            with self.client.flux(self.home, self.bucket(name).points(*EVER)) as answer:
                held.append(b"".join(answer))
        return held

    def work(self, number: int) -> None:
        at = time_ns()
        self.write(TORTURE, f"busy,n={number % 5} v={number}i {at}")
        if number % 50 == 0:
            self.write(TORTURE, f"new_{number} v=1i {at}")

    def tamper(self, restored: Restored) -> str:
        assert isinstance(restored, RestoredInfluxDB2)
        line = b"kinds,t=b i=9007199254740992i 1600000000000000001"
        restored.client.write(self.home, TORTURE, [line])
        return "points home/torture.kinds: other content"

    def named(self, **other: Any) -> InfluxDB2Source:
        """The server as a policy names it, with something else in it."""
        known = {
            "url": self.url,
            "token": f"${{{PASSWORD}}}",
            "organization": HOME,
            "lateness": "1s",
        }
        return InfluxDB2Source.model_validate(known | other)


@contextmanager
def source(_place: Path) -> Iterator[InfluxDB2Torture]:
    """Start the server and fill it."""
    with serving(SECRET, HOME, TORTURE, CONFIGURATION) as server:
        torture = InfluxDB2Torture(server)
        torture.fill()
        yield torture
