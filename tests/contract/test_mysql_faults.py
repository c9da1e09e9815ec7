"""The fault catalogue of MySQL: each fault is done to a backup, and the finding is shown.

``CATALOGUE`` and ``NAMED`` say for every number of the catalogue, and for every fault that was
asked for by name, what shows it: a fault of the tables below, or a test by its name. All draws
start from one seed, which is printed; FAULT_SEED repeats a run.
"""

import ast
import random
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from pathlib import Path

import mysql_shop
import pytest
from mysql_bench import (
    ACCOUNTS,
    DUMP,
    LOGS,
    PRIVILEGES,
    ROOT_PASSWORD,
    Bench,
    Server,
    Verdict,
    content,
    image,
    same,
    seed,
    server,
    tell,
)

from restoreproof import damage_binlog as logs
from restoreproof import damage_content as faults
from restoreproof import docker_engine
from restoreproof.clock import system_clock
from restoreproof.damage import Change
from restoreproof.engines import mysql_dump
from restoreproof.engines.contract import CLOCK_AHEAD
from restoreproof.engines.mysql_replica import LAG, replication_lag
from restoreproof.engines.mysql_restored import RestoredMySQL, empty_server
from restoreproof.engines.mysql_source import Heartbeat
from restoreproof.errors import SourceUnavailable
from restoreproof.recovery_objectives import Disaster, measured_rpo
from restoreproof.restore import to_restore
from restoreproof.sandbox import Sandboxes
from restoreproof.vault import StoredBackup

ROOT = Path(__file__).parents[2]
TRUNCATIONS = BOUNDARIES = 10
FLIPS = 10
UNLOGGED = "SET SESSION sql_log_bin = 0"
TRAILER = b"-- Dump completed"
LAST_OBJECT = b"/*!50001 VIEW `named`"


@dataclass(frozen=True)
class Fault:
    """One fault in the content of a full backup, all hashes over it made anew.

    ``seen`` is everything that then differs, and nothing else does; ``refused`` part of the
    server's words where the backup cannot be loaded.
    """

    name: str
    changes: tuple[Change, ...]
    seen: tuple[str, ...] = ()
    refused: str = ""
    artifact: str = DUMP


def _one(name: str, change: Change, *seen: str, artifact: str = DUMP) -> Fault:
    return Fault(name, (change,), seen, artifact=artifact)


def _zeroed(dump: bytes) -> bytes:
    at = dump.index(b"'Barbara'")
    return dump[:at] + bytes(64) + dump[at + 64 :]


def _blocks_swapped(dump: bytes) -> bytes:
    one, other = dump.index(b"(1,'lamp'"), dump.index(b"(2,'blue'")
    size = len(b"(1,'lamp'")
    first, second = dump[one : one + size], dump[other : other + size]
    return dump[:one] + second + dump[one + size : other] + first + dump[other + size :]


FAULTS = (
    _one("missing table", faults.drop_table("tags"),
         "table shop.tags: is missing", "table definition shop.tags: is missing"),
    _one("one row lost", faults.drop_row("customers"), "table shop.customers: another count"),
    _one("one row doubled", faults.double_row("tags"), "table shop.tags: another count"),
    _one("one row doubled an even number of times", faults.double_row("tags", 2),
         "table shop.tags: another count"),
    _one("one row lost and another too many",
         faults.replace_in_rows("tags", b"(2,'blue')", b"(1,'red')"),
         "table shop.tags: other content"),
    _one("two rows swapped between tables", faults.swap_rows("sent", "received"),
         "table shop.received: other content", "table shop.sent: other content"),
    _one("NULL turned into ''", faults.null_to_empty("customers"),
         "table shop.customers: other content"),
    _one("'' turned into NULL", faults.replace_in_rows("customers", b"''", b"NULL"),
         "table shop.customers: other content"),
    _one("a separator moved", faults.replace_in_rows("customers", b"'x#y','z'", b"'x','y#z'"),
         "table shop.customers: other content"),
    _one("a value moved to its neighbour", faults.replace_in_rows(
             "customers", b"'','pq'", b"'p','q'"),
         "table shop.customers: other content"),
    _one("a float rounded", faults.replace_in_rows("orders", b",0.25,", b",0.3,"),
         "table shop.orders: other content"),
    _one("a double rounded", faults.replace_in_rows(
             "orders", b"3.141592653589793", b"3.14159265358979"),
         "table shop.orders: other content"),
    _one("charset lost", faults.replace_in_definition(
             "customers", b"CHARSET=utf8mb4 COLLATE=utf8mb4_0900_ai_ci", b"CHARSET=utf8mb3"),
         "table definition shop.customers: other content"),
    _one("collation lost", faults.replace_in_definition(
             "customers", b"utf8mb4_0900_ai_ci", b"utf8mb4_general_ci"),
         "table definition shop.customers: other content"),
    _one("encoded twice", faults.replace_text(b"SET NAMES utf8mb4", b"SET NAMES latin1"),
         "table shop.customers: other content"),
    _one("letters lost to a small charset", faults.replace_in_rows(
             "customers", "щука".encode(), b"????"), "table shop.customers: other content"),
    _one("time zone lost", faults.replace_text(
             b"SET TIME_ZONE='+00:00'", b"SET TIME_ZONE='+01:00'"),
         "table shop.orders: other content"),
    _one("fraction of a second lost", faults.replace_in_rows(
             "orders", b"10:00:00.500000", b"10:00:00"),
         "table shop.orders: other content"),
    _one("generated column computed otherwise", faults.replace_in_definition(
             "orders", b"(`amount` * 2)", b"(`amount` * 3)"),
         "table shop.orders: other content", "table definition shop.orders: other content"),
    _one("AUTO_INCREMENT reset", faults.replace_in_definition(
             "counters", b" AUTO_INCREMENT=1000", b""),
         "auto-increment counter shop.counters: fewer than were seen before the backup"),
    _one("index lost", faults.replace_in_definition(
             "orders", b"  KEY `by_time` (`placed`),\n", b""),
         "table definition shop.orders: other content"),
    _one("foreign key lost", faults.replace_in_definition(
             "orders",
             b",\n  CONSTRAINT `of_customer` FOREIGN KEY (`customer`)"
             b" REFERENCES `customers` (`id`)",
             b""),
         "table definition shop.orders: other content"),
    _one("partition lost", faults.replace_in_definition(
             "parts", b"(PARTITION low VALUES LESS THAN (10) ENGINE = InnoDB,\n ", b"("),
         "table definition shop.parts: other content"),
    _one("NUL turned into a space", faults.replace_in_rows("files", b"0x0027", b"0x2027"),
         "table shop.files: other content"),
    _one("backslash lost", faults.replace_in_rows("files", b"275C0A", b"270A"),
         "table shop.files: other content"),
    _one("invisible column lost its values", faults.replace_in_rows(
             "customers", b"'z',7)", b"'z',0)"),
         "table shop.customers: other content"),
    _one("column no longer invisible", faults.replace_in_definition(
             "customers", b" /*!80023 INVISIBLE */", b""),
         "table definition shop.customers: other content"),
    _one("clause of a newer version passed over", faults.replace_in_definition(
             "customers", b"/*!80023 INVISIBLE */", b"/*!99999 INVISIBLE */"),
         "table definition shop.customers: other content"),
    Fault("collation of another version", (faults.replace_in_definition(
              "customers", b"utf8mb4_0900_ai_ci", b"utf8mb4_uca1400_ai_ci"),),
          refused="Unknown collation"),
    _one("SQL mode of a trigger lost", faults.replace_text(
             b"SET sql_mode              = '' */ ;\nDELIMITER ;;\n/*!50003 CREATE*/ /*!50017",
             b"SET sql_mode = 'ANSI' */ ;\nDELIMITER ;;\n/*!50003 CREATE*/ /*!50017"),
         "trigger shop.stamp: other content"),
    _one("missing trigger", faults.drop_object(
             "TRIGGER", "stamp"), "trigger shop.stamp: is missing"),
    _one("missing procedure", faults.drop_object("PROCEDURE", "greet"),
         "procedure shop.greet: is missing"),
    _one("missing function", faults.drop_object("FUNCTION", "half"),
         "function shop.half: is missing"),
    _one("missing event", faults.drop_object("EVENT", "tidy"), "event shop.tidy: is missing"),
    _one("missing view", faults.drop_view("named"), "view shop.named: is missing"),
    _one("wrong definer of a view", faults.replace_text(
             b"DEFINER=`owner`@`%` SQL SECURITY", b"DEFINER=`clerk`@`%` SQL SECURITY"),
         "view shop.named: other content"),
    _one("wrong definer of a procedure", faults.replace_text(
             b"DEFINER=`owner`@`%` PROCEDURE", b"DEFINER=`clerk`@`%` PROCEDURE"),
         "procedure shop.greet: other content"),
    _one("definer of a view that nobody is", faults.replace_text(
             b"DEFINER=`owner`@`%` SQL SECURITY", b"DEFINER=`ghost`@`%` SQL SECURITY"),
         "view shop.named: other content"),
    Fault("missing user", (faults.drop_lines(b"`clerk`"),), refused="not allowed to create a user",
          artifact=ACCOUNTS),
    _one("missing grant of a role", faults.drop_lines(b"GRANT `reader`"),
         "account `clerk`@`%`: other content", artifact=PRIVILEGES),
    _one("missing grant", faults.drop_lines(b"GRANT SELECT ON `shop`.*"),
         "account `reader`@`%`: other content", artifact=PRIVILEGES),
    _one("a grant too many", lambda sql: sql + b"GRANT DELETE ON `shop`.* TO `clerk`@`%`;\n",
         "account `clerk`@`%`: other content", artifact=PRIVILEGES),
    _one("another password", lambda sql: sql + b"ALTER USER `clerk`@`%` IDENTIFIED BY 'y';\n",
         "account `clerk`@`%`: other content", artifact=PRIVILEGES),
    _one("blocks of two tables swapped", _blocks_swapped,
         "table shop.sent: other content", "table shop.tags: other content"),
    Fault("a block filled with zeros", (_zeroed,), refused="ERROR"),
)  # fmt: skip


@pytest.fixture(scope="module")
def drawn() -> random.Random:
    """All draws of this module."""
    tell(f"FAULT_SEED={seed()}")
    return random.Random(seed())


@pytest.fixture(scope="module")
def matrix() -> Iterator[dict[str, Verdict]]:
    """What was found on each fault, printed in the end."""
    found: dict[str, Verdict] = {}
    yield found
    tell(f"\nfault -> finding (FAULT_SEED={seed()})")
    for name, verdict in found.items():
        tell(f"  {name} -> {verdict}")


@pytest.fixture(scope="module")
def source() -> Iterator[Server]:
    """The shop."""
    with server() as made:
        made.run(*mysql_shop.STATEMENTS)
        yield made


@pytest.fixture(scope="module")
def bench(source: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """The shop's vault, and one sandbox for all restores."""
    with empty_server(image(), Sandboxes("bench")) as restored:
        yield Bench(source, tmp_path_factory.mktemp("bench"), restored)


@pytest.fixture(scope="module")
def full(bench: Bench) -> StoredBackup:
    """A full backup, which comes back equal: without that no fault would prove anything."""
    backup = bench.store()
    assert str(bench.verdict(bench.vault, backup)) == "equal"
    return backup


@pytest.fixture(scope="module")
def chain(bench: Bench, full: StoredBackup) -> tuple[StoredBackup, ...]:
    """Two increments on the full backup, the second one of three logs."""
    run = bench.server.run
    run("INSERT INTO shop.sent VALUES (10, 'ten')", "UPDATE shop.sent SET id = id + 1")
    first = bench.store(full)
    run("FLUSH BINARY LOGS", "INSERT INTO shop.customers (name) VALUES ('Margaret')")
    run("UPDATE shop.customers SET note = 'early' WHERE id = 1")
    run("FLUSH BINARY LOGS", "UPDATE shop.customers SET note = 'middle' WHERE id = 1")
    run("INSERT INTO shop.tags VALUES (3, 'green')")
    run("FLUSH BINARY LOGS", "UPDATE shop.customers SET note = 'late' WHERE id = 1")
    run("INSERT INTO shop.tags VALUES (4, 'violet')", "DELETE FROM shop.files WHERE id = 1")
    second = bench.store(first)
    for link in (first, second):
        assert str(bench.verdict(bench.vault, link)) == "equal"
    assert len(_log_names(second)) >= 4
    return first, second


# Faults in a full backup


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
        verdict = matrix[name] = bench.damaged(full, {DUMP: [_instead(cut)]})
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
        verdict = matrix[name] = bench.damaged(full, {DUMP: [_instead(flipped)]})
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
        verdict = matrix[name] = bench.damaged(full, {DUMP: [_instead(flipped)]})
        if not verdict.found:
            assert _dumped_again(bench, full, flipped) == unharmed, (name, dump[at - 9 : at + 9])


def test_a_dump_of_another_database_is_seen(
    bench: Bench, full: StoredBackup, matrix: dict[str, Verdict]
) -> None:
    """A whole and sound dump of something else, in place of the dump, is told apart."""
    other = bench.store(source=bench.server.source(databases=("other",)))
    verdict = bench.damaged(full, {DUMP: [_instead(content(other, DUMP))]})
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

    verdict = bench.damaged(newer, {DUMP: [_instead(content(full, DUMP))]})
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


@pytest.mark.parametrize("ahead", [timedelta(hours=1), timedelta(hours=-1)])
def test_a_source_whose_clock_is_an_hour_off_is_seen(
    bench: Bench, matrix: dict[str, Verdict], ahead: timedelta
) -> None:
    """The job notes how far the source's clock is off, and its heartbeats then measure nothing.

    Ours is set wrong here instead, which is the same to both.
    """
    backup = bench.store(clock=lambda: system_clock() - ahead)
    noted = timedelta(seconds=float(backup.manifest().facts[CLOCK_AHEAD]))
    now = system_clock()

    measured = measured_rpo(now, True, Disaster(now, now), noted)

    matrix[f"clock of the source off by {ahead}"] = Verdict(differences=(measured.basis,))
    assert abs(noted - ahead) < timedelta(seconds=5)
    assert measured.value is None
    right = float(bench.store().manifest().facts[CLOCK_AHEAD])
    assert abs(right) < 5


# Jobs whose tool does not say that it failed


@pytest.mark.parametrize(
    ("name", "pipe"),
    [
        ("dump without its trailer line", "\"$@\" | sed '/^-- Dump completed/d'"),
        ("empty dump with exit 0", '"$@" >/dev/null'),
        ("dump that a pipe cut short with exit 0", '"$@" | head -c 5000'),
        ("dump of no table with exit 0", '"$@" | grep -v -e "^INSERT" -e "^-- Dump completed"'),
        ("tool that dies after the dump", '"$@"; exit 3'),
        ("tool that is killed", '"$@" | head -c 5000; kill -9 $$'),
    ],
)
def test_a_tool_that_hides_its_failure_is_seen(
    bench: Bench,
    matrix: dict[str, Verdict],
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    pipe: str,
) -> None:
    """Such a dump is never stored: the job fails with what it lacks."""
    real: Callable[..., Sequence[str]] = mysql_dump.dump_command

    def hiding(*arguments: object, **options: object) -> Sequence[str]:
        return ("sh", "-c", pipe, "sh", *real(*arguments, **options))

    monkeypatch.setattr(mysql_dump, "dump_command", hiding)
    before = bench.vault.catalog.entries()

    result = bench.job()

    matrix[name] = Verdict("job", result.problem)
    assert result.backup is None
    assert "mysqldump" in result.problem
    assert bench.vault.catalog.entries() == before
    assert list((bench.vault.root / ".incoming").glob("mysql-*")) == []


def test_nothing_is_not_compared_with_nothing(
    bench: Bench, matrix: dict[str, Verdict], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A source that shows its user no database at all gives no backup."""
    monkeypatch.setattr("restoreproof.engines.mysql.user_databases", lambda _: ())

    result = bench.job()

    matrix["comparison of nothing with nothing"] = Verdict("job", result.problem)
    assert result.backup is None
    assert "holds no database" in result.problem


# Sources that are not what they seem


def test_a_masked_account_is_refused(bench: Bench, matrix: dict[str, Verdict]) -> None:
    """A user who may see everything but one database would leave it out in silence."""
    run = bench.server.run
    run(UNLOGGED, "SET GLOBAL partial_revokes = ON", "REVOKE SELECT ON other.* FROM backup@`%`")
    try:
        with pytest.raises(SourceUnavailable) as caught:
            bench.engine.probe(bench.context())
    finally:
        run(UNLOGGED, "GRANT SELECT ON other.* TO backup@`%`", "SET GLOBAL partial_revokes = OFF")
    matrix["masked account"] = Verdict("probe", str(caught.value))
    assert "SELECT on `other`.*" in str(caught.value)


def test_partial_revokes_are_no_false_alarm(bench: Bench) -> None:
    """An account from which something was taken back comes back with just that."""
    bench.server.run(
        UNLOGGED,
        "SET GLOBAL partial_revokes = ON",
        "CREATE USER partly@`%`",
        "GRANT SELECT, INSERT ON *.* TO partly@`%`",
        "REVOKE INSERT ON shop.* FROM partly@`%`",
    )
    try:
        verdict = bench.verdict(bench.vault, bench.store())
    finally:
        bench.server.run(UNLOGGED, "DROP USER partly@`%`", "SET GLOBAL partial_revokes = OFF")
    assert str(verdict) == "equal"


def test_a_replica_that_stands_still_is_never_equal(
    bench: Bench, matrix: dict[str, Verdict]
) -> None:
    """Its content may be of any time, so nobody says that the backup is of today."""
    bench.server.run("CHANGE REPLICATION SOURCE TO SOURCE_HOST = '127.0.0.1', SOURCE_PORT = 1")
    try:
        backup = bench.store()
    finally:
        bench.server.run("RESET REPLICA ALL")

    with bench.restored(bench.vault, backup) as attempt:
        (undecided,) = attempt.comparison.undecided
        assert attempt.comparison.differences == ()
    matrix["replica that stands still"] = Verdict(differences=(undecided.reason,))
    assert "does not follow its own source" in undecided.reason


def test_a_replica_is_as_old_as_its_lag(
    bench: Bench, tmp_path: Path, matrix: dict[str, Verdict]
) -> None:
    """The recovery point of a backup of a lagging replica is when the lag began, not now."""
    name = bench.server.container.get_wrapped_container().attrs["Id"]
    address = docker_engine.connect().api.inspect_container(name)["NetworkSettings"]["IPAddress"]
    with server("--server-id=2", "--replica-parallel-workers=1") as replica:
        replica.run(
            f"CHANGE REPLICATION SOURCE TO SOURCE_HOST = '{address}', SOURCE_USER = 'root',"
            f" SOURCE_PASSWORD = '{ROOT_PASSWORD}', SOURCE_AUTO_POSITION = 1,"
            " GET_SOURCE_PUBLIC_KEY = 1, SOURCE_DELAY = 3600",
            "CREATE DATABASE mine",
            "START REPLICA",
        )
        deadline = time.monotonic() + 30
        while not (lag := replication_lag(replica.connect())) or lag < timedelta(seconds=2):
            assert time.monotonic() < deadline, f"no lag: {lag}"
            time.sleep(0.2)
        backup = Bench(replica, tmp_path).store()
    manifest = backup.manifest()
    matrix["replica that lags"] = Verdict(differences=(f"lag of {manifest.facts[LAG]} s",))
    assert float(manifest.facts[LAG]) >= 2
    assert manifest.started_at - manifest.recovery_point > timedelta(seconds=1)


# Faults in a chain


CHAIN_FAULTS: Mapping[str, tuple[Change, ...]] = {
    "first binlog after the base missing": (logs.drop_log(0), logs.drop_log(0)),
    "binlog missing in the middle": (logs.drop_log(2),),
    "last binlog missing": (logs.drop_log(-1),),
    "last binlog cut at a transaction": (logs.drop_last_transaction,),
    "last binlog without a transaction": (logs.empty_log(-1),),
    "binlog in the middle without a transaction": (logs.empty_log(2),),
    "one transaction missing inside a binlog": (logs.drop_transaction(1),),
    "stop one event early": (logs.drop_last_event,),
    "binlogs swapped": (logs.swap_logs(1, 3),),
    "binlog of another server": (logs.change_server,),
    "value changed in an event with its checksum": (logs.replace_in_events(b"late", b"lake"),),
}


@pytest.mark.parametrize("name", CHAIN_FAULTS)
def test_a_fault_in_the_logs_is_seen(
    bench: Bench, chain: Sequence[StoredBackup], matrix: dict[str, Verdict], name: str
) -> None:
    """Hashes and names are right, and replaying complains of next to nothing: still it is seen."""
    copy = bench.copy()
    for change in CHAIN_FAULTS[name]:
        logs.rewrite_logs(copy, same(copy.vault, chain[-1]), change)

    verdict = matrix[name] = bench.verdict(copy.vault, chain[-1])

    assert verdict.found
    assert verdict.failed_in in ("replay", "")


def test_increments_applied_twice_change_nothing(
    bench: Bench, chain: Sequence[StoredBackup], matrix: dict[str, Verdict]
) -> None:
    """A transaction has its name: given a second time it is passed over, and content is equal."""
    with bench.restored(bench.vault, chain[-1]) as attempt:
        assert attempt.restored is not None, attempt.failure
        assert attempt.manifest is not None
        bench.engine.replay(attempt.restored, to_restore(chain[-1], attempt.manifest))
        assert attempt.comparison.equal
    matrix["increments applied twice"] = Verdict()


def test_an_increment_in_place_of_another_is_seen(
    bench: Bench, chain: Sequence[StoredBackup], matrix: dict[str, Verdict]
) -> None:
    """The increment before, stored under the name of the last, ends too early."""
    copy = bench.copy()
    first, last = (same(copy.vault, link) for link in chain)
    logs.rewrite_logs(copy, last, _instead(content(first, LOGS)))

    verdict = matrix["increment applied twice for the next"] = bench.verdict(copy.vault, last)

    assert verdict.failed_in == "replay"
    assert "transactions are missing" in verdict.failure


def test_a_base_without_a_position_bears_no_increment(
    bench: Bench, full: StoredBackup, matrix: dict[str, Verdict]
) -> None:
    """Nobody could say what an increment on it holds, so none is made."""
    copy = bench.copy()
    copy.restate(same(copy.vault, full), position="", facts={"databases": "", "accounts": "yes"})

    result = bench.job(same(copy.vault, full))

    matrix["base without position"] = Verdict("job", result.problem)
    assert result.backup is None
    assert result.problem


def test_changes_outside_the_binary_log_are_seen(
    bench: Bench, chain: Sequence[StoredBackup], matrix: dict[str, Verdict]
) -> None:
    """What was written with sql_log_bin=0 is in no increment, and the comparison says where."""
    bench.server.run(UNLOGGED, "INSERT INTO shop.received VALUES (99, 'secret')")
    try:
        increment = bench.store(chain[-1])
        verdict = matrix["writes outside the binary log"] = bench.verdict(bench.vault, increment)
    finally:
        bench.server.run(UNLOGGED, "DELETE FROM shop.received WHERE id = 99")

    assert verdict.short == ("table shop.received: another count",)


def test_a_table_outside_every_snapshot_is_never_equal(bench: Bench) -> None:
    """Nobody can say what a MyISAM table held at the instant, and so nobody says it was equal."""
    bench.server.run("CREATE TABLE shop.loose (a INT) ENGINE=MyISAM")
    try:
        backup = bench.store()
    finally:
        bench.server.run("DROP TABLE shop.loose")

    with bench.restored(bench.vault, backup) as attempt:
        assert [item.name for item in attempt.comparison.undecided] == ["shop.loose"]
        assert not attempt.comparison.equal


def test_events_of_the_estate_do_not_fire_in_the_sandbox(bench: Bench) -> None:
    """An event of every second changes the source all the time, and the restored copy never."""
    bench.server.run(
        "CREATE TABLE shop.ticks (at DATETIME(6))",
        "CREATE EVENT shop.tick ON SCHEDULE EVERY 1 SECOND"
        " DO INSERT INTO shop.ticks VALUES (UTC_TIMESTAMP(6))",
    )
    try:
        backup = bench.store()
        with bench.restored(bench.vault, backup) as attempt:
            assert attempt.restored is not None, attempt.failure
            assert attempt.manifest is not None
            time.sleep(1.5)
            again = attempt.restored.fingerprint(attempt.manifest.fingerprint)
            assert attempt.comparison.equal
            assert again.digest == attempt.manifest.fingerprint.digest
    finally:
        bench.server.run("DROP EVENT shop.tick", "DROP TABLE shop.ticks")


# The catalogue

HERE = "tests/contract/test_mysql_faults.py"
INCREMENTS = "tests/contract/test_mysql_increments.py"
ENGINES = "tests/contract/test_engines.py"
VAULT = "tests/test_vault_damage.py"


def _here(name: str) -> str:
    return f"{HERE}::{name}"


CONTENT = _here("test_a_fault_in_the_content_is_seen")
STORED = _here("test_damage_to_stored_bytes_is_seen")
BROKEN_OFF = _here("test_a_dump_that_breaks_off_is_seen")
TOOL = _here("test_a_tool_that_hides_its_failure_is_seen")
IN_LOGS = _here("test_a_fault_in_the_logs_is_seen")


def _row(*names: str) -> tuple[str, ...]:
    return tuple(f"{CONTENT}[{name}]" for name in names)


def _log(*names: str) -> tuple[str, ...]:
    return tuple(f"{IN_LOGS}[{name}]" for name in names)


CATALOGUE: Mapping[int, tuple[str, ...]] = {
    1: (STORED, BROKEN_OFF),
    2: (BROKEN_OFF, f"{ENGINES}::test_every_fault_in_the_content_is_seen"),
    3: (_here("test_a_flipped_bit_in_a_value_is_seen"),
        _here("test_a_flipped_bit_anywhere_is_seen_or_harmless")),
    4: (STORED, f"{VAULT}::test_flipped_stream_is_refused_under_any_hash"),
    5: (STORED, f"{VAULT}::test_truncated_stream_is_refused_under_any_hash"),
    6: (STORED, *_row("a block filled with zeros", "blocks of two tables swapped")),
    7: (TOOL, BROKEN_OFF),
    8: (TOOL,),
    9: _row("missing table"),
    10: _row("missing procedure", "missing function", "missing event"),
    11: _row("missing trigger", "missing view", "definer of a view that nobody is"),
    12: _row("missing user", "missing grant of a role", "missing grant"),
    13: _row("one row lost"),
    14: _row("one row doubled", "one row doubled an even number of times"),
    15: _row("one row lost and another too many"),
    16: _row("NULL turned into ''", "'' turned into NULL", "a separator moved",
             "a value moved to its neighbour"),
    17: _row("charset lost", "collation lost", "encoded twice", "letters lost to a small charset"),
    18: _row("time zone lost", "fraction of a second lost"),
    19: (*_row("a float rounded"), f"{ENGINES}::test_what_the_tool_loses_is_seen"),
    20: _row("generated column computed otherwise"),
    21: _row("AUTO_INCREMENT reset"),
    22: _row("index lost", "foreign key lost", "partition lost"),
    23: (*_row("NUL turned into a space", "backslash lost", "invisible column lost its values",
               "column no longer invisible"),
         f"{ENGINES}::test_what_comes_back_is_what_was_backed_up"),
    24: _row("SQL mode of a trigger lost"),
    25: _log("first binlog after the base missing"),
    26: _log("binlog missing in the middle"),
    27: _log("last binlog missing", "last binlog cut at a transaction"),
    28: _log("binlogs swapped"),
    29: (*_log("binlog of another server"),
         f"{INCREMENTS}::test_what_no_increment_can_stand_on_fails_the_job"),
    30: (*_log("value changed in an event with its checksum"),
         f"{INCREMENTS}::test_a_flipped_bit_in_a_log_is_noticed"),
    31: (f"{INCREMENTS}::test_what_no_increment_can_stand_on_fails_the_job",),
    32: (_here("test_changes_outside_the_binary_log_are_seen"),
         _here("test_a_table_outside_every_snapshot_is_never_equal")),
    33: (_here("test_a_base_without_a_position_bears_no_increment"),),
    34: _log("last binlog without a transaction", "binlog in the middle without a transaction"),
    35: (_here("test_events_of_the_estate_do_not_fire_in_the_sandbox"),),
    36: (_here("test_a_stale_backup_offered_as_new_is_seen"),
         _here("test_artifacts_of_two_backups_swapped_are_seen")),
    37: (_here("test_a_source_whose_clock_is_an_hour_off_is_seen"),),
    38: (_here("test_a_dump_of_another_database_is_seen"),
         _here("test_artifacts_of_two_backups_swapped_are_seen"),
         f"{VAULT}::test_swapped_backups_are_found"),
    39: (_here("test_a_replica_is_as_old_as_its_lag"),
         _here("test_a_replica_that_stands_still_is_never_equal")),
    40: (_here("test_a_masked_account_is_refused"),
         "tests/contract/test_mysql_accounts.py::test_privileges_that_a_backup_needs_are_named"),
    41: _row("clause of a newer version passed over", "collation of another version"),
    53: (f"{ENGINES}::test_the_copy_is_not_the_source",
         "tests/end_to_end/test_checks_fail.py::test_check_fails_on_its_fault"),
    54: (_here("test_nothing_is_not_compared_with_nothing"), BROKEN_OFF),
}  # fmt: skip

NAMED: Mapping[str, tuple[str, ...]] = {
    "truncated dump at ten offsets": (STORED, BROKEN_OFF),
    "one flipped bit in the compressed stream": (STORED,),
    "dump without its trailer line": (TOOL, STORED),
    "empty dump with exit 0": (TOOL, BROKEN_OFF),
    "dump of another database": CATALOGUE[38],
    "missing table": CATALOGUE[9],
    "one row lost": CATALOGUE[13],
    "one row doubled": CATALOGUE[14],
    "two rows swapped between tables": _row("two rows swapped between tables"),
    "NULL turned into ''": CATALOGUE[16],
    "a float rounded": CATALOGUE[19],
    "charset lost": CATALOGUE[17],
    "missing trigger": _row("missing trigger"),
    "missing routine": _row("missing procedure", "missing function"),
    "missing event": _row("missing event"),
    "missing view": _row("missing view"),
    "missing grant": CATALOGUE[12],
    "wrong definer": _row("wrong definer of a view", "wrong definer of a procedure"),
    "stale backup offered as new": CATALOGUE[36],
    "binlog missing in the middle": CATALOGUE[26],
    "binlogs swapped": CATALOGUE[28],
    "binlog of another server": CATALOGUE[29],
    "increments applied twice": (
        _here("test_increments_applied_twice_change_nothing"),
        _here("test_an_increment_in_place_of_another_is_seen"),
    ),
    "stop one event early": _log("stop one event early"),
    "clock of the source an hour off": CATALOGUE[37],
    "thirty healthy runs": ("tests/contract/test_mysql_healthy.py::test_thirty_rounds_under_load",),
}


def test_every_fault_of_the_catalogue_is_shown() -> None:
    """Every number and every name has a test that is there, and every row of a table is one."""
    assert set(CATALOGUE) == {*range(1, 42), 53, 54}
    rows = {"test_a_fault_in_the_content_is_seen": [fault.name for fault in FAULTS],
            "test_a_fault_in_the_logs_is_seen": list(CHAIN_FAULTS)}  # fmt: skip
    for shown_by in (*CATALOGUE.values(), *NAMED.values()):
        assert shown_by
        for test in shown_by:
            file, _, function = test.partition("::")
            name, _, row = function.removesuffix("]").partition("[")
            assert name in _tests(ROOT / file), test
            assert not row or row in rows[name], test


@cache
def _tests(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def _instead(other: bytes) -> Change:
    return lambda _: other


def _log_names(increment: StoredBackup) -> list[str]:
    return increment.manifest().facts["logs"].split(" ")


def _dumped_again(bench: Bench, backup: StoredBackup, dump: bytes) -> str:
    """What mysqldump says of a restored dump: another witness than the fingerprint."""
    copy = bench.copy()
    copy.rewrite(same(copy.vault, backup), DUMP, _instead(dump))
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
