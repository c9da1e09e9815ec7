"""The restoration criteria, played on living copies of real servers: met, and not met."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta

import pytest
from mariadb_source import IMAGE as MARIADB
from mysql_chains import Source, server

from restoreproof import damage_content, engines, exercise
from restoreproof.component_audit import ComponentAudit
from restoreproof.damage import MARK, VaultCopy
from restoreproof.engines.contract_exercise import CRITERIA
from restoreproof.exercise import PUT_BACK, play
from restoreproof.exercised import Exercised
from restoreproof.images import Image, ensure
from restoreproof.jobs import JobResult, run_job
from restoreproof.policy import Audit, Component, Objectives, Schedule
from restoreproof.verdicts import Verdict

pytestmark = pytest.mark.thorough

HOUR = timedelta(hours=1)
OBJECTIVES = Objectives(rpo=HOUR, rto=HOUR, restore_test_every=31 * 24 * HOUR)
CONTENT = (
    "CREATE DATABASE app",
    "CREATE TABLE app.customers (id INT PRIMARY KEY, name VARCHAR(20) UNIQUE)",
    "INSERT INTO app.customers VALUES (1, 'Ada'), (2, 'Grace')",
    (
        "CREATE TABLE app.orders (id INT AUTO_INCREMENT PRIMARY KEY, customer INT NOT NULL,"
        " note VARCHAR(20), FOREIGN KEY (customer) REFERENCES app.customers (id))"
    ),
    "INSERT INTO app.orders (customer, note) VALUES (1, 'one'), (1, 'two'), (2, 'three')",
    "CREATE TABLE app.log (what VARCHAR(20))",
    (
        "CREATE TRIGGER app.logged BEFORE UPDATE ON app.orders FOR EACH ROW"
        " INSERT INTO app.log VALUES ('changed')"
    ),
    "CREATE VIEW app.names AS SELECT name FROM app.customers",
    "CREATE USER clerk IDENTIFIED BY 'x'",
    "GRANT SELECT ON app.names TO clerk",
)


@pytest.fixture(scope="module")
def mariadb(
    tmp_path_factory: pytest.TempPathFactory, monkeymodule: pytest.MonkeyPatch
) -> Iterator[ComponentAudit]:
    """A server without GTID sets, with a full backup and an increment; it is gone by now."""
    image, place = ensure(MARIADB, print), tmp_path_factory.mktemp("mariadb")
    with server(image, place, monkeymodule, "--log-bin=binlog") as made:
        yield component(made, MARIADB)


@pytest.fixture(scope="module")
def mysql(
    image: Image, tmp_path_factory: pytest.TempPathFactory, monkeymodule: pytest.MonkeyPatch
) -> Iterator[ComponentAudit]:
    """A server with GTIDs, with a full backup and an increment; it is gone by now."""
    place = tmp_path_factory.mktemp("mysql")
    with server(image, place, monkeymodule) as made:
        yield component(made, "restoreproof/mysql:9.7")


def component(source: Source, image: str) -> ComponentAudit:
    """A server as a component, its backups those of its vault; from here on it is not asked."""
    source.run(*CONTENT)
    source.stored(source.stored())
    planned = Schedule(full=("0 0 * * *",), incremental=("0 1-23 * * *",))
    described = Component(
        engine="mysql", image=image, coverage=("data",), schedule=planned,
        source=source.context.source.model_copy(update={"host": "nowhere.invalid"}),
    )  # fmt: skip
    return ComponentAudit(
        "mysql", described, OBJECTIVES, engines.load("mysql"),
        replace(source.context, source=described.source),
        source.context.clock, Audit(), backups=source.vault.backups("mysql"), criteria=CRITERIA,
    )  # fmt: skip


def damaged(change: Callable[[VaultCopy], None], number: int) -> Callable[..., JobResult]:
    """Runs jobs as ever, and damages what lies in the vault after one of them."""
    made = 0

    def job(*arguments: object) -> JobResult:
        nonlocal made
        made += 1
        result = run_job(*arguments)  # type: ignore[arg-type]  # what it is called with
        if made != number:
            return result
        assert result.backup is not None
        root = result.backup.folder.parents[1]
        (root / MARK).touch()
        copy = VaultCopy(root)
        change(copy)
        return replace(result, backup=copy.newest(result.component))

    return job


def by_criterion(played: tuple[Exercised, ...]) -> dict[str, Exercised]:
    return {one.criterion: one for one in played}


def test_all_criteria_are_met_at_any_instant(mariadb: ComponentAudit) -> None:
    """Corrupted, dropped or gone: all comes back as it was the instant before, and in time."""
    told: list[str] = []
    played = by_criterion(play(mariadb, tell=told.append))

    for one in played.values():
        assert one.verdict(OBJECTIVES) is Verdict.PASSED, one.seen
        assert one.examined > 5
    corruption, deletion, failure = played.values()
    assert corruption.accident == "one statement set app.orders.note to NULL in 3 rows"
    assert (corruption.lost, corruption.loss) == (0, timedelta())
    assert corruption.until
    assert deletion.accident.startswith("the table app.")
    assert [phase.name for phase in deletion.phases][-1] == PUT_BACK
    # What was written after the last backup is lost, and it is told how much that is.
    assert failure.lost == exercise.WRITES
    assert failure.loss and failure.loss > timedelta()
    assert any("making a living copy" in line for line in told)


def test_what_did_not_come_back_is_told(
    mysql: ComponentAudit, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A backup that lacks a trigger fails two criteria, and the part that it holds comes back."""

    def lack(copy: VaultCopy) -> None:
        change = damage_content.drop_object("TRIGGER", "logged")
        copy.rewrite(copy.newest("mysql"), "dump.sql.zst", change)

    monkeypatch.setattr(exercise, "run_job", damaged(lack, 1))
    played = by_criterion(play(mysql))

    assert played["deletion"].verdict(OBJECTIVES) is Verdict.PASSED, played["deletion"].seen
    for name in ("corruption", "failure"):
        assert played[name].verdict(OBJECTIVES) is Verdict.FAILED
        assert "trigger app.logged: is missing" in played[name].seen


def test_damaged_stored_bytes_are_told(
    mysql: ComponentAudit, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An increment that is damaged in the vault: no criterion that needs it is met."""

    def flip(copy: VaultCopy) -> None:
        copy.flip_byte(copy.newest("mysql"), "binary-logs.tar.zst")

    monkeypatch.setattr(exercise, "run_job", damaged(flip, 2))
    (failure,) = play(mysql, ("failure",))

    assert failure.verdict(OBJECTIVES) is Verdict.FAILED
    assert "failed in 'check artifacts'" in failure.seen
