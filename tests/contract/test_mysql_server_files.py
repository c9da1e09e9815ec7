"""Configuration and logs of a MySQL server: backed up while it writes, restored and asked about."""

import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from secrets import token_hex
from typing import Any

import pymysql
import pytest
from background import meanwhile
from sources import PASSWORD, SECRET, provider

from restoreproof import engines
from restoreproof.clock import system_clock
from restoreproof.damage import VaultCopy
from restoreproof.damage_content import drop_last_lines, replace_in_file
from restoreproof.demo.mysql import Container
from restoreproof.demo.servers import address, publish
from restoreproof.engines.contract import SourceContext
from restoreproof.engines.file_archive import unpack
from restoreproof.engines.mysql_connection import rows
from restoreproof.engines.mysql_restored import RestoredMySQL
from restoreproof.engines.mysql_source import MySQLSource
from restoreproof.engines.stored_configuration import FOLDER
from restoreproof.errors import SourceUnavailable
from restoreproof.images import Image, ensure
from restoreproof.jobs import run_job
from restoreproof.restore import RestoreAttempt, restoring, select
from restoreproof.sandbox import Sandboxes
from restoreproof.vault import StoredBackup, Vault

ALL = frozenset({"data", "configuration", "logs"})
PLANTED = f"planted-{token_hex(8)}"
"""A secret in an option file."""
FILES = {
    "/etc/mysql/my.cnf": f"""\
[client]
password = {PLANTED}
[mysqld]
!includedir /etc/mysql/conf.d/
!include /etc/mysql/not-there.cnf
user = somebody-else
tmpdir = /not/here
""",
    "/etc/mysql/conf.d/a.cnf": "[mysqld]\nmax_connections = 50\n!include /srv/linked.cnf\n",
    "/etc/mysql/conf.d/notes.txt": "no_such_option, but nobody reads it\n",
    "/srv/real.cnf": "[mysqld]\nslow_query_log = ON\nlong_query_time = 0\n",
}
LOGGING = (
    "SET GLOBAL general_log_file = '/var/lib/mysql/general.log'",
    "SET GLOBAL slow_query_log_file = '/var/lib/mysql/slow.log'",
    "SET GLOBAL long_query_time = 0",
    "SET GLOBAL general_log = ON, GLOBAL slow_query_log = ON",
)


class Server:
    """A source whose files can be read in its container."""

    def __init__(self, container: Container, image: Image, place: Path) -> None:
        self.container = container.get_wrapped_container()
        self.image = image
        self.place = place
        self.host, self.port = address(container, 3306)
        self.password = container.password
        self.root = self.connect()
        self.sandboxes = Sandboxes(f"files-{token_hex(4)}")

    def connect(self) -> Any:
        """A connection of the administrator."""
        return pymysql.connect(
            host=self.host, port=self.port, user="root", password=self.password, autocommit=True
        )

    def inside(self, script: str) -> bytes:
        """The output of a script in the server's container."""
        done = self.container.exec_run(["sh", "-c", script])
        assert done.exit_code == 0, done.output
        return bytes(done.output)

    def context(
        self, coverage: frozenset[str] = ALL, user: str = "root", **source: Any
    ) -> SourceContext:
        """What a job is handed."""
        place = {"container": self.container.name}
        places = {"configuration": place, "logs": place} if not source else {}
        known = {"host": self.host, "port": self.port, "user": user,
                 "password": f"${{{PASSWORD}}}"}  # fmt: skip
        return SourceContext(
            component="server",
            source=MySQLSource.model_validate({**known, **places, **source}),
            image=self.image,
            folder=self.place,
            sandboxes=self.sandboxes,
            clock=system_clock,
            coverage=coverage,
        )

    def back_up(self, context: SourceContext) -> tuple[Vault, StoredBackup]:
        """A job that has to succeed, in a vault of its own."""
        vault = Vault(str(self.place / token_hex(4)))
        vault.prepare()
        result = run_job(engines.load("mysql"), context, vault, "t", None)
        assert result.backup is not None, result.problem
        return vault, result.backup

    @contextmanager
    def restored(self, backup: StoredBackup) -> Iterator[tuple[RestoreAttempt, RestoredMySQL]]:
        """Restore a backup as an audit does."""
        (target,) = select("server", (backup,), "newest")
        engine, source = engines.load("mysql"), self.context().source
        with restoring(target, engine, source, self.image, self.sandboxes, system_clock) as attempt:
            assert isinstance(attempt.restored, RestoredMySQL), attempt.failure
            yield attempt, attempt.restored


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A running server with option files, persisted variables and all its logs on."""
    image = ensure("restoreproof/mysql:9.7", print)
    provider("mysql")
    container = Container(image.reference, username="root", password=SECRET, dbname="app")
    publish(container, (3306,), Sandboxes("contract").labels("source"))
    with container:
        made = Server(container, image, tmp_path_factory.mktemp("server"))
        rows(made.root, "CREATE TABLE app.orders (id INT PRIMARY KEY AUTO_INCREMENT)")
        for path, text in FILES.items():
            made.inside(f"mkdir -p $(dirname {path}) && cat > {path} <<'END'\n{text}END")
        made.inside("ln -sf real.cnf /srv/linked.cnf")
        rows(made.root, "SET PERSIST max_allowed_packet = 33554432")
        rows(made.root, "SET PERSIST init_connect = 'SET @a = \"x#\\\\\\\\y\"'")
        for statement in LOGGING:
            rows(made.root, statement)
        yield made
        made.root.close()


@pytest.fixture(scope="module")
def stored(server: Server) -> tuple[Vault, StoredBackup]:
    """A backup that was made while the server wrote its logs."""

    def work(stop: threading.Event) -> None:
        with closing(server.connect()) as connection:
            while not stop.is_set():
                rows(connection, "INSERT INTO app.orders VALUES (NULL)")
                time.sleep(0.001)

    with meanwhile(work):
        return server.back_up(server.context())


@pytest.fixture(scope="module")
def attempt(
    server: Server, stored: tuple[Vault, StoredBackup]
) -> Iterator[tuple[RestoreAttempt, RestoredMySQL]]:
    """That backup, restored once for all tests that only look."""
    with server.restored(stored[1]) as done:
        yield done


def test_everything_comes_back_as_it_was_stored(
    attempt: tuple[RestoreAttempt, RestoredMySQL],
) -> None:
    """Option files with what they include, variables and logs; a growing log is no alarm."""
    done, _ = attempt
    assert done.manifest is not None
    names = {(item.kind, item.name) for item in done.manifest.fingerprint.items}

    assert done.comparison.equal, done.comparison.differences
    files = {name for kind, name in names if kind == "configuration file"}
    assert files == {
        "/etc/mysql/my.cnf", "/etc/mysql/conf.d/a.cnf", "/srv/linked.cnf",
        "global-variables.json", "plugins.json", "persisted-variables.cnf",
    }  # fmt: skip
    logs = {name for kind, name in names if kind == "log"}
    assert logs == {"error-log.jsonl", "/var/lib/mysql/general.log", "/var/lib/mysql/slow.log"}
    assert done.manifest.facts["server_logs_missing"] == ""


def test_restored_configuration_is_accepted(attempt: tuple[RestoreAttempt, RestoredMySQL]) -> None:
    """mysqld takes the files, though a folder and an account that they name are not here."""
    found = attempt[1].check_configuration()

    assert found.complaints == ()
    assert found.examined == 4


def test_restored_logs_reach_up_to_the_backup(
    attempt: tuple[RestoreAttempt, RestoredMySQL],
) -> None:
    """The newest entry of the error log is the newest that the server had written."""
    found = attempt[1].check_logs()

    assert found.examined == 3
    assert found.written is not None
    assert found.reaches


def test_no_value_leaves_the_vault(
    stored: tuple[Vault, StoredBackup], attempt: tuple[RestoreAttempt, RestoredMySQL]
) -> None:
    """A password in an option file is in the artifact, and neither in manifest nor in answers."""
    vault, backup = stored
    (artifact,) = (a for a in backup.manifest().artifacts if a.name.startswith("configuration"))
    shown = (backup.folder / "manifest.json").read_text() + str(attempt[1].check_configuration())

    assert PLANTED in b"".join(backup.read(artifact)).decode("latin-1")
    assert PLANTED not in shown + vault.catalog.path.read_text()


@pytest.mark.parametrize(
    ("file", "old", "new", "complaint"),
    [
        ("files/etc/mysql/conf.d/a.cnf", b"max_connections = 50", b"no_such_option = hunter2",
         "unknown variable 'no_such_option=…'"),
        ("files/srv/linked.cnf", b"long_query_time = 0", b"sql_mode = HUNTER2",
         "Error while setting value '…' to 'sql_mode'"),
        ("persisted-variables.cnf", b'max_allowed_packet="', b'max_allowed_packet="hunter2',
         "Error while setting value '…' to 'max_allowed_packet'"),
        ("files/etc/mysql/my.cnf", b"/etc/mysql/conf.d/", b"/etc/mysql/gone.d/",
         "/etc/mysql/my.cnf includes /etc/mysql/gone.d, which did not come back"),
    ],
)  # fmt: skip
def test_configuration_that_no_server_takes_is_seen(
    server: Server,
    attempt: tuple[RestoreAttempt, RestoredMySQL],
    stored: tuple[Vault, StoredBackup],
    file: str,
    old: bytes,
    new: bytes,
    complaint: str,
) -> None:
    """An unknown option or a wrong value, in whichever file, is told without the value."""
    _, restored = attempt
    backup = stored[1]
    (artifact,) = (a for a in backup.manifest().artifacts if a.name.startswith("configuration"))
    damaged = replace_in_file(file, old, new)(b"".join(backup.read(artifact)))
    undamaged = b"".join(backup.read(artifact))
    try:
        unpack(restored.sandbox, FOLDER, iter([damaged]))
        found = restored.check_configuration()
        assert [one for one in found.complaints if complaint in one], found.complaints
        assert "hunter2" not in str(found).lower()
    finally:
        unpack(restored.sandbox, FOLDER, iter([undamaged]))


def test_damaged_files_are_differences(
    server: Server, stored: tuple[Vault, StoredBackup], tmp_path: Path
) -> None:
    """A changed option file and a log without its end do not come back as they were."""
    copy = VaultCopy.of(stored[0].root, tmp_path / "copy")
    backup = copy.newest("server")
    change = replace_in_file("files/etc/mysql/my.cnf", b"[mysqld]", b"[mysqlx]")
    copy.rewrite(backup, "configuration.tar.zst", change)
    copy.rewrite(copy.newest("server"), "error-log.jsonl.zst", drop_last_lines(3))

    with server.restored(copy.newest("server")) as (done, restored):
        differences = [str(one) for one in done.comparison.differences]
        found = restored.check_logs()

    assert [one.partition(" (")[0] for one in differences] == [
        "configuration file /etc/mysql/my.cnf: other content",
        "log error-log.jsonl: another count",
    ]
    assert not found.reaches


def test_files_below_a_folder_are_the_same(
    server: Server, stored: tuple[Vault, StoredBackup], tmp_path: Path
) -> None:
    """Below a folder that the server takes for /, links are followed to places below it."""
    root = tmp_path / "root"
    for path, text in FILES.items():
        place = root / path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
    (root / "srv" / "linked.cnf").symlink_to("/srv/real.cnf")
    context = server.context(
        frozenset({"data", "configuration"}), configuration={"folder": str(root)}
    )

    _, backup = server.back_up(context)

    expected = {item.key: item.digest for item in stored[1].manifest().fingerprint.items}
    seen = {item.key: item.digest for item in backup.manifest().fingerprint.items}
    for key, digest in seen.items():
        if key[0] == "configuration file" and key[1].startswith("/"):
            assert expected[key] == digest, key
    assert ("configuration file", "/srv/linked.cnf") in seen
    assert not [key for key in seen if key[0] == "log"]


def test_logs_without_a_place_are_named(server: Server) -> None:
    """Where no place is given, what SQL shows is taken, and what it does not show is named."""
    context = server.context(frozenset({"data", "logs"}), accounts=True)

    _, backup = server.back_up(context)

    missing = backup.manifest().facts["server_logs_missing"]
    assert "slow log: it goes to /var/lib/mysql/slow.log" in missing
    assert "general log: it goes to /var/lib/mysql/general.log" in missing
    assert "error log" not in missing
    assert "give source.logs" in missing


def test_log_that_is_a_device_is_named(server: Server) -> None:
    """A log that leads to a device holds nothing to read: it is missing, not empty."""
    server.inside("cd /var/lib/mysql && mv general.log kept && ln -s /dev/stderr general.log")
    try:
        _, backup = server.back_up(server.context(frozenset({"data", "logs"})))
    finally:
        server.inside("cd /var/lib/mysql && mv kept general.log")

    missing = backup.manifest().facts["server_logs_missing"]
    assert missing.startswith("general log: /var/lib/mysql/general.log is"), missing
    assert "slow log" not in missing


def test_logs_in_tables_need_no_place(server: Server) -> None:
    """With log_output = TABLE all logs are had by SQL, and come back."""
    rows(server.root, "SET GLOBAL log_output = 'TABLE'")
    try:
        rows(server.root, "SELECT '\U0001f9e8', X'FF00'")
        _, backup = server.back_up(server.context(frozenset({"data", "logs"}), accounts=True))
    finally:
        rows(server.root, "SET GLOBAL log_output = 'FILE'")
    with server.restored(backup) as (done, restored):
        assert done.comparison.equal, done.comparison.differences
        assert restored.check_logs().examined == 3
    assert backup.manifest().facts["server_logs_missing"] == ""


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ({"configuration": {"container": "no-such-container"}}, "no container no-such-container"),
        ({"configuration": {"folder": "/no/such/folder"}}, "no folder /no/such/folder"),
        ({"configuration": {"container": "SELF", "files": ["/etc/none.cnf"]}}, "no /etc/none.cnf"),
        ({"configuration": {"container": "SELF", "files": ["/etc/mysql"]}}, "no option file"),
        ({"logs": {"container": "SELF", "files": ["/var/log/none.log"]}}, "no /var/log/none.log"),
    ],
)
def test_place_that_is_wrong_is_refused_before_the_job(
    server: Server, source: dict[str, Any], words: str
) -> None:
    """A container, folder or file that is not there is the user's mistake: one line, a mend."""
    for place in source.values():
        if place.get("container") == "SELF":
            place["container"] = server.container.name

    with pytest.raises(SourceUnavailable) as caught:
        engines.load("mysql").probe(server.context(**source))

    assert words in str(caught.value)
    assert caught.value.mend
    assert "\n" not in str(caught.value)


def test_missing_privilege_is_refused_before_the_job(server: Server) -> None:
    """A user that may not read the logs is told so, and what to grant."""
    rows(server.root, "CREATE USER IF NOT EXISTS narrow@`%%` IDENTIFIED BY %s", (SECRET,))
    rows(
        server.root,
        "GRANT RELOAD, REPLICATION CLIENT, SHOW_ROUTINE ON *.* TO narrow@`%`",
    )
    rows(server.root, "GRANT SELECT, SHOW VIEW, TRIGGER, EVENT ON app.* TO narrow@`%`")
    context = server.context(
        frozenset({"data", "logs"}), user="narrow", databases=["app"], accounts=False
    )

    with pytest.raises(SourceUnavailable, match="error_log") as caught:
        engines.load("mysql").probe(context)

    assert "grant it SELECT on performance_schema" in caught.value.mend


def test_nothing_more_than_the_policy_covers_is_stored(server: Server) -> None:
    """Without configuration and logs in the coverage neither is read, place or not."""
    _, backup = server.back_up(replace(server.context(), coverage=frozenset({"data"})))

    names = {artifact.name for artifact in backup.manifest().artifacts}
    assert not {name for name in names if "log" in name or "configuration" in name}
