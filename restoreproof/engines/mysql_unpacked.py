"""A throwaway MySQL server on a data directory that a physical backup gave back.

The container waits until the directory is unpacked, inside it and by the server's own user,
and then runs the server: its log and its end are the server's. The directory is hostile input
as a dump is: no option that came with it is obeyed.
"""

import secrets
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from typing import Any

import pymysql
from pymysql.connections import Connection

from restoreproof.engines.contract import BackupToRestore
from restoreproof.engines.mysql_clone import ARCHIVE
from restoreproof.engines.mysql_connection import ACCESS_DENIED
from restoreproof.engines.mysql_dump import OPTIONS_FILE
from restoreproof.engines.mysql_image import dialect_of
from restoreproof.engines.mysql_physical import DATA, PLACE, SETTINGS
from restoreproof.engines.mysql_replay import replay_logs
from restoreproof.engines.mysql_restored import RestoredMySQL
from restoreproof.engines.mysql_sandbox import MySQLSandbox
from restoreproof.engines.mysql_start import (
    UNLOGGED,
    client_options,
    connect_to,
    server_options,
    socket_options,
)
from restoreproof.errors import SandboxTrouble
from restoreproof.execution import Execution, engine_trouble
from restoreproof.images import Image
from restoreproof.outcomes import RestoreFailed
from restoreproof.sandbox import POLL_SECONDS, Sandboxes

GATE, INIT_FILE = f"{PLACE}/gate", f"{PLACE}/init.sql"
WAIT_AND_SERVE = f"""
set -eu
umask 077
mkdir {PLACE} {DATA}
chown mysql: {PLACE} {DATA}
mkfifo {GATE}
cat {GATE} >{INIT_FILE}
chown mysql: {INIT_FILE}
"$@"
"""
"""No ``exec``: the kernel lets process 1 survive its own abort."""
RECOVERY_SECONDS = 1800.0
"""How long the server may take for its crash recovery."""
DAMAGED_PAGE = "011906"
KILLED = 137
NO_SPACE = "No space left on device"


@dataclass(frozen=True)
class UnpackedSandbox(MySQLSandbox):
    """A sandbox whose server may stop because of the backup that it was given."""

    def require_running(self) -> None:
        """Raise RestoreFailed if the server stopped by itself, SandboxTrouble if it was killed."""
        with engine_trouble():
            self.container.reload()
            state = self.container.attrs["State"]
        if state["Running"]:
            return
        if not state.get("OOMKilled") and state["ExitCode"] != KILLED:
            raise RestoreFailed(f"the restored server stopped: {self.last_words()}")
        super().require_running()

    def last_words(self) -> str:
        """The first errors that the server told."""
        return " | ".join(error["words"] for error in self.errors()[:3]) or "no error in its log"


class UnpackedMySQL(RestoredMySQL):
    """A server that starts when its data directory is there."""

    sandbox: UnpackedSandbox
    options: tuple[str, ...] = ("--persisted-globals-load=OFF",)
    settings: tuple[str, ...] = SETTINGS

    def __init__(self, sandbox: UnpackedSandbox, stack: ExitStack) -> None:
        super().__init__(sandbox, f"sandbox-{secrets.token_hex(8)}")
        self._stack = stack

    def unpack(self, backup: BackupToRestore) -> None:
        """Unpack the data directory, start the server and roll it forward to the backup's position.

        Raise RestoreFailed with the server's words, SandboxTrouble if there is no room for it.
        """
        self.with_accounts = backup.facts.get("accounts") == "yes"
        self.place_files(backup)
        # The source's password policy may be in force from the start.
        password = f"{secrets.token_urlsafe(24)}aA1!"
        self.serve(self._stack.enter_context(closing(self._start(password))), password)
        options = client_options(self.sandbox, self.administrator, password)
        self.sandbox.place(OPTIONS_FILE, options)
        self.roll_forward(backup)

    def place_files(self, backup: BackupToRestore) -> None:
        """Put the data directory where the server is to find it. Raise RestoreFailed."""
        tar = ["tar", "-C", DATA, "-xf", "-"]
        self.feed(tar, [*tar, "--zstd"], backup, ARCHIVE)

    def roll_forward(self, backup: BackupToRestore) -> None:
        """Apply the logs from the copy's end to the backup's position. Raise RestoreFailed."""
        if self.position != backup.position:
            replay_logs(self, backup, None)

    def feed(
        self,
        command: Sequence[str],
        command_of_stored: Sequence[str],
        backup: BackupToRestore,
        artifact: str,
    ) -> None:
        """Feed an artifact to a command as it is, or, where the image has zstd, as it is stored.

        Raise RestoreFailed with the command's words, SandboxTrouble if there is no room.
        """
        # A container takes its input slowly, so that is as short as can be.
        if self.sandbox.run(["zstd", "--version"]).exit_code == 0:
            fed = self.sandbox.run(
                command_of_stored, feed=backup.read_stored(artifact), user="mysql"
            )
        else:
            fed = self.sandbox.run(command, feed=backup.read(artifact), user="mysql")
        self.require_room(fed)
        if fed.exit_code != 0:
            self.sandbox.require_running()
            raise RestoreFailed(f"{command[0]}: {fed.complaint}")

    def require_room(self, done: Execution) -> None:
        """Raise SandboxTrouble if a command found no room for what it wrote."""
        if NO_SPACE in done.messages:
            mend = "make room where the container engine keeps its containers"
            raise SandboxTrouble(f"no room for the data directory: {NO_SPACE}", mend=mend)

    def _start(self, password: str) -> "Connection[Any]":
        unlogged = f"{UNLOGGED};\n" if self.sandbox.serving else ""
        statements = unlogged + "".join(
            f"CREATE USER '{self.administrator}'@'{host}' IDENTIFIED BY '{password}';\n"
            f"GRANT ALL ON *.* TO '{self.administrator}'@'{host}' WITH GRANT OPTION;\n"
            for host in ("localhost", "%")
        )
        self.sandbox.run(["sh", "-c", f"cat >{GATE}"], feed=[statements.encode()])
        deadline = time.monotonic() + RECOVERY_SECONDS
        while True:
            try:
                connection = connect_to(self.sandbox, self.administrator, password)
            except (pymysql.MySQLError, OSError) as error:
                self.sandbox.require_running()
                denied = bool(error.args) and error.args[0] in ACCESS_DENIED
                # Recovery waits forever for a page that it cannot read.
                damaged = any(one["code"] == DAMAGED_PAGE for one in self.sandbox.errors())
                if denied or damaged or time.monotonic() > deadline:
                    words = self.sandbox.last_words()
                    raise RestoreFailed(f"the restored server does not start: {words}") from None
                time.sleep(POLL_SECONDS)
            else:
                self.sandbox.close_folder()
                self.sandbox.run(["rm", INIT_FILE])
                return connection


@contextmanager
def waiting_server(
    kind: type[UnpackedMySQL], image: Image, sandboxes: Sandboxes, full: BackupToRestore
) -> Iterator[UnpackedMySQL]:
    """A server that nothing can reach but we and that waits for its data directory.

    Raise SandboxTrouble if the container does not start.
    """
    options = server_options(image, sandboxes)
    server = dialect_of(image, sandboxes).server

    def command(socket: str | None) -> tuple[str, ...]:
        return (
            *("sh", "-c", WAIT_AND_SERVE, "restoreproof"),
            *(server, "--no-defaults", *kind.options, "--user=mysql"),
            *(f"--datadir={DATA}", f"--init-file={INIT_FILE}"),
            *(socket_options(socket, sandboxes) or [f"--socket={PLACE}/mysqld.sock"]),
            *(f"--{name.replace('_', '-')}={full.facts[name]}" for name in kind.settings),
            *options,
        )

    with (
        sandboxes.server(
            image,
            command=command,
            environment=lambda _: {},
            socket_name="mysqld.sock",
            port=3306,
        ) as sandbox,
        ExitStack() as stack,
    ):
        unpacked = UnpackedSandbox(**vars(sandbox))
        unpacked.until(
            lambda: unpacked.run(["test", "-p", GATE]).exit_code == 0, what="the sandbox"
        )
        yield kind(unpacked, stack)
