"""Faults in a full backup: in its stored bytes, in its dump under right hashes, in its age."""

import random
import re
from collections.abc import Sequence
from datetime import timedelta

import pytest
from mysql_bench import DUMP, Bench, Verdict, content, instead, same

from mysql_faults.tables import FAULTS, Fault
from restoreproof.clock import system_clock
from restoreproof.engines import mysql_dump
from restoreproof.engines.mysql_restored import RestoredMySQL
from restoreproof.engines.mysql_source import Heartbeat
from restoreproof.recovery_objectives import Disaster, measured_rpo
from restoreproof.vault import StoredBackup

TRUNCATIONS = BOUNDARIES = 10
FLIPS = 10
TRAILER = b"-- Dump completed"
LAST_OBJECT = b"/*!50001 VIEW `named`"


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_fault_in_the_content_is_seen(
    bench: Bench, full: StoredBackup, matrix: dict[str, Verdict], fault: Fault
) -> None:
    """The fault, and nothing else, is what differs after a restore."""
    verdict = bench.damaged(full, {fault.artifact: fault.changes})
    matrix[fault.name] = verdict

    assert verdict.short == fault.seen, verdict
    assert fault.refused in verdict.failure
    assert verdict.found


def test_damage_to_stored_bytes_is_seen(
    bench: Bench, full: StoredBackup, matrix: dict[str, Verdict], drawn: random.Random
) -> None:
    """Cut short, with one bit flipped, with a block emptied or moved: no such byte is used."""
    copy = bench.copy()
    backup = same(copy.vault, full)
    stored = (backup.folder / DUMP).read_bytes()
    length = len(stored)
    at, bit = drawn.randrange(length), 1 << drawn.randrange(8)
    flipped = stored[:at] + bytes([stored[at] ^ bit]) + stored[at + 1 :]
    half = length // 2
    damages = {
        **{
            f"truncated stream, {keep} bytes kept": stored[:keep]
            for keep in sorted(drawn.sample(range(length), TRUNCATIONS))
        },
        "one flipped bit in the compressed stream": flipped,
        "stored block filled with zeros": stored[:half] + bytes(512) + stored[half + 512 :],
        "stored blocks swapped": stored[512:1024] + stored[:512] + stored[1024:],
        "trailer cut off the stored dump": stored[:-32],
        "empty file": b"",
    }
    for name, damaged in damages.items():
        copy = bench.copy()
        path = same(copy.vault, full).folder / DUMP
        path.unlink()
        path.write_bytes(damaged)
        verdict = matrix[name] = bench.verdict(copy.vault, full)
        assert verdict.failed_in == "check artifacts", name
        assert f"{DUMP}: SHA-256 differs" in verdict.failure, name


def test_a_dump_that_breaks_off_is_seen(
    bench: Bench, full: StoredBackup, matrix: dict[str, Verdict], drawn: random.Random
) -> None:
    """Cut anywhere, or between two statements with its last line kept, under right hashes."""
    dump = content(full, DUMP)
    last = dump.index(LAST_OBJECT)
    trailer = dump[dump.rindex(TRAILER) :]
    boundaries = [found.end() for found in re.finditer(rb";\n", dump[:last])]
    cuts = {
        **{
            f"truncated dump, {keep} bytes kept": dump[:keep]
            for keep in sorted(drawn.sample(range(1, last), TRUNCATIONS))
        },
        **{
            f"cut at the statement boundary {keep}": dump[:keep] + trailer
            for keep in sorted(drawn.sample(boundaries, BOUNDARIES))
        },
        "empty dump": b"",
        "dump of nothing but its head and its end": dump[: dump.index(b"--\n-- Current")] + trailer,
    }
    for name, cut in cuts.items():
        verdict = matrix[name] = bench.damaged(full, {DUMP: [instead(cut)]})
        assert verdict.found, name


def test_a_flipped_bit_in_a_value_is_seen(
    bench: Bench, full: StoredBackup, matrix: dict[str, Verdict], drawn: random.Random
) -> None:
    """One bit of one value changed, under right hashes, is refused or is other content."""
    dump = content(full, DUMP)
    values = [
        at
        for text in (b"'first'", b"'Barbara'", b"'lamp'", b"'carpet'", b"3.14159", b"'twenty'")
        for at in range(dump.index(text) + 1, dump.index(text) + len(text) - 1)
    ]
    for at in sorted(drawn.sample(values, FLIPS)):
        bit = drawn.randrange(8)
        flipped = dump[:at] + bytes([dump[at] ^ (1 << bit)]) + dump[at + 1 :]
        name = f"bit {bit} of byte {at} of the dump flipped"
        verdict = matrix[name] = bench.damaged(full, {DUMP: [instead(flipped)]})
        assert verdict.found, (name, dump[at - 5 : at + 5])


def test_a_flipped_bit_anywhere_is_seen_or_harmless(
    bench: Bench, full: StoredBackup, matrix: dict[str, Verdict], drawn: random.Random
) -> None:
    """Where a flipped bit gives no finding, mysqldump too finds nothing other than before."""
    dump = content(full, DUMP)
    unharmed = _dumped_again(bench, full, dump + b"\n")
    for at in sorted(drawn.sample(range(len(dump)), FLIPS)):
        bit = drawn.randrange(8)
        flipped = dump[:at] + bytes([dump[at] ^ (1 << bit)]) + dump[at + 1 :]
        name = f"bit {bit} of byte {at} of the dump flipped, wherever that is"
        verdict = matrix[name] = bench.damaged(full, {DUMP: [instead(flipped)]})
        if not verdict.found:
            assert _dumped_again(bench, full, flipped) == unharmed, (name, dump[at - 9 : at + 9])


def test_a_dump_of_another_database_is_seen(
    bench: Bench, full: StoredBackup, matrix: dict[str, Verdict]
) -> None:
    """A whole and sound dump of something else, in place of the dump, is told apart."""
    other = bench.store(source=bench.server.source(databases=("other",)))
    verdict = bench.damaged(full, {DUMP: [instead(content(other, DUMP))]})
    matrix["dump of another database"] = verdict
    assert "database shop: is missing" in verdict.short
    assert "table shop.customers: is missing" in verdict.short


def test_artifacts_of_two_backups_swapped_are_seen(
    bench: Bench, full: StoredBackup, chain: Sequence[StoredBackup], matrix: dict[str, Verdict]
) -> None:
    """Each in itself whole: the dump of an earlier time is not that of now, by hash or content."""
    newer = bench.store()
    copy = bench.copy()
    copy.swap(same(copy.vault, full), same(copy.vault, newer), DUMP)
    for backup in (full, newer):
        verdict = matrix[f"dumps of two backups swapped, {backup.id}"] = bench.verdict(
            copy.vault, backup
        )
        assert verdict.failed_in == "check artifacts"

    verdict = bench.damaged(newer, {DUMP: [instead(content(full, DUMP))]})
    matrix["stale dump in place of the new one"] = verdict
    assert "table shop.sent: another count" in verdict.short


def test_a_stale_backup_offered_as_new_is_seen(
    bench: Bench, full: StoredBackup, matrix: dict[str, Verdict]
) -> None:
    """An old backup under today's date comes back whole, and its heartbeats say how old it is."""
    now = system_clock()
    copy = bench.copy()
    backup = same(copy.vault, full)
    copy.restate(backup, started_at=now, finished_at=now, recovery_point=now)
    beating = Heartbeat(table="shop.heartbeat", column="beat_at")
    source = bench.server.source(heartbeat=beating)

    with bench.restored(copy.vault, full) as attempt:
        assert attempt.restored is not None, attempt.failure
        heartbeat = attempt.restored.newest_heartbeat(source)

    measured = measured_rpo(heartbeat, True, Disaster(now, now))
    matrix["stale backup offered as new"] = Verdict(differences=(f"loss {measured.value}",))
    assert measured.value is not None
    assert measured.value > timedelta(hours=1)


def _dumped_again(bench: Bench, backup: StoredBackup, dump: bytes) -> str:
    """What mysqldump says of a restored dump: another witness than the fingerprint."""
    copy = bench.copy()
    copy.rewrite(same(copy.vault, backup), DUMP, instead(dump))
    with bench.restored(copy.vault, backup) as attempt:
        restored = attempt.restored
        assert isinstance(restored, RestoredMySQL), attempt.failure
        tool = restored.sandbox.run(
            ["mysqldump", f"--defaults-extra-file={mysql_dump.OPTIONS_FILE}",
             f"--socket={restored.socket}", "--all-databases", "--routines", "--events",
             "--triggers", "--set-gtid-purged=OFF", "--skip-comments",
             "--ignore-table=mysql.user"]
        )  # fmt: skip
        assert tool.exit_code == 0, tool.complaint
        return tool.output
