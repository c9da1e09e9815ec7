"""An empty MySQL server in a sandbox of its own, into which a dump can be loaded."""

import secrets
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import pymysql
from pymysql.connections import Connection

from restoreproof.engines.mysql_accounts import make_administrator
from restoreproof.engines.mysql_connection import value
from restoreproof.engines.mysql_dialect import spoken
from restoreproof.engines.mysql_dump import OPTIONS_FILE
from restoreproof.engines.mysql_restored import RestoredMySQL
from restoreproof.engines.mysql_sandbox import MySQLSandbox
from restoreproof.engines.mysql_start import (
    client_options,
    connect_to,
    server_options,
    socket_options,
)
from restoreproof.images import Image
from restoreproof.sandbox import Sandbox, Sandboxes

SERVERS = ("mysqld", "mariadbd")


@contextmanager
def empty_server(image: Image, sandboxes: Sandboxes) -> Iterator[RestoredMySQL]:
    """An empty server that nothing can reach but we.

    Raise ImageUnavailable if the image holds no such server, SandboxTrouble if it does not start.
    """
    password = secrets.token_urlsafe(24)
    options = server_options(image, sandboxes)

    def command(socket: str | None) -> tuple[str, ...]:
        return (*socket_options(socket, sandboxes), *options)

    with sandboxes.server(
        image,
        command=command,
        environment=lambda _: {"MYSQL_ROOT_PASSWORD": password},
        socket_name="mysqld.sock",
        port=3306,
    ) as sandbox:
        closed = sandboxes.reaching_out and sandbox.socket is not None
        sandbox.until(lambda: _answers(sandbox, password, closed), what="the MySQL server")
        sandbox.close_folder()
        # The estate's accounts, root among them, are restored too: ours is another one.
        administrator = f"sandbox-{secrets.token_hex(8)}"
        with closing(connect_to(sandbox, "root", password)) as connection:
            make_administrator(connection, administrator, password)
            if sandbox.socket is None:
                _pass_on_proxies(sandbox, connection, administrator, password)
        sandbox.place(OPTIONS_FILE, client_options(sandbox, administrator, password))
        with closing(connect_to(sandbox, administrator, password)) as connection:
            restored = RestoredMySQL(MySQLSandbox(**vars(sandbox)), administrator)
            restored.serve(connection, password)
            yield restored


def _pass_on_proxies(
    sandbox: Sandbox, connection: "Connection[Any]", administrator: str, password: str
) -> None:
    """Let the administrator grant proxies, which root alone may, and only inside the sandbox."""
    sandbox.place(OPTIONS_FILE, client_options(sandbox, "root", password))
    spoken_there = spoken(connection)
    command = (
        spoken_there.client,
        f"--defaults-extra-file={OPTIONS_FILE}",
        f"--socket={value(connection, 'SELECT @@GLOBAL.socket')}",
    )
    # A server that knows no such privilege has none to restore.
    sandbox.run(
        command,
        feed=[
            f"GRANT PROXY ON {spoken_there.anybody} TO `{administrator}`@`{host}`"
            " WITH GRANT OPTION;\n".encode()
            for host in ("localhost", "%")
        ],
    )


def _answers(sandbox: Sandbox, password: str, closed: bool) -> bool:
    # Asking the engine costs the server, which is about to start, a tenth of a processor.
    if sandbox.socket is not None and not sandbox.socket.exists():
        return False
    # While the official image initialises, a first server without a port answers too. Where the
    # lasting one has none either, it is told by being the container's first process.
    if closed and sandbox.run(["cat", "/proc/1/comm"]).output.strip() not in SERVERS:
        return False
    if not closed and b"port: 3306" not in sandbox.container.logs():
        return False
    try:
        connect_to(sandbox, "root", password).close()
    except (pymysql.MySQLError, OSError):
        return False
    return True
