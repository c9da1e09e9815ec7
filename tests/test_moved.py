"""A backup of another server than the one before is told of."""

from datetime import timedelta
from pathlib import Path

from vaults import NOW, open_vault, replace, store

from restoreproof.jobs import moved


def test_every_change_of_the_server_is_noted(tmp_path: Path) -> None:
    """There and back are two notes; a backup that is damaged says nothing."""
    vault = open_vault(tmp_path)
    for number, server in enumerate(("one", "one", "two", "one", "one")):
        point = NOW + timedelta(hours=number)
        store(vault, f"mysql-{number}", source_identity=server, recovery_point=point)
    backups = vault.backups("mysql")

    assert moved(backups) == (
        "mysql-2 was taken from another server than mysql-1",
        "mysql-3 was taken from another server than mysql-2",
    )
    assert moved(()) == ()
    replace(backups[2].folder / "manifest.json", b"{}")
    assert moved(backups) == ()
