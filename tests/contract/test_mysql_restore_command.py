"""``restoreproof restore`` as somebody runs it in the night: a chain of MySQL, any point of it."""

import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import docker.errors
import pymysql
import pytest
from docker.models.containers import Container
from mysql_chains import PASSWORD, Source, server

import restoreproof
from restoreproof import docker_engine, engines
from restoreproof.cleanup import is_leftover
from restoreproof.damage import VaultCopy
from restoreproof.engines.mysql_connection import rows
from restoreproof.engines.mysql_gtids import GtidSet
from restoreproof.errors import UserError
from restoreproof.images import Image
from restoreproof.recovery_points import find
from restoreproof.restore import to_restore
from restoreproof.vault import StoredBackup

POLICY = """\
estate: Harbour
objectives: {{rpo: 1h, rto: 4h, restore_test_every: 31d}}
vault: {{location: {vault}}}
components:
  mysql:
    engine: mysql
    image: restoreproof/mysql:9.7
    source: {{host: nowhere.invalid, user: nobody, password: "${{NEVER_ASKED}}"}}
    coverage: [data]
"""


@pytest.fixture(scope="module")
def source(
    image: Image, tmp_path_factory: pytest.TempPathFactory, monkeymodule: pytest.MonkeyPatch
) -> Iterator[Source]:
    """A server whose chain the tests share."""
    place = tmp_path_factory.mktemp("source")
    options = "--gtid-mode=ON --enforce-gtid-consistency=ON"
    with server(image, place, monkeymodule, options) as made:
        yield made


@pytest.fixture(scope="module")
def chain(source: Source) -> list[StoredBackup]:
    """A full backup and three increments; a policy whose source nobody can reach."""
    made = source.chain()
    folder = source.vault.root.parent
    (folder / "policy.yaml").write_text(POLICY.format(vault="vault"))
    return made


@pytest.fixture
def folder(source: Source, chain: list[StoredBackup]) -> Path:
    """Where policy and vault are."""
    return source.vault.root.parent


@dataclass(frozen=True)
class Outcome:
    """What a command did."""

    code: int
    printed: str


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "restoreproof.cli", "restore", "policy.yaml", "mysql", *words]


def environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(Path(restoreproof.__file__).parents[1])}


def restore(folder: Path, *words: str) -> Outcome:
    done = subprocess.run(
        command(*words),
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return Outcome(done.returncode, done.stdout + done.stderr)


def test_a_point_in_the_middle_of_a_chain_is_written_out(
    folder: Path, chain: list[StoredBackup], tmp_path: Path
) -> None:
    """A backup by its name: equal, and a plain dump of it, which nobody else may read."""
    outcome = restore(folder, "--to", chain[1].id, "--output", str(tmp_path / "out"))

    assert outcome.code == 0, outcome.printed
    assert "EQUAL: all" in outcome.printed
    dump = (tmp_path / "out" / "all-databases.sql").read_text()
    assert "INSERT INTO `t` VALUES (1,2),(101,3);" in dump
    assert "`t2`" not in dump
    assert "GTID_PURGED" not in dump
    assert "`u1`@`%`" in (tmp_path / "out" / "accounts.sql").read_text()
    modes = {path.stat().st_mode & 0o777 for path in (tmp_path / "out").iterdir()}
    assert modes == {0o600}
    again = restore(folder, "--output", str(tmp_path / "out"))
    assert again.code == 2
    assert "not empty -- give an empty folder" in again.printed


def test_a_table_that_is_not_there_is_told_at_once(
    folder: Path, chain: list[StoredBackup], tmp_path: Path
) -> None:
    """A name that is wrong costs no restore."""
    missing = restore(folder, "--output", str(tmp_path / "out"), "--table", "app.tt")
    assert missing.code == 2
    assert f"there is no table app.tt in {chain[-1].id}" in missing.printed
    assert not (tmp_path / "out").exists()


def test_a_server_is_kept_at_a_transaction_inside(folder: Path, chain: list[StoredBackup]) -> None:
    """--keep leaves a server that its own file logs in to, at exactly the set that was named."""
    before = GtidSet(chain[1].manifest().position)
    uuid, _, numbers = str(before).rpartition(":")
    wanted = f"{uuid}:1-{int(numbers.split('-')[1]) + 1}"
    outcome = restore(folder, "--to", wanted, "--keep")
    try:
        assert outcome.code == 0, outcome.printed
        assert f"it stands at {wanted}" in outcome.printed
        assert "not compared: nobody looked at the source" in outcome.printed
        options = Path(re.findall(r"log in: mysql --defaults-extra-file=(\S+)", outcome.printed)[0])
        assert options.stat().st_mode & 0o777 == 0o600
        assert options.parent.stat().st_mode & 0o777 == 0o700
        password = re.findall(r'password="(.+)"', options.read_text())[0]
        assert password not in outcome.printed
        with closing(pymysql.connect(read_default_file=str(options))) as connection:
            # The increment's first transaction has come, its second has not.
            found = rows(connection, "SELECT a, b FROM app.t ORDER BY a")
            assert found == [(1, 2), (2, 1), (101, 3), (102, 2)]
        kept = _container(outcome)
        assert is_leftover(kept.labels)
        assert PASSWORD not in str(kept.attrs)
        inside = re.findall(r"docker exec -it \S+ (.+)", outcome.printed)[0]
        assert kept.exec_run([*inside.split(), "-e", "SELECT 1"]).exit_code == 0
    finally:
        _container(outcome).remove(force=True, v=True)


def test_a_server_stays_until_it_is_interrupted(folder: Path, chain: list[StoredBackup]) -> None:
    """Without a word more it is the newest point, and nothing is left after Ctrl-C."""
    with subprocess.Popen(
        command(), cwd=folder, env=environment(), stdout=subprocess.PIPE, text=True
    ) as running:
        assert running.stdout is not None
        said = ""
        while "until Ctrl-C" not in said:
            line = running.stdout.readline()
            assert line, said
            said += line
        assert f": {chain[-1].id}" in said
        assert "EQUAL: all" in said
        container = _container(Outcome(0, said))
        running.send_signal(signal.SIGINT)
        assert running.wait(60) == 0
    with pytest.raises(docker.errors.NotFound):
        container.reload()
    assert not list(Path(tempfile.gettempdir()).glob(f"restoreproof-{running.pid}-*"))


def test_an_instant_ends_where_its_commits_do(source: Source, chain: list[StoredBackup]) -> None:
    """An instant between two commits is in the increment that holds them, whatever clocks say."""
    engine = engines.load("mysql")
    backups = source.vault.backups("mysql")
    commits = {
        one.id: list(engine.instants(to_restore(one, one.manifest()))) for one in backups[1:]
    }
    for one in backups[1:]:
        first, second = commits[one.id][:2]
        found = find("mysql", backups, engine, (first + (second - first) / 2).isoformat())
        assert (found.backup, found.until) == (one, first + (second - first) / 2)
    # After the last commit of an increment and before the first of the next.
    between = commits[backups[1].id][-1] + timedelta(microseconds=1)
    assert find("mysql", backups, engine, between.isoformat()).backup == backups[1]
    end = backups[2].entry.recovery_point
    assert find("mysql", backups, engine, end.isoformat()).until is None


def test_a_gtid_is_found_in_its_increment(source: Source, chain: list[StoredBackup]) -> None:
    """One transaction, a set that is a boundary, and one that nothing holds."""
    engine = engines.load("mysql")
    backups = source.vault.backups("mysql")
    position = backups[2].manifest().position
    uuid, _, numbers = position.rpartition(":")
    last = numbers.split("-")[1]
    assert find("mysql", backups, engine, f" {position.upper()}").until is None
    inside = find("mysql", backups, engine, f"{uuid}:{last}")
    assert (inside.backup, inside.until) == (backups[2], f"{uuid}:{last}")
    for wrong in (f"{uuid}:999999", f"{uuid}:1", f"{uuid[:-4]}0000:5"):
        with pytest.raises(UserError, match="no backup ends at"):
            find("mysql", backups, engine, wrong)
    with pytest.raises(UserError, match="names no recovery point"):
        find("mysql", backups, engine, "yesterday")


def test_damage_is_a_result_and_no_restore(
    folder: Path, chain: list[StoredBackup], tmp_path: Path
) -> None:
    """A backup whose hash is wrong is not used: exit 1, and the file by its name."""
    copy = VaultCopy.of(folder / "vault", tmp_path / "vault")
    artifact = next((copy.vault.root / "mysql" / chain[2].id).glob("*.zst"))
    artifact.chmod(0o600)
    artifact.write_bytes(artifact.read_bytes()[:-1] + b"x")
    (tmp_path / "policy.yaml").write_text(POLICY.format(vault="vault"))

    listed = restore(tmp_path, "--list")
    assert listed.code == 0
    assert all(one.id in line for one, line in zip(chain, listed.printed.splitlines(), strict=True))
    outcome = restore(tmp_path, "--to", chain[3].id)

    assert outcome.code == 1, outcome.printed
    assert "FAILED in 'check artifacts'" in outcome.printed
    assert artifact.name in outcome.printed


def test_one_table_is_had_back_and_differences_are_named(
    folder: Path, chain: list[StoredBackup], tmp_path: Path
) -> None:
    """What came back different is said, with exit 1; the table is written all the same.

    Its dump holds that table, and loads only where the table is not there.
    """
    copy = VaultCopy.of(folder / "vault", tmp_path / "vault")
    full = next(one for one in copy.vault.backups("mysql") if one.id == chain[0].id)
    copy.rewrite(full, "dump.sql.zst", lambda dump: dump + b"CREATE TABLE app.evil (a INT);\n")
    (tmp_path / "policy.yaml").write_text(POLICY.format(vault="vault"))

    out = tmp_path / "out"
    outcome = restore(tmp_path, "--to", full.id, "--output", str(out), "--table", "app.t")

    assert outcome.code == 1, outcome.printed
    assert "DIFFERENT: table app.evil: was not backed up" in outcome.printed
    assert [path.name for path in out.iterdir()] == ["app.t.sql"]
    dump = (out / "app.t.sql").read_text()
    assert "CREATE TABLE `t`" in dump
    assert "DROP TABLE" not in dump


def _container(outcome: Outcome) -> Container:
    name = re.findall(r"in container (\S+):", outcome.printed)[0]
    return docker_engine.connect().containers.get(name)
