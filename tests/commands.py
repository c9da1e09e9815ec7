"""Runs the real command line, in a process of its own, and looks at all that it left."""

import os
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import restoreproof

PASSPHRASE = "correct horse"
ESTATE = """\
estate: Harbour
objectives: {rpo: 1h, rto: 4h, restore_test_every: 31d}
vault: {location: vault}
signing: {identity: identity/signer.p12, passphrase: "${PASSPHRASE}"}
components:
"""
"""How a policy of one component begins."""
NO_DOCKER = {"DOCKER_HOST": "tcp://127.0.0.1:1"}
"""Almost everything here needs no engine, and is run where none answers."""
DOCKER = {"DOCKER_HOST": os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")}


@dataclass(frozen=True)
class Outcome:
    """What a command did: exit code, lines of its messages, and all that it printed."""

    code: int
    messages: tuple[str, ...]
    printed: str


def run(folder: Path, *arguments: str, limit: int = 0, **environment: str) -> Outcome:
    """Run the real command line in a folder; ``limit`` is how many bytes a file may have."""
    bounded = ("prlimit", f"--fsize={limit}") if limit else ()
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    done = subprocess.run(
        [*bounded, sys.executable, "-m", "restoreproof.cli", *arguments],
        cwd=folder,
        env={
            **kept,
            "PYTHONPATH": str(Path(restoreproof.__file__).parents[1]),
            "PASSPHRASE": PASSPHRASE,
            **NO_DOCKER,
            **environment,
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=180,
    )
    assert "Traceback" not in done.stdout + done.stderr, done.stderr
    for secret in (value for name, value in environment.items() if name.endswith("PASSWORD")):
        assert secret not in done.stdout + done.stderr
    return Outcome(done.returncode, tuple(done.stderr.splitlines()), done.stdout + done.stderr)


def files(folder: Path) -> dict[str, bytes]:
    """Every file in a folder, with its content."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def run_all(
    folder: Path, *commands: Sequence[str], limit: int = 0, **environment: str
) -> list[Outcome]:
    """Run several commands side by side."""
    with ThreadPoolExecutor(max_workers=4) as pool:
        return list(
            pool.map(lambda words: run(folder, *words, limit=limit, **environment), commands)
        )


def mistakes(
    folder: Path, *commands: Sequence[str], code: int = 2, limit: int = 0, **environment: str
) -> list[str]:
    """Run commands each of which must fail with one line and leave every file as it was."""
    before = files(folder)
    outcomes = run_all(folder, *commands, limit=limit, **environment)
    assert files(folder) == before
    for outcome in outcomes:
        assert outcome.code == code, outcome.printed
        assert len(outcome.messages) == 1, outcome.printed
    return [outcome.messages[0] for outcome in outcomes]


def mistake(folder: Path, *words: str, code: int = 2, limit: int = 0, **environment: str) -> str:
    """Run one such command."""
    return mistakes(folder, words, code=code, limit=limit, **environment)[0]
