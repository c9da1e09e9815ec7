"""A MySQL server with a large table and many small ones, as every figure of MySQL measures it."""

import os
import secrets
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pymysql
from pymysql.connections import Connection
from testcontainers.core.container import DockerContainer

from restoreproof.clock import system_clock
from restoreproof.demo.servers import address, publish, wait_until
from restoreproof.engines.contract import SourceContext
from restoreproof.engines.mysql_connection import connect, rows, value
from restoreproof.engines.mysql_source import MySQLSource
from restoreproof.execution import engine_trouble
from restoreproof.images import Image, ensure
from restoreproof.sandbox import Limits, Sandboxes

PASSWORD = "RESTOREPROOF_BENCHMARK_PASSWORD"
SMALL_TABLES = 200
SMALL_ROWS = 50
LIMITS = Limits(memory_bytes=3 * 1024**3)


@dataclass(frozen=True)
class Figure:
    """One measured figure: ours against the peer's, in seconds unless the name says otherwise.

    ``value`` is what the issue sets a bound for, ``most`` that bound.
    """

    figure: str
    value: float
    most: float
    ours_seconds: float | None = None
    peer_seconds: float | None = None


@dataclass(frozen=True)
class Bench:
    """The filled server, and a folder to work in."""

    image: Image
    context: SourceContext
    host: str
    port: int
    password: str
    rows: int
    folder: Path

    def connect(self) -> "Connection[Any]":
        """A connection of the server's root."""
        return connect("root", self.password, host=self.host, port=self.port)


@contextmanager
def bench(folder: Path, large_rows: int) -> Iterator[Bench]:
    """Start a server and fill it: ``large_rows`` rows in one table, 200 small tables."""
    image = ensure("restoreproof/mysql:9.7", print)
    sandboxes = Sandboxes("benchmark", LIMITS)
    password = secrets.token_urlsafe(16)
    os.environ[PASSWORD] = password
    container = publish(DockerContainer(image.reference), (3306,), sandboxes.labels("benchmark"))
    container.with_env("MYSQL_ROOT_PASSWORD", password)
    container.with_kwargs(
        labels=sandboxes.labels("benchmark"), mem_limit=LIMITS.memory_bytes
    ).with_command("--innodb-buffer-pool-size=1G --max-allowed-packet=64M")
    with engine_trouble(), container:
        host, port = address(container, 3306)

        def answers() -> bool:
            try:
                connect("root", password, host=host, port=port).close()
            except (pymysql.MySQLError, OSError):
                return False
            return True

        wait_until(answers, container, what="the MySQL server")
        with closing(connect("root", password, host=host, port=port)) as connection:
            _fill(connection, large_rows)
        source = MySQLSource(host=host, port=port, user="root", password=f"${{{PASSWORD}}}")
        context = SourceContext(
            component="benchmark",
            source=source,
            image=image,
            folder=folder,
            sandboxes=sandboxes,
            clock=system_clock,
            increments=True,
        )
        yield Bench(image, context, host, port, password, large_rows, folder)


@contextmanager
def timed() -> Iterator[list[float]]:
    """A list that holds the block's seconds once it has ended."""
    seconds: list[float] = []
    begun = time.monotonic()
    yield seconds
    seconds.append(time.monotonic() - begun)


def _fill(connection: "Connection[Any]", large_rows: int) -> None:
    rows(connection, "SET SESSION sql_log_bin = 0")
    rows(connection, "CREATE DATABASE bench")
    rows(connection, "SET SESSION cte_max_recursion_depth = 1000000")
    rows(
        connection,
        "CREATE TABLE bench.large (id BIGINT AUTO_INCREMENT PRIMARY KEY, account BIGINT NOT NULL,"
        " name VARCHAR(120) NOT NULL, note VARCHAR(160) NULL, changed TIMESTAMP(6) NOT NULL)",
    )
    block = 100_000
    for begun in range(0, large_rows, block):
        rows(
            connection,
            "INSERT INTO bench.large (account, name, note, changed)"
            " WITH RECURSIVE n (i) AS (SELECT %s UNION ALL SELECT i + 1 FROM n WHERE i < %s)"
            " SELECT CRC32(i), CONCAT('name ', SHA2(i, 256), ' ', i),"
            " IF(i MOD 9 = 0, NULL, CONCAT('note ', SHA2(i + 7, 384))),"
            " FROM_UNIXTIME(1700000000 + i / 7) FROM n",
            (begun + 1, min(begun + block, large_rows)),
        )
    rows(connection, "ALTER TABLE bench.large ADD KEY (account), ADD KEY (name(40))")
    for number in range(SMALL_TABLES):
        rows(
            connection,
            f"CREATE TABLE bench.small_{number:03} (id INT AUTO_INCREMENT PRIMARY KEY,"
            " word VARCHAR(40), happened DATETIME(3), KEY (word))",
        )
        rows(
            connection,
            f"INSERT INTO bench.small_{number:03} (word, happened)"  # noqa: S608  # our own names
            " SELECT name, changed FROM bench.large WHERE id <= %s",
            (SMALL_ROWS,),
        )
    assert value(connection, "SELECT COUNT(*) FROM bench.large") == large_rows
