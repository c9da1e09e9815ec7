"""MySQL backed up as cron does it: mysqldump, gzip, duplicity, restic, borg, mydumper."""

import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from mysql_chains import Source, server
from own_estate import Estate, estate, without_accounts
from ruamel.yaml import YAML

from restoreproof import resources
from restoreproof.engines.mysql_connection import rows, value
from restoreproof.engines.mysql_restored import RestoredMySQL
from restoreproof.fingerprint import Comparison
from restoreproof.images import Image

TOOLS = {
    "mysqldump-gzip": "mysqldump",
    "mysqldump-restic": "restic",
    "mysqldump-borg": "borg",
    "mydumper": "mydumper",
}
MADE_ONCE = {
    "mysqldump-restic": ["restic", "init", "--repo"],
    "mysqldump-borg": ["borg", "init", "--encryption", "repokey"],
}
SECRET = "planted-passphrase"


@pytest.fixture(scope="module")
def source(
    image: Image, tmp_path_factory: pytest.TempPathFactory, monkeymodule: pytest.MonkeyPatch
) -> Iterator[Source]:
    """A server that the tests share."""
    place = tmp_path_factory.mktemp("source")
    options = "--gtid-mode=ON --enforce-gtid-consistency=ON"
    with server(image, place, monkeymodule, options) as made:
        made.run(
            "CREATE DATABASE app",
            "CREATE TABLE app.t (a INT PRIMARY KEY, b INT)",
            "INSERT INTO app.t VALUES (1, 1), (2, 2), (3, 3)",
            "CREATE TABLE app.still (a INT PRIMARY KEY, v VARCHAR(20))",
            "INSERT INTO app.still VALUES (1, 'one'), (2, NULL)",
        )
        named = without_accounts(made.context.source)
        yield replace(made, context=replace(made.context, source=named))


@pytest.fixture
def home(tmp_path: Path, source: Source, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home with the login of cron's jobs, and the passphrases of their tools."""
    made = tmp_path / "home"
    made.mkdir()
    monkeypatch.setenv("HOME", str(made))
    (made / ".my.cnf").write_text(
        "[client]\nuser=root\npassword=source-secret\nhost=127.0.0.1\nprotocol=tcp\n"
        f"port={source.port}\n"
    )
    for name in ("RESTIC_PASSWORD", "BORG_PASSPHRASE"):
        monkeypatch.setenv(name, SECRET)
    return made


def example(name: str, context: Any, place: Path) -> Estate:
    """The commands of an example, with a store of the test's."""
    path = resources.folder("fixtures") / "examples" / f"{name}.yaml"
    (described,) = YAML(typ="safe").load(path)["components"].values()
    made = estate(context, place, **{**described["commands"], "store": str(place / "store")})
    made.store.mkdir()
    if name in MADE_ONCE:
        subprocess.run([*MADE_ONCE[name], str(made.store)], check=True, capture_output=True)
    return made


def rows_of(restored: object, table: str) -> int:
    assert isinstance(restored, RestoredMySQL)
    return int(value(restored.connection, f"SELECT COUNT(*) FROM {table}"))


FIRST, *OTHERS = TOOLS


@pytest.mark.parametrize(
    "name", [FIRST, *(pytest.param(one, marks=pytest.mark.thorough) for one in OTHERS)]
)
def test_example_comes_back(name: str, source: Source, home: Path, tmp_path: Path) -> None:
    """Each example as it stands: a job, the store's files recorded, and equal content."""
    if not shutil.which(TOOLS[name]):
        pytest.skip(f"no {TOOLS[name]} on this machine")
    made = example(name, source.context, tmp_path)

    backup = made.stored()

    assert SECRET not in "\n".join(made.said)
    examined, damages = backup.damage()
    assert examined > 2
    assert not damages
    with made.equal(backup) as attempt:
        assert attempt.comparison.equal
        assert "nothing" not in backup.manifest().facts["proof"]


@pytest.mark.skipif(not shutil.which("duplicity"), reason="no duplicity on this machine")
def test_a_chain_of_duplicity_comes_back_at_an_older_time_too(
    source: Source, home: Path, tmp_path: Path
) -> None:
    """A full backup and an increment: the older time too is restored as it was."""
    made = example("mysqldump-duplicity", source.context, tmp_path)
    base, counts = None, []
    for number in range(2):
        base = made.stored(base)
        with source.connect() as connection:
            counts.append(int(value(connection, "SELECT COUNT(*) FROM app.t")))
        source.run(f"INSERT INTO app.t VALUES ({100 + number}, 1)")
        # Duplicity names its sets by the second.
        time.sleep(1.1)

    assert [one.entry.kind for one in made.backups()] == ["full", "incremental"]
    for backup, count in zip(made.backups(), counts, strict=True):
        with made.equal(backup) as attempt:
            assert attempt.comparison.equal
            assert rows_of(attempt.restored, "app.t") == count


def test_a_source_that_is_written_to_passes_and_a_lost_row_does_not(
    source: Source, home: Path, tmp_path: Path
) -> None:
    """What stood still is compared in the same tables into which others write all the time."""
    source.run(
        "CREATE TABLE app.orders (id INT AUTO_INCREMENT PRIMARY KEY, n INT)",
        "INSERT INTO app.orders (n) WITH RECURSIVE s (n) AS (SELECT 1 UNION ALL SELECT n + 1"
        " FROM s WHERE n < 900) SELECT n FROM s",
        "CREATE TABLE app.session (id INT PRIMARY KEY, n INT)",
        "INSERT INTO app.session VALUES (1, 1)",
        "CREATE TABLE app.log (n INT)",
        "INSERT INTO app.log VALUES (1), (1), (2)",
    )
    made = example("mysqldump-gzip", source.context, tmp_path)
    made = made.described(moving=["app.session"], full=f"sleep 1; {made.commands.full}; sleep 1")
    writes = (
        "INSERT INTO app.orders (n) VALUES ({n})",
        "UPDATE app.session SET n = n + 1",
        "INSERT INTO app.log SELECT {n} FROM DUAL WHERE {n} % 50 = 0",
    )
    with source.writing(*writes):
        backup = made.stored()

    items = backup.manifest().fingerprint.items
    told = {item.name: item.comparison for item in items if item.kind == "table"}
    assert told["app.orders"] == told["app.log"] == Comparison.PARTS
    assert told["app.session"] is Comparison.AT_LEAST
    assert "in the rows that stood still" in backup.manifest().facts["proof"]
    with made.equal(backup) as attempt:
        assert attempt.comparison.equal, attempt.comparison.undecided
        assert isinstance(attempt.restored, RestoredMySQL)
        for damage, table in (
            ("DELETE FROM app.orders WHERE id = 17", "app.orders"),
            ("UPDATE app.orders SET n = -1 WHERE id = 400", "app.orders"),
            ("DELETE FROM app.log WHERE n = 1 LIMIT 1", "app.log"),
            ("DROP TABLE app.session", "app.session"),
        ):
            rows(attempt.restored.connection, damage)
            vars(attempt).pop("comparison")
            found = [one for one in attempt.comparison.differences if one.name == table]
            assert found, damage


def test_a_dump_that_died_in_its_pipe_is_found_by_the_restore(
    source: Source, home: Path, tmp_path: Path
) -> None:
    """Exit status 0 is that of gzip: what mysqldump did not write is missing."""
    made = example("mysqldump-gzip", source.context, tmp_path)
    made = made.described(full=str(made.commands.full).replace(" app ", " no_such_database "))

    backup = made.stored()

    with made.restored(backup) as attempt:
        missing = attempt.failure or [str(one) for one in attempt.comparison.differences]
        assert any("app.t" in one and "missing" in one for one in missing), missing


def test_a_dump_cannot_run_programs_of_this_machine(
    source: Source, home: Path, tmp_path: Path
) -> None:
    """A client's own commands inside a dump are not obeyed."""
    made = example("mysqldump-gzip", source.context, tmp_path)
    stain = tmp_path / "stain"
    made = made.described(full=f"printf '\\\\! touch {stain}\\n' | gzip > {{store}}/app-x.sql.gz")
    backup = made.stored()

    with made.restored(backup) as attempt:
        assert not attempt.succeeded or attempt.comparison.differences

    assert not stain.exists()
