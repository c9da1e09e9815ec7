"""Runs one of the organisation's commands to its end or to its limit, with all its children.

A child bears a mark in its environment, so that also one that left its parents is found.
"""

import os
import re
import secrets
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import IO

from restoreproof.redaction import redact

MARK = "RESTOREPROOF_COMMAND"
LINE_BYTES = 64 * 1024
UNSAFE_BYTES = 4 * 1024
KEPT_BYTES = 1024 * 1024
TOLD_LINES = 200
COMPLAINT_LINES = 3
ERROR = re.compile(r"(?:\w+: )?(?:ERROR|FATAL|error|fatal)\b")
POLL_SECONDS = 0.05
WATCH_SECONDS = 0.5
GRACE_SECONDS = 3.0
END_SECONDS = 10.0
INHERITED = (
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "LANG",
    "LC_ALL",
    "TZ",
    "TMPDIR",
    "SSH_AUTH_SOCK",
    "DOCKER_HOST",
)
"""All that a command is given of our environment, where the secrets of a policy lie."""


@dataclass(frozen=True)
class Ran:
    """How a command ended. ``stopped`` says why we ended it, if we did."""

    exit_status: int
    duration: timedelta
    output_bytes: int
    complaint: str
    lines: tuple[str, ...]
    """Its standard output, up to a limit."""
    complaints: tuple[str, ...]
    """Its standard error, up to a limit."""
    stopped: str = ""

    @property
    def problem(self) -> str:
        """What went wrong, in a line; empty if nothing did."""
        if self.stopped:
            return self.stopped
        if self.exit_status == 0:
            return ""
        how = f"exit status {self.exit_status}"
        if self.exit_status < 0:
            how = f"ended by signal {-self.exit_status}"
        return f"{how}: {self.complaint or 'without a word'}"


@dataclass
class _Words:
    """What a process said, without secrets, up to a limit."""

    tell: Callable[[str], None]
    lines: list[str] = field(default_factory=list)
    last: deque[str] = field(default_factory=lambda: deque(maxlen=COMPLAINT_LINES))
    errors: list[str] = field(default_factory=list)
    count_bytes: int = 0

    def read(self, stream: IO[bytes]) -> None:
        for raw in iter(lambda: stream.readline(LINE_BYTES), b""):
            line, rest = raw, raw
            while not rest.endswith(b"\n") and (rest := stream.readline(LINE_BYTES)):
                # What follows is dropped, and as much before as could be half of a secret.
                self.count_bytes += len(rest)
                line = raw[: LINE_BYTES - UNSAFE_BYTES]
            self._take(line)

    def _take(self, raw: bytes) -> None:
        self.count_bytes += len(raw)
        line = redact(raw.decode("utf-8", "replace").rstrip())
        if line:
            self.last.append(line)
            if ERROR.match(line) and len(self.errors) < COMPLAINT_LINES:
                self.errors.append(line)
        if self.count_bytes > KEPT_BYTES:
            return
        self.lines.append(line)
        if len(self.lines) <= TOLD_LINES:
            self.tell(line)
        elif len(self.lines) == TOLD_LINES + 1:
            self.tell("... the rest of it is in the vault alone")


def run(
    arguments: Sequence[str],
    *,
    folder: Path,
    environment: Mapping[str, str],
    limit: timedelta,
    stop: Callable[[], str] = lambda: "",
    tell: Callable[[str], None] = lambda _: None,
) -> Ran:
    """Run a command without a terminal until it and all that write for it have ended.

    ``stop`` is asked twice a second for a reason to end it. Secrets that are known are taken out
    of its words. Raise OSError if it cannot be started.
    """
    begun, mark = time.monotonic(), secrets.token_hex(8)
    inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
    process = subprocess.Popen(
        list(arguments),
        cwd=folder,
        env={**inherited, **environment, MARK: mark},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    said, complained = _Words(tell), _Words(tell)
    readers = [
        threading.Thread(target=words.read, args=(stream,), daemon=True)
        for words, stream in ((said, process.stdout), (complained, process.stderr))
    ]
    stopped, looked = "", begun
    try:
        for reader in readers:
            reader.start()
        while process.poll() is None or any(reader.is_alive() for reader in readers):
            now = time.monotonic()
            if now - begun > limit.total_seconds():
                stopped = f"ended at its limit of {limit.total_seconds():g} s, with its children"
            elif now - looked > WATCH_SECONDS:
                stopped, looked = stop(), now
            if stopped:
                break
            time.sleep(POLL_SECONDS)
    finally:
        if stopped or process.poll() is None:
            _end(process, mark)
    for reader in readers:
        reader.join(END_SECONDS)
    # Of a pipe that breaks, the program that broke it speaks before those that complain of it.
    words = complained.errors or complained.last or said.last
    return Ran(
        exit_status=process.wait(),
        duration=timedelta(seconds=time.monotonic() - begun),
        output_bytes=said.count_bytes + complained.count_bytes,
        complaint=" | ".join(words),
        lines=tuple(said.lines),
        complaints=tuple(complained.lines),
        stopped=stopped,
    )


def _end(process: "subprocess.Popen[bytes]", mark: str) -> None:
    """First ask them, so that tools give up their locks; then kill them, until none is left."""
    for sign, patience in ((signal.SIGTERM, GRACE_SECONDS), (signal.SIGKILL, END_SECONDS)):
        deadline = time.monotonic() + patience
        sent: set[int] = set()
        while left := _family(process.pid, mark):
            for one in left - sent:
                with suppress(ProcessLookupError, PermissionError):
                    os.kill(one, sign)
            sent |= left if sign is signal.SIGTERM else set()
            process.poll()
            if time.monotonic() > deadline:
                break
            time.sleep(POLL_SECONDS)


def _family(leader: int, mark: str) -> set[int]:
    """All processes that a command left running: by its session, its parents or its mark."""
    sessions, parents, marked = {}, {}, set()
    wanted = f"{MARK}={mark}".encode()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal():
            continue
        number = int(entry.name)
        with suppress(OSError, IndexError, ValueError):
            state, parent, _, session = (entry / "stat").read_text().rpartition(")")[2].split()[:4]
            if state == "Z":
                continue
            sessions[number], parents[number] = int(session), int(parent)
            if wanted in (entry / "environ").read_bytes().split(b"\0"):
                marked.add(number)
    family = marked | {one for one, session in sessions.items() if session == leader}
    while more := {one for one, parent in parents.items() if parent in family} - family:
        family |= more
    return family
