"""How long the content's fingerprint takes against CHECKSUM TABLE, both while a dump runs."""

import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext
from typing import Any

from mysql_bench import Bench, Figure, timed
from pymysql.connections import Connection

from restoreproof.clock import system_clock
from restoreproof.engines.mysql_connection import quoted, rows
from restoreproof.engines.mysql_dump import dump_command
from restoreproof.engines.mysql_image import dialect_of
from restoreproof.engines.mysql_snapshot import snapshot
from restoreproof.engines.mysql_source import place_source_options

RUNS = 3
DUMP_SECONDS = 60
DATABASES = ("bench",)


def measure(bench: Bench) -> Iterator[Figure]:
    """The medians of three runs, without and with a dump of the same server beside them."""
    for name, beside in (("fingerprint_ratio_alone", nullcontext), ("fingerprint_ratio", _dump)):
        ours, peer = [], []
        for _ in range(RUNS):
            with closing(bench.connect()) as connection, beside(bench), timed() as seconds:
                _checksum(connection)
            peer += seconds
            with snapshot(bench.connect, DATABASES, system_clock) as taken:
                taken.release()
                # As in a job, the dump begins after the snapshot: its queries delay the lock.
                with beside(bench), timed() as seconds:
                    assert len(taken.items()) > 200
            ours += seconds
        middle, peers = sorted(ours)[RUNS // 2], sorted(peer)[RUNS // 2]
        yield Figure(name, round(middle / peers, 2), 1.5, round(middle, 2), round(peers, 2))


def _checksum(connection: "Connection[Any]") -> None:
    tables = rows(connection, "SHOW TABLES FROM bench")
    names = ", ".join(quoted("bench", str(table)) for (table,) in tables)
    rows(connection, f"CHECKSUM TABLE {names}")


@contextmanager
def _dump(bench: Bench) -> Iterator[None]:
    """A dump that runs all the while, begun again when it ends."""
    stop, begun = threading.Event(), threading.Event()
    sandboxes = bench.context.sandboxes
    with sandboxes.tools(bench.image) as tools:
        place_source_options(tools, bench.context)
        command = dump_command(DATABASES, dialect_of(bench.image, sandboxes), binary_log=True)

        def work() -> None:
            while not stop.is_set():
                for _ in tools.stream(command):
                    begun.set()
                    if stop.is_set():
                        return

        thread = threading.Thread(target=work)
        thread.start()
        assert begun.wait(DUMP_SECONDS), "the dump did not begin"
        try:
            yield
        finally:
            stop.set()
            thread.join()
