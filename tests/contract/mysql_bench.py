"""A small MySQL estate with a vault of its own, and one sandbox to try many backups in.

A fault costs what loading costs: the sandbox is emptied between two restores and not started
anew. Everything else is as in an audit.
"""

import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from textwrap import shorten
from typing import Any

import pymysql
from testcontainers.core.container import DockerContainer

from restoreproof import engines, images
from restoreproof.clock import system_clock
from restoreproof.damage import Change, VaultCopy
from restoreproof.demo.mysql import statements
from restoreproof.demo.servers import address, publish, wait_until
from restoreproof.engines.contract import BackupToRestore, Restored, SourceContext
from restoreproof.engines.mysql import MySQL
from restoreproof.engines.mysql_connection import connect, quoted, rows, user_databases
from restoreproof.engines.mysql_restored import RestoredMySQL
from restoreproof.engines.mysql_source import MySQLSource
from restoreproof.execution import engine_trouble
from restoreproof.images import Image
from restoreproof.jobs import JobResult, run_job
from restoreproof.references import SourceModel
from restoreproof.resources import folder
from restoreproof.restore import RestoreAttempt, Target, restoring
from restoreproof.sandbox import Sandboxes
from restoreproof.vault import StoredBackup, Vault

ROOT_PASSWORD, BACKUP_PASSWORD = "root-secret", "planted-backup-secret"
VARIABLE = "MYSQL_BENCH_PASSWORD"
SEED_VARIABLE = "FAULT_SEED"
SHOWN = 150
"""How many characters of a finding the matrix shows."""
DUMP, ACCOUNTS, PRIVILEGES = "dump.sql.zst", "accounts.sql.zst", "privileges.sql.zst"
UNLOGGED = "SET SESSION sql_log_bin = 0"
FILES = folder("fixtures") / "agama" / "mysql"


def tell(text: str) -> None:
    """Say something that stands under a failed test, and with -s or -rP under any."""
    sys.stdout.write(f"{text}\n")


def seed() -> int:
    """What every draw of a module starts from: printed, and repeated with FAULT_SEED."""
    return int(os.environ.get(SEED_VARIABLE, "20261123"))


@dataclass(frozen=True)
class Server:
    """A living source: its port, and a connection a call as the estate's own people have it."""

    host: str
    port: int
    container: DockerContainer = field(repr=False)

    def connect(self) -> Any:
        """A connection as root."""
        return connect("root", ROOT_PASSWORD, host=self.host, port=self.port)

    def run(self, *lines: str) -> None:
        """Run statements one by one."""
        with closing(self.connect()) as connection:
            for line in lines:
                rows(connection, line)

    def answers(self) -> bool:
        """Whether the server is up."""
        try:
            self.run("SELECT 1")
        except (pymysql.MySQLError, OSError):
            return False
        return True

    def ask(self, statement: str) -> list[tuple[Any, ...]]:
        """The rows of one statement."""
        with closing(self.connect()) as connection:
            return rows(connection, statement)

    def source(self, **other: Any) -> MySQLSource:
        """The server as a policy names it, with the backup's own user."""
        known = {"host": self.host, "port": self.port, "user": "backup"}
        return MySQLSource.model_validate(known | {"password": f"${{{VARIABLE}}}"} | other)


@contextmanager
def server(*options: str) -> Iterator[Server]:
    """A server with further options, and the backup user that the fixtures describe."""
    os.environ[VARIABLE] = BACKUP_PASSWORD
    container = DockerContainer(image().reference).with_env("MYSQL_ROOT_PASSWORD", ROOT_PASSWORD)
    container.with_copy_into_container(FILES / "agama.cnf", "/etc/mysql/conf.d/agama.cnf")
    container.with_command(list(options))
    publish(container, (3306,), Sandboxes("bench").labels("source"))
    with engine_trouble(), container:
        made = Server(*address(container, 3306), container)
        wait_until(made.answers, container, what="the source")
        with closing(made.connect()) as connection:
            rows(connection, UNLOGGED)
            for line in statements((FILES / "backup-user.sql").read_text(encoding="utf-8")):
                rows(connection, line)
            alter = "ALTER USER 'backup'@'%%' IDENTIFIED BY %s ACCOUNT UNLOCK"
            rows(connection, alter, (BACKUP_PASSWORD,))
        yield made


def image() -> Image:
    """MySQL as Debian packages it."""
    return images.ensure("restoreproof/mysql:9.7", lambda _: None)


class OneSandbox(MySQL):
    """The engine, but every restore goes into the same server, emptied before."""

    def __init__(self, restored: RestoredMySQL) -> None:
        self._restored = restored

    @contextmanager
    def provision(
        self,
        source: SourceModel,
        image: Image | None,
        sandboxes: Sandboxes,
        full: BackupToRestore | None = None,
    ) -> Iterator[Restored]:
        connection = self._restored.connection
        # A database whose files a fault left behind would be taken for restored.
        for name in user_databases(connection):
            rows(connection, f"DROP DATABASE {quoted(name)}")
        rows(connection, "RESET BINARY LOGS AND GTIDS")
        yield self._restored


@dataclass(frozen=True)
class Verdict:
    """What a restore came to: where and why it failed, or each thing that is not as it was."""

    failed_in: str = ""
    failure: str = ""
    differences: tuple[str, ...] = ()

    @property
    def found(self) -> bool:
        """Whether there is a finding."""
        return bool(self.failure or self.differences)

    @property
    def short(self) -> tuple[str, ...]:
        """The differences without where they lie and what was expected and seen."""
        known = (text.partition(" (expected")[0].split(": ") for text in self.differences)
        return tuple(": ".join(parts[:2]) for parts in known)

    def __str__(self) -> str:
        if self.failure:
            return shorten(f"{self.failed_in}: {self.failure}", SHOWN)
        return shorten("; ".join(self.short), SHOWN) or "equal"


class Bench:
    """A source with its vault, and the restores of what lies there."""

    def __init__(self, made: Server, place: Path, restored: RestoredMySQL | None = None) -> None:
        self.server = made
        self.sandboxes = Sandboxes("bench")
        self.place = place
        self.vault = Vault(str(place / "vault"))
        self.vault.prepare()
        self.engine: Any = engines.load("mysql") if restored is None else OneSandbox(restored)

    def context(self, **changes: Any) -> SourceContext:
        """What a job is handed."""
        made = SourceContext(
            "mysql", self.server.source(), image(), self.place, self.sandboxes, system_clock, True
        )
        return replace(made, **changes)

    def job(self, base: StoredBackup | None = None, **changes: Any) -> JobResult:
        """Run a job, whatever comes of it."""
        return run_job(engines.load("mysql"), self.context(**changes), self.vault, "test", base)

    def store(self, base: StoredBackup | None = None, **changes: Any) -> StoredBackup:
        """Run a job that has to succeed."""
        result = self.job(base, **changes)
        assert result.backup is not None, result.problem
        return result.backup

    def copy(self) -> VaultCopy:
        """A copy of the vault, for damaging."""
        return VaultCopy.of(self.vault.root, self.place / f"copy-{time.monotonic_ns()}")

    def damaged(self, backup: StoredBackup, changes: Mapping[str, Sequence[Change]]) -> Verdict:
        """The verdict on a backup whose artifacts were changed, all hashes made anew."""
        copy = self.copy()
        for artifact, faults in changes.items():
            for change in faults:
                copy.rewrite(same(copy.vault, backup), artifact, change)
        assert same(copy.vault, backup).damage()[1] == (), "a hash saw it"
        return self.verdict(copy.vault, backup)

    def verdict(self, vault: Vault, backup: StoredBackup) -> Verdict:
        """Restore a backup and compare it, as an audit does."""
        with self.restored(vault, backup) as attempt:
            if attempt.failure:
                return Verdict(attempt.failed_in, attempt.failure)
            comparison = attempt.comparison
            assert comparison.undecided == ()
            assert comparison.examined > 3
            return Verdict(differences=tuple(map(str, comparison.differences)))

    @contextmanager
    def restored(self, vault: Vault, backup: StoredBackup) -> Iterator[RestoreAttempt]:
        """Restore a backup and keep it until the block ends."""
        population = vault.backups("mysql")
        target = Target("mysql", same(vault, backup), newest=False, population=population)
        source = self.server.source()
        with restoring(
            target, self.engine, source, image(), self.sandboxes, system_clock
        ) as attempt:
            yield attempt


def same(vault: Vault, backup: StoredBackup) -> StoredBackup:
    """The backup of this name in another vault, as it is now."""
    return next(one for one in vault.backups("mysql") if one.id == backup.id)


def content(backup: StoredBackup, artifact: str) -> bytes:
    """An artifact's content."""
    described = next(one for one in backup.manifest().artifacts if one.name == artifact)
    return b"".join(backup.read(described))


def instead(other: bytes) -> Change:
    """Other content in place of an artifact's."""
    return lambda _: other
