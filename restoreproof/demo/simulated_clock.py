"""A clock that goes as fast as this machine's and can be put forward: the demo's week."""

from collections.abc import Callable
from datetime import datetime, timedelta

from restoreproof.clock import system_clock

Follower = Callable[[timedelta], None]
"""Is told how far the simulated clock is ahead of this machine's; negative if behind."""


class SimulatedClock:
    """Aware UTC instants that only go forward. Between two leaps it goes as the machine's does."""

    def __init__(self, begin: datetime) -> None:
        self._ahead = _whole_seconds(begin - system_clock())
        self._followers: list[Follower] = []

    def __call__(self) -> datetime:
        return system_clock() + self._ahead

    @property
    def ahead(self) -> timedelta:
        """How far it is ahead of this machine's clock, in whole seconds; negative if behind."""
        return self._ahead

    def put_forward(self, to: datetime) -> None:
        """Leap to an instant, or to less than a second after it; it is never put back."""
        leap = _whole_seconds(to - self())
        if leap <= timedelta():
            return
        self._ahead += leap
        for follower in self._followers:
            follower(self._ahead)

    def followed_by(self, follower: Follower) -> None:
        """Have another clock put forward whenever this one is, before anybody goes on."""
        self._followers.append(follower)


def _whole_seconds(length: timedelta) -> timedelta:
    """Rounded up, since the clock of a server is set by whole seconds."""
    return -(-length // timedelta(seconds=1)) * timedelta(seconds=1)
