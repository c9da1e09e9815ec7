"""Which backups an audit restores."""

from pathlib import Path

from audits import SEED, components

from restoreproof.restore import select


def test_all_backups_are_chosen_the_newest_first(tmp_path: Path) -> None:
    """With `all`, every backup is a target, and exactly the newest is marked so."""
    (playbooks, _), _ = components(tmp_path, {"playbooks": 3}, "all")

    assert [(target.backup.id, target.newest) for target in playbooks.targets] == [
        ("playbooks-1", True),
        ("playbooks-2", False),
        ("playbooks-3", False),
    ]
    assert {target.component for target in playbooks.targets} == {"playbooks"}


def test_newest_backup_is_chosen_with_an_older_chain(tmp_path: Path) -> None:
    """With `newest`, the others are known, and of them one that ends a chain is drawn."""
    (playbooks, _), _ = components(tmp_path, {"playbooks": 3}, "newest")

    newest, drawn, *oldest = playbooks.targets
    assert newest.backup.id == "playbooks-1"
    assert drawn.backup.id in {"playbooks-2", "playbooks-3"}
    assert drawn.reason == f"drawn from the older chains with seed {SEED}"
    assert len(playbooks.backups) == 3
    assert "playbooks-3" in {one.backup.id for one in (drawn, *oldest)}
    again = [select("playbooks", playbooks.backups, "newest", seed) for seed in range(20)]
    assert {targets[1].backup.id for targets in again} == {"playbooks-2", "playbooks-3"}


def test_oldest_is_chosen_where_it_has_to_be_kept(tmp_path: Path) -> None:
    """With a retention the oldest comes too, and what is known to come back is drawn last."""
    (playbooks, _), _ = components(tmp_path, {"playbooks": 4}, "newest")
    known = frozenset({"playbooks-4", "playbooks-3"})
    for seed in range(10):
        _, drawn, oldest = select(
            "playbooks", playbooks.backups, "newest", seed, oldest=True, known=known
        )
        assert drawn.backup.id == "playbooks-2"
        assert oldest.backup.id == "playbooks-4"
        assert oldest.reason == "the oldest that is kept"


def test_no_backup_gives_no_target() -> None:
    """From nothing nothing is chosen, in either way."""
    assert select("wiki", (), "all", SEED) == ()
    assert select("wiki", (), "newest", SEED) == ()


def test_choice_says_why(tmp_path: Path) -> None:
    """The report tells why a backup was restored."""
    (playbooks, _), _ = components(tmp_path, {"playbooks": 2}, "all")

    assert [target.reason for target in playbooks.targets] == [
        "the newest",
        "every backup is restored",
    ]


def test_newest_is_the_one_with_the_newest_recovery_point(tmp_path: Path) -> None:
    """Not the one that was stored last: a late copy of an old backup is still old."""
    (playbooks, _), vault = components(tmp_path, {"playbooks": 2}, "newest")
    entries = vault.catalog.entries()

    assert entries[-1].backup == "playbooks-1"
    assert playbooks.targets[0].backup.entry.recovery_point == max(
        entry.recovery_point for entry in entries
    )
