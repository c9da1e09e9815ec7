"""Secrets stay out of everything that is printed or stored."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from restoreproof import redaction
from restoreproof.progress import Progress
from restoreproof.redaction import MASK, redact, remember


@pytest.fixture(autouse=True)
def forgetful(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget the test's secrets again."""
    monkeypatch.setattr(redaction, "_secrets", set())


def test_remembered_secret_is_replaced_everywhere() -> None:
    """Every occurrence goes, wherever it stands in the text."""
    remember("hunter2!")

    assert redact("hunter2! a=hunter2!; 'xhunter2!x'") == f"{MASK} a={MASK}; 'x{MASK}x'"


def test_text_without_secrets_is_left_alone() -> None:
    """What holds no secret stays as it is."""
    remember("hunter2!")

    assert redact("Access denied for user 'backup'") == "Access denied for user 'backup'"


def test_longer_secret_goes_before_the_shorter_in_it() -> None:
    """A secret that contains another one leaves no rest behind."""
    remember("tiger")
    remember("tiger-and-lion")

    assert redact("login tiger-and-lion failed") == f"login {MASK} failed"


def test_too_short_secrets_are_not_replaced() -> None:
    """A secret of three letters would garble every text and hide nothing."""
    remember("abc")
    remember("")

    assert redact("abc and abcd") == "abc and abcd"


def test_special_characters_are_no_pattern() -> None:
    """A secret is looked for as it stands."""
    remember(".*+$^[\\")

    assert redact(r"password .*+$^[\ refused") == f"password {MASK} refused"
    assert redact("anything else") == "anything else"


def test_progress_shows_no_secret_on_screen_or_in_its_log(tmp_path: Path) -> None:
    """What a run tells is redacted on both ways out, also what was told before the log began."""
    remember("hunter2!")
    screen = io.StringIO()
    progress = Progress(Console(file=screen, width=200))

    progress("before hunter2!")
    progress.open_log(tmp_path / "run.log")
    progress("within hunter2!")
    progress.answer("failed", "check hunter2!")
    progress.plain("plain hunter2!")

    told = screen.getvalue() + (tmp_path / "run.log").read_text()
    assert "hunter2!" not in told
    assert told.count(MASK) == 8
