"""What is told of a server's log, of MySQL's and of MariaDB's form."""

from restoreproof.engines.mysql_sandbox import ERROR

LOG = """\
2026-11-23T12:00:00.123456Z 0 [System] [MY-010116] [Server] mysqld starting as process 1
2026-11-23T12:00:01.000001Z 7 [ERROR] [MY-011906] [InnoDB] Database page corruption on disk
InnoDB: Page dump in ascii and hex (16384 bytes):
 len 16384; hex 616461; asc ada@example.org [ERROR] secret row;
2026-11-23 12:00:02 0 [ERROR] InnoDB: Your database may be corrupt
2026-11-23  9:00:02 0 [ERROR] Aborting
"""


def test_only_errors_of_the_log_itself_are_told() -> None:
    """Rows in the dump of a damaged page are no errors, whatever stands in them."""
    assert [(one["code"], one["words"]) for one in ERROR.finditer(LOG)] == [
        ("011906", "[InnoDB] Database page corruption on disk"),
        (None, "InnoDB: Your database may be corrupt"),
        (None, "Aborting"),
    ]
