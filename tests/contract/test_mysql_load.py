"""Dumps loaded over several connections end as the ``mysql`` client would have left them."""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress

import pytest
import zstandard
from mysql_torture import STATEMENTS, STRANGE

from restoreproof import engines
from restoreproof.clock import system_clock
from restoreproof.engines import mysql_dump_feed
from restoreproof.engines.contract import BackupToRestore
from restoreproof.engines.mysql_connection import quoted, rows, user_databases, value
from restoreproof.engines.mysql_dump import OPTIONS_FILE, dump_command
from restoreproof.engines.mysql_fingerprint import METHOD
from restoreproof.engines.mysql_loaders import Loaders, LoadingTable
from restoreproof.engines.mysql_restored import RestoredMySQL
from restoreproof.engines.mysql_source import MySQLSource
from restoreproof.engines.mysql_table_plan import TablePlan
from restoreproof.fingerprint import Fingerprint
from restoreproof.images import ensure
from restoreproof.outcomes import RestoreFailed
from restoreproof.sandbox import Sandboxes

SOURCE = MySQLSource(host="nowhere", user="nobody", password="${UNUSED}")
DATABASES = ("keys and more", "torture", STRANGE)
KEYS = (
    "CREATE DATABASE `keys and more`",
    "USE `keys and more`",
    """CREATE TABLE many (
        id INT AUTO_INCREMENT PRIMARY KEY, a INT NOT NULL, b VARCHAR(80), c DATE, t TEXT,
        p POINT NOT NULL SRID 4326,
        KEY late (c DESC, a), UNIQUE KEY one (a), SPATIAL KEY where_ (p),
        FULLTEXT KEY words (t), KEY `b``ck` (b(7)) COMMENT 'it''s, (a)', KEY hid (a, b) INVISIBLE,
        UNIQUE KEY maybe (c, a), KEY zed (a) USING BTREE)""",
    "CREATE TABLE zz_parent (id INT PRIMARY KEY, code INT, other INT, KEY (code), KEY (other))",
    "SET SESSION restrict_fk_on_non_standard_key = OFF",
    """CREATE TABLE child (
        id INT PRIMARY KEY, parent INT, code INT, me INT, KEY k3 (code), KEY k1 (me), KEY k2 (id),
        CONSTRAINT z FOREIGN KEY (parent) REFERENCES zz_parent (id) ON DELETE SET NULL,
        CONSTRAINT a FOREIGN KEY (code) REFERENCES zz_parent (code),
        CONSTRAINT m FOREIGN KEY (me) REFERENCES child (id))""",
    """CREATE TABLE numbered (a INT, b INT, n INT NOT NULL AUTO_INCREMENT, c INT,
        KEY (a), KEY n (n, a), KEY (b), KEY (c)) AUTO_INCREMENT = 77""",
    """CREATE TABLE split (a INT, b INT, c INT, KEY (b), KEY bc (b, c))
        PARTITION BY HASH (a) PARTITIONS 3""",
    """CREATE TABLE made_up (a INT, v INT AS (a * 2), s INT AS (a * 3) STORED, KEY (s),
        KEY ((a + 1)))""",
    "CREATE TABLE isam (a INT, KEY (a)) ENGINE = MyISAM",
    "INSERT INTO zz_parent SELECT 1, 10, 100 UNION SELECT 2, 20, 200",
    "SET foreign_key_checks = 0",
    "INSERT INTO child VALUES (1, 1, 10, 3), (2, NULL, 20, 1), (3, 2, NULL, 3)",
    "SET foreign_key_checks = 1",
    """INSERT INTO many (a, b, c, t, p) WITH RECURSIVE n (i) AS
        (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 400)
        SELECT i, CONCAT('said "', i, "';\\n"), '2024-01-01' + INTERVAL i DAY, 'many words',
        ST_GeomFromText('POINT(1 1)', 4326) FROM n""",
    "INSERT INTO numbered (a, b) SELECT a, a FROM many",
    "INSERT INTO split SELECT a, a + 1, a + 2 FROM many",
    "INSERT INTO made_up (a) SELECT a FROM many",
    "INSERT INTO isam SELECT a FROM many",
)
FLAVOURS = {
    "as we make it": ((), False),
    "a statement a row": (("--skip-extended-insert", "--complete-insert"), False),
    "without comments": (("--skip-comments", "--no-autocommit", "--order-by-primary"), False),
    "compact": (("--compact",), True),
    "no options, binary": (("--skip-opt", "-a", "--default-character-set=binary"), False),
    "replacing": (("--replace", "--skip-add-locks", "--skip-hex-blob"), True),
    "ignoring": (("--insert-ignore", "--skip-disable-keys", "--skip-tz-utc"), True),
}  # fmt: skip


@pytest.fixture(scope="module")
def servers() -> Iterator[tuple[RestoredMySQL, RestoredMySQL]]:
    """A server with what is hard to bring back, and one to load into."""
    engine, image = engines.load("mysql"), ensure("restoreproof/mysql:9.7", print)
    sandboxes = Sandboxes("test-load")
    with (
        engine.provision(SOURCE, image, sandboxes) as source,
        engine.provision(SOURCE, image, sandboxes) as target,
    ):
        assert isinstance(source, RestoredMySQL)
        assert isinstance(target, RestoredMySQL)
        rows(source.connection, "SET SESSION sql_mode = DEFAULT")
        # Otherwise a key that is not unique cannot be referred to.
        for server in (source, target):
            rows(server.connection, "SET GLOBAL restrict_fk_on_non_standard_key = OFF")
        # Who defines the views there.
        definer = f"'{source.administrator}'@localhost"
        rows(target.connection, f"CREATE USER {definer} IDENTIFIED BY 'x'")
        rows(target.connection, f"GRANT ALL ON *.* TO {definer}")
        for statement in (*STATEMENTS, *KEYS):
            rows(source.connection, statement)
        yield source, target


@pytest.fixture
def target(servers: tuple[RestoredMySQL, RestoredMySQL]) -> RestoredMySQL:
    """An empty server."""
    connection = servers[1].connection
    rows(connection, "SET foreign_key_checks = 0")
    for database in user_databases(connection):
        rows(connection, f"DROP DATABASE {quoted(database)}")
    return servers[1]


@pytest.fixture
def loaded_apart(monkeypatch: pytest.MonkeyPatch) -> list[TablePlan]:
    """Every table counts as large; those that went past the client are in the list."""
    monkeypatch.setattr(mysql_dump_feed, "LARGE_BYTES", 1)
    plans: list[TablePlan] = []
    begin = Loaders.begin

    def noted(self: Loaders, plan: TablePlan) -> LoadingTable:
        plans.append(plan)
        return begin(self, plan)

    monkeypatch.setattr(Loaders, "begin", noted)
    return plans


def _dump(source: RestoredMySQL, *options: str) -> bytes:
    # With names as bytes mysqldump finds no database whose name is not ASCII.
    named = DATABASES[:1] if "--default-character-set=binary" in options else DATABASES
    command = dump_command(named, source.dialect, binary_log=False)
    at = command.index("--databases")
    stream = source.sandbox.stream(
        (*command[:at], f"--socket={source.socket}", *options, *command[at:])
    )
    dump = b"".join(stream)
    assert stream.result().exit_code == 0, stream.result()
    return dump


def _load(into: RestoredMySQL, dump: bytes) -> None:
    backup = BackupToRestore(
        position="",
        source_version=into.server_version,
        facts={},
        fingerprint=Fingerprint.of(METHOD, system_clock(), ()),
        read=lambda _: (dump[at : at + 4096] for at in range(0, len(dump), 4096)),
        read_stored=lambda _: iter([zstandard.compress(dump)]),
    )
    engines.load("mysql").load(into, backup)


def _load_with_client(into: RestoredMySQL, dump: bytes) -> None:
    command = ("mysql", f"--defaults-extra-file={OPTIONS_FILE}", f"--socket={into.socket}",
               "--binary-mode", "--default-character-set=utf8mb4")  # fmt: skip
    loaded = into.sandbox.run(command, feed=[dump])
    assert loaded.exit_code == 0, loaded


def _items(server: RestoredMySQL, databases: Sequence[str] = DATABASES) -> list[object]:
    nothing = Fingerprint.of(METHOD, system_clock(), ())
    found = server.fingerprint(nothing).items
    return [one for one in found if one.name.split(".")[0] in databases]


def _emptied(target: RestoredMySQL) -> None:
    rows(target.connection, "SET foreign_key_checks = 0")
    for database in user_databases(target.connection):
        rows(target.connection, f"DROP DATABASE {quoted(database)}")


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_every_flavour_comes_back_equal(
    servers: tuple[RestoredMySQL, RestoredMySQL],
    target: RestoredMySQL,
    loaded_apart: list[TablePlan],
    flavour: str,
) -> None:
    """Whatever options mysqldump was given, content and definitions are those of the source."""
    options, in_order = FLAVOURS[flavour]
    dump = _dump(servers[0], *options)
    if "--compact" in options:
        # It checks foreign keys, and its tables are not in their order.
        dump = b"SET foreign_key_checks = 0, sql_mode = '';\n" + dump

    _load(target, dump)

    expected = _items(servers[0], user_databases(target.connection))
    if flavour == "compact":
        # Without NO_AUTO_VALUE_ON_ZERO the client, too, gives a zero the next number.
        ours = _items(target)
        _emptied(target)
        _load_with_client(target, dump)
        expected = _items(target)
        assert ours == expected
    else:
        assert _items(target) == expected
    names = {str(plan) for plan in loaded_apart}
    assert in_order or {"keys and more.many", "keys and more.child"} <= names
    assert "keys and more.isam" not in names


def test_keys_wait_for_the_rows(
    servers: tuple[RestoredMySQL, RestoredMySQL],
    target: RestoredMySQL,
    loaded_apart: list[TablePlan],
) -> None:
    """Which keys are made afterwards, and that others stay: needed ones and those before them."""
    _load(target, _dump(servers[0]))

    waited = {
        plan.table: re.findall(r"DROP (?:FOREIGN )?KEY (`(?:[^`]|``)+`)", plan.drop)
        for plan in loaded_apart
        if plan.database == "keys and more"
    }
    assert waited["many"] == ["`b``ck`", "`hid`", "`zed`"]
    assert waited["child"] == ["`a`", "`m`", "`z`", "`z`"], "k2 is needed"
    assert waited["zz_parent"] == ["`other`"]
    assert waited["made_up"] == []
    assert waited["split"] == ["`b`", "`bc`"]
    assert "numbered" not in waited, "its AUTO_INCREMENT column is not the first of its rows"


@pytest.mark.parametrize(
    "change",
    [
        lambda dump: dump.replace(b"\n", b"\r\n"),
        lambda dump: (
            b"/*M!999999\\- enable the sandbox mode */ \n"
            + dump.replace(b" VALUES (", b" VALUES\n(")
        ),
        lambda dump: dump.replace(b"INSERT INTO", b"START TRANSACTION;\nINSERT INTO", 3),
        lambda dump: re.sub(rb"(INSERT INTO `many` VALUES \()1,", rb"\1NULL,", dump),
    ],
    ids=["CRLF", "MariaDB's", "another tool's", "numbered by the server"],
)
def test_other_dumps_end_as_the_client_leaves_them(
    servers: tuple[RestoredMySQL, RestoredMySQL],
    target: RestoredMySQL,
    loaded_apart: list[TablePlan],
    change: Callable[[bytes], bytes],
) -> None:
    """A dump in another form, or one that cannot be split, ends as with the client alone."""
    dump = change(_dump(servers[0]))
    _load_with_client(target, dump)
    expected = _items(target)
    _emptied(target)

    _load(target, dump)

    assert _items(target) == expected


HEAD = (
    b"-- MySQL dump 10.13  Distrib 9.7.4, for Linux (x86_64)\n"
    b"CREATE DATABASE app;\nUSE app;\n/*!40014 SET FOREIGN_KEY_CHECKS=0 */;\n"
)
LARGE = b"CREATE TABLE `large` (\n  `a` int PRIMARY KEY, b TEXT, KEY (b(5))\n);\n"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (
            b"INSERT INTO `large` VALUES (1,'x');\nINSERT INTO `large` VALUES (1,'y');\n",
            "table app.large: Duplicate entry '1' for key 'large.PRIMARY'",
        ),
        (b"INSERT INTO `large` VALUES (1,'x','z');\n", "table app.large: Column count"),
        (b"INSERT INTO `large` VALUES (1,'x');\nINSERT INTO `gone` VALUES (1);\n", "app.gone"),
        (b"INSERT INTO `large` VALUES (1,'x');\nINSERT INTO `large` VALUES (2,'cut", "ERROR"),
    ],
    ids=["a row twice", "a row too wide", "no such table", "cut short"],
)
def test_an_error_of_any_connection_ends_the_load(
    target: RestoredMySQL, loaded_apart: list[TablePlan], body: bytes, words: str
) -> None:
    """What a server refuses of a dump fails the restore in its own words, the table named."""
    with pytest.raises(RestoreFailed, match=re.escape(words)):
        _load(target, HEAD + LARGE + body)

    running = value(
        target.connection, "SELECT COUNT(*) FROM information_schema.processlist WHERE info LIKE"
        " 'INSERT%' OR info LIKE 'ALTER%'",
    )  # fmt: skip
    assert running == 0


@pytest.mark.parametrize(
    "command",
    [
        rb"\! touch {}",
        b"system touch {}",
        b"tee {}",
        b"LOAD DATA LOCAL INFILE '/etc/passwd' INTO TABLE large;",
        b"SELECT 1 INTO OUTFILE '{}';",
        b"source /etc/passwd",
    ],
)
def test_client_commands_in_a_dump_are_not_obeyed(
    target: RestoredMySQL, loaded_apart: list[TablePlan], command: bytes
) -> None:
    """Before, between and inside the rows of a large table a client command does nothing."""
    line = command.replace(b"{}", b"/tmp/obeyed") + b"\n"
    one, two = (b"INSERT INTO `large` VALUES (%d,'%s');\n" % (n, b"x") for n in (1, 2))
    within = b"INSERT INTO `large` VALUES (3,'\n" + line.replace(b"'", b"''") + b"');\n"
    for dump in (line + HEAD, HEAD + LARGE + one + line + two, HEAD + LARGE + one + within + two):
        _emptied(target)
        with suppress(RestoreFailed):
            _load(target, dump)
    loaded = rows(target.connection, "SELECT a FROM app.large ORDER BY a")

    assert loaded == [(1,), (2,), (3,)]
    assert target.sandbox.run(["test", "-e", "/tmp/obeyed"]).exit_code != 0


def test_triggers_and_views_come_after_the_rows(
    target: RestoredMySQL, loaded_apart: list[TablePlan]
) -> None:
    """A trigger that follows the rows sees none of them; a routine between sees them all."""
    dump = (
        HEAD
        + LARGE
        + b"".join(b"INSERT INTO `large` VALUES (%d,'x');\n" % number for number in range(3000))
    )
    dump += b"CREATE TABLE `seen` (n int);\n"
    dump += b"CREATE VIEW `all` AS SELECT COUNT(*) AS n FROM `large`;\n"
    dump += b"INSERT INTO `seen` SELECT n FROM `all`;\n"
    dump += b"CREATE TRIGGER `no` BEFORE INSERT ON `large` FOR EACH ROW SET NEW.a = 0;\n"

    _load(target, dump)

    assert rows(target.connection, "SELECT n FROM app.seen") == [(3000,)]
    assert value(target.connection, "SELECT COUNT(*) FROM app.large") == 3000
    assert [str(plan) for plan in loaded_apart] == ["app.large"]
