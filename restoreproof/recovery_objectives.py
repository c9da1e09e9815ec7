"""The figures of a component against its objectives: RPO promised, kept and measured; RTO."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median

from restoreproof import contradictions
from restoreproof.contradictions import Planned
from restoreproof.evidence import Measure
from restoreproof.restore import RestoreAttempt
from restoreproof.run_history import CLOCK_TOLERANCE, RunHistory
from restoreproof.vault import StoredBackup
from restoreproof.wording import duration, size

NOTHING = timedelta()
SECOND = "%Y-%m-%dT%H:%M:%SZ"
GROWING = ("check artifacts", "load")
"""The steps of a restore that take longer the more a full backup holds."""
MOST_FACTOR = 100
"""To how many times what was restored a recovery time is scaled: beyond it says nothing."""


@dataclass(frozen=True)
class Disaster:
    """The instant at which the estate is taken for lost, and what it had last written.

    ``newest_heartbeat`` is None where the source has no heartbeat or was not asked.
    """

    at: datetime
    newest_heartbeat: datetime | None


def promised_rpo(planned: Planned) -> Measure:
    """The loss that the schedule allows: its longest gap and the job that ends it."""
    plan = planned.plan
    if plan is None:
        return Measure(value=None, basis="the policy gives no schedule")
    return Measure(
        value=contradictions.allowed_loss(planned, plan),
        basis=contradictions.loss_basis(planned, plan),
    )


def kept_rpo(
    backups: Sequence[StoredBackup], history: RunHistory, disaster: Disaster, begin: datetime
) -> Measure:
    """The longest time without a recovery point: between two since ``begin``, or up to the end.

    What was pruned or deleted since was there at its time, but the newest has to be there now.
    """
    if not backups:
        return Measure(value=None, basis="the vault holds no backup")
    newest = backups[-1]
    # A stream goes on while the source is asked one last time.
    if newest.entry.recovery_point >= disaster.at + CLOCK_TOLERANCE:
        return Measure(value=None, basis=f"{newest.id} is dated in the future")
    age = max(NOTHING, disaster.at - newest.entry.recovery_point)
    decided = f"the restore was decided at {disaster.at:{SECOND}}"
    basis = f"age of the newest recovery point, {newest.id}, when {decided}"
    gaps = [gap for gap in history.gaps(begin, disaster.at) if gap.before]
    if not gaps:
        return Measure(value=age, basis=basis)
    longest = max(gaps, key=lambda gap: gap.length)
    assert longest.before is not None
    if longest.length > age:
        gap = f"from that of {longest.after.backup} to that of {longest.before.backup}"
        basis = f"longest time between recovery points since {begin:%Y-%m-%d}, {gap}"
        return Measure(value=longest.length, basis=f"{basis}; the newest is {duration(age)} old")
    basis = f"{basis}; longest time between two since {begin:%Y-%m-%d}: {duration(longest.length)}"
    return Measure(value=age, basis=basis)


def measured_rpo(
    restored_heartbeat: datetime | None,
    named: bool,
    disaster: Disaster,
    clock_ahead: timedelta = NOTHING,
) -> Measure:
    """The loss that restored data shows: the newest heartbeat in it against the last one.

    ``clock_ahead`` is how far the source's clock was ahead of ours; negative if behind.
    """
    if not named:
        return Measure(value=None, basis="the policy names no heartbeat")
    if abs(clock_ahead) > CLOCK_TOLERANCE:
        side = "ahead of" if clock_ahead > NOTHING else "behind"
        basis = f"the source's clock is {duration(abs(clock_ahead))} {side} ours: set it right"
        return Measure(value=None, basis=basis)
    if restored_heartbeat is None:
        return Measure(value=None, basis="no heartbeat was found in restored data")
    last = disaster.newest_heartbeat
    if last and last > disaster.at + CLOCK_TOLERANCE:
        # A row dated far ahead would be the newest for ever, and no loss would ever show.
        basis = f"the newest heartbeat at the source, {last:{SECOND}}, lies in the future"
        return Measure(value=None, basis=basis)
    until = last or disaster.at
    against = "the last at the source" if last else "the instant of the decision"
    basis = f"newest restored heartbeat {restored_heartbeat:{SECOND}} against {against},"
    basis = f"{basis} {until:{SECOND}}"
    if restored_heartbeat >= until + CLOCK_TOLERANCE:
        return Measure(value=None, basis=f"{basis}: it lies in the future")
    return Measure(value=max(NOTHING, until - restored_heartbeat), basis=basis)


def measured_rto(attempts: Sequence[RestoreAttempt]) -> Measure:
    """The longest recovery of a run, from the decision to an answered query."""
    durations = [attempt.duration for attempt in attempts if attempt.succeeded]
    if not durations:
        return Measure(value=None, basis="no restore succeeded")
    middle = timedelta(seconds=median(one.total_seconds() for one in durations))
    basis = (
        f"longest of {len(durations)} restores (median {duration(middle)}), decision to"
        " answered query, in a container; the image was there before"
    )
    return Measure(value=max(durations), basis=basis)


def estimated_rto(attempts: Sequence[RestoreAttempt], expected_bytes: int | None) -> Measure:
    """An estimate of the recovery of so much: what grows with the content, in proportion.

    Only of restores that are not too small for it.
    """
    if expected_bytes is None:
        return Measure(value=None, basis="the policy gives no expected_size")
    done = [attempt for attempt in attempts if attempt.succeeded]
    if not done:
        return Measure(value=None, basis="no restore succeeded")
    most = max(attempt.content_bytes for attempt in done)
    if most * MOST_FACTOR < expected_bytes:
        basis = (
            f"{size(expected_bytes)} are expected and {size(most)} were restored: more than"
            f" {MOST_FACTOR} times as much is not estimated"
        )
        return Measure(value=None, basis=basis)
    near = [one for one in done if one.content_bytes * MOST_FACTOR >= expected_bytes]
    estimates = sorted(_scaled(attempt, expected_bytes / attempt.content_bytes) for attempt in near)
    basis = (
        f"an estimate for {size(expected_bytes)} from {size(most)}: {' and '.join(GROWING)} in"
        f" proportion to the content, other steps as long as they took; {len(near)} restores of"
        f" this run give {duration(estimates[0])} to {duration(estimates[-1])}, the longest counts;"
        " that is for this machine, and keys too large for its memory take longer"
    )
    return Measure(value=estimates[-1], basis=basis)


def _scaled(attempt: RestoreAttempt, factor: float) -> timedelta:
    grown = sum((one.duration for one in attempt.phases if one.name in GROWING), NOTHING)
    return attempt.duration + grown * (factor - 1)
