"""Runs the real command line in a process of its own, and reads what it left."""

import atexit
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import IO, Any

import docker

from restoreproof import docker_engine
from restoreproof.demo.estate import Estate
from restoreproof.evidence import CheckRecord, Evidence, parse
from restoreproof.resources import folder
from restoreproof.sandbox import LABEL
from restoreproof.verdicts import Verdict

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
AGAMA_POLICY = folder("fixtures") / "agama" / "policy.yaml"


def _without_negative_control() -> Path:
    """Agama's policy for the many audits that need not each damage copies once more."""
    place = Path(tempfile.mkdtemp(prefix="restoreproof-tests-"))
    atexit.register(shutil.rmtree, place, ignore_errors=True)
    text = AGAMA_POLICY.read_text(encoding="utf-8")
    text, count = re.subn(r"negative_control:\n(?: .*\n)+", "negative_control: off\n", text)
    assert count == 1
    policy = place / AGAMA_POLICY.name
    policy.write_text(text, encoding="utf-8")
    return policy


POLICY = _without_negative_control()
COMMAND = (sys.executable, "-m", "restoreproof.cli")
UNPLAYED = ("audit:\n", "audit:\n  exercise: none\n")
"""What has a policy play no criteria, which takes longer than all other checks together."""
SECONDS = 240


@dataclass(frozen=True)
class Agama:
    """The running estate and the variables under which it is audited."""

    estate: Estate
    environment: Mapping[str, str] = field(repr=False)
    secrets: Mapping[str, str] = field(repr=False)

    def with_vault(self, vault: Path, **variables: str) -> dict[str, str]:
        """The variables for an audit of another vault."""
        return {**self.environment, "AGAMA_VAULT": str(vault), **variables}


@dataclass(frozen=True)
class Finished:
    """A command that ended: exit code, output, and the folder of its run if it left one."""

    code: int
    output: str
    process: int
    archive: Path

    @property
    def folder(self) -> Path:
        """The one run in the archive."""
        (found,) = (path for path in self.archive.iterdir() if (path / "evidence.json").exists())
        return found

    @property
    def evidence(self) -> Evidence:
        """What the run recorded, its seal checked."""
        path = self.folder / "evidence.json"
        return parse(path.read_bytes(), where=str(path))

    def checks(self, check: str, component: str) -> list[CheckRecord]:
        """The records of one check about one component."""
        answers = self.evidence.checks
        return [one for one in answers if (one.id, one.component) == (check, component)]

    def with_verdict(self, verdict: Verdict) -> set[tuple[str, str]]:
        """Check and component of all answers of this kind."""
        return {(c.id, str(c.component)) for c in self.evidence.checks if c.verdict is verdict}


@dataclass(frozen=True)
class Running:
    """A command in a process group of its own, its output in a file."""

    process: subprocess.Popen[bytes]
    output: IO[bytes]
    archive: Path

    def containers(self, role: str = "") -> list[Any]:
        """The containers that it has now."""
        found = labelled(f"{LABEL}.process={self.process.pid}")
        return [one for one in found if not role or one.labels.get(LABEL) == role]

    def wait_for(self, condition: Callable[[], object], what: str) -> None:
        """Wait until a condition holds while the command runs."""
        deadline = time.monotonic() + SECONDS
        while not condition():
            assert self.process.poll() is None, f"ended before {what}:\n{self.text()}"
            assert time.monotonic() < deadline, f"no {what} after {SECONDS} s:\n{self.text()}"
            time.sleep(0.02)

    def send(self, number: signal.Signals) -> None:
        """Send a signal as a terminal does: to the whole group."""
        os.killpg(self.process.pid, number)

    def text(self) -> str:
        """What it has said so far."""
        self.output.seek(0)
        return self.output.read().decode("utf-8", "replace")

    def finished(self, seconds: int = SECONDS) -> Finished:
        """Wait for its end."""
        code = self.process.wait(seconds)
        return Finished(code, self.text(), self.process.pid, self.archive)


@contextmanager
def started(
    command: Sequence[str | Path], environment: Mapping[str, str], archive: Path, place: Path = ROOT
) -> Iterator[Running]:
    """Start a command; whatever is left of it at the end of the block is killed."""
    paths = os.pathsep.join(filter(None, (str(HERE), os.environ.get("PYTHONPATH", ""))))
    # A variable of the surroundings must not lead to another estate.
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("AGAMA_", "COLUMNS"))}
    variables = {**inherited, "PYTHONPATH": paths, **environment}
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            [str(part) for part in command],
            env=variables,
            cwd=place,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            yield Running(process, output, archive)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def run(
    command: Sequence[str | Path],
    environment: Mapping[str, str],
    archive: Path,
    place: Path = ROOT,
    seconds: int = SECONDS,
) -> Finished:
    """Run a command to its end, which it comes to within so many seconds."""
    with started(command, environment, archive, place) as running:
        return running.finished(seconds)


def audit_command(
    archive: Path, *arguments: str, policy: Path | None = None
) -> tuple[str | Path, ...]:
    """The command line of an audit whose report goes to ``archive``.

    Without a policy of its own it is Agama's, and no criteria are played.
    """
    return (*COMMAND, "audit", policy or unplayed(), "--out", archive, *arguments)


@cache
def unplayed() -> Path:
    """Agama's policy, with no criteria played."""
    place = Path(tempfile.mkdtemp(prefix="agama-"))
    atexit.register(shutil.rmtree, place, ignore_errors=True)
    path = place / POLICY.name
    path.write_text(POLICY.read_text(encoding="utf-8").replace(*UNPLAYED), encoding="utf-8")
    return path


def labelled(label: str) -> list[Any]:
    """All containers with a label."""
    client: docker.DockerClient = docker_engine.connect()
    try:
        return list(client.containers.list(all=True, filters={"label": label}, ignore_removed=True))
    finally:
        client.close()


def left_by(process: int) -> list[str]:
    """Everything that a process should have taken away and did not."""
    containers = [str(one.name) for one in labelled(f"{LABEL}.process={process}")]
    folders = Path(tempfile.gettempdir()).glob(f"restoreproof-{process}-*")
    return [*containers, *map(str, folders)]
