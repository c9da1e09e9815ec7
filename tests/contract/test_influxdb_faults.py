"""The fault catalogue of InfluxDB 1.x: each fault is done to a backup, and the finding is shown.

Content that is otherwise is not forged: the source itself is changed after its backup, backed up
once more, and the second backup's content put in place of the first one's. Each fault has a
database of its own, so one restore shows them all. ``CATALOGUE`` and ``NAMED`` say for every
number of the catalogue, and for every fault that was asked for by name, what shows it. All draws
start from one seed, which is printed; FAULT_SEED repeats a run.
"""

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest
from influxdb_bench import METADATA, PORTABLE, Bench, Server, ago, bench
from mysql_bench import seed, tell

from restoreproof import damage_influxdb as faults
from restoreproof.vault import StoredBackup

ROOT = Path(__file__).parents[2]
AT = 1_600_000_000_000_000_000
FLIPS = 6
WINDOW = re.compile(r" from \S+ to \S+$")
POINTS = (
    f'm,h=a i={2**53 + 1}i,f=0.1,s="x",b=true {AT + 1}',
    f"m,h=a i=2i,f=-0.0 {AT + 2}",
    f"m,h=b f=2.5 {AT + 1_000_000_001}",
    f"other v=1i {AT}",
)


@dataclass(frozen=True)
class Fault:
    """What is done to a database of the source, and all differences that it makes.

    ``statements`` and differences name the database as DB.
    """

    name: str
    seen: tuple[str, ...]
    statements: tuple[str, ...] = ()
    lines: tuple[str, ...] = ()


CONTINUOUS = (
    "CREATE CONTINUOUS QUERY mean ON DB BEGIN SELECT mean(f) INTO DB.kept.means FROM DB.kept.m"
    " GROUP BY time(1d) END"
)
ONE_LESS = ("points DB.kept.m: another count",)
OTHER = ("points DB.kept.m: other content",)
FAULTS = (
    Fault("one point dropped in one series",
          (*ONE_LESS, "field DB.kept.m.i (integer): another count",
           "field DB.kept.m.f (float): another count"),
          (f"DELETE FROM m WHERE time = {AT + 2}",)),
    Fault("one series lost",
          (*ONE_LESS, "series DB.kept.m: another count",
           "field DB.kept.m.f (float): another count"),
          ("DROP SERIES FROM m WHERE h = 'b'",)),
    Fault("measurement lost",
          ("points DB.kept.other: is missing", "series DB.kept.other: is missing",
           "field DB.kept.other.v (integer): is missing"),
          ("DROP MEASUREMENT other",)),
    Fault("one value changed by one ulp", OTHER, lines=(f"m,h=a f=0.10000000000000002 {AT + 1}",)),
    Fault("digits beyond 2^53 lost", OTHER, lines=(f"m,h=a i={2**53}i {AT + 1}",)),
    Fault("sign of zero lost", OTHER, lines=(f"m,h=a f=0.0 {AT + 2}",)),
    Fault("boolean turned over", OTHER, lines=(f"m,h=a b=false {AT + 1}",)),
    Fault("text with a space more", OTHER, lines=(f'm,h=a s="x " {AT + 1}',)),
    Fault("nanoseconds cut off", OTHER,
          (f"DELETE FROM m WHERE time = {AT + 1_000_000_001}",),
          (f"m,h=b f=2.5 {AT + 1_000_000_000}",)),
    Fault("point moved to another series",
          OTHER, (f"DELETE FROM m WHERE time = {AT + 2}",), (f"m,h=b i=2i,f=-0.0 {AT + 2}",)),
    Fault("a value too many", (*OTHER, "field DB.kept.m.i (integer): another count"),
          lines=(f"m,h=b i=1i {AT + 1_000_000_001}",)),
    Fault("a point too many",
          ("points DB.kept.m: another count", "field DB.kept.m.f (float): another count"),
          lines=(f"m,h=b f=1 {AT + 5}",)),
    Fault("integer field come back as float",
          ("points DB.kept.other: other content",
           "field DB.kept.other.v (integer): is missing",
           "field DB.kept.other.v (float): was not backed up"),
          ("DROP MEASUREMENT other",), (f"other v=1 {AT}",)),
    Fault("tag lost",
          (*OTHER, "tag DB.kept.m.h: is missing", "series DB.kept.m: another count"),
          ("DROP MEASUREMENT m",), tuple(one.replace(",h=a", "").replace(",h=b", "")
                                         for one in POINTS[:3])),
    Fault("retention policy shorter", ("retention policy DB.kept: other content",),
          ("ALTER RETENTION POLICY kept ON DB DURATION 5200w",)),
    Fault("shards of another length", ("retention policy DB.kept: other content",),
          ("ALTER RETENTION POLICY kept ON DB SHARD DURATION 26w",)),
    Fault("retention policy lost", ("retention policy DB.second: is missing",),
          ("DROP RETENTION POLICY second ON DB",)),
    Fault("another retention policy is the default",
          ("retention policy DB.second: other content", "retention policy DB.kept: other content"),
          ("ALTER RETENTION POLICY second ON DB DEFAULT",)),
    Fault("continuous query lost", ("continuous query DB.mean: is missing",),
          ("DROP CONTINUOUS QUERY mean ON DB",)),
    Fault("continuous query of another interval", ("continuous query DB.mean: other content",),
          ("DROP CONTINUOUS QUERY mean ON DB",
           CONTINUOUS.replace("1d", "2d"))),
    Fault("subscription lost", ("subscription DB.kept.copy: is missing",),
          ('DROP SUBSCRIPTION "copy" ON DB.kept',)),
    Fault("user lost", ("user DB: is missing", "privilege DB on DB: is missing"),
          ("DROP USER DB",)),
    Fault("user become an administrator", ("user DB: other content",),
          ("GRANT ALL PRIVILEGES TO DB",)),
    Fault("privilege of a user lost", ("privilege DB on DB: is missing",),
          ("REVOKE ALL PRIVILEGES ON DB FROM DB",)),
    Fault("a database's own content", ()),
)  # fmt: skip
"""The last one is left alone, and shows nothing."""
SETUP = (
    "CREATE DATABASE DB WITH DURATION INF REPLICATION 1 SHARD DURATION 52w NAME kept",
    "CREATE RETENTION POLICY second ON DB DURATION 90d REPLICATION 1",
    CONTINUOUS,
    "CREATE SUBSCRIPTION \"copy\" ON DB.kept DESTINATIONS ALL 'udp://127.0.0.1:9'",
    "CREATE USER DB WITH PASSWORD 'x'",
    "GRANT READ ON DB TO DB",
)


def _database(fault: Fault) -> str:
    return f"f{FAULTS.index(fault)}"


@pytest.fixture(scope="module")
def tried(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """A source with a database for every fault."""
    tell(f"FAULT_SEED={seed()}")
    with bench(tmp_path_factory.mktemp("faults")) as made:
        for fault in FAULTS:
            _apply(made.server, fault, SETUP, POINTS)
        yield made


@pytest.fixture(scope="module")
def healthy(tried: Bench) -> StoredBackup:
    """A backup of the source as it was filled, which comes back equal."""
    backup = tried.store()
    assert str(tried.verdict(backup)) == "equal"
    return backup


@pytest.fixture(scope="module")
def faulty(tried: Bench, healthy: StoredBackup) -> Mapping[str, list[str]]:
    """What each database shows when the backup holds what came of the faults instead."""
    for fault in FAULTS:
        _apply(tried.server, fault, fault.statements, fault.lines)
    other = tried.store()
    copy = tried.copy()
    for artifact in (PORTABLE, METADATA):
        copy.rewrite(_same(copy.vault.backups("influxdb"), healthy), artifact,
                     lambda _, name=artifact: _content(other, name))  # fmt: skip
    verdict = tried.verdict(healthy, copy.vault)
    assert not verdict.failure, verdict
    found: dict[str, list[str]] = {_database(fault): [] for fault in FAULTS}
    for text in verdict.differences:
        item, problem = text.partition(" (expected")[0].rsplit(": ", 1)
        owner = re.search(r"\bf\d+\b", item)
        assert owner is not None, text
        found[owner[0]].append(f"{WINDOW.sub('', item)}: {problem}")
    return found


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_fault_in_the_content_is_seen(fault: Fault, faulty: Mapping[str, list[str]]) -> None:
    """Each fault shows as what it is, all hashes over the stored bytes being right."""
    database = _database(fault)

    assert set(faulty[database]) == {one.replace("DB", database) for one in fault.seen}


FILES = {
    "shard file missing": faults.drop_shard(seed()),
    "shard file truncated": faults.truncate_shard(seed()),
    "half of a portable backup": lambda tar: tar[: len(tar) // 2],
    "nothing in a portable backup": lambda _: bytes(10240),
    "metadata of no meaning": lambda _: b'{"databases": []',
    "metadata of nothing": lambda _: b'{"databases":[],"policies":[],"queries":[],'
                                     b'"subscriptions":[],"users":[]}',
}  # fmt: skip


@pytest.fixture(scope="module")
def small(tried: Bench, healthy: StoredBackup) -> StoredBackup:
    """A backup of one database, taken before anything was done to it."""
    assert healthy.id in {backup.id for backup in tried.vault.backups("influxdb")}
    tried.server.run("CREATE DATABASE small WITH DURATION INF REPLICATION 1 SHARD DURATION 52w"
                     " NAME kept")  # fmt: skip
    tried.server.write("small", *POINTS, *(f"m,h=c f={n * 1.1!r} {AT + n}" for n in range(200)))
    return tried.store(source=tried.server.source(databases=("small",)))


@pytest.mark.parametrize("fault", FILES)
def test_a_fault_in_the_stored_files_is_seen(fault: str, tried: Bench, small: StoredBackup) -> None:
    """A file that is missing, cut off or changed is a restore that fails, or a difference."""
    copy = tried.copy()
    artifact = METADATA if "metadata" in fault else PORTABLE
    copy.rewrite(_same(copy.vault.backups("influxdb"), small), artifact, FILES[fault])

    verdict = tried.verdict(small, copy.vault)

    tell(f"{fault}: {verdict}")
    assert verdict.found


def test_flipped_bits_are_seen_or_harmless(tried: Bench, small: StoredBackup) -> None:
    """A flipped bit in the points, of which influxd says nothing, shows where it changed any."""
    seen = []
    for number in range(FLIPS):
        copy = tried.copy()
        same = _same(copy.vault.backups("influxdb"), small)
        copy.rewrite(same, PORTABLE, faults.flip_bit_in_shard(seed() + number))
        seen.append(str(tried.verdict(small, copy.vault)))
    tell("\n".join(seen))
    # Some bits are of a checksum that no server looks at, or fill up a block.
    assert sum(one != "equal" for one in seen) >= FLIPS // 2


def test_content_of_another_backup_is_seen(tried: Bench, healthy: StoredBackup) -> None:
    """A manifest, or all points, of another database's backup do not pass for this one's."""
    one, other = (
        tried.store(source=tried.server.source(databases=(_database(fault),)))
        for fault in FAULTS[:2]
    )
    for change in (faults.foreign_manifest(_content(other, PORTABLE)),
                   lambda _: _content(other, PORTABLE)):  # fmt: skip
        copy = tried.copy()
        copy.rewrite(_same(copy.vault.backups("influxdb"), one), PORTABLE, change)
        verdict = tried.verdict(one, copy.vault)
        tell(str(verdict))
        assert verdict.found


def test_points_older_than_their_policy_come_back(tried: Bench) -> None:
    """The sandbox deletes no point for its age, neither restored nor copied from an increment."""
    made = tried.server
    made.run("CREATE DATABASE aged WITH DURATION INF REPLICATION 1 SHARD DURATION 1d NAME kept")
    made.write("aged", f"v,n=1 v=1 {ago(days=9)}", f"v,n=2 v=1 {ago(days=9)}")
    made.run("ALTER RETENTION POLICY kept ON aged DURATION 1d")
    source = made.source(databases=("aged",))
    full = tried.store(source=source)
    made.run("DROP SERIES FROM v WHERE n = '2'", database="aged")
    increment = tried.store(full, source=source)

    assert increment.manifest().fingerprint.digest != full.manifest().fingerprint.digest
    assert [str(tried.verdict(one)) for one in (full, increment)] == ["equal", "equal"]
    made.run("DROP DATABASE aged")


def test_nothing_of_a_password_is_in_the_evidence(healthy: StoredBackup) -> None:
    """Hashes of passwords stay in the stored backup: manifest and metadata hold none."""
    manifest = (healthy.folder / "manifest.json").read_text(encoding="utf-8")

    assert "$2a$" not in manifest
    assert b"$2a$" not in _content(healthy, METADATA)


def _apply(made: Server, fault: Fault, statements: tuple[str, ...], lines: tuple[str, ...]) -> None:
    database = _database(fault)
    for statement in statements:
        made.run(re.sub(r"\bDB\b", database, statement), database=database)
    if lines:
        made.write(database, *lines)


def _same(backups: tuple[StoredBackup, ...], backup: StoredBackup) -> StoredBackup:
    return next(one for one in backups if one.id == backup.id)


def _content(backup: StoredBackup, artifact: str) -> bytes:
    (described,) = (one for one in backup.manifest().artifacts if one.name == artifact)
    return b"".join(backup.read(described))


HERE = "tests/contract/test_influxdb_faults.py"
INCREMENTS = "tests/contract/test_influxdb_increments.py"
ENGINES = "tests/contract/test_engines.py"
BOUNDARIES = f"{INCREMENTS}::test_every_boundary_of_a_chain_comes_back"


def _row(*names: str) -> tuple[str, ...]:
    return tuple(f"{HERE}::test_a_fault_in_the_content_is_seen[{name}]" for name in names)


def _file(*names: str) -> tuple[str, ...]:
    return tuple(f"{HERE}::test_a_fault_in_the_stored_files_is_seen[{name}]" for name in names)


CATALOGUE: Mapping[int, tuple[str, ...]] = {
    68: _file("shard file missing"),
    69: (*_file("shard file truncated"),
         f"{HERE}::test_flipped_bits_are_seen_or_harmless"),
    70: (*_row("one point dropped in one series"), BOUNDARIES),
    71: (BOUNDARIES, f"{INCREMENTS}::test_an_increment_takes_what_changed_and_no_more"),
    72: _row("integer field come back as float"),
    73: _row("retention policy lost", "retention policy shorter", "shards of another length",
             "another retention policy is the default"),
    74: _row("continuous query lost", "user lost", "privilege of a user lost"),
    75: (f"{HERE}::test_points_older_than_their_policy_come_back",),
    77: _row("nanoseconds cut off", "sign of zero lost", "digits beyond 2^53 lost"),
}  # fmt: skip
"""Number 76 is of InfluxDB 2."""
NAMED: Mapping[str, tuple[str, ...]] = {
    "a shard file missing": CATALOGUE[68],
    "a shard file truncated or bit-flipped": CATALOGUE[69],
    "manifest from another backup": (f"{HERE}::test_content_of_another_backup_is_seen",),
    "points dropped in one series": _row("one point dropped in one series"),
    "one value changed by one ulp": _row("one value changed by one ulp"),
    "integer field come back as float": CATALOGUE[72],
    "retention policy lost or shorter": CATALOGUE[73],
    "continuous query lost": _row("continuous query lost"),
    "a late point into an old shard": CATALOGUE[71],
    "an increment left out": (f"{INCREMENTS}::test_increments_out_of_order_are_refused",),
    "increments in wrong order": (f"{INCREMENTS}::test_increments_out_of_order_are_refused",),
    "backup of an empty database": (f"{ENGINES}::test_an_empty_source_passes",),
    "backup of the wrong database": (f"{HERE}::test_content_of_another_backup_is_seen",),
    "no backup port": (f"{ENGINES}::test_a_source_that_refuses_is_told_in_one_line",),
}


def test_every_fault_of_the_catalogue_is_shown() -> None:
    """Every number and every name has a test that is there, and every row of a table is one."""
    assert set(CATALOGUE) == {*range(68, 76), 77}
    rows = {"test_a_fault_in_the_content_is_seen": [fault.name for fault in FAULTS],
            "test_a_fault_in_the_stored_files_is_seen": list(FILES)}  # fmt: skip
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
