"""Differences between two real MySQL servers: none is missed, and rows and columns are named."""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from restoreproof import engines
from restoreproof.clock import system_clock
from restoreproof.engines.contract import BackupToRestore
from restoreproof.engines.mysql_connection import rows, value
from restoreproof.engines.mysql_fingerprint import METHOD, content_items
from restoreproof.engines.mysql_readers import readers
from restoreproof.engines.mysql_restored import RestoredMySQL
from restoreproof.engines.mysql_row_digests import RowDigests
from restoreproof.engines.mysql_settings import NAMES
from restoreproof.engines.mysql_source import MySQLSource
from restoreproof.engines.mysql_tables import LISTED_ROWS, REMARKS, read_tables
from restoreproof.errors import SandboxTrouble
from restoreproof.fingerprint import Fingerprint, compare
from restoreproof.images import ensure
from restoreproof.outcomes import RestoreFailed
from restoreproof.sandbox import Sandboxes

SOURCE = MySQLSource(host="nowhere", user="nobody", password="${UNUSED}")
DATABASES = ("app",)
MANY = 1200
NUMBERS = (
    "WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < {}) SELECT {} FROM n"
)
RECURSE = (
    "SET /*!80000 SESSION cte_max_recursion_depth = 100000 */"
    " /*M!101100 SESSION max_recursive_iterations = 100000 */"
)
CONTENT = (
    "CREATE DATABASE app",
    "USE app",
    RECURSE,
    "CREATE TABLE orders (id INT PRIMARY KEY, note VARCHAR(20), amount FLOAT, gap DOUBLE)",
    "INSERT INTO orders VALUES (-5, NULL, 1.1, 0), (3, '', 16777216, -0e0), (90, 'N', 0, 1)",
    "CREATE TABLE names (name VARCHAR(20), part INT, v INT, PRIMARY KEY (name, part))",
    "INSERT INTO names VALUES ('a', 1, 1), ('a', 2, 1), ('secret', 1, 1)",
    "CREATE TABLE keyless (a INT, b VARCHAR(20))",
    "INSERT INTO keyless VALUES (1, 'x'), (1, 'x'), (2, NULL)",
    "CREATE TABLE empty_one (id INT PRIMARY KEY)",
    # Both signs, gaps and an outlier, which no cutting by keys alone would come to terms with.
    "CREATE TABLE gaps (id BIGINT PRIMARY KEY, v VARCHAR(20))",
    "INSERT INTO gaps " + NUMBERS.format(MANY - 2, f"(i - {MANY // 2}) * 7, SHA2(i, 224) < '8'"),
    "INSERT INTO gaps VALUES (9223372036854775807, 'far')",
    "CREATE TABLE dense (id INT PRIMARY KEY, v INT)",
    "INSERT INTO dense " + NUMBERS.format(MANY - 1, "i + 1, i"),
    "CREATE TABLE highest (id BIGINT UNSIGNED PRIMARY KEY, v INT)",
    "INSERT INTO highest " + NUMBERS.format(MANY - 1, "18446744073709551615 - i, i"),
    "CREATE TABLE pairs (account INT, n INT, v INT, PRIMARY KEY (account, n))",
    "INSERT INTO pairs " + NUMBERS.format(MANY - 1, "i DIV 100, i, i"),
    "ANALYZE TABLE gaps, dense, highest, pairs",
)
FAULTS = (
    ("UPDATE orders SET note = '' WHERE note IS NULL", "orders",
     "other content: column `note`, row 1 of 3 in the order of `id` differs"),
    ("UPDATE orders SET note = NULL WHERE note = ''", "orders",
     "other content: column `note`, row 2 of 3"),
    ("UPDATE orders SET amount = 16777200 WHERE id = 3", "orders",
     f"other content: column `amount` ({REMARKS['float']}), row 2 of 3"),
    ("UPDATE orders SET gap = 0e0 WHERE id = 3", "orders",
     f"other content: column `gap` ({REMARKS['double']}), row 2 of 3"),
    ("DELETE FROM orders WHERE id = 90", "orders",
     "another count: column `id`, column `note`"),
    ("UPDATE names SET v = 2 WHERE name = 'secret'", "names",
     "other content: column `v`, row 3 of 3 in the order of `name`, `part` differs"),
    ("INSERT INTO keyless VALUES (2, NULL)", "keyless", "another count: "),
    ("UPDATE keyless SET a = 2, b = NULL WHERE a = 1", "keyless",
     "other content: column `a`, column `b`, a row is there 3 times and not 1, a row is lost"),
    ("UPDATE keyless SET b = 'X' WHERE a = 1", "keyless",
     "other content: column `b`, a row is lost, a row was not backed up"),
    ("UPDATE keyless SET b = 'x ' WHERE a = 1", "keyless",
     "other content: column `b`, a row is lost, a row was not backed up"),
    ("INSERT INTO empty_one VALUES (1)", "empty_one", "another count: "),
    ("UPDATE gaps SET v = 'x' WHERE id = -7", "gaps", "other content: column `v`, a difference "),
    ("UPDATE gaps SET v = 'x' WHERE id > 1000000", "gaps", "other content: column `v`, a diff"),
    ("DELETE FROM dense WHERE id = 1", "dense",
     "another count: column `id`, column `v`, 1 row lost among rows 1 to 200 of 1,200"),
    ("INSERT INTO dense VALUES (5000000, 1)", "dense",
     "another count: column `id`, column `v`, 1 row too many among rows 1,001 to 1,200 of 1,200"),
    ("INSERT INTO dense VALUES (-5, 1)", "dense",
     "another count: column `id`, column `v`, 1 row too many among rows 1 to 200 of 1,200"),
    ("UPDATE highest SET v = -1 WHERE id = 18446744073709551615", "highest",
     "other content: column `v`, a difference among rows 1,001 to 1,200 of 1,200"),
    ("UPDATE pairs SET v = -1 WHERE n = 0", "pairs",
     "other content: column `v`, a difference among rows "),
    ("UPDATE dense SET id = -id", "dense",
     "other content: column `id`, a difference among rows 1 to 1,200 of 1,200"),
    ("ALTER TABLE dense DROP PRIMARY KEY", None, ""),
)  # fmt: skip


@pytest.fixture(scope="module", params=["restoreproof/mysql:9.7", "restoreproof/mariadb:10.11"])
def servers(request: pytest.FixtureRequest) -> Iterator[tuple[RestoredMySQL, RestoredMySQL]]:
    """Two servers with the same content."""
    engine, image = engines.load("mysql"), ensure(request.param, print)
    sandboxes = Sandboxes("test-differences")
    with ExitStack() as stack:
        made = [stack.enter_context(engine.provision(SOURCE, image, sandboxes)) for _ in range(2)]
        for server in made:
            assert isinstance(server, RestoredMySQL)
            for statement in CONTENT:
                rows(server.connection, statement)
        yield made[0], made[1]  # type: ignore[misc]


@pytest.fixture(scope="module")
def taken(servers: tuple[RestoredMySQL, RestoredMySQL]) -> Fingerprint:
    """The first server's fingerprint."""
    return _taken(servers[0])


def _taken(server: RestoredMySQL, connections: int = 4) -> Fingerprint:
    with readers(server.connect_again, connections) as several:
        return Fingerprint.of(METHOD, system_clock(), content_items(several, DATABASES, ()))


def test_equal_content_is_equal(
    servers: tuple[RestoredMySQL, RestoredMySQL], taken: Fingerprint
) -> None:
    """With one connection or several, cut or not, equal content has equal digests."""
    one = _taken(servers[0], connections=1)
    digests = RowDigests(10 * MANY)
    with readers(servers[0].connect_again) as several:
        singly = content_items(several, DATABASES, (), digests=digests)
    copy = servers[1].fingerprint(taken)

    assert one.items == taken.items
    # With the hashes of all rows at hand, the digests over them are the same.
    assert digests
    assert {item.key: item for item in singly} == {item.key: item for item in taken.items}
    assert compare(taken, copy).equal
    assert copy.digest == taken.digest
    broken_down = {item.name: item.breakdown for item in taken.items if item.breakdown}
    assert {name for name, one in broken_down.items() if one.by == "ranges"} == {
        "app.gaps", "app.dense", "app.highest", "app.pairs"
    }  # fmt: skip
    for breakdown in broken_down.values():
        assert max((part.rows for part in breakdown.parts), default=0) <= LISTED_ROWS
    assert len(taken.model_dump_json()) < 200_000


@pytest.mark.parametrize(("statement", "table", "said"), FAULTS)
def test_rows_and_columns_are_named(
    servers: tuple[RestoredMySQL, RestoredMySQL],
    taken: Fingerprint,
    statement: str,
    table: str | None,
    said: str,
) -> None:
    """Every fault is found in its table alone, and its rows and columns are named."""
    copy = servers[1]
    if "0e0" in statement and copy.dialect.family == "MariaDB":
        pytest.skip("MariaDB writes -0 as 0")
    name = table or "dense"
    rows(copy.connection, f"CREATE TABLE kept AS SELECT * FROM {name}")
    shown = str(rows(copy.connection, f"SHOW CREATE TABLE {name}")[0][1])
    try:
        rows(copy.connection, statement)
        seen = Fingerprint.of(
            METHOD,
            system_clock(),
            (item for item in copy.fingerprint(taken).items if "kept" not in item.name),
        )
    finally:
        rows(copy.connection, f"DROP TABLE {name}")
        rows(copy.connection, shown)
        rows(copy.connection, f"INSERT INTO {name} SELECT * FROM kept")
        rows(copy.connection, "DROP TABLE kept")
    differences = [str(one) for one in compare(taken, seen).differences]

    if table is None:
        # Only the definition differs: the rows are the same without their key.
        assert [one.partition(":")[0] for one in differences] == ["table definition app.dense"]
        return
    (difference,) = differences
    assert difference.startswith(f"table app.{table}: {said}")
    assert "secret" not in difference


def test_no_two_rows_share_a_hash(servers: tuple[RestoredMySQL, RestoredMySQL]) -> None:
    """Values that look alike when they are put together have hashes of their own."""
    connection = servers[0].connection
    texts = ["NULL", "''", "'N'", "'N,'", "'0:'", "'1:N'", "','", "'1,'", "'1'", "'11'", "'\\\\0'",
             "'1:1'", "' '", "'1:,1:'"]  # fmt: skip
    numbers = ["NULL", "0", "1", "11", "-1", "10"]
    doubles = ["NULL", "0e0", "-0e0", "1e0", "1.0000000000000002e0", "5e-324", "1e300", "11e0"]
    rows(
        connection,
        "CREATE TABLE app.alike (a VARCHAR(9), b VARBINARY(9), i INT, j INT, d DOUBLE, f FLOAT,"
        " t TEXT, k BIT(8), l DATETIME(6))",
    )
    try:
        values = [
            *(f"({a}, {b}, 1, 1, 1, 1, '', 0, NULL)" for a in texts for b in texts),
            *(f"('', '', {i}, {j}, 1, 1, '', 0, NULL)" for i in numbers for j in numbers),
            *(f"('', '', 1, {i}, {d}, 0, '', 0, NULL)" for i in numbers for d in doubles),
            *(f"('', '', 1, 1, 7, {f}, '', 0, NULL)" for f in ("16777216", "16777214", "-0e0")),
            *(f"('', '', 1, 1, 7, 2, {a}, {i}, NULL)" for a in texts for i in ("NULL", "0", "1")),
            "('', '', 1, 1, 7, 3, '', 0, '2024-01-01 00:00:00')",
            "('', '', 1, 1, 7, 3, '', 0, '2024-01-01 00:00:00.000001')",
        ]
        if servers[0].dialect.family == "MariaDB":
            values = [row.replace("-0e0", "-7e0") for row in values]
        distinct = list(dict.fromkeys(values))
        rows(connection, f"INSERT INTO app.alike VALUES {', '.join(distinct)}")
        (table,) = (one for one in read_tables(connection, DATABASES) if one.name == "alike")
        hashes = value(connection, f"SELECT COUNT(DISTINCT {table.hash}) FROM app.alike")
    finally:
        rows(connection, "DROP TABLE app.alike")

    assert len(distinct) > 300
    assert hashes == len(distinct)


@pytest.mark.parametrize(
    ("facts", "error"),
    [({}, RestoreFailed), ({NAMES: "0"}, RestoreFailed), ({NAMES: "1"}, SandboxTrouble)],
)
def test_names_of_another_case_are_no_fault_of_a_backup(
    servers: tuple[RestoredMySQL, RestoredMySQL],
    taken: Fingerprint,
    facts: dict[str, str],
    error: type[Exception],
) -> None:
    """A dump that a sandbox refuses, which takes names otherwise than the source, is undecided."""
    dump = b"INSERT INTO app.ORDERS (id) VALUES (1);"
    backup = BackupToRestore(
        "", servers[1].server_version, facts, taken, lambda _: iter([dump]), lambda _: iter([])
    )

    with pytest.raises(error, match="ORDERS"):
        engines.load("mysql").load(servers[1], backup)
