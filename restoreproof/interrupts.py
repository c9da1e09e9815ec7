"""Ctrl-C and a polite kill, remembered: an exception alone can get lost on its way out.

Python drops one that is raised in a destructor or in a callback from C, libraries drop some while
they close what they had open, and one that meets an error while tidying up becomes that error.
"""

import signal
from dataclasses import dataclass


@dataclass
class _Remembered:
    asked: bool = False


_remembered = _Remembered()


def watch() -> None:
    """From now on both raise KeyboardInterrupt in the main thread, and are remembered."""
    signal.signal(signal.SIGTERM, _interrupt)
    # A shell that starts a job in the background has it ignore Ctrl-C.
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, _interrupt)


def obey() -> None:
    """Raise KeyboardInterrupt if this process was asked to end."""
    if _remembered.asked:
        raise KeyboardInterrupt


def _interrupt(*_: object) -> None:
    _remembered.asked = True
    raise KeyboardInterrupt
