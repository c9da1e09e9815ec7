"""Rows of large tables that came back otherwise are named, though the source is gone by then."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from mysql_bench import Bench, Server, image, server

from restoreproof.engines import mysql
from restoreproof.engines.mysql_connection import rows
from restoreproof.engines.mysql_empty_server import empty_server
from restoreproof.engines.mysql_restored import RestoredMySQL
from restoreproof.engines.mysql_row_digests import ARTIFACT
from restoreproof.restore import RestoreAttempt
from restoreproof.sandbox import Sandboxes
from restoreproof.vault import StoredBackup

NUMBERS = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000) "
CONTENT = (
    "CREATE DATABASE app",
    "SET SESSION cte_max_recursion_depth = 10000",
    "CREATE TABLE app.numbered (id INT PRIMARY KEY, v VARCHAR(20), KEY (v))",
    f"INSERT INTO app.numbered {NUMBERS} SELECT i * 3, 'v' FROM n",
    "CREATE TABLE app.named (name CHAR(36) PRIMARY KEY, v INT)",
    f"INSERT INTO app.named {NUMBERS} SELECT LEFT(SHA2(i, 224), 36), i FROM n",
    "CREATE TABLE app.split (id INT PRIMARY KEY, v INT) PARTITION BY HASH (id) PARTITIONS 3",
    f"INSERT INTO app.split {NUMBERS} SELECT i, i FROM n",
    "ANALYZE TABLE app.numbered, app.named, app.split",
)
FAULTS = (
    ("UPDATE app.numbered SET v = 'x' WHERE id = 3000", "numbered",
     "row 1,000 of 5,000 in the order of `id` differs", " (3000)"),
    ("DELETE FROM app.numbered WHERE id = 3000", "numbered",
     "row 1,000 of 5,000 in the order of `id` is lost", " (after 2997)"),
    ("DELETE FROM app.numbered WHERE id IN (3, 15000)", "numbered",
     "row 1 of 5,000 in the order of `id` is lost, row 5,000 of 5,000", " (before all keys)"),
    ("INSERT INTO app.numbered VALUES (3001, 'v')", "numbered",
     "1 row too many after row 1,000 of 5,000 in the order of `id`", " (3001)"),
    ("UPDATE app.numbered SET id = 3005 WHERE id = 3006", "numbered",
     "row 1,002 of 5,000 in the order of `id` differs", " (3005)"),
    ("UPDATE app.named SET v = v + 1 ORDER BY name LIMIT 1", "named",
     "row 1 of 5,000 in the order of `name` differs", " (0x"),
    ("DELETE FROM app.named ORDER BY name DESC LIMIT 2", "named",
     "2 rows lost among rows 4,999 to 5,000 of 5,000 in the order of `name`", ""),
    ("UPDATE app.numbered SET v = id", "numbered", "and 22 more places", ""),
    # Its rows are not read in the order of the key, so a range has to do.
    ("UPDATE app.split SET v = -1 WHERE id = 7", "split", "a difference among rows 1 to 20", ""),
)  # fmt: skip


@pytest.fixture(scope="module")
def source() -> Iterator[Server]:
    """Three tables above what a manifest lists."""
    with server() as made:
        made.run(*CONTENT)
        yield made


@pytest.fixture(scope="module")
def bench(source: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """Its vault, and one sandbox for all."""
    with empty_server(image(), Sandboxes("row-digests")) as restored:
        yield Bench(source, tmp_path_factory.mktemp("bench"), restored)


@pytest.fixture(scope="module")
def attempt(bench: Bench) -> Iterator[RestoreAttempt]:
    """A backup, restored, for faults that are undone again."""
    backup = bench.store()
    with bench.restored(bench.vault, backup) as made:
        assert made.comparison.equal
        yield made


@pytest.mark.parametrize(("statement", "table", "said", "key"), FAULTS)
def test_rows_are_named(
    attempt: RestoreAttempt, statement: str, table: str, said: str, key: str
) -> None:
    """The very rows, by their places in the key's order, and by key where values may be shown."""
    assert isinstance(attempt.restored, RestoredMySQL)
    connection = attempt.restored.connection
    rows(connection, f"CREATE TABLE app.kept AS SELECT * FROM app.{table}")
    try:
        rows(connection, statement)
        found = [
            " ".join(one.places for one in shown.comparison.differences if table in one.name)
            for shown in (replace(attempt), replace(attempt, show_values=True))
        ]
    finally:
        rows(connection, f"DELETE FROM app.{table}")
        rows(connection, f"INSERT INTO app.{table} SELECT * FROM app.kept")
        rows(connection, "DROP TABLE app.kept")
    assert said in found[0]
    assert key in found[1]
    assert not key or key not in found[0]


def test_of_many_rows_some_neighbours_are_named(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Above a number of rows a digest stands for several, and the artifact stays small."""
    monkeypatch.setattr(mysql, "DIGESTS", 1000)
    backup = bench.store()
    (artifact,) = (one for one in backup.manifest().artifacts if one.name == f"{ARTIFACT}.zst")
    assert artifact.content_bytes < 8000
    with bench.restored(bench.vault, backup) as attempt:
        assert attempt.comparison.equal
        assert isinstance(attempt.restored, RestoredMySQL)
        rows(attempt.restored.connection, "DELETE FROM app.numbered WHERE id = 3000")
        (difference,) = replace(attempt).comparison.differences
    assert "1 row lost among rows 9" in difference.places
    assert "to 1,0" in difference.places


def test_an_increment_names_rows_too(bench: Bench) -> None:
    """What was changed between two backups is told apart from what was lost."""
    base: StoredBackup = bench.store()
    bench.server.run("UPDATE app.numbered SET v = 'new' WHERE id = 6")
    increment = bench.store(base)
    with bench.restored(bench.vault, increment) as attempt:
        assert attempt.comparison.equal
        assert isinstance(attempt.restored, RestoredMySQL)
        rows(attempt.restored.connection, "UPDATE app.numbered SET v = 'v' WHERE id = 6")
        (difference,) = replace(attempt).comparison.differences
    assert difference.places.endswith("row 2 of 5,000 in the order of `id` differs")


def test_nothing_is_stored_where_all_is_listed(tmp_path: Path, bench: Bench) -> None:
    """Small tables are named by the manifest alone."""
    bench.server.run("CREATE DATABASE small", "CREATE TABLE small.t (id INT PRIMARY KEY)")
    backup = bench.store(source=bench.server.source(databases=["small"]))
    assert ARTIFACT not in " ".join(one.name for one in backup.manifest().artifacts)
