"""The sample estate's application at work: it writes on while backups are made."""

import itertools
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pymysql
from pymysql.connections import Connection

from restoreproof.demo.content import CUSTOMERS
from restoreproof.demo.influxdb import InfluxDBServer, write
from restoreproof.demo.metrics import HEARTBEAT, HOSTS, line, nanoseconds
from restoreproof.demo.mysql import MySQLServer
from restoreproof.demo.repository import beat
from restoreproof.demo.simulated_clock import SimulatedClock
from restoreproof.errors import SandboxTrouble

BEAT_SECONDS = 0.2
FIRST_BEAT_SECONDS = 30
STEP = timedelta(minutes=30)
"""How far simulated time goes at once."""

Clock = Callable[[], datetime]


@dataclass(frozen=True)
class Heartbeats:
    """When the heartbeats were written that each server acknowledged, the newest last."""

    mysql: list[datetime] = field(default_factory=list)
    influxdb: list[datetime] = field(default_factory=list)


@contextmanager
def working(mysql: MySQLServer, influxdb: InfluxDBServer, clock: Clock) -> Iterator[Heartbeats]:
    """Write to both servers until the block ends; it begins after each one's first beat.

    Raise SandboxTrouble at the end if a server refused a write or went away.
    """
    beats, stop = Heartbeats(), threading.Event()
    begun = threading.Barrier(3, timeout=FIRST_BEAT_SECONDS)
    # One thread each: a read lock on the one must not still the other's heart.
    with ThreadPoolExecutor(max_workers=2, thread_name_prefix="workload") as pool:
        writers = (
            pool.submit(_write_mysql, mysql, clock, beats.mysql, begun, stop),
            pool.submit(_write_influxdb, influxdb, clock, beats.influxdb, begun, stop),
        )
        try:
            _wait(begun)
            yield beats
        finally:
            stop.set()
    for writer in writers:
        writer.result()


def pass_time(
    mysql: MySQLServer,
    influxdb: InfluxDBServer,
    repository: Path,
    clock: SimulatedClock,
    until: datetime,
) -> None:
    """Put the clock forward to an instant, step by step, with work and heartbeats at each.

    Raise SandboxTrouble if a server refused a write or went away.
    """
    commits: list[datetime] = []
    try:
        with closing(mysql.as_application()) as connection, closing(influxdb.writer()) as client:
            for number in itertools.count():
                clock.put_forward(min(clock() + STEP, until))
                _beat_mysql(connection, number, clock())
                _beat_influxdb(client, number, clock())
                commits.append(clock())
                if clock() >= until:
                    break
    except pymysql.MySQLError as error:
        raise SandboxTrouble(f"the workload on MySQL was refused: {error.args[-1]}") from None
    except httpx.HTTPError as error:
        raise SandboxTrouble(f"the workload on InfluxDB was refused: {error}") from None
    beat(repository, commits)


def _wait(begun: threading.Barrier) -> None:
    try:
        begun.wait()
    except threading.BrokenBarrierError:
        # The writer that failed says why, once the block has ended.
        return


def _write_mysql(
    server: MySQLServer,
    clock: Clock,
    beats: list[datetime],
    begun: threading.Barrier,
    stop: threading.Event,
) -> None:
    try:
        with closing(server.as_application()) as connection:
            for number in _until(stop):
                beats.append(_beat_mysql(connection, number, clock()))
                if number == 0:
                    begun.wait()
    except pymysql.MySQLError as error:
        begun.abort()
        raise SandboxTrouble(f"the workload on MySQL was refused: {error.args[-1]}") from None


def _beat_mysql(connection: "Connection[Any]", number: int, beat: datetime) -> datetime:
    """A heartbeat, and after it some work. Return the heartbeat, which was acknowledged."""
    with connection.cursor() as cursor:
        statement = "INSERT INTO agama.heartbeat (beat_at) VALUES (%s)"
        cursor.execute(statement, (beat.replace(tzinfo=None),))
    connection.commit()
    _serve_a_customer(connection, number, beat.replace(tzinfo=None))
    return beat


def _serve_a_customer(connection: "Connection[Any]", number: int, at: datetime) -> None:
    """One transaction that inserts, updates and deletes."""
    customer = number % CUSTOMERS + 1
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO agama.tickets (customer_id, subject, opened_at) VALUES (%s, %s, %s)",
            (customer, f"call № {number}: ☎ and no answer", at),
        )
        ticket = cursor.lastrowid
        cursor.execute(
            "INSERT INTO agama.ticket_events VALUES (%s, 2, %s, 'called back')", (ticket, at)
        )
        if number % 2:
            cursor.execute("CALL agama.close_ticket(%s, %s)", (ticket, at))
        cursor.execute(
            "UPDATE agama.customers SET note = %s WHERE customer_id = %s",
            (f"called at {at}", customer),
        )
        cursor.execute(
            "INSERT INTO agama.logins VALUES (%s, 'night shift', 'accepted')",
            (at.replace(microsecond=0),),
        )
        cursor.execute("DELETE FROM agama.logins WHERE account <> 'night shift' LIMIT 1")
    connection.commit()


def _write_influxdb(
    server: InfluxDBServer,
    clock: Clock,
    beats: list[datetime],
    begun: threading.Barrier,
    stop: threading.Event,
) -> None:
    try:
        with closing(server.writer()) as client:
            for number in _until(stop):
                beats.append(_beat_influxdb(client, number, clock()))
                if number == 0:
                    begun.wait()
    except httpx.HTTPError as error:
        begun.abort()
        raise SandboxTrouble(f"the workload on InfluxDB was refused: {error}") from None


def _beat_influxdb(client: httpx.Client, number: int, beat: datetime) -> datetime:
    """Metrics and a heartbeat among them. Return the heartbeat, which was acknowledged."""
    at = nanoseconds(beat)
    points = [
        line("cpu", {"host": host, "cpu": "cpu-total"}, {"usage_user": 1.5}, at) for host in HOSTS
    ]
    write(client, [*points, line(HEARTBEAT, {}, {"seq": number + 1}, at)])
    return beat


def _until(stop: threading.Event) -> Iterator[int]:
    """Numbers from 0, one a beat."""
    number = 0
    while not stop.is_set():
        yield number
        number += 1
        stop.wait(BEAT_SECONDS)
