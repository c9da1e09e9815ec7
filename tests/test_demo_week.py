"""What the demo plays and by which clock: a week that is over, and a clock that only goes on."""

from datetime import UTC, datetime, timedelta

import pytest

from restoreproof.clock import system_clock
from restoreproof.demo.command import told
from restoreproof.demo.simulated_clock import SimulatedClock
from restoreproof.demo.week import Play, agama_week, mended_evening
from restoreproof.policy_file import read_policy
from restoreproof.resources import folder
from restoreproof.schedule import due_between

SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
SUNDAY_EVENING = datetime(2026, 11, 22, 21, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("now", "failure"),
    [
        (datetime(2026, 11, 23, 6, tzinfo=UTC), SUNDAY_EVENING),
        (SUNDAY_EVENING + HOUR, SUNDAY_EVENING),
        (SUNDAY_EVENING + HOUR - SECOND, SUNDAY_EVENING - 7 * DAY),
        (SUNDAY_EVENING + 6 * DAY, SUNDAY_EVENING),
        (SUNDAY_EVENING - 12 * HOUR, SUNDAY_EVENING - 7 * DAY),
    ],
)
def test_the_failure_is_on_the_last_sunday_that_is_over(now: datetime, failure: datetime) -> None:
    """Nothing of the play is dated in the future, whenever it is played."""
    for play in (agama_week(now), mended_evening(now)):
        assert play.fails_at == failure
        assert failure.weekday() == 6


def _times(play: Play, component: str) -> list[datetime]:
    named = (jobs.at for jobs in play.jobs if not jobs.components or component in jobs.components)
    return [*named, play.last_jobs_at]


def _due(play: Play, component: str) -> list[datetime]:
    policy = read_policy(folder("fixtures") / "agama" / play.policy).policy
    schedule = policy.components[component].schedule
    assert schedule is not None
    every = [one for kind in schedule.kinds.values() for one in kind]
    return due_between(every, schedule.time_zone, play.begin, play.fails_at)


@pytest.mark.parametrize("component", ["mysql", "influxdb"])
def test_the_week_is_the_documents(component: str) -> None:
    """Its jobs are those that are due from Monday to Sunday, and no other."""
    play = agama_week(SUNDAY_EVENING + DAY)

    assert _times(play, component) == _due(play, component)
    assert len(play.jobs) == 6


@pytest.mark.parametrize("component", ["influxdb", "ansible"])
def test_the_evening_is_the_mended_policys(component: str) -> None:
    """Every half hour there is a job of what is not streamed, as it is due."""
    play = mended_evening(SUNDAY_EVENING + DAY)

    assert _times(play, component) == _due(play, component)


@pytest.mark.parametrize("make", [agama_week, mended_evening])
def test_the_note_says_what_is_real(make: object) -> None:
    """It names the simulated time from its beginning to the failure, and what is not simulated."""
    assert callable(make)
    note = told(make(SUNDAY_EVENING + DAY))

    assert "2026-11-22 21:30:00 UTC" in note
    assert "is simulated" in note
    assert "Real are" in note


def test_a_simulated_clock_goes_as_this_machines() -> None:
    """It begins when it is told to, to the second, and then time passes in it."""
    begin = datetime(2020, 2, 29, 16, 0, tzinfo=UTC)
    clock = SimulatedClock(begin)
    first, real = clock(), system_clock()

    assert begin <= first < begin + MINUTE
    assert abs((clock() - first) - (system_clock() - real)) < SECOND


def test_a_simulated_clock_is_never_put_back() -> None:
    """It leaps forward and tells who follows it; to an instant that is past it does not."""
    clock, heard = SimulatedClock(SUNDAY_EVENING - DAY), list[timedelta]()
    clock.followed_by(heard.append)

    clock.put_forward(SUNDAY_EVENING)
    reached = clock()
    clock.put_forward(SUNDAY_EVENING - HOUR)

    assert SUNDAY_EVENING <= reached < SUNDAY_EVENING + MINUTE
    assert reached <= clock()
    assert heard == [clock.ahead]
