"""With which options the server of a sandbox starts, and how it is connected to."""

from typing import Any

from pymysql.connections import Connection

from restoreproof.engines.mysql_connection import connect, rows
from restoreproof.engines.mysql_image import dialect_of
from restoreproof.engines.mysql_source import options_file
from restoreproof.images import Image
from restoreproof.sandbox import Sandbox, Sandboxes

SANDBOX_OPTIONS = (
    # Events of the estate would change the restored data.
    "--event-scheduler=OFF",
    # A dump is hostile input: it may read and write no file.
    "--local-infile=OFF",
    "--skip-name-resolve",
    "--max-allowed-packet=1G",
    # Nothing in a sandbox outlives it, so nothing has to survive a crash. The report says so.
    "--innodb-flush-log-at-trx-commit=0",
    "--skip-innodb-doublewrite",
    # What an empty server had in memory once is not what will be asked of this one.
    "--skip-innodb-buffer-pool-load-at-startup",
)
UNENCRYPTED = (
    # Making keys takes a fifth of a start, and through a socket nobody could listen.
    "--loose-auto-generate-certs=OFF",
    "--loose-caching-sha2-password-auto-generate-rsa-keys=OFF",
    "--loose-sha256-password-auto-generate-rsa-keys=OFF",
)
RELAXED = "durability relaxed: no flush at commit, no doublewrite"
SERVING_OPTIONS = ("--log-bin=living-copy", "--server-id=2", "--binlog-format=ROW")
UNLOGGED = "SET SESSION sql_log_bin = 0"
"""What fills a living copy is no change of its own: its history goes on where the backup ends."""
OUTGOING_OPTIONS = (
    # What came back of a source that is a replica itself must not follow that one's source.
    "--loose-skip-replica-start",
    "--loose-skip-slave-start",
)


def server_options(image: Image, sandboxes: Sandboxes) -> tuple[str, ...]:
    """Options of every server that a backup is restored into."""
    outgoing = OUTGOING_OPTIONS if sandboxes.reaching_out else ()
    logging = SERVING_OPTIONS if sandboxes.serving else ("--skip-log-bin",)
    own = dialect_of(image, sandboxes).sandbox_options
    return (*SANDBOX_OPTIONS, *logging, *own, *outgoing)


def client_options(sandbox: Sandbox, user: str, password: str) -> bytes:
    """The option file of the client tools in a sandbox."""
    unlogged = {"loose-init-command": UNLOGGED} if sandbox.serving else {}
    return options_file(user=user, password=password, **unlogged)


def socket_options(socket: str | None, sandboxes: Sandboxes) -> tuple[str, ...]:
    """Options for a server with a socket: on this machine's network it must not listen."""
    if socket is None:
        return ()
    networking = ["--skip-networking"] if sandboxes.reaching_out else []
    return (f"--socket={socket}", *UNENCRYPTED, *networking)


def connect_to(
    sandbox: Sandbox, user: str, password: str, *, several: bool = False
) -> "Connection[Any]":
    """A connection to a sandbox's server. Raise pymysql.MySQLError or OSError."""
    host, port = sandbox.address or (None, 3306)
    made = connect(user, password, host=host, port=port, socket=sandbox.socket, several=several)
    if sandbox.serving:
        rows(made, UNLOGGED)
    return made
