"""Restored servers that are let out to their source."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from mysql_chains import Source, restored

from restoreproof.engines.mysql_restored import RestoredMySQL
from restoreproof.vault import StoredBackup


@contextmanager
def outside(source: Source, backup: StoredBackup) -> Iterator[RestoredMySQL]:
    """A backup restored into a server with a way to the network."""
    reaching = replace(source.context, sandboxes=source.context.sandboxes.that_reach_out())
    with restored(replace(source, context=reaching), source.vault, backup.id) as attempt:
        assert attempt.failure == ""
        assert isinstance(attempt.restored, RestoredMySQL)
        assert "a way to the network" in attempt.isolation
        yield attempt.restored
