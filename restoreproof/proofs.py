"""One line of what ``verify`` says: about what, and whether it is proven."""

from dataclasses import dataclass
from enum import StrEnum


class Outcome(StrEnum):
    """What examining one thing came to. Not proved is never a pass."""

    PROVED = "proved"
    FAILED = "FAILED"
    OPEN = "not proved"


@dataclass(frozen=True)
class Proof:
    """One thing that was examined."""

    outcome: Outcome
    about: str
    told: str

    def __str__(self) -> str:
        return f"  {self.outcome:<11} {self.about:<17} {self.told}"


def proved(about: str, told: str) -> Proof:
    """It is so."""
    return Proof(Outcome.PROVED, about, told)


def failed(about: str, told: str) -> Proof:
    """It is not so."""
    return Proof(Outcome.FAILED, about, told)


def open_(about: str, told: str) -> Proof:
    """It could not be told."""
    return Proof(Outcome.OPEN, about, told)
