"""Streams of a real server's binary logs, what interrupts them, and what they are held against."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from multiprocessing import get_context
from multiprocessing.process import BaseProcess as Process
from pathlib import Path

import docker.errors
from mysql_chains import Source

from restoreproof import docker_engine, engines
from restoreproof.engines.contract import Base
from restoreproof.engines.mysql_connection import rows
from restoreproof.engines.mysql_fingerprint import gtid_executed
from restoreproof.engines.mysql_gtids import GtidSet
from restoreproof.engines.mysql_position import file_position, keeps_gtids, log_position
from restoreproof.jobs import JobResult, base_of, seal_stream
from restoreproof.sandbox import LABEL, Sandboxes
from restoreproof.stream_store import StreamStore
from restoreproof.vault import StoredBackup, Vault

PATIENCE_SECONDS = 60
ENGINE = engines.load("mysql")


def vault_of(source: Source, place: Path) -> Vault:
    """A vault with one full backup."""
    made = Vault(str(place / "vault"))
    made.prepare()
    Source(source.context, made, source.port).stored()
    return made


def base_in(vault: Vault) -> Base:
    return base_of(vault.backups("mysql")[-1])


def store_in(vault: Vault) -> StreamStore:
    return vault.stream("mysql", base_in(vault).source_identity)


@contextmanager
def streaming(source: Source, vault: Vault) -> Iterator[list[str]]:
    """A stream under way, and what it tells."""
    stop, told = threading.Event(), list[str]()
    thread = threading.Thread(
        target=ENGINE.follow,
        args=(source.context, lambda: base_in(vault), store_in(vault), stop, told.append),
    )
    with store_in(vault).locked():
        thread.start()
        try:
            yield told
        finally:
            stop.set()
            thread.join()


@contextmanager
def streaming_elsewhere(source: Source, vault: Vault) -> Iterator[Process]:
    """A stream by a process of its own, which is killed in the end if it was not before."""
    run = "streamed-elsewhere"
    context = replace(source.context, sandboxes=Sandboxes(run))

    def work() -> None:
        with store_in(vault).locked():
            ENGINE.follow(
                context, lambda: base_in(vault), store_in(vault), threading.Event(), print
            )

    process = get_context("fork").Process(target=work)
    process.start()
    try:
        yield process
    finally:
        process.kill()
        process.join()
        # As ``restoreproof clean`` does for whoever was killed.
        left = {"label": [f"{LABEL}.run={run}", f"{LABEL}.process={process.pid}"]}
        with closing(docker_engine.connect()) as client:
            for container in client.containers.list(all=True, filters=left, ignore_removed=True):
                # A test beside this one may be cleaning up after the dead as well.
                with suppress(docker.errors.NotFound):
                    container.remove(force=True, v=True)


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def stands_at(source: Source) -> str:
    """Where the source stands, as its backups name it."""
    with closing(source.connect()) as connection:
        if keeps_gtids(connection):
            return str(GtidSet(gtid_executed(connection)))
        return file_position(*log_position(connection))


def lose_connections(source: Source) -> None:
    """End the connections that send the log, as a network does."""
    with closing(source.connect()) as connection:
        for number, _, _, _, command, *_ in rows(connection, "SHOW PROCESSLIST"):
            if command.startswith("Binlog Dump"):
                rows(connection, f"KILL {number}")


def catch_up(source: Source, vault: Vault) -> None:
    """Wait until all is stored that was written by now."""
    written_at = source.context.clock()
    until(lambda: (store_in(vault).caught_up_at or written_at) > written_at)


def seal(source: Source, vault: Vault) -> JobResult | None:
    return seal_stream(ENGINE, source.context, vault, "test", vault.backups("mysql")[-1])


def seal_now(source: Source, vault: Vault) -> StoredBackup:
    result = seal(source, vault)
    assert result is not None
    assert result.backup is not None, result.problem
    return result.backup
