"""The clock of the sample estate's MySQL server: libfaketime, told how far it is off.

A session can date its rows, but not its commits: those go by the server's own clock, and from
them binary logs are dated. So the library stands before the C library in that one server. It
reads its offset anew at every question, from a file inside the container that is only ever
overwritten in place: a file that is missing or cut short for a moment would end the server.
"""

import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from testcontainers.core.container import DockerContainer

from restoreproof.demo.simulated_clock import SimulatedClock
from restoreproof.errors import SandboxTrouble, UserError
from restoreproof.execution import run

LIBRARIES = Path("/usr")
PATTERNS = ("lib*/*/faketime/libfaketime.so.1", "lib*/faketime/libfaketime.so.1")
LIBRARY, OFFSET = "/usr/local/lib/libfaketime.so.1", "/etc/simulated-clock"
ENVIRONMENT = {
    "LD_PRELOAD": LIBRARY,
    "FAKETIME_TIMESTAMP_FILE": OFFSET,
    "FAKETIME_NO_CACHE": "1",
    "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    # Otherwise every wait of InnoDB's threads is over at once, and they never rest.
    "FAKETIME_FORCE_MONOTONIC_FIX": "0",
    "NO_FAKE_STAT": "1",
}
# It opens the file for reading too, which is the one way not to cut it off first.
KEEPER = f'while read -r offset; do echo "$offset" 1<>{OFFSET}; echo set; done'
ANSWER_SECONDS = 30


def place(container: DockerContainer, clock: SimulatedClock) -> None:
    """Have the server of a container that is not started yet live in simulated time.

    Raise UserError where the library is not installed.
    """
    found = [path for pattern in PATTERNS for path in sorted(LIBRARIES.glob(pattern))]
    if not found:
        raise UserError(
            "the demo plays a week in simulated time, which needs libfaketime",
            where=str(LIBRARIES / PATTERNS[0]),
            mend="as root: apt-get install --no-install-recommends libfaketime",
        )
    container.with_copy_into_container(found[0], LIBRARY)
    container.with_copy_into_container(_line(clock.ahead), OFFSET)
    for name, setting in ENVIRONMENT.items():
        container.with_env(name, setting)


@contextmanager
def following(container: DockerContainer, clock: SimulatedClock) -> Iterator[None]:
    """Have the server's clock put forward whenever the simulated one is, until the block ends."""
    offsets, answers = queue.Queue[bytes](), queue.Queue[bytes]()

    def put_forward(ahead: timedelta) -> None:
        offsets.put(_line(ahead))
        try:
            answered = answers.get(timeout=ANSWER_SECONDS)
        except queue.Empty:
            answered = b""
        if not answered:
            raise SandboxTrouble("the clock of the sample estate's MySQL server cannot be set")

    keeper = threading.Thread(
        target=lambda: run(
            container.get_wrapped_container(),
            ["env", "-u", "LD_PRELOAD", "sh", "-c", KEEPER],
            feed=iter(offsets.get, b""),
            watch=answers.put,
            user="root",
        ),
        name="server clock",
        daemon=True,
    )
    keeper.start()
    clock.followed_by(put_forward)
    try:
        # It may have been put forward while the server started.
        put_forward(clock.ahead)
        yield
    finally:
        offsets.put(b"")
        # It asks the engine once more, for which the container has to be there.
        keeper.join(ANSWER_SECONDS)


def _line(ahead: timedelta) -> bytes:
    """Always of one length, and with a sign: without one the library takes it for a date."""
    return f"{int(ahead.total_seconds()):+013d}\n".encode()
