"""Asks programs whether they accept restored configuration, in a sandbox without a network.

The files lie there where they were at the source. What a program says is told without the values
that stand in them, since those may be secrets.
"""

import re
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

import docker.errors

from restoreproof.engines.contract import SourceContext
from restoreproof.engines.files_archive import CHUNK_BYTES, header
from restoreproof.engines.files_contents import Entry
from restoreproof.engines.files_source import FilesSource, Validation
from restoreproof.engines.files_tree import Found, printable
from restoreproof.errors import SandboxTrouble, SourceUnavailable
from restoreproof.execution import engine_trouble
from restoreproof.images import Image
from restoreproof.sandbox import Sandbox, Sandboxes

Restored = Callable[[], Iterator[Found]]
"""Goes through what was restored, from the beginning."""
VALUE = re.compile(rb"[=:][ \t]*[\"']?(?P<value>[^\s\"'#;,]{4,})")
TELLING = re.compile(r"error|fail|invalid|unknown|unexpected|cannot|can't|not ", re.IGNORECASE)
LAST_WORD = re.compile(r"\bAborting$")
LARGEST_BYTES = 1024 * 1024
"""Configuration that is larger is searched for no values."""
SHOWN_LINES = 3
INFLUXD = 'exec env -i PATH="$PATH" influxd config -config "$1" >/dev/null'
NO_IMAGE = "add 'image:' to the component, with a container image that holds the programs"


@dataclass(frozen=True)
class Validated:
    """How many programs were asked, and what those complain of that refuse the configuration."""

    examined: int
    complaints: tuple[str, ...]


def require_commands(context: SourceContext, source: FilesSource) -> None:
    """Raise SourceUnavailable unless the image of the policy holds the programs to be asked."""
    where = f"component {context.component}"
    if not source.validate_with:
        return
    if context.image is None:
        raise SourceUnavailable("validate needs an image", where=where, mend=NO_IMAGE)
    with context.sandboxes.isolated(context.image) as sandbox:
        for one in source.validate_with:
            program = _program(one)
            found = sandbox.run(["sh", "-c", 'command -v -- "$1"', "sh", program])
            if found.exit_code != 0:
                what = f"no command {program} in the image {context.image.reference}"
                mend = "correct source.validate, or name an image that holds it"
                raise SourceUnavailable(what, where=where, mend=mend)


def validate(
    restored: Restored, source: FilesSource, image: Image, sandboxes: Sandboxes
) -> Validated:
    """Ask every program of the policy about what was restored, but for its logs."""
    logs = source.logs.paths if source.logs else ()
    with sandboxes.isolated(image) as sandbox:
        _put(sandbox, _tar(restored(), logs))
        said = [(one, _ask(sandbox, one)) for one in source.validate_with]
    complaints = (
        f"{_name(one)}: {_without_values(words, restored())}" for one, words in said if words
    )
    return Validated(len(said), tuple(complaints))


def _ask(sandbox: Sandbox, one: Validation) -> str:
    """What a program complains of; empty if it accepts the configuration."""
    limit, late = one.time_limit, threading.Event()

    def end() -> None:
        late.set()
        with engine_trouble():
            sandbox.container.kill()

    timer = threading.Timer(limit.total_seconds(), end)
    timer.start()
    try:
        done = sandbox.run(_command(one))
    finally:
        timer.cancel()
        timer.join()
    if late.is_set():
        with engine_trouble():
            sandbox.container.start()
        return f"it did not end within {limit.total_seconds():g} s"
    if done.exit_code == 0:
        return ""
    if done.exit_code < 0:
        sandbox.require_running()
    said = [line.strip() for line in f"{done.output}\n{done.messages}".splitlines()]
    said = [line for line in said if line and not LAST_WORD.search(line)]
    telling = [line for line in said if TELLING.search(line)] or said
    return " | ".join(telling[-SHOWN_LINES:]) or f"exit code {done.exit_code}"


def _put(sandbox: Sandbox, tar: Iterator[bytes]) -> None:
    with engine_trouble():
        try:
            taken = sandbox.container.put_archive("/", tar)
        except docker.errors.APIError as error:
            words = error.explanation or error
            raise SandboxTrouble(f"the sandbox does not take the files: {words}") from None
    if not taken:
        raise SandboxTrouble("the sandbox does not take the files")


def _tar(restored: Iterator[Found], logs: Sequence[str]) -> Iterator[bytes]:
    """What was restored but its logs, as a tar of paths at the source."""
    for found in restored:
        node = found.node
        if node.path == "/" or any(fnmatchcase(node.path, one) for one in logs):
            continue
        yield header(Entry.of(node), node.path.lstrip("/"))
        left = node.size
        while found.content and left and (chunk := found.content.read(min(CHUNK_BYTES, left))):
            left -= len(chunk)
            yield chunk
        yield bytes(left + -node.size % 512)
    yield bytes(1024)


def _without_values(words: str, restored: Iterator[Found]) -> str:
    for found in restored:
        if found.content is not None and found.node.size <= LARGEST_BYTES:
            for match in VALUE.finditer(found.content.read()):
                words = words.replace(match["value"].decode("utf-8", "replace"), "…")
    return words


def _command(one: Validation) -> Sequence[str]:
    if one.mysqld:
        return ("mysqld", f"--defaults-file={one.mysqld}", "--validate-config", "--user=mysql")
    if one.influxd:
        # Variables of the sandbox would replace what the file says.
        return ("sh", "-c", INFLUXD, "sh", one.influxd)
    return one.command


def _program(one: Validation) -> str:
    return one.command[0] if one.command else "mysqld" if one.mysqld else "influxd"


def _name(one: Validation) -> str:
    path = one.mysqld or one.influxd
    return f"{_program(one)} on {printable(path)}" if path else printable(one.command[0])
