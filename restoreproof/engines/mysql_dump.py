"""One logical full backup of a MySQL server: mysqldump, digested while it runs.

The dump and the digests see the very same instant: the lock of the snapshot is released when
the dump has begun to show content, which it does after it has opened its own snapshot.
"""

import re
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from restoreproof.engines.contract import ArtifactSink
from restoreproof.engines.mysql_connection import CHANGED_MEANWHILE
from restoreproof.engines.mysql_dialect import Dialect
from restoreproof.engines.mysql_snapshot import Snapshot
from restoreproof.fingerprint import Item
from restoreproof.outcomes import BackupFailed, SourceChanged
from restoreproof.sandbox import Sandbox

OPTIONS_FILE = "/run/restoreproof/client.cnf"
CONTENT_BEGINS = b"-- Current Database:"
TRAILER = b"-- Dump completed"
KEPT_TAIL = 256
KEPT_HEAD = 64 * 1024
CODE = re.compile(r"\b[Ee]rror:? (\d{4})\b|\((\d{4})\)")


def dump(taken: Snapshot, tools: Sandbox, dialect: Dialect, sink: ArtifactSink) -> tuple[Item, ...]:
    """Stream a dump into ``sink`` and return the items of its content.

    ``dialect`` is that of the tools.

    Raise BackupFailed with the server's or the tool's words.
    """
    command = dump_command(taken.databases, dialect, binary_log=bool(taken.log_file))
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="fingerprint") as pool:
        items: Future[tuple[Item, ...]] | None = None
        head, tail = b"", b""
        stream = tools.stream(command)
        for chunk in stream:
            sink.write(chunk)
            tail = (tail + chunk)[-KEPT_TAIL:]
            if items is None:
                head = (head + chunk)[-KEPT_HEAD:]
                if CONTENT_BEGINS in head:
                    taken.release()
                    items = pool.submit(taken.items)
        result = stream.result()
        if result.exit_code != 0:
            codes = {int(one[1] or one[2]) for one in CODE.finditer(result.complaint)}
            failed = SourceChanged if codes & CHANGED_MEANWHILE else BackupFailed
            raise failed(f"{dialect.dump}: {result.complaint}")
        if items is None or TRAILER not in tail:
            raise BackupFailed(f"{dialect.dump} ended without an error and without a whole dump")
        return items.result()


def dump_command(
    databases: Sequence[str], dialect: Dialect, *, binary_log: bool
) -> tuple[str, ...]:
    """The command line of the dump; it holds no secret."""
    return (
        dialect.dump,
        f"--defaults-extra-file={OPTIONS_FILE}",
        "--single-transaction",
        *(dialect.dump_position if binary_log else ()),
        *dialect.dump_options,
        "--routines",
        "--triggers",
        "--events",
        "--hex-blob",
        "--no-tablespaces",
        "--default-character-set=utf8mb4",
        "--databases",
        *databases,
    )
