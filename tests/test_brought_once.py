"""Of a chain configuration and logs are brought back once: those of its end."""

from datetime import UTC, datetime

import pytest

from restoreproof.engines.contract import STREAMED, BackupToRestore
from restoreproof.fingerprint import Fingerprint
from restoreproof.restore import brought_once

AT = datetime(2026, 11, 22, 16, 10, tzinfo=UTC)


def _backup(kind: str) -> BackupToRestore:
    facts = {STREAMED: "yes"} if kind == STREAMED else {}
    return BackupToRestore(
        position="",
        source_version="",
        facts=facts,
        fingerprint=Fingerprint.of("none", AT, ()),
        read=lambda _: iter(()),
        read_stored=lambda _: iter(()),
    )


@pytest.mark.parametrize(
    ("kinds", "brings"),
    [
        (["full"], 0),
        (["full", "incremental"], 1),
        (["full", "incremental", "incremental"], 2),
        (["full", STREAMED], 0),
        (["full", "incremental", STREAMED, STREAMED], 1),
        (["full", STREAMED, "incremental"], 2),
    ],
)
def test_the_last_backup_that_holds_files_brings_them(kinds: list[str], brings: int) -> None:
    """What was streamed holds transactions alone, so the one before it counts."""
    chain = brought_once(_backup(kind) for kind in kinds)

    assert [one.overtaken for one in chain] == [number < brings for number in range(len(kinds))]
