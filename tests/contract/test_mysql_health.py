"""A restored MySQL server proves itself useful: what its checks see, and what they do not hide."""

from collections.abc import Iterator
from secrets import token_hex

import pytest

from restoreproof import engines
from restoreproof.engines.mysql_connection import rows
from restoreproof.engines.mysql_health import ApplicationProbe
from restoreproof.engines.mysql_restored import RestoredMySQL
from restoreproof.engines.mysql_source import MySQLSource
from restoreproof.errors import SandboxTrouble
from restoreproof.images import ensure
from restoreproof.outcomes import RestoreFailed
from restoreproof.sandbox import Sandboxes

SOURCE = MySQLSource(host="localhost", user="backup", password="${NOT_NEEDED}")
WRITE = "INSERT INTO app.orders VALUES (3)"


def probing(write: str, read: str, at_least: int = 1) -> MySQLSource:
    """A source with a probe of its application."""
    probe = ApplicationProbe(write=write, read=read, at_least=at_least)
    return SOURCE.model_copy(update={"probe_query": probe})


@pytest.fixture(scope="module")
def empty() -> Iterator[RestoredMySQL]:
    """A server into which nothing was restored."""
    image = ensure("restoreproof/mysql:9.7", print)
    sandboxes = Sandboxes(f"health-{token_hex(4)}")
    with engines.load("mysql").provision(SOURCE, image, sandboxes) as made:
        assert isinstance(made, RestoredMySQL)
        yield made


@pytest.fixture(scope="module")
def server(empty: RestoredMySQL) -> RestoredMySQL:
    """The same server with an application's tables."""
    for statement in (
        "CREATE DATABASE app",
        "CREATE TABLE app.orders (id INT PRIMARY KEY)",
        "INSERT INTO app.orders VALUES (1), (2)",
        "CREATE TABLE app.memory (id INT) ENGINE=MEMORY",
        "CREATE VIEW app.newest AS SELECT MAX(id) AS id FROM app.orders",
        "CREATE USER owner@localhost",
        "CREATE DEFINER=owner@localhost VIEW app.of_nobody AS SELECT id FROM app.orders",
    ):
        rows(empty.connection, statement)
    return empty


@pytest.mark.parametrize("reference", ["restoreproof/mariadb:10.11", "restoreproof/mariadb:11.8"])
def test_mariadb_is_checked_and_written_to(reference: str) -> None:
    """MariaDB's own tables and views, a sequence and a table with a past pass the same checks."""
    sandboxes = Sandboxes(f"health-{token_hex(4)}")
    with engines.load("mysql").provision(SOURCE, ensure(reference, print), sandboxes) as made:
        assert isinstance(made, RestoredMySQL)
        rows(made.connection, "CREATE DATABASE app")
        rows(made.connection, "CREATE SEQUENCE app.numbers")
        rows(made.connection, "CREATE TABLE app.past (id INT PRIMARY KEY) WITH SYSTEM VERSIONING")
        made.with_accounts = True
        checked = made.check_tables()

        assert (checked.examined > 20, checked.complaints) == (True, ())
        assert made.write_and_read(SOURCE).useful


def test_empty_server_is_checked_and_written_to(empty: RestoredMySQL) -> None:
    """With no database at all there are the server's own tables to check, and a place to write."""
    checked, used = empty.check_tables(), empty.write_and_read(SOURCE)

    assert checked.examined > 20
    assert checked.complaints == ()
    assert used.useful
    assert "no probe_query" in used.seen
    assert "probe" not in str(rows(empty.connection, "SHOW DATABASES"))


def test_view_that_nobody_can_use_is_seen(server: RestoredMySQL) -> None:
    """A view whose definer may not read is a complaint, but not where no accounts came back."""
    server.with_accounts = True
    (complaint,) = server.check_tables().complaints
    server.with_accounts = False

    assert complaint.startswith("app.of_nobody: ")
    assert server.check_tables().complaints == ()
    assert server.check_tables().unchecked == 1


def test_probe_is_rolled_back(server: RestoredMySQL) -> None:
    """What the application's probe wrote is there for its read, and gone afterwards."""
    count = "SELECT COUNT(*) FROM app.orders"

    used = server.write_and_read(probing(WRITE, count, at_least=3))

    assert used.useful
    assert used.seen == "the application's probe wrote 1 rows and read 3"
    assert rows(server.connection, count) == [(2,)]


@pytest.mark.parametrize(
    ("read", "seen"),
    [
        ("SELECT COUNT(*) FROM app.orders", "read 3"),
        ("SELECT id FROM app.orders WHERE id > 9", "read no number"),
        ("SELECT 'a secret of a customer'", "read no number"),
        ("SELECT NULL", "read no number"),
    ],
)
def test_probe_that_reads_too_little_is_no_use(server: RestoredMySQL, read: str, seen: str) -> None:
    """A number that is too small, no row, NULL or a text is not what the policy expects."""
    used = server.write_and_read(probing(WRITE, read, at_least=4))

    assert not used.useful
    assert used.seen.endswith(seen)


@pytest.mark.parametrize("statement", ["INSERT INTO app.nothing VALUES (1)", "CHOOSE 1"])
def test_refused_probe_fails_with_the_servers_words(server: RestoredMySQL, statement: str) -> None:
    """A statement that the server refuses, the write or the read, is told in its own words."""
    for source in (probing(statement, "SELECT 1"), probing(WRITE, statement)):
        with pytest.raises(RestoreFailed, match=r"refuses the application's probe: \w+"):
            server.write_and_read(source)
    assert rows(server.connection, "SELECT COUNT(*) FROM app.orders") == [(2,)]


@pytest.fixture
def another() -> Iterator[RestoredMySQL]:
    """A server that may die."""
    image = ensure("restoreproof/mysql:9.7", print)
    sandboxes = Sandboxes(f"health-{token_hex(4)}")
    with engines.load("mysql").provision(SOURCE, image, sandboxes) as made:
        assert isinstance(made, RestoredMySQL)
        yield made


def test_server_that_dies_of_a_damaged_page_is_a_result(another: RestoredMySQL) -> None:
    """InnoDB aborts over a page whose checksum is wrong: that is a finding about the backup."""
    for statement in (
        "CREATE DATABASE app",
        "CREATE TABLE app.worn (id INT PRIMARY KEY AUTO_INCREMENT, b CHAR(36), KEY (b))",
        "INSERT INTO app.worn (b) SELECT UUID() FROM information_schema.columns LIMIT 3000",
        "CREATE TABLE app.large (id INT PRIMARY KEY AUTO_INCREMENT, b LONGBLOB)",
        "FLUSH TABLES app.worn FOR EXPORT",
        "UNLOCK TABLES",
    ):
        rows(another.connection, statement)
    damage = "dd if=/dev/urandom of=/var/lib/mysql/app/worn.ibd bs=16k seek=8 count=3 conv=notrunc"
    assert another.sandbox.run(["sh", "-c", damage]).exit_code == 0
    # What is in memory is not read again: something larger has to take its place.
    rows(
        another.connection,
        "INSERT INTO app.large (b) SELECT REPEAT('x', 1500000)"
        " FROM information_schema.columns LIMIT 120",
    )

    with pytest.raises(RestoreFailed, match=r"CHECK TABLE broke off: .*InnoDB"):
        another.check_tables()


def test_server_that_is_killed_is_no_result(another: RestoredMySQL) -> None:
    """A server that something else put an end to says nothing of the backup."""
    another.sandbox.container.kill("SIGKILL")

    with pytest.raises(SandboxTrouble):
        another.check_tables()
