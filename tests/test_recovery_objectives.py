"""RPO promised, kept and measured, and RTO: each figure with how it came about, or none."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from audits import LOST, attempt, components
from histories import history
from vaults import store

from restoreproof.component_audit import ComponentAudit
from restoreproof.engines.contract import CLOCK_AHEAD
from restoreproof.recovery_objectives import (
    Disaster,
    estimated_rto,
    kept_rpo,
    measured_rpo,
    measured_rto,
    promised_rpo,
)
from restoreproof.restore import Phase, RestoreAttempt

MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)


@pytest.fixture
def playbooks(tmp_path: Path) -> ComponentAudit:
    """A component with a daily schedule and two backups whose jobs took ten seconds."""
    return components(tmp_path, {"playbooks": 2})[0][0]


def test_promised_loss_is_gap_and_job(playbooks: ComponentAudit) -> None:
    """The longest gap of the schedule and the longest job known add up."""
    found = promised_rpo(playbooks.planned)

    assert found.value == DAY + timedelta(seconds=10)
    assert "longest gap" in found.basis
    assert "10 s" in found.basis
    assert playbooks.rpo_promised == found


def test_promised_loss_without_a_job_is_the_gap(playbooks: ComponentAudit) -> None:
    """Before the first job there is only the schedule, and the basis says so."""
    playbooks.choose((), "all")
    found = promised_rpo(playbooks.planned)

    assert found.value == DAY
    assert "no job known" in found.basis


def test_job_that_ended_before_it_began_shortens_nothing(tmp_path: Path) -> None:
    """A clock that was set back during a job does not make the promise better."""
    (playbooks, _), _ = components(tmp_path, {"playbooks": 1})
    (backup,) = playbooks.backups
    early = backup.entry.model_copy(update={"finished_at": LOST - 30 * DAY})
    wrong = type(backup)(early, backup.folder)

    playbooks.choose([wrong], "all")
    assert promised_rpo(playbooks.planned).value == DAY


def test_no_schedule_promises_no_figure(tmp_path: Path) -> None:
    """Without a schedule nobody can say what may be lost."""
    (_, wiki), _ = components(tmp_path, {"wiki": 1})

    assert wiki.rpo_promised.value is None
    assert "no schedule" in wiki.rpo_promised.basis


def test_kept_loss_is_the_age_of_the_newest(playbooks: ComponentAudit) -> None:
    """It is counted from the newest recovery point to the disaster."""
    assert playbooks.rpo_kept.value == DAY
    assert "playbooks-1" in playbooks.rpo_kept.basis


def test_empty_vault_keeps_no_figure() -> None:
    """Without a backup there is no age, and above all not an age of nothing."""
    found = kept_rpo((), history(), Disaster(LOST, None), LOST)

    assert found.value is None
    assert "no backup" in found.basis


def test_kept_loss_is_the_longest_time_between_recovery_points(tmp_path: Path) -> None:
    """A week without a backup counts, although there is one of yesterday; both are named."""
    (playbooks, _), vault = components(tmp_path, {"playbooks": 1})
    store(
        vault, "playbooks-9", started_at=LOST - 9 * DAY, finished_at=LOST - 9 * DAY,
        recovery_point=LOST - 8 * DAY,
    )  # fmt: skip
    playbooks.choose(vault.backups("playbooks"), "all")
    assert playbooks.rpo_kept.value == 7 * DAY
    for known in ("playbooks-9", "playbooks-1", "the newest is 24 h old"):
        assert known in playbooks.rpo_kept.basis
    late = kept_rpo(playbooks.backups, playbooks.history, Disaster(LOST, None), LOST - DAY / 2)
    assert late.value == DAY


def test_backup_from_the_future_is_no_figure(playbooks: ComponentAudit) -> None:
    """A recovery point after the disaster shows a wrong clock, not a loss below nothing."""
    found = kept_rpo(playbooks.backups, playbooks.history, Disaster(LOST - 2 * DAY, None), LOST)

    assert found.value is None
    assert "future" in found.basis


@pytest.mark.parametrize(
    ("last", "loss", "against"),
    [
        (LOST - 2 * MINUTE, 28 * MINUTE, "the last at the source"),
        (None, 30 * MINUTE, "the instant of the decision"),
        (LOST - 30 * MINUTE, timedelta(), "the last at the source"),
    ],
)
def test_measured_loss_is_between_heartbeats(last: object, loss: timedelta, against: str) -> None:
    """The newest restored heartbeat is held against the last written, or against the disaster."""
    found = measured_rpo(LOST - 30 * MINUTE, True, Disaster(LOST, last))  # type: ignore[arg-type]

    assert found.value == loss
    assert against in found.basis


@pytest.mark.parametrize(
    ("restored", "named", "basis"),
    [
        (None, False, "names no heartbeat"),
        (LOST, False, "names no heartbeat"),
        (None, True, "no heartbeat was found"),
        (LOST + MINUTE, True, "lies in the future"),
    ],
)
def test_loss_that_cannot_be_measured_is_no_figure(
    restored: object, named: bool, basis: str
) -> None:
    """Without a heartbeat, or with one that cannot be, there is no figure and a reason."""
    found = measured_rpo(restored, named, Disaster(LOST, None))  # type: ignore[arg-type]

    assert found.value is None
    assert basis in found.basis


@pytest.mark.parametrize("ahead", [timedelta(hours=1), timedelta(hours=-1)])
def test_loss_is_not_measured_with_a_wrong_clock(ahead: timedelta) -> None:
    """Heartbeats of a source whose clock is an hour off prove no loss, however small it looks."""
    told = LOST - 30 * MINUTE + ahead
    for last in (None, told):
        found = measured_rpo(told, True, Disaster(LOST, last), ahead)
        assert found.value is None
        assert "the source's clock is 1 h" in found.basis
    beat = LOST - 30 * MINUTE
    assert measured_rpo(beat, True, Disaster(LOST, beat), ahead / 61).value == timedelta()


def test_heartbeat_dated_ahead_is_no_figure() -> None:
    """A row dated far ahead is the newest on both sides for ever: that is no loss of nothing."""
    stuck = LOST + 365 * DAY
    found = measured_rpo(stuck, True, Disaster(LOST, stuck))

    assert found.value is None
    assert "at the source" in found.basis
    assert "lies in the future" in found.basis
    just_now = LOST + timedelta(seconds=1)
    assert measured_rpo(just_now, True, Disaster(LOST, just_now)).value == timedelta()


def test_clock_of_the_source_is_known_from_the_newest_backup(tmp_path: Path) -> None:
    """What the newest backup says of the source's clock counts; saying nothing is no fault."""
    (playbooks, _), vault = components(tmp_path, {"playbooks": 1})
    assert playbooks.source_clock_ahead == timedelta()
    store(vault, "playbooks-0", recovery_point=LOST, facts={CLOCK_AHEAD: "-3600.5"})
    playbooks.choose(vault.backups("playbooks"), "all")

    assert playbooks.source_clock_ahead == timedelta(seconds=-3600.5)


def test_recovery_time_is_the_longest(playbooks: ComponentAudit) -> None:
    """Of several restores the slowest counts, and a failed one has no recovery time."""
    newest, oldest = playbooks.targets
    attempts = [attempt(newest, 3.5), attempt(oldest, 7.25)]

    assert measured_rto(attempts).value == timedelta(seconds=7.25)
    assert "2 restores (median 5.4 s)" in measured_rto(attempts).basis
    attempts.append(attempt(oldest, 60, failure="mysql: syntax error"))
    assert measured_rto(attempts).value == timedelta(seconds=7.25)


def test_no_restore_has_no_recovery_time(playbooks: ComponentAudit) -> None:
    """Where nothing came back there is no figure."""
    for attempts in ([], [attempt(playbooks.targets[0], 3, failure="broken")]):
        assert measured_rto(attempts).value is None


def test_objectives_are_the_policys(playbooks: ComponentAudit) -> None:
    """What figures are held against comes from the policy."""
    assert playbooks.rpo == 60 * MINUTE
    assert playbooks.rto == 240 * MINUTE
    assert not playbooks.has_heartbeat


def test_last_full_was_due_on_monday(playbooks: ComponentAudit) -> None:
    """On a Wednesday the last full backup was due on Monday at 16:10."""
    assert f"{playbooks.last_full_due:%a %d %H:%M}" == "Mon 06 16:10"
    assert [backup.id for backup in playbooks.fulls] == ["playbooks-2", "playbooks-1"]


def restores(tmp_path: Path, *seconds: float) -> tuple[list[RestoreAttempt], int]:
    """Restores of one backup that took so long each to load, and how much it holds."""
    (playbooks, _), _ = components(tmp_path, {"playbooks": 1})
    (target,) = playbooks.targets
    done = [attempt(target, one) for one in seconds]
    return done, done[0].content_bytes


def test_recovery_time_grows_with_the_expected_size(tmp_path: Path) -> None:
    """Loading is scaled in proportion, the longest restore counts, and the range is told."""
    done, held = restores(tmp_path, 2.0, 3.0)
    started = Phase("start server", timedelta(), timedelta(seconds=5))
    slow = replace(
        done[0], phases=(started, *done[0].phases), duration=done[0].duration + started.duration
    )

    assert estimated_rto(done, 10 * held).value == timedelta(seconds=30)
    found = estimated_rto([slow, done[1]], 10 * held)
    assert found.value == timedelta(seconds=30)
    assert "give 25 s to 30 s, the longest counts" in found.basis
    assert "an estimate for" in found.basis
    assert estimated_rto([slow], held).value == slow.duration


def test_recovery_time_is_not_scaled_without_end(tmp_path: Path) -> None:
    """From much less than what is expected nothing is said, nor without a size or a restore."""
    done, held = restores(tmp_path, 2.0)
    failed = replace(done[0], restored=None)

    assert estimated_rto(done, 100 * held).value == timedelta(seconds=200)
    for attempts, expected, why in (
        (done, 100 * held + 1, "more than 100 times"),
        ([failed], held, "no restore succeeded"),
        (done, None, "no expected_size"),
    ):
        found = estimated_rto(attempts, expected)
        assert found.value is None
        assert why in found.basis
