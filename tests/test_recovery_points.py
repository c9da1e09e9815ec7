"""Which recovery point a user's words name."""

from datetime import timedelta
from pathlib import Path

import pytest
from vaults import NOW, open_vault, store

from restoreproof import engines
from restoreproof.errors import UserError
from restoreproof.recovery_points import find
from restoreproof.restore import Target
from restoreproof.vault import StoredBackup

HOUR = timedelta(hours=1)


@pytest.fixture
def backups(tmp_path: Path) -> tuple[StoredBackup, ...]:
    """Three full backups, an hour apart."""
    vault = open_vault(tmp_path)
    for number in range(3):
        point = NOW + number * HOUR
        store(vault, f"playbooks-{number}", engine="git", recovery_point=point)
    return vault.backups("playbooks")


def found(backups: tuple[StoredBackup, ...], wanted: str | None) -> Target:
    return find("playbooks", backups, engines.load("git"), wanted)


def refused(backups: tuple[StoredBackup, ...], wanted: str | None) -> str:
    with pytest.raises(UserError) as error:
        found(backups, wanted)
    return str(error.value)


def test_newest_is_meant_where_nothing_is_said(backups: tuple[StoredBackup, ...]) -> None:
    """The newest recovery point, marked so, and the chain can be found from it."""
    target = found(backups, None)

    assert target.backup.id == "playbooks-2"
    assert target.newest
    assert target.population == backups


def test_backup_is_found_by_name_and_by_its_own_instant(backups: tuple[StoredBackup, ...]) -> None:
    """As --list shows them both, in any zone."""
    instant = (NOW + HOUR).isoformat()
    for wanted in ("playbooks-1", instant, instant.replace("17:10", "19:10").replace("+00", "+02")):
        target = found(backups, wanted)
        assert (target.backup.id, target.until, target.newest) == ("playbooks-1", None, False)


def test_instant_without_a_zone_is_refused(backups: tuple[StoredBackup, ...]) -> None:
    """Nobody has to guess at night which zone was meant."""
    assert "names no time zone -- write 2026-07-06T16:30Z" in refused(backups, "2026-07-06T16:30")
    assert "as in 2026-07-06T03:00:00Z" in refused(backups, "2026-07-06")


def test_instant_that_nothing_holds_is_refused(backups: tuple[StoredBackup, ...]) -> None:
    """Before the oldest, after the newest, and between two: never the nearest in silence."""
    early = refused(backups, (NOW - HOUR).isoformat())
    late = refused(backups, (NOW + 3 * HOUR).isoformat())
    between = refused(backups, (NOW + HOUR / 2).isoformat())

    assert "the oldest recovery point is later" in early
    assert "playbooks-0" in early
    assert "the newest recovery point is earlier -- leave --to out" in late
    assert "no increment holds" in between
    assert "the one before (playbooks-0, " in between
    assert "the one after (playbooks-1, " in between


def test_other_words_are_refused(backups: tuple[StoredBackup, ...]) -> None:
    """What is no name, instant or position, and a vault without a backup."""
    assert "yesterday names no recovery point" in refused(backups, "yesterday")
    assert "the vault holds no backup -- take one" in refused((), None)
