"""A MySQL server with a vault of its own, chains of it, and faults inside their binary logs."""

import random
import tarfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import pymysql
import pytest
from testcontainers.core.container import DockerContainer

from restoreproof import engines
from restoreproof.clock import system_clock
from restoreproof.damage import Change
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
LOGS = "binary-logs.tar.zst"
START_SECONDS = 60


@dataclass(frozen=True)
class Source:
    """A MySQL server with a vault of its own."""

    context: SourceContext
    vault: Vault
    port: int

    def run(self, *statements: str) -> None:
        """Run statements as the estate's application would."""
        with closing(connect("root", PASSWORD, host="127.0.0.1", port=self.port)) as connection:
            for statement in statements:
                rows(connection, statement)

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
) -> Iterator[Source]:
    """A server with a vault beside it; what lies in the place's ``server`` it finds in /server."""
    sandboxes = Sandboxes("test-increments")
    container = DockerContainer(image.reference).with_env("MYSQL_ROOT_PASSWORD", PASSWORD)
    container.with_command(options).with_exposed_ports(3306).with_kwargs(
        labels=sandboxes.labels("estate")
    )
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
        _wait(made)
        yield made


def _wait(source: Source) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            source.run("SELECT 1")
        except pymysql.MySQLError:
            assert time.monotonic() < deadline, "the source did not start"
            time.sleep(0.1)
        else:
            return


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


def flip(log: bytes, seed: int) -> bytes:
    # Past the header and the format description, where the transactions are.
    at = random.Random(seed).randrange(len(log) // 2, len(log))
    return log[:at] + bytes([log[at] ^ 1]) + log[at + 1 :]


def only_last_transaction_group(tar: bytes) -> bytes:
    return in_last_log(tar, lambda log: log[:200])


def in_last_log(tar: bytes, change: Change) -> bytes:
    with tarfile.open(fileobj=BytesIO(tar)) as archive:
        members = [(one, archive.extractfile(one).read()) for one in archive.getmembers()]  # type: ignore[union-attr]
    out = BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for number, (member, content) in enumerate(members):
            changed = change(content) if number == len(members) - 1 else content
            member.size = len(changed)
            archive.addfile(member, BytesIO(changed))
    return out.getvalue()
