"""A MySQL server with everything in it that dumps have been known to lose."""

import secrets
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pymysql
from mysql_torture import (
    BINARY,
    MYSQL,
    STATEMENTS,
    STRANGE,
    WIDE_BYTES,
    in_every_collation,
)
from pymysql.connections import Connection
from sources import PASSWORD, SECRET, WRONG_PASSWORD, Fault, Source

from restoreproof import damage_content as faults
from restoreproof import images
from restoreproof.demo.mysql import Container, statements
from restoreproof.demo.servers import address, publish
from restoreproof.engines.contract import Restored
from restoreproof.engines.mysql_connection import rows, value
from restoreproof.engines.mysql_restored import RestoredMySQL
from restoreproof.engines.mysql_source import MySQLSource
from restoreproof.engines.mysql_tables import REMARKS
from restoreproof.resources import folder
from restoreproof.sandbox import Sandboxes

FILES = folder("fixtures") / "agama" / "mysql"


class MySQLTorture(Source):
    """The running server."""

    engine = "mysql"
    artifact = "dump.sql.zst"
    faults = (
        Fault(
            "a row, a NULL, an object of each kind",
            (
                faults.drop_row("numbers"),
                faults.null_to_empty("texts"),
                faults.replace_in_rows("instants", b"'2024-02-29'", b"'2024-02-28'"),
                faults.drop_object("TRIGGER", "before; insert"),
                faults.drop_object("PROCEDURE", "do_nothing"),
                faults.drop_object("FUNCTION", "one_more"),
                faults.drop_object("EVENT", "never"),
                faults.drop_view("both"),
                faults.replace_in_rows("letters_00", b"'A'", b"'a'"),
                faults.drop_table("no_key"),
            ),
            (
                "table torture.numbers: another count",
                "table torture.texts: other content",
                "table torture.instants: other content",
                "trigger torture.before; insert: is missing",
                "procedure torture.do_nothing: is missing",
                "function torture.one_more: is missing",
                "event torture.never: is missing",
                "view torture.both: is missing",
                "table torture.letters_00: other content",
                "table torture.no_key: is missing",
            ),
        ),
        Fault(
            "cut at a statement boundary",
            (faults.cut_at_statement("parts"),),
            ("table torture.parts: is missing", f"database {STRANGE}: is missing"),
        ),
        Fault("cut inside a statement", (lambda dump: dump[: len(dump) // 2],), refused="ERROR"),
    )
    own: tuple[str, ...] = MYSQL
    user_file = "backup-user.sql"
    collation = "collation_name"
    position = "@@GLOBAL.gtid_executed"
    accounts = "SELECT user, host, account_locked FROM mysql.user"

    def __init__(self, container: Container, image: images.Image) -> None:
        self.image = image
        self.host, self.port = address(container, 3306)
        self.root = pymysql.connect(
            host=self.host,
            port=self.port,
            user="root",
            password=container.password,
            charset="utf8mb4",
            autocommit=True,
            max_allowed_packet=64 * 1024**2,
        )

    def fill(self) -> None:
        """Make the databases and the user that backs up."""
        for statement in (*STATEMENTS, *self.own):
            rows(self.root, statement)
        known = rows(
            self.root,
            f"SELECT character_set_name, {self.collation}"
            " FROM information_schema.collation_character_set_applicability"
            " WHERE character_set_name <> 'filename' ORDER BY 1, 2",
        )
        assert len(known) > 200
        for statement in in_every_collation([(str(a), str(b)) for a, b in known]):
            rows(self.root, statement)
        rows(self.root, "INSERT INTO torture.binaries (b) VALUES (%s)", (BINARY,))
        wide = "INSERT INTO torture.wide (t) VALUES (REPEAT('\U0001f9e8 щ ', %s))"
        rows(self.root, wide, (WIDE_BYTES // 8,))
        for statement in statements((FILES / self.user_file).read_text(encoding="utf-8")):
            rows(self.root, statement)
        alter = "ALTER USER 'backup'@'%%' IDENTIFIED BY %s ACCOUNT UNLOCK"
        rows(self.root, alter, (SECRET,))

    @property
    def good(self) -> MySQLSource:
        return self._source(databases=("torture", STRANGE))

    @property
    def empty(self) -> MySQLSource:
        return self._source(databases=("nothing in it",))

    @property
    def lossy(self) -> tuple[MySQLSource, str]:
        named = f"table lossy.numbers: other content: column `f` ({REMARKS['float']})"
        return self._source(databases=("lossy",)), named

    @property
    def refused(self) -> Mapping[str, MySQLSource]:
        return {
            "nobody at the port": self._source(port=1),
            "wrong password": self._source(password=f"${{{WRONG_PASSWORD}}}"),
            "unknown user": self._source(user="nobody"),
            "no such database": self._source(databases=("torture", "never made")),
        }

    def state(self) -> object:
        tables = rows(
            self.root,
            "SELECT table_schema, table_name FROM information_schema.tables"
            " WHERE table_type IN ('BASE TABLE', 'SYSTEM VERSIONED') AND table_schema NOT IN"
            " ('mysql', 'sys', 'performance_schema', 'information_schema')",
        )
        names = ", ".join(f"`{a.replace('`', '``')}`.`{b.replace('`', '``')}`" for a, b in tables)
        return (
            value(self.root, f"SELECT {self.position}"),
            rows(self.root, f"CHECKSUM TABLE {names}"),
            rows(self.root, self.accounts),
            rows(self.root, "SHOW DATABASES"),
        )

    def work(self, number: int) -> None:
        with closing(self._application()) as connection:
            for statement in (
                f"INSERT INTO torture.busy (n) VALUES ({number})",
                f"UPDATE torture.busy SET n = n + 1 WHERE id % 7 = {number % 7}",
                f"DELETE FROM torture.busy WHERE id % 11 = {number % 11} LIMIT 1",
            ):
                rows(connection, statement)

    def tamper(self, restored: Restored) -> str:
        assert isinstance(restored, RestoredMySQL)
        rows(restored.connection, "DELETE FROM torture.no_key LIMIT 1")
        return "table torture.no_key: another count"

    def _application(self) -> "Connection[Any]":
        return pymysql.connect(
            host=self.host,
            port=self.port,
            user="application",
            password="application",
            autocommit=True,
        )

    def _source(self, **other: Any) -> MySQLSource:
        known = {
            "host": self.host,
            "port": self.port,
            "user": "backup",
            "password": f"${{{PASSWORD}}}",
        }
        return MySQLSource.model_validate(known | other)


@contextmanager
def source(_place: Path) -> Iterator[Source]:
    """Start the server and fill it."""
    image = images.ensure("restoreproof/mysql:9.7", lambda _: None)
    container = Container(
        image.reference, username="root", password=secrets.token_hex(8), dbname="torture"
    )
    container.with_copy_into_container(FILES / "agama.cnf", "/etc/mysql/conf.d/agama.cnf")
    publish(container, (3306,), Sandboxes("contract").labels("source"))
    with container:
        torture = MySQLTorture(container, image)
        torture.fill()
        yield torture
        torture.root.close()
