"""Loads a logical full backup of MySQL into its sandbox: accounts, content, privileges."""

import pymysql

from restoreproof.engines.contract import BackupToRestore
from restoreproof.engines.mysql_accounts import clear_accounts, lent_privileges
from restoreproof.engines.mysql_dump import OPTIONS_FILE
from restoreproof.engines.mysql_dump_feed import ClientAnswers, DumpFeed
from restoreproof.engines.mysql_loaders import Loaders
from restoreproof.engines.mysql_restored import RestoredMySQL
from restoreproof.outcomes import RestoreFailed

DUMP = "dump.sql"
ACCOUNTS = "accounts.sql"
PRIVILEGES = "privileges.sql"


def load_dump(restored: RestoredMySQL, backup: BackupToRestore) -> None:
    """Fill an empty server from a dump and its accounts.

    Raise RestoreFailed with the server's words.
    """
    restored.with_accounts = backup.facts.get("accounts") == "yes"
    if not restored.with_accounts:
        _load_content(restored, backup)
        return
    connection, ours = restored.connection, restored.administrator
    try:
        clear_accounts(connection, keep=ours)
        _load(restored, backup, ACCOUNTS)
        with lent_privileges(connection, keep=ours):
            _load_content(restored, backup)
        _load(restored, backup, PRIVILEGES)
    except pymysql.MySQLError as error:
        restored.sandbox.require_running()
        raise RestoreFailed(f"accounts: {error.args[-1]}") from None


def grant_again(restored: RestoredMySQL, increment: BackupToRestore) -> None:
    """Give accounts what a replay of their statements by a client does not.

    Who makes a role of MariaDB may pass it on, and a client runs the statement as somebody else.
    What cannot be granted is left to the comparison.
    """
    if restored.with_accounts and restored.dialect.roles_apart:
        command = (*_client(restored), "--force")
        if restored.sandbox.run(command, feed=increment.read(PRIVILEGES)).exit_code != 0:
            restored.sandbox.require_running()


def _load_content(restored: RestoredMySQL, backup: BackupToRestore) -> None:
    answers = ClientAnswers()
    connections = max(2, int(restored.sandbox.limits.processors))
    try:
        with Loaders(restored.connect_again, connections) as loaders:
            feed = DumpFeed(backup.read(DUMP), loaders, answers)
            command = (*_client(restored), "--unbuffered", "--batch", "--skip-column-names")
            loaded = restored.sandbox.run(command, feed=feed, watch=answers.take)
            if loaded.exit_code != 0:
                raise RestoreFailed(
                    f"{restored.dialect.client}, loading {DUMP}: {loaded.complaint}"
                )
            if not feed.complete:
                raise RestoreFailed(
                    f"{restored.dialect.client}, loading {DUMP}: ended before the dump did"
                )
    except (RestoreFailed, pymysql.MySQLError) as error:
        restored.sandbox.require_running()
        if isinstance(error, RestoreFailed):
            raise
        raise RestoreFailed(f"loading {DUMP}: {error.args[-1]}") from None


def _load(restored: RestoredMySQL, backup: BackupToRestore, artifact: str) -> None:
    loaded = restored.sandbox.run(_client(restored), feed=backup.read(artifact))
    if loaded.exit_code != 0:
        restored.sandbox.require_running()
        raise RestoreFailed(f"{restored.dialect.client}, loading {artifact}: {loaded.complaint}")


def _client(restored: RestoredMySQL) -> tuple[str, ...]:
    return (
        restored.dialect.client,
        f"--defaults-extra-file={OPTIONS_FILE}",
        f"--socket={restored.socket}",
        # Without it the client would obey commands such as \! inside the dump.
        "--binary-mode",
        # Else clients before MySQL 9 and all of MariaDB leave out the comments in routines.
        "--comments",
        "--default-character-set=utf8mb4",
    )
