"""Asks a check outside of pytest's own order, and judges what it raises as pytest would."""

import importlib.util
import inspect
import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import cache
from types import ModuleType
from typing import Any

import pytest

from restoreproof import resources, wording
from restoreproof.checks import Answer, Observation
from restoreproof.outcomes import RestoreFailed
from restoreproof.suite_index import Declaration
from restoreproof.verdicts import Verdict


def judge(error: BaseException | None, *, asked: bool) -> tuple[Verdict, str]:
    """What an error says that ended a check, or what it wanted before it was ``asked``."""
    if isinstance(error, pytest.skip.Exception):
        return Verdict.UNPROVEN, str(error)
    if asked and isinstance(error, AssertionError | RestoreFailed | pytest.fail.Exception):
        reason = "" if isinstance(error, AssertionError) else str(error)
        return Verdict.FAILED, reason
    return Verdict.ERROR, f"{type(error).__name__}: {error}"


def ask(declaration: Declaration, given: Mapping[str, Any]) -> Answer | None:
    """Ask a check outside of pytest's own order; None if it wants what is not given."""
    return ask_of(vars(_suite(declaration.file)).get, declaration, given)


def ask_of(
    suite: Callable[[str], Any], declaration: Declaration, given: Mapping[str, Any]
) -> Answer | None:
    """Ask a check of a suite, which gives a function by its name."""
    check = suite(declaration.function)
    observation = Observation()
    known = {**given, "observe": observation, "in_words": wording.duration}
    wanted = inspect.signature(check).parameters
    if not wanted.keys() <= known.keys():
        return None
    begun = time.monotonic()
    try:
        check(**{name: known[name] for name in wanted})
        answer = Answer(Verdict.PASSED)
    # Whatever it is, it is judged as pytest's own report would be.
    except (Exception, pytest.skip.Exception, pytest.fail.Exception) as error:  # noqa: BLE001
        answer = Answer(*judge(error, asked=True))
    answer.duration = timedelta(seconds=time.monotonic() - begun)
    answer.observation = observation
    return answer


@cache
def _suite(file: str) -> ModuleType:
    """A suite by itself, whatever pytest collected of it."""
    path = resources.folder("suites") / file
    specification = importlib.util.spec_from_file_location(f"restoreproof_{path.stem}", path)
    assert specification is not None and specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module
