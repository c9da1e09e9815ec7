"""What the demo plays: when which jobs run, and when the estate fails, in simulated time.

Agama's own policy is played from a Monday's full backups to a Sunday's increments; the failure
comes that Sunday evening. The mended policy has 48 jobs of a component a day, so of it the last
hour before the same failure is played, from the day's full backups on.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta

BEGIN, JOBS_AT, FAILURE_AT = time(16, 0), time(16, 10), time(21, 30)
MENDED_BEGIN, MENDED_FULLS_AT = time(20, 0), time(20, 10)
DAY, HALF_HOUR = timedelta(days=1), timedelta(minutes=30)
SUNDAY = 6
ROOM = timedelta(hours=1)
"""How long before now the failure was at the least: what is played of it must be over, too."""


@dataclass(frozen=True)
class Jobs:
    """Backup jobs that begin at an instant: of these components, or of all if none is named."""

    at: datetime
    components: tuple[str, ...] = ()


@dataclass(frozen=True)
class Play:
    """A play in simulated time; ``last_jobs_at`` are the jobs that the audit itself runs."""

    policy: str
    begin: datetime
    jobs: tuple[Jobs, ...]
    last_jobs_at: datetime
    fails_at: datetime


def agama_week(now: datetime) -> Play:
    """The week of Agama's own policy that ended last before ``now``."""
    fails_at = last_failure(now)
    monday = fails_at - 6 * DAY
    return Play(
        policy="policy.yaml",
        begin=_on(monday, BEGIN),
        jobs=tuple(Jobs(_on(monday + days * DAY, JOBS_AT)) for days in range(6)),
        last_jobs_at=_on(fails_at, JOBS_AT),
        fails_at=fails_at,
    )


def mended_evening(now: datetime) -> Play:
    """The evening of the same failure under the mended policy."""
    fails_at = last_failure(now)
    first = _on(fails_at, MENDED_FULLS_AT)
    return Play(
        policy="agama-mended.yaml",
        begin=_on(fails_at, MENDED_BEGIN),
        jobs=(Jobs(first), Jobs(first + HALF_HOUR, ("influxdb", "ansible"))),
        last_jobs_at=first + 2 * HALF_HOUR,
        fails_at=fails_at,
    )


def last_failure(now: datetime) -> datetime:
    """The last Sunday evening that is over for long enough."""
    latest = (now - ROOM).astimezone(UTC)
    sunday = _on(latest - (latest.weekday() - SUNDAY) % 7 * DAY, FAILURE_AT)
    return sunday if sunday <= latest else sunday - 7 * DAY


def _on(day: datetime, at: time) -> datetime:
    return datetime.combine(day.date(), at, tzinfo=UTC)
