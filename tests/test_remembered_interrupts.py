"""An interrupt counts, whatever swallowed the exception that it raised."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import pytest
from test_negative_control import audited, few, run_control

from restoreproof import interrupts, plugin
from restoreproof.checks import Answer
from restoreproof.component_audit import ComponentAudit
from restoreproof.errors import SandboxTrouble
from restoreproof.plugin_questions import ask as ask_a_check
from restoreproof.suite_index import Declaration

__all__ = ["audited", "few"]


class Dropping:
    """Python drops whatever is raised while an object is taken away."""

    def __del__(self) -> None:
        os.kill(os.getpid(), signal.SIGINT)


def dropped() -> None:
    Dropping()


def suppressed() -> None:
    with suppress(BaseException):
        os.kill(os.getpid(), signal.SIGTERM)


def turned_into_trouble() -> None:
    try:
        os.kill(os.getpid(), signal.SIGINT)
    finally:
        raise SandboxTrouble("the engine failed while it was tidied up")


@pytest.mark.usefixtures("watched", "few")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("swallow", [dropped, suppressed, turned_into_trouble])
def test_negative_control_ends_although_the_exception_was_swallowed(
    audited: ComponentAudit, swallow: Any
) -> None:
    """The copy at hand is the last one, and it is counted for nothing."""
    asked = 0

    def ask(declaration: Declaration, given: Mapping[str, Any]) -> Answer | None:
        nonlocal asked
        if declaration.id == "RST-001":
            asked += 1
            swallow()
        return ask_a_check(declaration, given)

    interrupts.obey()
    with pytest.raises(KeyboardInterrupt):
        run_control(audited, ask=ask)

    assert asked == 1
    with pytest.raises(KeyboardInterrupt):
        plugin.pytest_runtest_logfinish()


def test_job_in_the_background_goes_on_ignoring_the_terminal() -> None:
    """Where a shell had SIGINT ignored it stays so; SIGTERM ends it all the same."""
    script = (
        "import os, signal; signal.signal(signal.SIGINT, signal.SIG_IGN);"
        "from restoreproof import interrupts; interrupts.watch();"
        "os.kill(os.getpid(), signal.SIGINT); interrupts.obey(); print('went on', flush=True);"
        "os.kill(os.getpid(), signal.SIGTERM); print('not reached')"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], check=False, capture_output=True, text=True
    )

    assert done.stdout == "went on\n"
    assert "KeyboardInterrupt" in done.stderr
