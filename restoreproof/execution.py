"""Commands inside a container, with their input and output streamed in constant memory."""

import errno
import socket
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import docker.errors
import requests.exceptions
from docker.models.containers import Container
from docker.utils.socket import STDERR, STDOUT, frames_iter

from restoreproof.errors import SandboxTrouble

KEPT_BYTES = 64 * 1024
"""How much of a command's messages is kept: the last part, where errors are."""


@dataclass(frozen=True)
class Execution:
    """What a command left: exit code and the last part of its output and messages."""

    exit_code: int
    output: str
    messages: str

    @property
    def complaint(self) -> str:
        """The command's own words on why it failed."""
        return (self.messages or self.output).strip() or f"exit code {self.exit_code}"


class Tail:
    """The last ``KEPT_BYTES`` of a stream."""

    def __init__(self) -> None:
        self._chunks: deque[bytes] = deque()
        self._size = 0

    def append(self, chunk: bytes) -> None:
        """Add a chunk and forget what is too old."""
        self._chunks.append(chunk)
        self._size += len(chunk)
        while self._size - len(self._chunks[0]) >= KEPT_BYTES:
            self._size -= len(self._chunks.popleft())

    def text(self) -> str:
        """What is kept, as text."""
        return b"".join(self._chunks)[-KEPT_BYTES:].decode("utf-8", "replace")


class OutputStream:
    """Iterates over a command's output. ``result()`` is known once the output has ended."""

    def __init__(self, container: Container, command: Sequence[str]) -> None:
        self._api = container.client.api  # type: ignore[union-attr]  # set on every container that is listed or made
        self._identifier = self._api.exec_create(container.id, list(command))["Id"]
        self._messages = Tail()

    def __iter__(self) -> Iterator[bytes]:
        with engine_trouble():
            stream: Any = self._api.exec_start(self._identifier, socket=True)
            try:
                getattr(stream, "_sock", stream).settimeout(None)
                for source, chunk in _frames(stream):
                    if source == STDERR:
                        self._messages.append(chunk)
                    elif chunk:
                        yield chunk
            finally:
                stream.close()

    def result(self) -> Execution:
        """Exit code and messages. Call it after the last chunk."""
        with engine_trouble():
            exit_code = self._api.exec_inspect(self._identifier)["ExitCode"]
        # No exit code means that the container died under the command.
        return Execution(-1 if exit_code is None else exit_code, "", self._messages.text())


def run(
    container: Container,
    command: Sequence[str],
    *,
    feed: Iterable[bytes] | None = None,
    watch: Callable[[bytes], None] | None = None,
    user: str = "",
) -> Execution:
    """Run a command to its end, its standard input fed chunk by chunk if given.

    ``watch`` is given its output as it comes, in another thread, and nothing when it has ended.
    """
    api = container.client.api  # type: ignore[union-attr]  # set on every container that is listed or made
    with engine_trouble():
        made = api.exec_create(container.id, list(command), stdin=feed is not None, user=user)
        identifier = made["Id"]
        stream = api.exec_start(identifier, socket=True)
        # docker gives a SocketIO around the socket, or the socket itself where it is encrypted.
        connection = getattr(stream, "_sock", stream)
        assert isinstance(connection, socket.socket)
        # A server may well take minutes over one statement before it takes more input.
        connection.settimeout(None)
        output, messages = Tail(), Tail()
        reader = threading.Thread(
            target=_read, args=(stream, connection, output, messages, watch), daemon=True
        )
        reader.start()
        try:
            if feed is not None:
                _feed(connection, feed)
            reader.join()
        finally:
            # After Ctrl-C the reader still waits: it is told, and closes the stream itself, since
            # Python does not join a thread any more once joining it was interrupted.
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        exit_code = api.exec_inspect(identifier)["ExitCode"]
    return Execution(-1 if exit_code is None else exit_code, output.text(), messages.text())


def _read(
    stream: Any,
    connection: socket.socket,
    output: Tail,
    messages: Tail,
    watch: Callable[[bytes], None] | None,
) -> None:
    try:
        for source, chunk in _frames(stream):
            {STDOUT: output, STDERR: messages}.get(source, output).append(chunk)
            if watch and source == STDOUT and chunk:
                watch(chunk)
    finally:
        if watch:
            watch(b"")
        # The engine goes on taking input for a command that has ended: slowly, and for nothing.
        with suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)
        stream.close()


def _frames(stream: Any) -> Iterator[tuple[int, bytes]]:
    """Which stream a command wrote to, and what, until it has ended."""
    # docker hands out the bare socket; what came in one packet with the headers of the answer is
    # in the reader that took them, and would be lost. Where it is encrypted there is no other.
    response = getattr(stream, "_response", None)
    reader = getattr(getattr(getattr(response, "raw", None), "_fp", None), "fp", None)
    if reader is None:
        yield from frames_iter(stream, tty=False)  # type: ignore[no-untyped-call]  # docker ships no types
        return
    while len(header := reader.read(8)) == 8:
        yield header[0], reader.read(int.from_bytes(header[4:], "big"))


def _feed(connection: socket.socket, chunks: Iterable[bytes]) -> None:
    try:
        for chunk in chunks:
            connection.sendall(chunk)
        connection.shutdown(socket.SHUT_WR)
    except ConnectionError:
        # The command ended before its input did; its exit code and messages say why.
        return
    except OSError as error:
        if error.errno != errno.ENOTCONN:
            raise


@contextmanager
def engine_trouble() -> Iterator[None]:
    """Turn trouble with the container engine into SandboxTrouble: it is no finding."""
    try:
        yield
    except (docker.errors.DockerException, requests.exceptions.RequestException) as error:
        raise SandboxTrouble(
            f"the container engine failed: {error}",
            mend="see that the engine runs and has memory and disk left, then run again",
        ) from error
