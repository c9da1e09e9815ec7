"""A MySQL server with a vault of its own, chains of it, and faults inside their binary logs."""

import random
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from socket import socket
from typing import Any

import pymysql
import pytest
from background import meanwhile
from docker.models.containers import Container
from mysql_bench import same
from pymysql.connections import Connection
from testcontainers.core.container import DockerContainer

from restoreproof import docker_engine, engines
from restoreproof.clock import system_clock
from restoreproof.damage import Change, VaultCopy
from restoreproof.damage_binlog import rewrite_logs
from restoreproof.demo.servers import wait_until
from restoreproof.engines.contract import SourceContext, Until
from restoreproof.engines.mysql_connection import connect, rows
from restoreproof.engines.mysql_source import Encryption, MySQLSource
from restoreproof.execution import engine_trouble
from restoreproof.images import Image
from restoreproof.jobs import JobResult, run_job
from restoreproof.restore import RestoreAttempt, Target, restoring
from restoreproof.sandbox import Sandboxes
from restoreproof.vault import StoredBackup, Vault

PASSWORD = "source-secret"
WORK = "REPLACE INTO app.t VALUES ({n}, {n})"
PURGE_SECONDS = 60
START_SECONDS = 60
DRAWN = 10_000
"""Writers draw numbers below it."""


@dataclass(frozen=True)
class Source:
    """A MySQL server with a vault of its own."""

    context: SourceContext
    vault: Vault
    port: int

    def connect(self) -> "Connection[Any]":
        """A connection as root."""
        return connect("root", PASSWORD, host="127.0.0.1", port=self.port)

    def run(self, *statements: str) -> None:
        """Run statements as the estate's application would."""
        with closing(self.connect()) as connection:
            for statement in statements:
                rows(connection, statement)

    def purge_logs(self) -> None:
        """Leave the server no binary log but a new one; one that is still read stays a while."""
        deadline = time.monotonic() + PURGE_SECONDS
        with closing(self.connect()) as connection:
            rows(connection, "FLUSH BINARY LOGS")
            while len(rows(connection, "SHOW BINARY LOGS")) > 1:
                assert time.monotonic() < deadline, "a log cannot be purged"
                rows(connection, "PURGE BINARY LOGS BEFORE NOW() + INTERVAL 1 DAY")
                time.sleep(0.1)

    def answers(self) -> bool:
        """Whether the server is up."""
        try:
            self.run("SELECT 1")
        except pymysql.MySQLError:
            return False
        return True

    def described(self, **changes: object) -> "Source":
        """The same server, which the policy describes in another way."""
        other = self.context.source.model_copy(update=changes)
        return replace(self, context=replace(self.context, source=other))

    @contextmanager
    def writing(self, *statements: str) -> Iterator[None]:
        """Write with a drawn ``{n}`` all the while, as an application does."""

        def write(stop: threading.Event) -> None:
            drawn = random.Random(7)
            with closing(self.connect()) as connection:
                while not stop.is_set():
                    number = drawn.randrange(DRAWN)
                    for statement in statements:
                        rows(connection, statement.format(n=number))

        with meanwhile(write):
            yield

    def back_up(self, base: StoredBackup | None = None) -> JobResult:
        """Take a full backup, or an increment on a base."""
        return run_job(engines.load("mysql"), self.context, self.vault, "test", base)

    def stored(self, base: StoredBackup | None = None) -> StoredBackup:
        """A backup that was made and stored."""
        result = self.back_up(base)
        assert result.backup is not None, result.problem
        return result.backup

    def chain(self) -> list[StoredBackup]:
        """A full backup and three increments, with changes before each."""
        self.run(
            "CREATE DATABASE IF NOT EXISTS app", "CREATE TABLE app.t (a INT PRIMARY KEY, b INT)"
        )
        links = [self.stored()]
        for number in range(1, 4):
            self.run(
                f"INSERT INTO app.t VALUES ({number}, 1), ({number + 100}, 2)",
                f"UPDATE app.t SET b = b + {number}",
                f"CREATE TABLE app.t{number} (a INT AUTO_INCREMENT PRIMARY KEY)",
                f"CREATE USER u{number} IDENTIFIED BY 'x'",
                f"GRANT SELECT ON app.t{number} TO u{number}",
            )
            links.append(self.stored(links[-1]))
        return links


@contextmanager
def server(
    image: Image,
    place: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: str = "",
    *,
    tls: Encryption | None = None,
    port: int | None = None,
) -> Iterator[Source]:
    """A server with a vault beside it; what lies in the place's ``server`` it finds in /server.

    With a ``port`` of this machine it comes back at the same one if it is started again.
    """
    sandboxes = Sandboxes("test-increments")
    container = DockerContainer(image.reference).with_env("MYSQL_ROOT_PASSWORD", PASSWORD)
    container.with_command(options).with_kwargs(labels=sandboxes.labels("estate"))
    container.with_bind_ports(3306, port)
    if (place / "server").is_dir():
        container.with_volume_mapping(place / "server", "/server", "ro")
    monkeypatch.setenv("TEST_INCREMENTS_PASSWORD", PASSWORD)
    with engine_trouble(), container:
        wrapped = container.get_wrapped_container()
        wrapped.reload()
        port = int(wrapped.ports["3306/tcp"][0]["HostPort"])
        source = MySQLSource(
            host="127.0.0.1",
            port=port,
            user="root",
            password="${TEST_INCREMENTS_PASSWORD}",
            tls=tls,
        )
        context = SourceContext("mysql", source, image, place, sandboxes, system_clock, True)
        vault = Vault(str(place / "vault"))
        vault.prepare()
        made = Source(context, vault, port)
        wait_until(made.answers, container, what="the source")
        yield made


def free_port() -> int:
    """A port of this machine that nobody listens at."""
    with closing(socket()) as probe:
        probe.bind(("", 0))
        return int(probe.getsockname()[1])


def container_of(source: Source) -> Container:
    """The container that a source runs in."""
    (found,) = docker_engine.connect().containers.list(filters={"publish": str(source.port)})
    return found


def begin_again(source: Source, *, killed: bool) -> None:
    """Stop a source, in order or not, and start it."""
    container = container_of(source)
    if killed:
        container.kill()
        container.start()
    else:
        container.restart()
    deadline = time.monotonic() + START_SECONDS
    while not source.answers():
        assert time.monotonic() < deadline, "the source did not come back"
        time.sleep(0.1)


@contextmanager
def restored(
    source: Source, vault: Vault, backup_id: str, until: Until | None = None
) -> Iterator[RestoreAttempt]:
    """One recovery point of a vault, restored."""
    population = vault.backups("mysql")
    backup = next(one for one in population if one.id == backup_id)
    target = Target("mysql", backup, newest=False, population=population, until=until)
    context = source.context
    with restoring(
        target,
        engines.load("mysql"),
        context.source,
        context.image,
        context.sandboxes,
        system_clock,
    ) as attempt:
        yield attempt


@contextmanager
def restored_exactly(source: Source, backup: StoredBackup) -> Iterator[RestoreAttempt]:
    """A recovery point, restored with equal content and at its own position."""
    with restored(source, source.vault, backup.id) as attempt:
        assert attempt.restored is not None, attempt.failure
        assert attempt.manifest is not None
        assert attempt.comparison.equal, [str(one) for one in attempt.comparison.differences]
        found, expected = attempt.restored.position, attempt.manifest.position
        assert found == expected, f"{found} and not {expected}"
        yield attempt


def is_refused(
    source: Source, copy: VaultCopy, backup: StoredBackup, change: Change, words: str
) -> None:
    """Logs that were changed, under hashes made after it, do not come back: it is said why."""
    rewrite_logs(copy, same(copy.vault, backup), change)
    with restored(source, copy.vault, backup.id) as attempt:
        assert attempt.failed_in == "replay", attempt.failed_in
        assert words in attempt.failure, attempt.failure


def flip(log: bytes, seed: int) -> bytes:
    # Past the header and the format description, where the transactions are.
    at = random.Random(seed).randrange(len(log) // 2, len(log))
    return log[:at] + bytes([log[at] ^ 1]) + log[at + 1 :]
