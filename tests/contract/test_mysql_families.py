"""MySQL and MariaDB side by side: what fits whom, and what is refused, each in one line."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from secrets import token_hex

import pymysql
import pytest
from mariadb_source import IMAGE
from testcontainers.core.container import DockerContainer

from restoreproof import engines
from restoreproof.clock import system_clock
from restoreproof.damage import VaultCopy
from restoreproof.demo.servers import address, publish, wait_until
from restoreproof.engines import mysql_image
from restoreproof.engines.contract import SourceContext
from restoreproof.engines.mysql_connection import connect, rows, value
from restoreproof.engines.mysql_image import version_in
from restoreproof.engines.mysql_restored import RestoredMySQL
from restoreproof.engines.mysql_snapshot import Snapshot
from restoreproof.engines.mysql_source import MySQLSource, connect_source
from restoreproof.errors import SandboxTrouble, UserError
from restoreproof.images import ensure
from restoreproof.jobs import run_job
from restoreproof.restore import RestoreAttempt, restoring, select
from restoreproof.sandbox import Limits, Sandboxes
from restoreproof.vault import StoredBackup, Vault

MYSQL, INFLUXDB = "restoreproof/mysql:9.7", "restoreproof/influxdb:1.6"
VARIABLE = "FAMILIES_PASSWORD"
SANDBOXES = Sandboxes(f"families-{token_hex(4)}")
CONTENT = (
    "CREATE DATABASE app",
    "CREATE TABLE app.t (a INT PRIMARY KEY, b TEXT)",
    "INSERT INTO app.t VALUES (1, 'one'), (2, NULL)",
    "CREATE PROCEDURE app.p() /* kept */ SELECT 1",
    "GRANT SELECT ON app.t TO PUBLIC",
)


@contextmanager
def _server(*options: str) -> Iterator[SourceContext]:
    """A MariaDB server that writes no binary log unless the options say so."""
    password = token_hex(8)
    image = ensure(IMAGE, print)
    container = DockerContainer(image.reference).with_env("MARIADB_ROOT_PASSWORD", password)
    container.with_command(list(options))
    publish(container, (3306,), SANDBOXES.labels("source"))
    with pytest.MonkeyPatch.context() as patch, container:
        patch.setenv(VARIABLE, password)
        host, port = address(container, 3306)

        def answers() -> bool:
            try:
                with closing(connect("root", password, host=host, port=port)) as connection:
                    for statement in CONTENT:
                        rows(connection, statement)
            except pymysql.OperationalError:
                return False
            return True

        wait_until(answers, container, what="the MariaDB server")
        source = MySQLSource(host=host, port=port, user="root", password=f"${{{VARIABLE}}}")
        yield SourceContext("torture", source, image, Path("/"), SANDBOXES, system_clock)


@pytest.fixture(scope="module")
def source() -> Iterator[SourceContext]:
    """A server of the series that the image has, with little patience for other sessions."""
    with _server("--max-statement-time=20") as context:
        yield context


@pytest.fixture(scope="module")
def vault(tmp_path_factory: pytest.TempPathFactory) -> Vault:
    """A vault with one backup of it."""
    made = Vault(str(tmp_path_factory.mktemp("vault")))
    made.prepare()
    return made


@pytest.fixture(scope="module")
def stored(source: SourceContext, vault: Vault) -> StoredBackup:
    """The backup."""
    result = run_job(engines.load("mysql"), source, vault, "test", None)
    assert result.backup is not None, result.problem
    return result.backup


@contextmanager
def _restored(
    source: SourceContext, backup: StoredBackup, reference: str = IMAGE
) -> Iterator[RestoreAttempt]:
    (target,) = select("torture", (backup,), "newest")
    engine, image = engines.load("mysql"), ensure(reference, print)
    with restoring(target, engine, source.source, image, SANDBOXES, system_clock) as attempt:
        yield attempt


def test_without_a_binary_log_there_is_a_backup_without_a_position(
    source: SourceContext, stored: StoredBackup
) -> None:
    """A server that writes no log is backed up all the same, comments in routines included."""
    assert stored.manifest().position == ""
    assert stored.manifest().facts["log_file"] == ""

    with _restored(source, stored) as attempt:
        assert attempt.failure == ""
        assert [str(one) for one in attempt.comparison.differences] == []
        assert attempt.comparison.equal


def test_a_session_of_ours_takes_the_time_that_it_needs(source: SourceContext) -> None:
    """A limit for the estate's statements does not cut a digest short."""
    with closing(connect_source(source)) as connection:
        assert value(connection, "SELECT @@GLOBAL.max_statement_time") == 20
        assert value(connection, "SELECT @@SESSION.max_statement_time") == 0
        assert value(connection, "SELECT @@SESSION.time_zone") == "+00:00"


def test_a_sandbox_of_mariadb_reads_and_writes_no_file(
    source: SourceContext, stored: StoredBackup
) -> None:
    """A hostile dump gets at nothing in the container, though it has every privilege."""
    with _restored(source, stored) as attempt:
        restored = attempt.restored
        assert isinstance(restored, RestoredMySQL)
        assert value(restored.connection, "SELECT LOAD_FILE('/etc/passwd')") is None
        for folder in ("/mnt", "/var/lib/mysql", "/tmp"):
            with pytest.raises(pymysql.MySQLError):
                rows(restored.connection, f"SELECT 1 INTO OUTFILE '{folder}/x'")
        assert value(restored.connection, "SELECT @@GLOBAL.local_infile") == 0


def test_a_backup_goes_into_no_other_family(source: SourceContext, stored: StoredBackup) -> None:
    """A backup of MariaDB in an image of MySQL is a failed restore that says why."""
    with _restored(source, stored, MYSQL) as attempt:
        assert attempt.restored is None
        assert attempt.failed_in == "load"
        assert "does not take a backup of MariaDB 10.11" in attempt.failure


def test_a_backup_goes_into_no_older_series(
    source: SourceContext, stored: StoredBackup, vault: Vault, tmp_path: Path
) -> None:
    """A backup of a newer series in an older image fails, though it would load."""
    copy = VaultCopy.of(vault.root, tmp_path / "copy")
    copy.restate(copy.newest("torture"), source_version="11.8.6-MariaDB")

    with _restored(source, copy.newest("torture")) as attempt:
        assert attempt.restored is None
        assert attempt.failed_in == "load"
        assert "is older than MariaDB 11.8.6, of which the backup is" in attempt.failure


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (MYSQL, "does not take a backup of MariaDB 10.11"),
        (INFLUXDB, "the image holds no server of MySQL or MariaDB"),
    ],
)
def test_an_image_that_does_not_fit_is_told_before_a_job(
    source: SourceContext, image: str, words: str
) -> None:
    """Another family, and no database at all: one line with its mend, exit code 2."""
    _is_refused(replace(source, image=ensure(image, print)), words)


def test_an_image_that_cannot_be_asked_is_no_other_image(
    source: SourceContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the command cannot be run nothing is known of the image, and trouble is told."""
    assert source.image is not None
    monkeypatch.setattr(mysql_image, "_known", {})
    for processes in (1, 2):
        sandboxes = Sandboxes(SANDBOXES.run_id, Limits(processes=processes))
        with pytest.raises(SandboxTrouble):
            version_in(source.image, sandboxes)


def test_increments_without_a_binary_log_are_refused_before_a_job(source: SourceContext) -> None:
    """Where nothing is logged there is nothing to make an increment of."""
    _is_refused(replace(source, increments=True), "the source writes no binary log")


@pytest.mark.parametrize(
    ("version", "words"),
    [
        ("10.6.99-MariaDB", "the source is MariaDB 10.6.99"),
        ("99.1.0-MariaDB", "is older than MariaDB 99.1.0, of which the backup is"),
    ],
)
def test_a_series_without_a_fitting_image_is_told_before_a_job(version: str, words: str) -> None:
    """A source too old for us, or newer than the image: one line with its mend, exit code 2."""
    with _server(f"--version={version}") as source:
        _is_refused(source, words)


def _is_refused(source: SourceContext, words: str) -> None:
    with pytest.raises(UserError) as caught:
        engines.load("mysql").probe(source)
    text = str(caught.value)
    assert words in text
    assert caught.value.mend
    assert caught.value.exit_code == 2
    assert "\n" not in text


@pytest.mark.parametrize("often", [1, 3])
def test_a_job_is_run_again_when_a_table_is_made_under_it(
    source: SourceContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, often: int
) -> None:
    """MariaDB lists a table to a snapshot that is older, and then refuses to show it."""
    release, made = Snapshot.release, []

    def released(taken: Snapshot) -> None:
        release(taken)
        if len(made) < often:
            made.append(f"app.later_{often}_{len(made)}")
            with closing(connect_source(source)) as connection:
                rows(connection, f"CREATE TABLE {made[-1]} (a INT PRIMARY KEY)")

    monkeypatch.setattr(Snapshot, "release", released)
    vault = Vault(str(tmp_path))
    vault.prepare()
    result = run_job(engines.load("mysql"), source, vault, "families", None)
    if often == 1:
        assert result.backup is not None, result.problem
        items = result.backup.manifest().fingerprint.items
        assert "app.later_1_0" in {item.name for item in items}
    else:
        assert "definition has changed" in result.problem
