"""The sample estate's MySQL server: started, and filled with schema, rows and users."""

import secrets
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import pymysql
from pymysql.connections import Connection
from testcontainers.community.mysql import MySqlContainer

from restoreproof.demo import server_clock
from restoreproof.demo.content import Table, tables
from restoreproof.demo.servers import address, publish, wait_until
from restoreproof.demo.simulated_clock import SimulatedClock
from restoreproof.errors import SandboxTrouble
from restoreproof.execution import engine_trouble
from restoreproof.images import Image

PORT = 3306
ACCOUNT = "mysql"
BACKUP_USER, APPLICATION_USER = "backup", "application"
CONNECT_SECONDS = 10
ANSWER_SECONDS = 120


@dataclass(frozen=True)
class MySQLServer:
    """The running server, its container's name, and the passwords of its two users."""

    container: str
    host: str
    port: int
    rows: int
    backup_password: str = field(repr=False)
    application_password: str = field(repr=False)

    def as_application(self) -> "Connection[Any]":
        """A connection of the application's user. Raise pymysql.MySQLError."""
        return _connect(self.host, self.port, APPLICATION_USER, self.application_password)


class Container(MySqlContainer):
    """A server that is ready once it answers a query through its port.

    The library waits for a line in the log that the official image writes twice, and ours once.
    """

    def _connect(self) -> None:
        wait_until(self._answers, self, what="the sample estate's MySQL server")

    def _answers(self) -> bool:
        host, port = address(self, PORT)
        try:
            _connect(host, port, self.username, self.password).close()
        except (pymysql.MySQLError, OSError):
            return False
        return True


def container(
    image: Image, labels: Mapping[str, str], folder: Path, clock: SimulatedClock | None = None
) -> Container:
    """The server's container, not started yet. ``folder`` holds the estate's files.

    With ``clock`` it is to live in simulated time. Raise UserError if nothing here can do that.
    """
    made = Container(
        image.reference, username="root", password=secrets.token_urlsafe(24), dbname="agama"
    )
    made.with_copy_into_container(folder / "mysql" / "agama.cnf", "/etc/mysql/conf.d/agama.cnf")
    if clock is None:
        return publish(made, (PORT,), labels)
    server_clock.place(made, clock)
    # What keeps its time belongs to whoever began it, and that would be root.
    return publish(made, (PORT,), labels, user=ACCOUNT)


def start(made: Container, folder: Path, now: datetime) -> MySQLServer:
    """Start the server and fill it. Raise SandboxTrouble."""
    with engine_trouble():
        made.start()
        host, port = address(made, PORT)
        name = str(made.get_wrapped_container().name)
    passwords = {user: secrets.token_urlsafe(24) for user in (BACKUP_USER, APPLICATION_USER)}
    with (
        _refusals("the sample estate's MySQL server"),
        closing(_connect(host, port, made.username, made.password)) as connection,
    ):
        _run(connection, folder / "mysql" / "schema.sql")
        rows = sum(_insert(connection, table) for table in tables(now))
        with connection.cursor() as cursor:
            beat = "INSERT INTO agama.heartbeat (beat_at) VALUES (%s)"
            cursor.execute(beat, (now.replace(tzinfo=None),))
            connection.commit()
            for user, password in passwords.items():
                _run(connection, folder / "mysql" / f"{user}-user.sql")
                alter = "ALTER USER %s@'%%' IDENTIFIED BY %s ACCOUNT UNLOCK"
                cursor.execute(alter, (user, password))
            # Increments hold the log that their base ended in: it need not begin with all rows.
            cursor.execute("FLUSH BINARY LOGS")
    return MySQLServer(name, host, port, rows, passwords[BACKUP_USER], passwords[APPLICATION_USER])


@contextmanager
def _refusals(server: str) -> Iterator[None]:
    try:
        yield
    except pymysql.MySQLError as error:
        raise SandboxTrouble(f"{server} refused: {error.args[-1]}") from None


def _run(connection: "Connection[Any]", script: Path) -> None:
    with connection.cursor() as cursor:
        for statement in statements(script.read_text(encoding="utf-8")):
            cursor.execute(statement)


def statements(script: str) -> Iterator[str]:
    """The statements of an SQL script, which end where a line ends with the delimiter.

    One by one: the server would take a whole script too, but then the text of a trigger that it
    keeps ends with a semicolon, and mysqldump makes of such a trigger one that does not restore.
    """
    delimiter, lines = ";", list[str]()
    for line in script.splitlines():
        if line.startswith("DELIMITER "):
            delimiter = line.split()[1]
        elif line and not line.startswith("--"):
            lines.append(line)
            if line.endswith(delimiter):
                yield "\n".join(lines).removesuffix(delimiter)
                lines.clear()


def _insert(connection: "Connection[Any]", table: Table) -> int:
    columns, places = ", ".join(table.columns), ", ".join(["%s"] * len(table.columns))
    statement = f"INSERT INTO {table.name} ({columns}) VALUES ({places})"  # noqa: S608  # names of our own
    with connection.cursor() as cursor:
        cursor.executemany(statement, table.rows)
    return len(table.rows)


def _connect(host: str, port: int, user: str, password: str) -> "Connection[Any]":
    return pymysql.connect(
        host=host,
        port=port,
        user=user,
        password=password,
        charset="utf8mb4",
        connect_timeout=CONNECT_SECONDS,
        read_timeout=ANSWER_SECONDS,
        # TIMESTAMP values are given in UTC.
        init_command="SET time_zone = '+00:00'",
    )
