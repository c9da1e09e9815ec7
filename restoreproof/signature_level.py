"""How much a signature proves by itself: the levels of PAdES that a report can be signed at."""

from enum import StrEnum


class Level(StrEnum):
    """A PAdES baseline level, the least first."""

    B = "B-B"
    """Who signed what. When, is the signer's own word."""
    T = "B-T"
    """And that it was there when a time-stamping authority says so."""
    LTA = "B-LTA"
    """And that the signer was not revoked then, for as long as its last time stamp holds."""

    @property
    def rank(self) -> int:
        """Greater proves more."""
        return list(Level).index(self)

    @property
    def needs_timestamps(self) -> bool:
        """Whether a time-stamping authority takes part."""
        return self is not Level.B
