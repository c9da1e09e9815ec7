"""Output of commands in containers: all of it, however slowly we read."""

import http.client
import time

import pytest

from restoreproof import images
from restoreproof.sandbox import Sandboxes

BOTH = ["sh", "-c", "echo said >&2; head -c 100000 /dev/zero; exit 3"]


def test_output_that_comes_before_we_listen_is_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """What arrives in one packet with the headers of the engine's answer is not lost."""
    begin = http.client.HTTPResponse.begin

    def late(response: http.client.HTTPResponse) -> None:
        time.sleep(0.3)
        begin(response)

    with Sandboxes("execution").tools(images.ensure("restoreproof/influxdb:1.6", print)) as tools:
        monkeypatch.setattr(http.client.HTTPResponse, "begin", late)
        stream = tools.stream(BOTH)
        output = b"".join(stream)
        result, ran = stream.result(), tools.run(BOTH)
        monkeypatch.undo()

    assert output == bytes(100_000)
    assert (result.exit_code, result.messages) == (3, "said\n")
    assert (ran.exit_code, ran.messages) == (3, "said\n")
    assert len(ran.output) == 64 * 1024
