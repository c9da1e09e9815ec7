"""A MariaDB server with what MySQL's has in it, and with what only MariaDB knows."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mysql_source import MySQLTorture
from mysql_torture import MARIADB
from sources import Fault, Source

from restoreproof import damage_content as faults
from restoreproof import images
from restoreproof.damage import Change
from restoreproof.demo.mysql import Container
from restoreproof.demo.servers import publish
from restoreproof.sandbox import Sandboxes

IMAGE = "restoreproof/mariadb:10.11"
# The end of time, before MariaDB 11.5 and since: what is so far is present.
ENDS = (b"2038-01-19 03:14:07.999999", b"2106-02-07 06:28:15.999999")


def _all_past(table: str) -> Change:
    def change(dump: bytes) -> bytes:
        for end in ENDS:
            dump = faults.replace_in_rows(table, end, b"2037-12-31 00:00:00.000000")(dump)
        return dump

    return change


class MariaDBTorture(MySQLTorture):
    """The running server."""

    faults = (
        *MySQLTorture.faults,
        Fault(
            "a past row, present ones, a sequence, the state of one, and a package's body",
            (
                faults.replace_in_rows("remembered", b"'one'", b"'won'"),
                _all_past("own_period"),
                faults.drop_sequence("untouched"),
                faults.reset_sequence("up; wards"),
                lambda dump: dump.replace(b"RETURN 1; END", b"RETURN 2; END", 1),
            ),
            (
                "table torture.remembered: other content",
                "current rows torture.own_period: another count",
                "sequence torture.untouched: is missing",
                "sequence position torture.up; wards: fewer",
                "package body torture.tools: other content",
            ),
        ),
    )
    own = MARIADB
    user_file = "backup-user-mariadb.sql"
    collation = "full_collation_name"
    position = "@@GLOBAL.gtid_binlog_pos"
    accounts = "SELECT * FROM mysql.global_priv"


@contextmanager
def source(_place: Path, reference: str = IMAGE) -> Iterator[Source]:
    """Start the server and fill it."""
    image = images.ensure(reference, lambda _: None)
    container = Container(
        image.reference, username="root", password=secrets.token_hex(8), dbname="torture"
    )
    container.with_command(["--log-bin=binlog", "--server-id=1", "--max-allowed-packet=64M"])
    publish(container, (3306,), Sandboxes("contract").labels("source"))
    with container:
        torture = MariaDBTorture(container, image)
        torture.fill()
        yield torture
        torture.root.close()
