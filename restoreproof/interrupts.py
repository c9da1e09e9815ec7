"""Ctrl-C and a polite kill, remembered: an exception alone can get lost on its way out.

Python drops one that is raised in a destructor or in a callback from C, libraries drop some while
they close what they had open, and one that meets an error while tidying up becomes that error.
"""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass
class _Remembered:
    asked: bool = False
    waiting: bool = False
    """Whether the exception is still to be raised."""
    depth: int = 0
    """How many blocks that put it off the main thread is in."""


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


@contextmanager
def put_off() -> Iterator[None]:
    """Have the first Ctrl-C in this block take effect at its end; a second one does at once.

    For what must not be left half done: the engine goes on making a container whose maker has
    gone, and one that is removed halfway stays.
    """
    if threading.current_thread() is not threading.main_thread():
        # Signals are the main thread's.
        yield
        return
    _remembered.depth += 1
    try:
        yield
    finally:
        _remembered.depth -= 1
        if _remembered.waiting and not _remembered.depth:
            _remembered.waiting = False
            raise KeyboardInterrupt


def _interrupt(*_: object) -> None:
    first, _remembered.asked = not _remembered.asked, True
    if first and _remembered.depth:
        _remembered.waiting = True
        return
    _remembered.waiting = False
    raise KeyboardInterrupt
