"""Retention: what is kept and what goes, and that pruning breaks nothing wherever it is killed."""

import random
import shutil
from datetime import timedelta
from pathlib import Path

import pytest
from audits import policy_document
from histories import DAY, HOUR, MONDAY, history, stored
from small_policies import Small
from vaults import interrupted, open_vault, store

from restoreproof import catalog, engines
from restoreproof import prune as prune_module
from restoreproof import vault as vault_module
from restoreproof.contradictions import Planned, rulings
from restoreproof.errors import VaultBusy
from restoreproof.manifest import BackupGone, BackupPruned, CatalogEntry, CatalogEvent
from restoreproof.policy import PolicyDocument, Retention
from restoreproof.prune import finished_by_none, prune
from restoreproof.restore import chain_of
from restoreproof.retention import GRACE, expendable, kept_too_long, wrongly_removed
from restoreproof.vault import Vault

WEEKS = 6
NOW = MONDAY + WEEKS * 7 * DAY
POLICY = """\
estate: Harbour
objectives: {rpo: 1h, rto: 4h, restore_test_every: 31d}
vault: {location: vault}
components:
  database:
    engine: git
    source: {repository: x}
    coverage: [data]
    retention: {days: 14}
  wiki:
    engine: git
    source: {repository: x}
    coverage: [data]
    retention: {until: deleted-by-hand}
"""


def weeks(count: int = WEEKS) -> list[CatalogEntry]:
    """So many weeks of a full backup on Monday and an increment on each other day."""
    made: list[CatalogEntry] = []
    for day in range(count * 7):
        kind = "incremental" if day % 7 else "full"
        base = made[-1].backup if day % 7 else ""
        made.append(stored(MONDAY + day * DAY, kind, base=base))
    return made


def names(retention: dict[str, object], entries: list[CatalogEntry], **how: object) -> set[str]:
    """What may go."""
    free = expendable(Retention.model_validate(retention), entries, NOW, **how)  # type: ignore[arg-type]
    return {entry.backup for entry in free}


def test_whole_weeks_go_and_none_that_is_needed() -> None:
    """Ten days keep the chain of the tenth day from its full backup on."""
    made = weeks()

    assert names({"days": 10}, made) == {one.backup for one in made[: 4 * 7]}
    assert names({"days": 14}, made) == {one.backup for one in made[: 4 * 7]}
    assert names({"days": 15}, made) == {one.backup for one in made[: 3 * 7]}
    assert names({"count": 1}, made) == {one.backup for one in made[: 5 * 7]}
    assert names({"count": 8}, made) == {one.backup for one in made[: 4 * 7]}
    assert names({"count": 1, "days": 15}, made) == {one.backup for one in made[: 3 * 7]}
    assert names({"until": "deleted-by-hand"}, made) == set()


def test_last_good_full_stays_however_old() -> None:
    """With all newer full backups damaged, the one that is not is kept, as is the newest."""
    made = weeks()
    good = made[7]
    free = names({"days": 1}, made, is_good=lambda entry: entry is good)

    assert good.backup not in free
    assert made[-1].backup not in free
    assert {made[0].backup, made[8].backup, made[14].backup} <= free
    assert names({"days": 1}, made[:1]) == set()


def test_what_is_dated_ahead_stays_and_counts_for_nothing() -> None:
    """A clock far ahead neither has a backup removed nor takes the place of a good one."""
    ahead = [stored(NOW + days * DAY) for days in (1, 400)]

    assert names({"count": 8}, [*weeks(), *ahead]) == names({"count": 8}, weeks())


def test_no_order_of_removal_breaks_a_chain() -> None:
    """Whatever the backups are like: removed one by one, what stands on one is never left alone."""
    chance = random.Random(5)
    for _ in range(300):
        made = [one for one in weeks(3) if chance.random() < 0.9]
        chance.shuffle(made)
        rule = Retention(days=chance.randint(1, 30), count=chance.choice([None, 1, 5, 12]))
        free = expendable(rule, made, MONDAY + 21 * DAY)
        left = list(made)
        for entry in free:
            left.remove(entry)
            assert entry.backup not in {one.base for one in left}
        assert expendable(rule, left, MONDAY + 21 * DAY) == ()


@pytest.mark.parametrize("days", [1, 3, 8, 15])
@pytest.mark.parametrize("count", [1, 2, 7, 9, 20])
def test_policy_prune_and_checks_mean_the_same_by_either(
    tmp_path: Path, days: int, count: int
) -> None:
    """Pruned every day, all that days or count keep is there, and no check complains.

    Where POL-003 holds, so does what it says: a full backup is there until the next is stored.
    """
    rule, made = Retention(days=days, count=count), weeks(4)
    weekly = "full: 10 16 * * 1, incremental: 10 16 * * 2-7"
    small = Small("", weekly, retention=f"days: {days}, count: {count}")
    document = policy_document(tmp_path, small.text)
    component, policy = document.policy.components["it"], document.policy
    planned = Planned(
        "it", component, policy.objectives, policy.audit, engines.load("mysql"), NOW, {}
    )
    chain, twice = (
        next(one for one in rulings(planned) if one.rule == rule) for rule in ("POL-003", "POL-004")
    )
    assert twice.holds
    assert chain.holds == (days >= 7 or count >= 7)
    left: list[CatalogEntry] = []
    events: list[CatalogEvent] = []
    for entry in made:
        now = entry.finished_at
        left.append(entry)
        events.append(entry)
        free = expendable(rule, left, now)
        young = {one.backup for one in left if one.recovery_point >= now - days * DAY}
        newest = {one.backup for one in left[-count:]}
        assert not {one.backup for one in free} & (young | newest)
        left = [one for one in left if one not in free]
        events += [pruned(one.backup, now) for one in free]
        assert wrongly_removed(rule, history(more=events), now) == ()
        assert kept_too_long(rule, left, now) == ()
        fulls = [one for one in made if one.kind == "full" and one.recovery_point < now]
        if chain.holds:
            assert fulls[-1] in left


def pruned(backup: str, at: object) -> CatalogEvent:
    """A backup that was pruned."""
    facts = {"sequence": 1, "previous_sha256": "", "component": "database", "rule": "14 days"}
    return BackupPruned.model_validate({**facts, "backup": backup, "at": at})


def gone(backup: str) -> CatalogEvent:
    """A backup that was found gone."""
    facts = {"sequence": 1, "previous_sha256": "", "component": "database", "noted_at": NOW}
    return BackupGone.model_validate({**facts, "backup": backup})


def test_what_was_removed_in_time_is_no_finding_and_too_early_is() -> None:
    """Pruned after two weeks is right; pruned in the first week, or gone by hand, is not."""
    rule, made = Retention(days=14), weeks(4)
    chain = [one.backup for one in reversed(made[:7])]
    right = history(more=[*made, *(pruned(one, MONDAY + 21 * DAY) for one in chain)])
    early = history(more=[*made[:10], *(pruned(one, MONDAY + 9 * DAY) for one in chain)])
    by_hand = history(more=[*made, gone(made[-1].backup)])

    assert wrongly_removed(rule, right, NOW) == ()
    assert [one.backup for one in wrongly_removed(rule, early, NOW)] == chain
    now = MONDAY + 28 * DAY
    assert [one.backup for one in wrongly_removed(rule, by_hand, now)] == [made[-1].backup]
    for_good = Retention(until="deleted-by-hand")
    assert wrongly_removed(for_good, by_hand, now) == ()
    assert len(wrongly_removed(for_good, right, NOW)) == 7


def test_a_day_is_given_to_remove_what_may_go() -> None:
    """Right after its time a backup may still be there, a day later not any more."""
    rule, made = Retention(days=14), weeks(4)
    free_at = made[6].recovery_point + 14 * DAY

    assert kept_too_long(rule, made, free_at + HOUR) == ()
    late = kept_too_long(rule, made, free_at + GRACE + HOUR)
    assert {entry.backup for entry in late} == {one.backup for one in made[:7]}


@pytest.fixture
def document(tmp_path: Path) -> PolicyDocument:
    """A policy with a retention of two weeks, and a vault with three weeks of backups."""
    return filled(tmp_path)


def filled(folder: Path) -> PolicyDocument:
    """The same, in a folder."""
    vault = open_vault(folder / "vault")
    for entry in weeks(3)[::2]:
        # Every second day, each standing on the one before, but for three full ones.
        full = entry.started_at.weekday() == 0 or entry.backup == weeks(3)[8].backup
        known = vault.backups("database")
        store(
            vault, entry.backup, {"dump.sql": b"x"}, component="database",
            kind="full" if full or not known else "incremental",
            base="" if full or not known else known[-1].id,
            started_at=entry.started_at, finished_at=entry.finished_at,
            recovery_point=entry.recovery_point,
        )  # fmt: skip
    store(vault, "wiki-1", recovery_point=MONDAY - 900 * DAY)
    return policy_document(folder, POLICY)


def whole(vault: Vault) -> set[str]:
    """The backups of the vault, which have to be whole, with whole chains."""
    backups = vault.backups("database")
    for backup in backups:
        assert backup.damage() == (2, ())
        chain_of(backup, backups)
    return {backup.id for backup in backups}


def test_dry_run_removes_nothing_and_tells_all(document: PolicyDocument) -> None:
    """What would go is told with its size; nothing is written."""
    vault, told = Vault(str(document.folder / "vault")), list[str]()
    before = vault.catalog.path.read_bytes(), whole(vault)
    count = prune(document, (), MONDAY + 24 * DAY, told.append, apply=False)

    assert (vault.catalog.path.read_bytes(), whole(vault)) == before
    assert count == sum(line.startswith("would remove database-") for line in told) > 0
    assert any("bytes" in line for line in told)
    assert "wiki: kept for good" in told
    assert told[-1] == f"{count} backups to remove: give --apply to do it"


def test_pruned_backups_are_gone_and_told_in_the_catalog(document: PolicyDocument) -> None:
    """What the dry run told of goes, each with a line; a second time there is nothing to do."""
    vault, now = Vault(str(document.folder / "vault")), MONDAY + 24 * DAY
    would: list[str] = []
    prune(document, (), now, would.append, apply=False)
    before = whole(vault)
    count = prune(document, (), now, lambda _: None, apply=True)

    events = [one for one in vault.catalog.events() if isinstance(one, BackupPruned)]
    left = whole(vault)
    assert before - left == {event.backup for event in events}
    assert [event.backup for event in events] == [line.split()[2] for line in would[:count]]
    assert vault.folders("database") == left
    assert vault.backups("wiki")
    assert prune(document, (), now, lambda _: None, apply=True) == 0


def test_prune_killed_anywhere_leaves_whole_backups(tmp_path: Path) -> None:
    """Wherever it ends, what is left is whole with whole chains, and the next one finishes."""
    files = {one.__file__ for one in (prune_module, vault_module, catalog)}
    now = MONDAY + 24 * DAY
    (tmp_path / "0").mkdir()
    filled(tmp_path / "0")
    step, going, outcomes = 0, True, set()
    while going:
        step += 13
        place = tmp_path / str(step)
        shutil.copytree(tmp_path / "0", place)
        document = policy_document(place, POLICY)
        vault = Vault(str(place / "vault"))
        going = interrupted(
            lambda document=document: prune(document, (), now, lambda _: None, apply=True),
            files, step, KeyboardInterrupt("killed"),
        )  # fmt: skip
        left = whole(vault)
        outcomes.add(len(left))
        assert left <= vault.folders("database")
        prune(document, (), now, lambda _: None, apply=True)
        assert not finished_by_none(vault, "database")
        assert vault.folders("database") == whole(vault)
        for leftover in (vault.root / ".incoming").iterdir():
            # As if the process that left it were dead.
            leftover.rename(leftover.with_suffix(f".{2**22 + 1}"))
        assert vault.abandoned() == ()
        vault.prepare()
        assert list((vault.root / ".incoming").iterdir()) == []
        shutil.rmtree(place)

    assert len(outcomes) > 2


def test_nothing_is_pruned_while_an_audit_restores(document: PolicyDocument) -> None:
    """The lock's holder is told, and nothing goes."""
    vault = Vault(str(document.folder / "vault"))
    before = whole(vault)
    with vault.reading("auditing", MONDAY), pytest.raises(VaultBusy, match="auditing since"):
        prune(document, (), MONDAY + 24 * DAY, lambda _: None, apply=True)
    assert whole(vault) == before
    assert timedelta() < GRACE
