"""The fault catalogue of InfluxDB 2.x: what is lost in a restored copy is seen by its name.

``CATALOGUE`` and ``NAMED`` say for every number of the catalogue, and for every fault that was
asked for by name, what shows it. All draws start from one seed, which is printed; FAULT_SEED
repeats a run.
"""

import os
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from time import time_ns

import pytest
from influxdb2_bench import SHARDS, Bench, bench, delete, differences
from influxdb2_server import CONFIGURED
from influxdb2_source import EMPTY, POWERLESS, SHORT, STRANGE, TORTURE
from mysql_bench import seed, tell
from sources import SECRET

from restoreproof.engines.influxdb2_content import buckets
from restoreproof.engines.influxdb2_restored import RestoredInfluxDB2
from restoreproof.engines.server_configuration import FOLDER, ConfigurationCheck
from restoreproof.outcomes import RestoreFailed
from restoreproof.vault import StoredBackup

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module", name="bench")
def _bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with bench(tmp_path_factory.mktemp("influxdb2")) as made:
        yield made


@pytest.fixture(scope="module", name="full")
def _full(bench: Bench) -> StoredBackup:
    return bench.stored()


def _again(line: str) -> Callable[[RestoredInfluxDB2, str], None]:
    """Write a point once more, otherwise."""
    return lambda restored, home: restored.client.write(home, TORTURE, [line.encode()])


def _instead(measurement: str, line: str) -> Callable[[RestoredInfluxDB2, str], None]:
    def change(restored: RestoredInfluxDB2, home: str) -> None:
        delete(restored.client, home, TORTURE, measurement)
        restored.client.write(home, TORTURE, [line.encode()])

    return change


def _delete_points(measurement: str) -> Callable[[RestoredInfluxDB2, str], None]:
    return lambda restored, home: delete(restored.client, home, TORTURE, measurement)


def _retention(name: str, seconds: int, shard: int) -> Callable[[RestoredInfluxDB2, str], None]:
    return lambda restored, _: _keep(restored, name, seconds, shard)


def _switch_off(restored: RestoredInfluxDB2, home: str) -> None:
    found = restored.client.listed("/api/v2/authorizations", "authorizations", orgID=home)
    (one,) = (one for one in found if one["description"] == "another reader")
    restored.client.change(f"/api/v2/authorizations/{one['id']}", {"status": "inactive"})


def _keep(restored: RestoredInfluxDB2, name: str, seconds: int, shard: int) -> None:
    (bucket,) = restored.client.get("/api/v2/buckets", name=name)["buckets"]
    rules = [{"type": "expire", "everySeconds": seconds, "shardGroupDurationSeconds": shard}]
    restored.client.change(f"/api/v2/buckets/{bucket['id']}", {"retentionRules": rules})


def _lose(path: str, key: str, **which: str) -> Callable[[RestoredInfluxDB2, str], None]:
    def lose(restored: RestoredInfluxDB2, home: str) -> None:
        among = {} if path.endswith(("orgs", "users")) else {"orgID": home}
        found = restored.client.listed(path, key, **among)
        (one,) = [
            one for one in found if all(one.get(name) == text for name, text in which.items())
        ]
        scope = f"?orgID={home}" if path.endswith("dbrps") else ""
        restored.client.delete(f"{path}/{one['id']}{scope}")

    return lose


DAY = 24 * 3600
AT = 1_600_000_000_000_000_000


@dataclass(frozen=True)
class Loss:
    """What is done to a restored copy, and the difference that it makes."""

    do: Callable[[RestoredInfluxDB2, str], None]
    seen: str


LOSSES = {
    "one value changed by one ulp": Loss(
        _again(f"ulp v=1.5000000000000002 {AT}"), "points home/torture.ulp: other content"
    ),
    "sign of zero lost": Loss(
        _again(f"zero v=0.0 {AT}"), "points home/torture.zero: other content"
    ),
    "digits beyond 2^53 lost": Loss(
        _again(f"big v=9007199254740992i {AT}"), "points home/torture.big: other content"
    ),
    "unsigned cut to signed": Loss(
        _again(f"unsigned v=9223372036854775807u {AT}"),
        "points home/torture.unsigned: other content",
    ),
    "nanoseconds cut off": Loss(
        _instead("nano", f"nano v=1i {AT}"), "points home/torture.nano: other content"
    ),
    "carriage return lost": Loss(
        _again('lines text="one\ntwo\n\nfour" 1600000000000000009'),
        "points home/torture.lines: other content",
    ),
    "points dropped in one series": Loss(
        _delete_points('series" AND n="7'), "points home/torture.series: another count"
    ),
    "integer field come back as float": Loss(
        _instead("same", f"same,h=x a=1 {AT}"), "field home/torture.same.a (long): is missing"
    ),
    "retention shorter": Loss(
        _retention(SHORT, 6 * DAY, 3600), f"retention home/{SHORT}: another count"
    ),
    "for ever no more": Loss(
        _retention(EMPTY, DAY, 3600), f"retention home/{EMPTY}: another count"
    ),
    "shards of another length": Loss(
        _retention(TORTURE, 0, DAY), f"bucket home/{TORTURE}: other content"
    ),
    "task lost": Loss(_lose("/api/v2/tasks", "tasks", name="a mean"), "task home/a mean"),
    "dashboard lost": Loss(
        _lose("/api/v2/dashboards", "dashboards"), "dashboard home/what there is"
    ),
    "variable lost": Loss(
        _lose("/api/v2/variables", "variables", name="which"), "variable home/which"
    ),
    "label lost": Loss(_lose("/api/v2/labels", "labels", name="a label"), "label home/a label"),
    "database mapping lost": Loss(
        _lose("/api/v2/dbrps", "content", database="old"), "database mapping home/old"
    ),
    "user lost": Loss(_lose("/api/v2/users", "users", name="somebody"), "user somebody"),
    "organization lost": Loss(
        _lose("/api/v2/orgs", "orgs", name="another"), "organization another: is missing"
    ),
    "secret lost": Loss(
        lambda restored, home: restored.client.delete(f"/api/v2/orgs/{home}/secrets/a key"),
        "secret home/a key: is missing",
    ),
    "token lost": Loss(
        _lose("/api/v2/authorizations", "authorizations", description="a reader"),
        "authorization home/a reader",
    ),
    "token switched off": Loss(_switch_off, "authorization home/another reader"),
    "token of 1.x lost": Loss(
        _lose("/private/legacy/authorizations", "authorizations", description="v1"),
        "v1 authorization home/v1",
    ),
    "bucket lost": Loss(
        _lose("/api/v2/buckets", "buckets", name=STRANGE), f"bucket home/{STRANGE}: is missing"
    ),
}


def test_every_loss_in_the_copy_is_seen_by_name(bench: Bench, full: StoredBackup) -> None:
    """Each of them is a difference of its own, whatever else is lost by then."""
    tell(f"FAULT_SEED={seed()}")
    losses = list(LOSSES.items())
    random.Random(seed()).shuffle(losses)
    with bench.restored(full) as done:
        restored = done.restored
        assert isinstance(restored, RestoredInfluxDB2), done.failure
        seen: set[str] = set()
        for name, loss in losses:
            loss.do(restored, bench.torture.home)
            done.__dict__.pop("comparison", None)
            found = {one for one in differences(done) if one.startswith(loss.seen)} - seen
            assert found, name
            seen |= found
    assert len(seen) >= len(losses)


def test_points_older_than_their_retention_come_back(bench: Bench) -> None:
    """What the source still holds comes back, also where its retention is shorter by now."""
    torture = bench.torture
    name = f"aged {token_hex(2)}"
    made = torture.client.post("/api/v2/buckets", {"orgID": torture.home, "name": name})
    day = DAY * 10**9
    torture.write(name, f"v v=1i {time_ns() - 40 * day}\nv v=2i {time_ns() - 9 * day}")
    rules = [{"type": "expire", "everySeconds": DAY, "shardGroupDurationSeconds": 3600}]
    torture.client.change(f"/api/v2/buckets/{made['id']}", {"retentionRules": rules})
    backup = bench.stored(of=torture.named(buckets=(name,)))
    torture.client.delete(f"/api/v2/buckets/{made['id']}")
    (held,) = (one for one in backup.manifest().fingerprint.items if one.name.endswith(f"{name}.v"))
    assert (held.kind, held.count) == ("points about to expire", 2)
    with bench.restored(backup) as done:
        assert differences(done) == []
        assert done.comparison.equal, done.comparison.undecided
        assert isinstance(done.restored, RestoredInfluxDB2)
        assert done.manifest is not None
        found = done.restored.fingerprint(done.manifest.fingerprint).items
        assert (
            held.count == {(one.kind, one.name): one.count for one in found}[held.kind, held.name]
        )


def test_tokens_come_back_and_are_told_nowhere(bench: Bench, full: StoredBackup) -> None:
    """The source's operator token opens the restored server; no manifest holds one.

    Buckets keep their identifiers, and a token without rights gets none.
    """
    manifest = (full.folder / "manifest.json").read_text(encoding="utf-8")
    powerless = os.environ[POWERLESS]
    assert SECRET not in manifest and powerless not in manifest
    with bench.restored(full) as done:
        restored = done.restored
        assert isinstance(restored, RestoredInfluxDB2), done.failure
        restored.client.use(SECRET)
        there = buckets(bench.torture.client).items()
        assert {(key, one.name) for key, one in buckets(restored.client).items()} >= {
            (key, one.name) for key, one in there if one.name in {TORTURE, STRANGE, SHORT, EMPTY}
        }
        assert restored.write_and_read()
        home = bench.torture.home
        rights = [
            {
                "action": "read",
                "resource": {"type": kind, "orgID": home} if kind != "orgs" else {"type": kind},
            }
            for kind in ("orgs", "buckets")
        ]
        reading = {"orgID": home, "description": "reads all", "permissions": rights}
        reader = restored.client.post("/api/v2/authorizations", reading)["token"]
        for token, words in ((reader, "takes no writes"), (powerless, "has no organization")):
            restored.client.use(token)
            with pytest.raises(RestoreFailed, match=words):
                restored.write_and_read()


READS = {
    b'log-level = "error"\nquery-concurrency = 10\nhardening-enabled = true\n': "",
    b'vault-token = "hush-hush\n': "failed to load config file",
    b'query-concurrency = "hush-hush"\n': "query-concurrency is no number, and taken for 0",
    b'hardening-enabled = "hush-hush"\n': "hardening-enabled is taken for false",
    b'storage-retention-check-interval = "hush-hush"\n': "no length of time, and taken for 30m0s",
}
"""Content of a config.toml to the words of the finding; none where it is taken."""


def test_configuration_is_asked_of_the_restored_server(bench: Bench) -> None:
    """config.toml comes back and is accepted; what influxd cannot take is told, without values."""
    torture = bench.torture
    source = torture.named(configuration={"container": torture.container})
    backup = bench.stored(of=source, coverage=frozenset({"data", "configuration"}))
    with bench.restored(backup) as done:
        assert differences(done) == []
        restored = done.restored
        assert isinstance(restored, RestoredInfluxDB2)
        assert restored.check_configuration() == ConfigurationCheck(1, ())
        for content, words in READS.items():
            restored.sandbox.place(f"{FOLDER}/files{CONFIGURED}", content)
            found = restored.check_configuration()
            assert "hush" not in "".join(found.complaints)
            assert bool(found.complaints) == bool(words)
            assert all(one.startswith(CONFIGURED) and words in one for one in found.complaints)
        restored.sandbox.run(["rm", f"{FOLDER}/files{CONFIGURED}"])
        assert restored.check_configuration().complaints == (f"{CONFIGURED}: did not come back",)


HERE = "tests/contract/test_influxdb2_faults.py"
ENGINES = "tests/contract/test_engines.py"
BAD_INPUT = "tests/contract/test_influxdb2_bad_input.py"
INCREMENTS = "tests/contract/test_influxdb2_increments.py"
CHAIN = f"{INCREMENTS}::test_a_chain_comes_back_as_the_source_was"


def _row(*names: str) -> tuple[str, ...]:
    assert set(names) <= set(LOSSES)
    return (f"{HERE}::test_every_loss_in_the_copy_is_seen_by_name",)


def _file(*names: str) -> tuple[str, ...]:
    assert set(names) <= set(SHARDS)
    return (f"{INCREMENTS}::test_a_damaged_shard_is_seen",)


CATALOGUE: dict[int, tuple[str, ...]] = {
    68: (*_file("shard file missing"), f"{INCREMENTS}::test_a_shard_that_was_left_out_is_seen"),
    69: (*_file("shard file cut in half", "shard archive truncated"),
         f"{INCREMENTS}::test_flipped_bits_are_seen_or_harmless"),
    70: (*_row("points dropped in one series"), CHAIN),
    71: (CHAIN, f"{INCREMENTS}::test_exported_lines_come_back"),
    72: _row("integer field come back as float", "unsigned cut to signed"),
    73: _row("retention shorter", "for ever no more", "shards of another length"),
    74: _row("task lost", "user lost", "secret lost", "token switched off"),
    75: (f"{HERE}::test_points_older_than_their_retention_come_back",),
    76: (*_row("token lost", "task lost", "dashboard lost", "variable lost", "label lost",
               "database mapping lost", "organization lost", "bucket lost", "token of 1.x lost"),
         f"{HERE}::test_tokens_come_back_and_are_told_nowhere"),
    77: _row("nanoseconds cut off", "sign of zero lost", "digits beyond 2^53 lost",
             "carriage return lost"),
}  # fmt: skip
NAMED: dict[str, tuple[str, ...]] = {
    "a shard file missing": CATALOGUE[68],
    "a shard file truncated or bit-flipped": CATALOGUE[69],
    "manifest from another backup": (f"{INCREMENTS}::test_metadata_of_another_backup_is_seen",),
    "points dropped in one series": _row("points dropped in one series"),
    "one value changed by one ulp": _row("one value changed by one ulp"),
    "integer field come back as float": CATALOGUE[72],
    "retention policy lost or shorter": CATALOGUE[73],
    "continuous query lost": _row("task lost"),
    "a late point into an old shard": CATALOGUE[71],
    "an increment left out": (f"{INCREMENTS}::test_an_increment_that_was_left_out_is_missed",),
    "increments in wrong order": (
        f"{INCREMENTS}::test_increments_in_wrong_order_bring_nothing_else",
    ),
    "backup of an empty database": (f"{ENGINES}::test_an_empty_source_passes",),
    "backup of the wrong database": (f"{INCREMENTS}::test_points_of_another_bucket_are_seen",),
    "a token without rights": (f"{BAD_INPUT}::test_a_refused_token",),
}


def test_every_fault_of_the_catalogue_is_shown() -> None:
    """Every number and every name has a test that is there, and every row of a table is one."""
    assert set(CATALOGUE) == set(range(68, 78))
    for shown_by in (*CATALOGUE.values(), *NAMED.values()):
        assert shown_by
        for test in shown_by:
            file, _, function = test.partition("::")
            assert f"\ndef {function}(" in (ROOT / file).read_text(encoding="utf-8"), test
