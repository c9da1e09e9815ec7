"""Several connections to one server that see the same, lent to threads that read at once."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from queue import SimpleQueue
from typing import Any, TypeVar

from pymysql.connections import Connection

READERS = 4
Connect = Callable[[], "Connection[Any]"]
T = TypeVar("T")


class Readers:
    """The connections. Whoever makes them closes them."""

    def __init__(self, connections: Sequence["Connection[Any]"]) -> None:
        self.all = tuple(connections)
        self._idle: SimpleQueue[Connection[Any]] = SimpleQueue()
        for connection in self.all:
            self._idle.put(connection)

    @contextmanager
    def lent(self) -> Iterator["Connection[Any]"]:
        """A connection that nobody else uses until the block ends."""
        connection = self._idle.get()
        try:
            yield connection
        finally:
            self._idle.put(connection)

    @contextmanager
    def reading(self) -> Iterator["Pool"]:
        """Readings that run at once; if the block raises, those not begun are dropped."""
        with ThreadPoolExecutor(len(self.all), thread_name_prefix="reader") as threads:
            try:
                yield Pool(self, threads)
            except BaseException:
                threads.shutdown(wait=False, cancel_futures=True)
                raise


@contextmanager
def readers(connect: Connect, count: int = READERS) -> Iterator[Readers]:
    """So many connections, closed when the block ends. Raise what ``connect`` raises."""
    with ExitStack() as stack:
        yield Readers([stack.enter_context(closing(connect())) for _ in range(count)])


class Pool:
    """Runs functions that are handed a connection."""

    def __init__(self, readers: Readers, threads: ThreadPoolExecutor) -> None:
        self._readers, self._threads = readers, threads

    def begin(self, read: "Callable[[Connection[Any]], T]") -> "Future[T]":
        """Run a function as soon as a connection is idle."""

        def run() -> T:
            with self._readers.lent() as connection:
                return read(connection)

        return self._threads.submit(run)

    def all(self, reads: "Iterable[Callable[[Connection[Any]], T]]") -> list[T]:
        """Run all of them and return what they gave, in their order."""
        return [one.result() for one in [self.begin(read) for read in reads]]
