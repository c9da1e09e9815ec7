"""A password in a repository's URL is in no argument, which everybody on the machine can read."""

import os
import shutil
from pathlib import Path

import pytest

from restoreproof import engines
from restoreproof.clock import system_clock
from restoreproof.engines.contract import SourceContext
from restoreproof.engines.git_place import GitSource
from restoreproof.errors import SourceUnavailable
from restoreproof.sandbox import Sandboxes

PASSWORD = "pass%2Fword-of-a-url"


def test_password_is_in_no_argument(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Git is given the URL without its password, and the refusal does not repeat it."""
    log, real = tmp_path / "arguments", shutil.which("git")
    wrapper = tmp_path / "bin" / "git"
    wrapper.parent.mkdir()
    wrapper.write_text(f'#!/bin/sh\necho "$@" >>{log}\nexec {real} "$@"\n')
    wrapper.chmod(0o755)
    monkeypatch.setenv("PATH", f"{wrapper.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("AGAMA_URL", f"http://user:{PASSWORD}@127.0.0.1:9/repository.git")
    context = SourceContext(
        component="ansible",
        source=GitSource(repository="${AGAMA_URL}"),
        image=None,
        folder=tmp_path,
        sandboxes=Sandboxes("test"),
        clock=system_clock,
    )

    with pytest.raises(SourceUnavailable) as caught:
        engines.load("git").probe(context)

    arguments = log.read_text()
    assert "http://user@127.0.0.1:9/repository.git" in arguments
    for secret in (PASSWORD, "pass/word-of-a-url"):
        assert secret not in arguments
        assert secret not in str(caught.value)
