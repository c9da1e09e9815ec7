"""Runs git: nothing of this user's configuration takes part, and its words come out clean."""

import os
import re
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import IO, Any

import git
from git.exc import GitCommandError

CHUNK_BYTES = 1024 * 1024
# Nothing of this user's configuration, and no hook or prompt, takes part; commits are taken as
# they are, not as refs/replace would have them.
ENVIRONMENT = {
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "LC_ALL": "C.UTF-8",
}
# A source often belongs to another user, and is only read.
OPTIONS = ("-c", "safe.directory=*", "-c", f"core.hooksPath={os.devnull}")


def run_git(
    arguments: Sequence[str],
    repository: Path | None = None,
    *,
    environment: Mapping[str, str] = MappingProxyType({}),
) -> str:
    """Output of a git command. Raise GitCommandError with its words."""
    command = ["git", *OPTIONS, *arguments]
    variables = {**ENVIRONMENT, **environment}
    return str(git.Git(repository).execute(command, env=variables, strip_newline_in_stdout=False))


def output_of(
    arguments: Sequence[str], repository: Path, feed: Iterable[str] = ()
) -> Iterator[bytes]:
    """Output of a git command in chunks, given these lines as its input.

    Raise GitCommandError with its words at the end.
    """
    with tempfile.TemporaryFile() as lines:
        lines.writelines(f"{line}\n".encode(errors="surrogateescape") for line in feed)
        lines.seek(0)
        process = _started(arguments, repository, lines)
        while chunk := process.stdout.read(CHUNK_BYTES):
            yield chunk
        process.wait()


@contextmanager
def talking(arguments: Sequence[str], repository: Path) -> Iterator[tuple[IO[bytes], IO[bytes]]]:
    """The input and output of a git command that answers line by line.

    Raise GitCommandError with its words at the end if it failed.
    """
    process = _started(arguments, repository, subprocess.PIPE)
    try:
        yield process.stdin, process.stdout
        process.stdin.close()
        process.wait()
    finally:
        # Where the block was left before its end, it is stopped.
        process.__del__()


def _started(arguments: Sequence[str], repository: Path, istream: IO[bytes] | int) -> Any:
    return git.Git(repository).execute(
        ["git", *OPTIONS, *arguments],
        env=ENVIRONMENT,
        as_process=True,
        istream=istream,  # type: ignore[arg-type]  # a file, or subprocess.PIPE
    )


def lines_of(told: str) -> list[str]:
    """Its lines as git ends them: names may hold other signs that part lines."""
    return [line for line in told.split("\n") if line]


def shown(name: str) -> str:
    """A name of any bytes as text: what is no UTF-8 is spelt out with backslashes."""
    return name.encode(errors="surrogateescape").decode(errors="backslashreplace")


def meant(name: str) -> str:
    """What was shown of a reference's name, which holds no backslash by itself, as git takes it."""
    spelt = re.sub(rb"\\x([0-9a-f]{2})", lambda found: bytes.fromhex(found[1].decode()),
                   name.encode(errors="surrogateescape"))  # fmt: skip
    return spelt.decode(errors="surrogateescape")


def words(error: GitCommandError) -> str:
    """Git's own words, without the command line and without passwords in URLs."""
    text = str(error.stderr or error.stdout or f"exit code {error.status}")
    text = text.replace("\n  stderr: ", "").strip().strip("'").strip()
    # Git repeats the URL, which may hold a password where it was redirected to.
    return re.sub(r"(?<=://)[^/@]*@", "", text)
