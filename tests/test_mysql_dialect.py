"""The table of dialects: which entry a server gets, and who may take over from whom."""

import pytest

from restoreproof.engines.mysql_dialect import (
    DIALECTS,
    MARIADB_10_11,
    MARIADB_11_3,
    MYSQL_8_0,
    MYSQL_8_0_26,
    MYSQL_8_2,
    Dialect,
    UnknownSeries,
    dialect,
    name,
    unfit,
)


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ("8.0.11", MYSQL_8_0),
        ("8.0.25-0ubuntu0.20.04.1", MYSQL_8_0),
        ("8.0.26", MYSQL_8_0_26),
        ("8.0.36-28", MYSQL_8_0_26),
        ("8.1.0", MYSQL_8_0_26),
        ("8.4.3", MYSQL_8_2),
        ("9.7.0-2", MYSQL_8_2),
        ("10.11.18-MariaDB-0+deb12u1-log", MARIADB_10_11),
        ("5.5.5-10.11.6-MariaDB", MARIADB_10_11),
        ("11.2.2-MariaDB-1:11.2.2+maria~ubu2204", MARIADB_10_11),
        ("11.8.6-MariaDB-0+deb13u1", MARIADB_11_3),
        ("12.0.1-MariaDB", MARIADB_11_3),
    ],
)
def test_a_server_gets_the_newest_entry_that_holds_for_it(version: str, expected: Dialect) -> None:
    """The family is told by the server's words, the entry by its version."""
    assert dialect(version) == expected


@pytest.mark.parametrize(
    ("version", "words"),
    [
        ("5.7.44-log", "MySQL 5.7.44"),
        ("10.6.16-MariaDB", "MariaDB 10.6.16"),
        ("unknown", "'unknown'"),
    ],
)
def test_what_no_entry_describes_is_named(version: str, words: str) -> None:
    """An older series, and what is no version, are refused by name."""
    with pytest.raises(UnknownSeries, match=words):
        dialect(version)


def test_the_table_is_in_order() -> None:
    """The last entry that fits is the newest, so entries of a family stand in order."""
    for family in ("MySQL", "MariaDB"):
        since = [one.since for one in DIALECTS if one.family == family]
        assert since == sorted(since)
        assert len(since) > 1


@pytest.mark.parametrize(
    ("source", "target", "reason"),
    [
        ("8.0.36", "8.0.20", ""),
        ("8.0.36", "8.4.3", ""),
        ("10.11.18-MariaDB", "11.8.6-MariaDB", ""),
        ("9.7.0", "8.4.3", "MySQL 8.4.3 is older than MySQL 9.7.0, of which the backup is"),
        ("8.4.0", "8.0.36", "MySQL 8.0.36 is older than MySQL 8.4.0, of which the backup is"),
        (
            "11.8.6-MariaDB",
            "10.11.18-MariaDB",
            "MariaDB 10.11.18 is older than MariaDB 11.8.6, of which the backup is",
        ),
        ("10.11.18-MariaDB", "9.7.0", "MySQL 9.7.0 does not take a backup of MariaDB 10.11.18"),
        ("8.4.0", "10.11.18-MariaDB", "MariaDB 10.11.18 does not take a backup of MySQL 8.4.0"),
    ],
)
def test_a_later_series_of_the_family_takes_over(source: str, target: str, reason: str) -> None:
    """Neither an older series nor another family may stand in for the source's own."""
    assert unfit(source, target) == reason


def test_a_server_is_named_without_its_packager() -> None:
    """What a reader has to know of a version, and no more."""
    assert name("10.11.18-MariaDB-0+deb12u1-log") == "MariaDB 10.11.18"
    assert name("9.7.0-2") == "MySQL 9.7.0"
