"""What vault, catalog and earlier runs say: deletions, restore tests, turns of checks."""

import shutil
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from histories import DAY, HOUR, history, planned
from sample_records import attempt, backup, policy, run
from samples import agama, seal
from vaults import open_vault, store

from restoreproof.archive import DIED, ESTATE, new_run_id
from restoreproof.earlier_runs import EarlierRuns, read_earlier_runs
from restoreproof.evidence import Evidence
from restoreproof.integrity import last_checks, share
from restoreproof.policy import Retention
from restoreproof.run_history import RunHistory
from restoreproof.standing import Standing
from restoreproof.vault import Vault

MONTH = timedelta(days=31)
NOW = datetime.fromisoformat("2026-11-02T12:00:00Z")
NOTHING_SPECIAL = Evidence.model_validate(
    agama(days=1).document() | {"attempts": [], "backups": [], "checks": []}
)


def earlier(at: datetime, *restored: str, checked: Sequence[str] = ()) -> Evidence:
    """A run that restored these backups of the component database, and checked those."""
    known = backup("mysql", 0, selected=True, reason="")
    return seal(
        NOTHING_SPECIAL,
        run=run().model_copy(update={"id": new_run_id(at), "started_at": at}),
        attempts=tuple(
            attempt(known).model_copy(update={"backup": one, "component": "database"})
            for one in restored
        ),
        backups=tuple(
            known.model_copy(update={"id": one, "bytes_checked": one in checked})
            for one in {*restored, *checked}
        ),
    )


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    """Eighty days of full backups of the component database, one every ten days."""
    vault = open_vault(tmp_path / "vault")
    for days in range(80, -1, -10):
        at = NOW - days * DAY - HOUR
        store(
            vault, f"database-{days}", {"dump.sql": b"x"}, component="database",
            started_at=at, finished_at=at, recovery_point=at,
        )  # fmt: skip
    return vault


def standing(vault: Vault, *runs: Evidence, **changes: object) -> Standing:
    """How the component database stands."""
    made = Standing(
        component="database",
        lost_at=NOW,
        restore_test_every=MONTH,
        backups=vault.backups("database"),
        history=RunHistory.of(vault.catalog.events(), "database"),
        lying=vault.folders("database"),
        earlier=EarlierRuns(runs),
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def test_vault_that_agrees_with_its_catalog_has_no_problem(vault: Vault) -> None:
    """Nothing deleted, nothing unknown, no time that cannot be."""
    found = standing(vault)

    assert found.disagreements() == ()
    assert found.wrong_times() == ()
    assert replace(found, retention=Retention(days=90)).wrongly_removed() == ()


def test_backup_deleted_by_hand_is_told_twice(vault: Vault) -> None:
    """The vault lacks it, and the retention has it kept."""
    shutil.rmtree(vault.root / "database" / "database-20")
    found = standing(vault, retention=Retention(days=90))

    assert found.disagreements() == ("database-20 is in the catalog and was deleted by hand",)
    assert found.wrongly_removed() == ("database-20: deleted by hand",)


def test_line_cut_off_the_catalog_shows(vault: Vault) -> None:
    """No chain guards the last line; the backup that it told of lies there all the same."""
    lines = vault.catalog.path.read_bytes().splitlines(keepends=True)
    vault.catalog.path.write_bytes(b"".join(lines[:-1]))

    (problem,) = standing(vault).disagreements()
    assert problem.startswith("database-0 lies there, and no line")


def test_manifest_of_the_future_and_clock_set_back_show(vault: Vault) -> None:
    """Both ways in which a clock can be wrong are told, with the backup."""
    at = NOW + 2 * DAY
    store(
        vault, "database-ahead", component="database", started_at=NOW - 2 * HOUR,
        finished_at=at, recovery_point=at,
    )  # fmt: skip
    ahead, back = standing(vault).wrong_times()

    assert ahead == "database-ahead is dated in the future"
    assert back == "database-ahead was stored after database-0 and began before it"


def test_month_without_a_run_shows(vault: Vault) -> None:
    """The newest run that tried a restore of the component counts, and no other run."""
    runs = [earlier(NOW - 40 * DAY, "database-50"), earlier(NOW - 5 * DAY)]
    assert standing(vault, *runs).tested_last == NOW - 40 * DAY
    for runs in ([], [earlier(NOW - 90 * DAY, "database-of-another-vault")]):
        assert standing(vault, *runs).tested_last == NOW - 80 * DAY - HOUR
    assert Standing("wiki", NOW, MONTH, (), history()).tested_last is None


def test_backup_that_was_never_restored_shows(vault: Vault) -> None:
    """Looked at are those of the month before last: each had its time and none was told of."""
    named = {"database-40", "database-50", "database-60"}

    assert set(standing(vault).never_restored([])) == named
    runs = [earlier(NOW - 35 * DAY, "database-40")]
    assert set(standing(vault, *runs).never_restored(["database-50"])) == {"database-60"}
    assert standing(vault).never_restored(named) == ()


def test_backup_is_restored_with_the_chain_that_stands_on_it(tmp_path: Path) -> None:
    """The restore of an increment restores all below it."""
    vault = open_vault(tmp_path)
    base = ""
    for days in (45, 44, 43):
        at = NOW - days * DAY
        base = store(
            vault, f"database-{days}", component="database", base=base, started_at=at,
            kind="incremental" if base else "full", finished_at=at, recovery_point=at,
        ).id  # fmt: skip

    assert standing(vault).never_restored(["database-44"]) == ("database-43",)
    assert standing(vault).never_restored(["database-43"]) == ()


def test_earlier_runs_are_read_from_the_archive(tmp_path: Path) -> None:
    """Sealed evidence of the estate counts; what died or was edited is told; the rest is not."""
    archive = tmp_path
    whole, edited, other, old = (earlier(NOW - days * DAY, "database-1") for days in (3, 2, 1, 100))
    foreign = policy().model_copy(update={"estate": "Elsewhere"})
    other = seal(other, policy=foreign)
    for evidence in (whole, edited, other, old):
        (archive / evidence.run.id).mkdir()
        evidence.write(archive / evidence.run.id / "evidence.json")
    path = archive / edited.run.id / "evidence.json"
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content.replace(b"database-1", b"database-2"))
    dead = new_run_id(NOW - HOUR)
    for number, estate in enumerate(("Agama", "Elsewhere")):
        (archive / f"{DIED}{dead}{number}").mkdir()
        (archive / f"{DIED}{dead}{number}" / ESTATE).write_text(estate)
    (archive / "demo-identity").mkdir()
    (archive / "file").touch()

    found = read_earlier_runs(archive, "Agama", NOW - 62 * DAY)

    assert [one.run.id for one in found.runs] == [whole.run.id]
    assert found.died == (f"{dead}0",)
    (problem,) = found.unreadable
    assert problem.startswith(f"{edited.run.id}: the seal does not match")
    assert found.restored() == {"database-1"}
    assert read_earlier_runs(archive / "none", "Agama", NOW) == EarlierRuns()


def test_run_that_died_is_told_in_the_next_report_only(vault: Vault) -> None:
    """One that died before the last run that came to its end was told of by that one."""
    died = tuple(new_run_id(NOW - days * DAY) for days in (9, 3))
    found = standing(vault, earlier=EarlierRuns((earlier(NOW - 5 * DAY),), died))

    assert found.died() == (f"run {died[1]} came to no end",)
    assert len(standing(vault, earlier=EarlierRuns((), died)).died()) == 2
    assert standing(vault).died() == ()


def test_without_turns_every_backup_is_checked(vault: Vault) -> None:
    """At every audit, or where nobody knows how often there is one."""
    assert standing(vault).to_check == vault.backups("database")
    assert standing(vault, check_within=7 * DAY).to_check == vault.backups("database")


@pytest.mark.parametrize(("every", "within", "most"), [(1, 7, 3), (2, 7, 4), (7, 7, 9), (1, 1, 9)])
def test_turns_cover_the_vault(vault: Vault, every: int, within: int, most: int) -> None:
    """Audited at a pace, each run checks its share, and nothing waits longer than it may."""
    backups = vault.backups("database")
    checked = {one.id: NOW for one in backups}
    previous = NOW
    for number in range(1, 30):
        now = NOW + number * every * DAY
        last = last_checks(backups, checked)
        due = share(backups, last, within * DAY, now, previous)
        assert all(now - last[one.id] <= within * DAY for one in backups)
        # Once the turns have spread out, each is a share.
        assert number * every <= within or len(due) <= most
        checked |= {one.id: now for one in due}
        previous = now


def test_check_that_comes_too_late_shows(vault: Vault) -> None:
    """The longest time without a check counts, from the evidence of runs that made one."""
    names = [one.id for one in vault.backups("database")]
    runs = [earlier(NOW - 9 * DAY, checked=names), earlier(NOW - 2 * DAY, checked=names[1:])]

    assert standing(vault, *runs).unchecked_for() == 9 * DAY
    assert standing(vault, *runs[:1]).unchecked_for() == 9 * DAY
    assert standing(vault).unchecked_for() == 80 * DAY + HOUR


def test_schedule_alone_is_no_backup() -> None:
    """A component of which only the schedule is known has stood without a backup."""
    found = Standing("database", NOW, MONTH, (), history(planned(NOW - MONTH)))

    assert found.runs == ()
    assert len(found.missed_runs) > 25
