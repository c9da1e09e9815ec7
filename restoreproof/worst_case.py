"""What a schedule allows at its worst: the loss, jobs that overlap, and the longest chain."""

from bisect import bisect_left
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from itertools import pairwise

from restoreproof.policy import Schedule
from restoreproof.schedule import HORIZON, SECOND, due_between, due_over_a_year, longest_interval

NOTHING = timedelta()
CLOCK_CHANGE = timedelta(hours=1)


@dataclass(frozen=True)
class Run:
    """One job that is due. ``duration`` is how long jobs of its kind are known to take."""

    at: datetime
    kind: str
    duration: timedelta

    @property
    def end(self) -> datetime:
        """When it will have stored its backup."""
        return self.at + self.duration


@dataclass(frozen=True)
class Loss:
    """The most that can be lost: just before ``next`` has stored its backup.

    The newest recovery point is then still that of the run ``of``.
    """

    of: Run
    next: Run

    @property
    def amount(self) -> timedelta:
        """From the newest recovery point to the end of the job that brings the next one."""
        return self.next.end - self.of.at

    @property
    def gap(self) -> timedelta:
        """The part of it that the schedule makes."""
        return self.next.at - self.of.at


@dataclass(frozen=True)
class Plan:
    """A schedule over a year, with what is known of how long its jobs take.

    ``durations`` are by kind of backup; a kind that is not there takes no time. With
    ``increments`` false every job makes a full backup, as engines without increments do.
    """

    schedule: Schedule
    start: datetime
    durations: Mapping[str, timedelta] = field(default_factory=dict)
    increments: bool = True

    @cached_property
    def runs(self) -> tuple[Run, ...]:
        """Every job of a year, with the last one before it and the first one after it."""
        years = [self._year(expressions) for expressions in self.schedule.kinds.values()]
        begin = max(instants[0] for instants in years)
        return self.between(begin, min(instants[-1] for instants in years) + SECOND)

    def between(self, begin: datetime, end: datetime) -> tuple[Run, ...]:
        """Every job due from ``begin`` up to but not at ``end``; of two at once the full one."""
        found: dict[datetime, Run] = {}
        for kind, expressions in reversed(self.schedule.kinds.items()):
            made = kind if self.increments else "full"
            duration = self.duration(made)
            due = due_between(expressions, self.schedule.time_zone, begin, end)
            found |= {at: Run(at, made, duration) for at in due}
        return tuple(found[at] for at in sorted(found))

    def duration(self, kind: str) -> timedelta:
        """How long jobs of a kind are known to take."""
        return max(self.durations.get(kind, NOTHING), NOTHING)

    @cached_property
    def loss(self) -> Loss:
        """The most that can be lost in the year if every job is done as planned."""
        return max(self.losses, key=lambda loss: loss.amount)

    @property
    def losses(self) -> Iterator[Loss]:
        """What can be lost at most before each job of the year has stored its backup."""
        newest, *later = sorted(self.runs, key=lambda run: (run.end, run.at))
        for run in later:
            if run.at > newest.at:
                yield Loss(newest, run)
                newest = run

    @property
    def is_even(self) -> bool:
        """Whether all jobs are equally far apart."""
        return len({later.at - earlier.at for earlier, later in pairwise(self.runs)}) == 1

    @property
    def overlap(self) -> tuple[Run, Run] | None:
        """A job and the next, due before the first one's end, which has the longest to go."""
        pairs = [(one, other) for one, other in pairwise(self.runs) if other.at < one.end]
        return max(pairs, key=lambda pair: pair[0].end - pair[1].at, default=None)

    @cached_property
    def fulls(self) -> tuple[datetime, ...]:
        """When a full backup is due, over a year."""
        if self.increments:
            return tuple(self._year(self.schedule.full))
        return tuple(run.at for run in self.runs)

    @property
    def longest_chain(self) -> int:
        """The most backups that stand on one full backup, that one included."""
        if not self.increments or self.schedule.incremental is None:
            return 1
        every = self.between(self.fulls[0], self.fulls[-1] + SECOND)
        places = [place for place, run in enumerate(every) if run.kind == "full"]
        return max(later - earlier for earlier, later in pairwise(places))

    @property
    def longest_need(self) -> timedelta:
        """How old a full backup gets before the job that makes the next one has ended."""
        return longest_interval(self.fulls) + self.duration("full")

    def versions(self, span: timedelta) -> int:
        """How many newest backups it takes at most to reach so far back, give or take an hour."""
        starts = [run.at for run in self.between(self.start, self.start + HORIZON + span)]
        wanted = span - CLOCK_CHANGE
        within = bisect_left(starts, self.start + HORIZON) or len(starts[:1])
        return max(
            (bisect_left(starts, at + wanted) - n for n, at in enumerate(starts[:within])),
            default=1,
        )

    def _year(self, expressions: tuple[str, ...]) -> list[datetime]:
        return due_over_a_year(expressions, self.schedule.time_zone, self.start)
