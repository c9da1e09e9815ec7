"""Passwords of InfluxDB's users: no server tells them, and still a backup holds them."""

import io
import tarfile
from pathlib import Path

import httpx
from influxdb_bench import PORTABLE, Bench, image, server
from testcontainers.core.container import DockerContainer

from restoreproof.demo.servers import address, publish, wait_until
from restoreproof.sandbox import Sandboxes


def test_passwords_come_back_as_meta_db(tmp_path: Path) -> None:
    """influxd's own .meta holds a meta.db, with which a server lets the users in again."""
    with server() as made:
        # Without an administrator a server lets nobody in.
        made.run("CREATE USER chief WITH PASSWORD 'x' WITH ALL PRIVILEGES",
                 "CREATE DATABASE shop", "CREATE USER clerk WITH PASSWORD 'as before'",
                 "GRANT READ ON shop TO clerk")  # fmt: skip
        backup = Bench(made, tmp_path).store()
    (stored,) = (one for one in backup.manifest().artifacts if one.name == PORTABLE)
    with tarfile.open(fileobj=io.BytesIO(b"".join(backup.read(stored)))) as archive:
        (file,) = (one for one in archive if one.name.endswith(".meta"))
        packed = archive.extractfile(file)
        assert packed is not None
        meta = tmp_path / "meta.db"
        meta.write_bytes(_unwrapped(packed.read()))

    container = DockerContainer(image().reference).with_env("INFLUXDB_HTTP_AUTH_ENABLED", "true")
    container.with_copy_into_container(meta, "/var/lib/influxdb/meta/meta.db")
    publish(container, (8086,), Sandboxes("passwords").labels("source"))
    with container, httpx.Client(trust_env=False) as client:
        url = "http://{}:{}/query".format(*address(container, 8086))

        def status(password: str) -> int:
            asked = {"q": "SHOW DATABASES"}
            return client.get(url, params=asked, auth=("clerk", password)).status_code

        def answers() -> bool:
            try:
                return status("another") > 0
            except httpx.HTTPError:
                return False

        wait_until(answers, container, what="the InfluxDB server")
        assert (status("another"), status("as before")) == (401, 200)


def _unwrapped(packed: bytes) -> bytes:
    """Field 1 of a Protocol Buffers message: its length in groups of seven bits, then the bytes."""
    assert packed[0] == 0x0A
    at, length = 1, 0
    while True:
        length |= (packed[at] & 0x7F) << (7 * (at - 1))
        at += 1
        if not packed[at - 1] & 0x80:
            return packed[at : at + length]
