"""Chains of InfluxDB: what an increment takes, and that every boundary comes back exactly."""

import json
from collections.abc import Iterator

import pytest
from influxdb_bench import KNOWN, METADATA, PORTABLE, Bench, ago, bench
from walks import component, walked

from restoreproof.engines.contract import BackupToRestore
from restoreproof.engines.influxdb_client import InfluxClient
from restoreproof.engines.influxdb_fingerprint import CLOSED
from restoreproof.engines.influxdb_restored import RestoredInfluxDB
from restoreproof.fingerprint import compare
from restoreproof.restore import to_restore
from restoreproof.vault import StoredBackup

DAY = 86_400_000_000_000
OLD, OLDER = ago(days=3), ago(days=5)
SETUP = (
    "CREATE DATABASE shop WITH DURATION 30d REPLICATION 1 SHARD DURATION 1d NAME short",
    'CREATE RETENTION POLICY "for ever" ON shop DURATION INF REPLICATION 1 SHARD DURATION 52w',
    "CREATE DATABASE empty",
    "CREATE DATABASE goes",
    "CREATE USER clerk WITH PASSWORD 'x'",
    "GRANT READ ON shop TO clerk",
)


@pytest.fixture(scope="module")
def chained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """A source that was filled, with nothing backed up yet."""
    with bench(tmp_path_factory.mktemp("increments")) as made:
        made.server.run(*SETUP)
        for day in range(6):
            at = ago(days=day, minutes=10)
            made.server.write(
                "shop",
                f'sold,where=a i={2**53 + 1 + day}i,f={0.1 * day!r},u=true,s="x \\" ," {at + 1}',
                f"sold,where=b,what=x\\,y f=-0.0 {at + 2}",
                f"odd\\ na\\,me v={day}i {at}",
            )
        made.server.write("shop", "kept v=1i -1", f"kept v=2i {ago(hours=2)}", policy="for ever")
        made.server.write("goes", f"v v=1 {OLD}")
        yield made


@pytest.fixture(scope="module")
def chain(chained: Bench) -> list[StoredBackup]:
    """A full backup and increments after everything that can happen to points."""
    made, backups = chained.server, [chained.store()]

    made.write("shop", f"sold,where=a i=7i {ago(seconds=5)}", f"fresh v=1 {ago(seconds=5)}")
    backups.append(chained.store(backups[-1]))

    # A late point, one overwritten, one deleted, all older than any overlap.
    made.write("shop", f"sold,where=late f=1.5 {OLDER}", f"sold,where=b f=2.5 {ago(seconds=4)}")
    (row,) = made.client.query("SELECT i FROM sold WHERE \"where\" = 'a' LIMIT 1", "shop")
    first = row.values[0][0].text
    made.write("shop", f"sold,where=a i={2**53 + 3}i {first}")
    made.run(f'DELETE FROM "odd na,me" WHERE time > {OLD - DAY} AND time < {OLD}', database="shop")
    backups.append(chained.store(backups[-1]))

    # Fields, policies, databases, users and shards that come and go.
    made.run(
        "CREATE DATABASE comes",
        "DROP DATABASE goes",
        'CREATE CONTINUOUS QUERY "hourly" ON shop BEGIN SELECT mean(f) INTO shop."for ever".means'
        " FROM shop.short.sold GROUP BY time(1h), * END",
        "ALTER RETENTION POLICY short ON shop DURATION 60d",
        "GRANT ALL ON comes TO clerk",
    )
    made.write("comes", f"v v=1 {OLD}")
    made.write("shop", f"sold,where=a later=true {ago(seconds=3)}")
    backups.append(chained.store(backups[-1]))

    (shards,) = (one for one in made.client.query("SHOW SHARDS") if one.name == "shop")
    made.run(f"DROP SHARD {shards.values[1][0].text}")
    made.write("shop", f"kept v=3i {ago(seconds=2)}", policy="for ever")
    backups.append(chained.store(backups[-1]))
    return backups


@pytest.mark.thorough
def test_every_boundary_of_a_chain_comes_back(chained: Bench, chain: list[StoredBackup]) -> None:
    """Each backup of the chain, restored with all before it, holds what the source held then."""
    verdicts = [str(chained.verdict(backup)) for backup in chain]

    assert verdicts == ["equal"] * len(chain)


def test_a_chain_is_gone_along_on_one_server(chained: Bench, chain: list[StoredBackup]) -> None:
    """Each boundary holds what the source held then, also where the server was looked at before."""
    audited = component("influxdb", chained.context(), chained.vault)
    verdicts = [(one.reached_from, one.comparison.equal) for one in walked(audited)]

    *earlier, _, _ = (one.id for one in chain)
    assert verdicts == [(base, True) for base in ("", "", *earlier)]


def test_every_retention_policy_is_looked_at(chain: list[StoredBackup]) -> None:
    """A measurement that the default policy does not hold is compared too."""
    names = {item.name for item in chain[0].manifest().fingerprint.items if item.kind == "points"}

    assert [name for name in names if name.startswith("shop.for ever.kept ")]


def test_an_increment_takes_what_changed_and_no_more(chain: list[StoredBackup]) -> None:
    """By time from before its base, the whole shard of what is older, and a new database whole."""
    taken = [json.loads(backup.manifest().facts["exports"]) for backup in chain]

    assert [sorted(one) for one in taken[0]] == [["database", "folder"]] * 3
    (by_time,) = (one for one in taken[1] if one["database"] == "shop")
    assert "policy" not in by_time and by_time["start"] < ago(seconds=50)
    older = [one for one in taken[2] if "policy" in one]
    assert len(older) == 2 and {one["policy"] for one in older} == {"short"}
    assert {one["end"] - one["start"] for one in older} == {DAY}
    whole = {one["database"] for one in taken[3] if "start" not in one}
    assert whole == {"comes", "shop"}
    (gone,) = (one for one in taken[4] if "policy" in one)
    assert "folder" not in gone


def test_an_increment_applied_twice_changes_nothing(
    chained: Bench, chain: list[StoredBackup]
) -> None:
    """Replaying an increment once more leaves what it made."""
    with chained.restored(chain[2]) as attempt:
        assert attempt.restored is not None, attempt.failure
        before = attempt.restored.fingerprint(chain[2].manifest().fingerprint)
        chained.engine.replay(attempt.restored, _restorable(chain[2]))
        again = attempt.restored.fingerprint(chain[2].manifest().fingerprint)

    assert again == before


def test_the_order_in_which_parts_are_copied_does_not_matter(
    chained: Bench, chain: list[StoredBackup]
) -> None:
    """The exports of an increment give the same in reversed order."""
    copy = chained.copy()
    backup = next(one for one in copy.vault.backups("influxdb") if one.id == chain[2].id)
    facts = backup.manifest().facts
    exports = json.dumps(json.loads(facts["exports"])[::-1])
    assert exports != facts["exports"]
    copy.restate(backup, facts={**facts, "exports": exports})

    assert str(chained.verdict(backup, copy.vault)) == "equal"


def test_a_chain_on_one_server_is_read_where_it_changed(
    chained: Bench, chain: list[StoredBackup], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each boundary is equal, shards that nothing went into being read once; no change is missed:
    neither a value overwritten nor as many points deleted here as written there.
    """
    digested = _digested(monkeypatch)
    with chained.restored(chain[0]) as attempt:
        restored = attempt.restored
        assert isinstance(restored, RestoredInfluxDB)

        def differences(backup: StoredBackup) -> tuple[str, ...]:
            digested.clear()
            expected = backup.manifest().fingerprint
            return tuple(map(str, compare(expected, restored.fingerprint(expected)).differences))

        # Of what a full backup brought, files tell.
        assert differences(chain[0]) == () and not digested
        expected = chain[0].manifest().fingerprint.items
        whole = len([item for item in expected if item.kind == CLOSED])
        for backup in chain[1:3]:
            chained.engine.replay(restored, _restorable(backup))
            assert differences(backup) == ()
            assert 0 < len(digested) < whole

        def times(where: str) -> list[int]:
            found = restored.client.query(f"SELECT f FROM sold WHERE \"where\" = '{where}'", "shop")
            return [int(row[0].text) for series in found for row in series.values]

        (late,) = times("late")
        restored.client.write("shop", f"sold,where=late f=1.5000000000000002 {late}")
        (seen,) = differences(chain[2])
        assert "other content" in seen and len(digested) < whole
        restored.client.write("shop", f"sold,where=late f=1.5 {late}")
        assert differences(chain[2]) == ()

        first, *_, last = times("b")
        restored.client.query(f"DELETE FROM sold WHERE time = {first}", "shop")
        restored.client.write("shop", f"sold,where=b f=1 {last - 7}")
        assert len([one for one in differences(chain[2]) if one.startswith("points ")]) == 2


def test_an_increment_reads_the_source_where_it_changed(
    chained: Bench, chain: list[StoredBackup], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What its base read of shards that took no writes is not read again, unless the server has
    started since, or the base does not tell.
    """
    digested = _digested(monkeypatch)
    copy = chained.copy()
    base = next(one for one in copy.vault.backups("influxdb") if one.id == chain[-1].id)
    read, backups = [], []
    for change in (None, lambda known: known.replace(b'"started":"2', b'"started":"1'),
                   lambda known: known[:-9]):  # fmt: skip
        if change:
            copy.rewrite(base, KNOWN, change)
            base = next(one for one in copy.vault.backups("influxdb") if one.id == base.id)
        digested.clear()
        backups.append(chained.store(base))
        read.append(len(digested))

    assert read[0] < read[1] == read[2]
    assert [str(chained.verdict(one)) for one in backups] == ["equal"] * 3


def test_increments_out_of_order_are_refused(chained: Bench, chain: list[StoredBackup]) -> None:
    """An increment that is left out, or comes before its base, is no restore."""
    with chained.restored(chain[0]) as attempt:
        assert isinstance(attempt.restored, RestoredInfluxDB)
        for left_out in (chain[2], chain[3]):
            with pytest.raises(Exception, match="does not begin where the backup before it ends"):
                chained.engine.replay(attempt.restored, _restorable(left_out))


@pytest.mark.parametrize("artifact", [PORTABLE, METADATA])
def test_an_increment_with_the_content_of_another_is_seen(
    chained: Bench, chain: list[StoredBackup], artifact: str
) -> None:
    """Points or metadata of another increment do not come back as this one's."""
    copy = chained.copy()
    other = chain[3].manifest()
    (stored,) = (one for one in other.artifacts if one.name == artifact)
    content = b"".join(chain[3].read(stored))
    backup = next(one for one in copy.vault.backups("influxdb") if one.id == chain[2].id)
    copy.rewrite(backup, artifact, lambda _: content)

    assert chained.verdict(backup, copy.vault).found


def test_nothing_stands_on_a_base_of_another_server(
    chained: Bench, chain: list[StoredBackup]
) -> None:
    """A base of another address, or of another method, bears no increment."""
    copy = chained.copy()
    backup = copy.newest("influxdb")
    copy.restate(backup, source_identity="http://another:8086")

    result = chained.job(copy.newest("influxdb"))

    assert result.backup is None
    assert "take a full backup" in result.problem


def _digested(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The statements from now on that read closed windows."""
    found: list[str] = []
    plain = InfluxClient.lines

    def lines(client: InfluxClient, statement: str, database: str = "") -> Iterator[bytes]:
        asked = statement.split("; ")
        found.extend(one for one in asked if "GROUP BY *" in one and " time < " in one)
        return plain(client, statement, database)

    monkeypatch.setattr(InfluxClient, "lines", lines)
    return found


def _restorable(backup: StoredBackup) -> BackupToRestore:
    return to_restore(backup, backup.manifest())
