"""What goes on in the background of a test: an error in it is the test's own."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager


@contextmanager
def meanwhile(*works: Callable[[threading.Event], None]) -> Iterator[None]:
    """Run works side by side until the block ends: then the event that each is given is set."""
    stop = threading.Event()
    with ThreadPoolExecutor(len(works), thread_name_prefix="meanwhile") as pool:
        running = [pool.submit(work, stop) for work in works]
        try:
            yield
        finally:
            stop.set()
        # A writer that died of an error would have left the source in peace.
        for one in running:
            one.result()
