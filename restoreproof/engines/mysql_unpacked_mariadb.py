"""A throwaway MariaDB server on a data directory that mariadb-backup streamed.

The stream is unpacked and made consistent inside the sandbox, by the server's own user. That
program would obey options that came along, so they are written anew from what the job noted.
"""

import shlex

from restoreproof.engines.contract import BackupToRestore
from restoreproof.engines.mysql_dialect import unfit
from restoreproof.engines.mysql_load import grant_again
from restoreproof.engines.mysql_mariadb_backup import (
    ARCHIVE,
    COPIED_POSITION,
    MARIADB_BACKUP,
    UNDO,
    words_of,
)
from restoreproof.engines.mysql_physical import DATA, SETTINGS
from restoreproof.engines.mysql_unpacked import UnpackedMySQL
from restoreproof.outcomes import RestoreFailed

PREPARED = ("innodb_page_size", "innodb_data_file_path", UNDO)
MEMORY = "256M"


class UnpackedMariaDB(UnpackedMySQL):
    """A server that starts when its data directory is there and consistent."""

    options = ()
    settings = (*SETTINGS, UNDO)

    def place_files(self, backup: BackupToRestore) -> None:
        """Unpack the stream and apply the redo log in it. Raise RestoreFailed."""
        unpack = ["mbstream", "-x", "-C", DATA]
        unpack_stored = ["bash", "-c", f"set -o pipefail; zstd -dc | {shlex.join(unpack)}"]
        self.feed(unpack, unpack_stored, backup, ARCHIVE)
        self._require_position(backup)
        options = "".join(f"{name}={backup.facts[name]}\n" for name in PREPARED)
        script = f"umask 077; cd {DATA} && rm -rf backup-my.cnf && cat >backup-my.cnf"
        content = f"[mysqld]\n{options}".encode()
        written = self.sandbox.run(["sh", "-c", script], feed=[content], user="mysql")
        self.require_room(written)
        if written.exit_code != 0:
            raise RestoreFailed(f"its options cannot be written: {written.complaint}")
        prepare = [MARIADB_BACKUP, "--no-defaults", "--prepare", f"--use-memory={MEMORY}"]
        prepared = self.sandbox.run([*prepare, f"--target-dir={DATA}"], user="mysql")
        self.require_room(prepared)
        if prepared.exit_code != 0:
            self.sandbox.require_running()
            raise RestoreFailed(f"{MARIADB_BACKUP} --prepare: {words_of(prepared.complaint)}")
        self.file_position = backup.facts[COPIED_POSITION]

    def _require_position(self, backup: BackupToRestore) -> None:
        noted = self.sandbox.run(["sh", "-c", f"cat {DATA}/*_binlog_info"]).output.split()[:2]
        if ":".join(noted) != backup.facts[COPIED_POSITION]:
            told = ":".join(noted) or "no position"
            raise RestoreFailed(
                f"the copy ends at {told} and not at {backup.facts[COPIED_POSITION]}"
            )

    def roll_forward(self, backup: BackupToRestore) -> None:
        """Apply the logs from the copy's end on, and grant again. Raise RestoreFailed."""
        # The server does not refuse by itself to start on files of a later series.
        if reason := unfit(backup.source_version, self.server_version):
            raise RestoreFailed(f"{reason}: name an image of the source's own series")
        if self.position != backup.position:
            super().roll_forward(backup)
            grant_again(self, backup)
