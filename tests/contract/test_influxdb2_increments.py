"""Chains of InfluxDB 2.x, and faults in what is stored of them: each is refused or seen."""

import json
from collections.abc import Iterator
from secrets import token_hex

import pytest
from influxdb2_bench import SHARDS, Bench, bench, content, differences, same, three
from influxdb2_source import STRANGE
from mysql_bench import seed, tell

from restoreproof import damage_influxdb
from restoreproof.damage import Change
from restoreproof.engines import influxdb2_backup
from restoreproof.vault import StoredBackup

FLIPS = 4


@pytest.fixture(scope="module", name="bench")
def _bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with bench(tmp_path_factory.mktemp("influxdb2")) as made:
        yield made


@pytest.fixture(scope="module", name="chain")
def _chain(bench: Bench) -> list[StoredBackup]:
    return three(bench)


def test_a_chain_comes_back_as_the_source_was(bench: Bench, chain: list[StoredBackup]) -> None:
    """Late points, deleted ones and new ones: the end of the chain is equal, and its middle."""
    for link in chain[1:]:
        with bench.restored(link) as done:
            assert differences(done) == []
            assert done.comparison.equal, done.comparison.undecided
    stored = [{one.name for one in link.manifest().artifacts} for link in chain]
    shards = [{name for name in names if name.endswith(".tar.zst")} for names in stored]
    assert shards[1] and shards[1] < shards[0] | shards[1]
    assert len(shards[1]) < len(shards[0])


def test_exported_lines_come_back(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every shard as line protocol: all types and times are equal, also where retention is."""
    read = influxdb2_backup._read_archive
    monkeypatch.setattr(influxdb2_backup, "_read_archive", lambda *of: (read(*of)[0], False))
    backup = bench.stored()
    assert any(one.name.endswith(".lines.zst") for one in backup.manifest().artifacts)
    with bench.restored(backup) as done:
        assert differences(done) == []


def test_an_increment_that_was_left_out_is_missed(bench: Bench, chain: list[StoredBackup]) -> None:
    """A chain without its middle is not restored, though its end claims to stand on the full."""
    copy = bench.copy()
    first, _, last = (same(copy, link) for link in chain)
    copy.restate(last, base=first.id)
    with bench.restored(same(copy, last), copy.vault) as done:
        assert done.restored is None
        assert "as it has to be" in done.failure


def test_increments_in_wrong_order_bring_nothing_else(
    bench: Bench, chain: list[StoredBackup]
) -> None:
    """The middle after the end is refused or comes back as it was: shards are told by digests."""
    copy = bench.copy()
    first, middle, last = (same(copy, link) for link in chain)
    copy.restate(last, base=first.id)
    copy.restate(same(copy, middle), base=last.id)
    with bench.restored(same(copy, middle), copy.vault) as done:
        tell(done.failure or "equal")
        assert "as it has to be" in done.failure or done.comparison.equal


@pytest.mark.parametrize("fault", SHARDS)
def test_a_damaged_shard_is_seen(bench: Bench, chain: list[StoredBackup], fault: str) -> None:
    """A shard that was damaged before it was hashed is refused, or its points differ."""
    assert _shard_shows(bench, chain[0], SHARDS[fault])


def test_flipped_bits_are_seen_or_harmless(bench: Bench, chain: list[StoredBackup]) -> None:
    """A flipped bit in the points, of which influxd says nothing, shows where it changed any."""
    tell(f"FAULT_SEED={seed()}")
    flips = [damage_influxdb.flip_bit(seed() + number) for number in range(FLIPS)]
    seen = [_shard_shows(bench, chain[0], flip) for flip in flips]
    # Some bits are of a checksum that no server looks at, or fill up a block.
    assert sum(map(bool, seen)) >= FLIPS // 2, seen


def test_points_of_another_bucket_are_seen(bench: Bench, chain: list[StoredBackup]) -> None:
    """The archive of another bucket's shard does not pass for this one's."""
    manifests = json.loads(content(chain[0], "buckets.json.zst"))
    (other,) = {
        shard["id"]
        for bucket in manifests if bucket["bucketName"] == STRANGE
        for policy in bucket["retentionPolicies"]
        for group in policy["shardGroups"]
        for shard in group["shards"]
    }  # fmt: skip
    foreign = content(chain[0], f"shard-{other}.tar.zst")
    assert _shard_shows(bench, chain[0], lambda _: foreign)


def _shard_shows(bench: Bench, backup: StoredBackup, change: Change) -> list[str]:
    """What a backup shows whose oldest shard is another."""
    copy = bench.copy()
    copy.rewrite(same(copy, backup), bench.torture.artifact, change)
    with bench.restored(same(copy, backup), copy.vault) as done:
        if done.failure:
            return [done.failure]
        return [one for one in differences(done) if one.startswith("points home/torture.")]


def test_a_shard_that_was_left_out_is_seen(bench: Bench, chain: list[StoredBackup]) -> None:
    """Neither its file nor its name is in the backup: its points are missing."""
    copy = bench.copy()
    backup = same(copy, chain[0])
    described = backup.manifest()
    (shard,) = [one for one in described.artifacts if one.name == bench.torture.artifact]
    rest = tuple(one for one in described.artifacts if one is not shard)
    copy.restate(backup, artifacts=rest)
    with bench.restored(same(copy, backup), copy.vault) as done:
        assert done.restored is None
        assert "no backup of the chain holds shard 1" in done.failure
    known = json.loads(described.position)
    del known["1"]
    copy.restate(same(copy, backup), position=json.dumps(known))
    with bench.restored(same(copy, backup), copy.vault) as done:
        assert [one for one in differences(done) if one.startswith("points home/torture.kinds: is")]


def test_metadata_of_another_backup_is_seen(bench: Bench, chain: list[StoredBackup]) -> None:
    """A key-value store from before the increment: the new shard has no place there."""
    copy = bench.copy()
    first = same(copy, chain[0])
    old = next(one for one in first.manifest().artifacts if one.name == "metadata.bolt.zst")
    content = b"".join(first.read(old))
    torture = bench.torture
    made = {"orgID": torture.home, "name": f"made later {token_hex(2)}"}
    bucket = torture.client.post("/api/v2/buckets", made)
    try:
        torture.write(bucket["id"], "new v=1i 1")
        everything = torture.named()
        later = bench.stored(of=everything)
    finally:
        torture.client.delete(f"/api/v2/buckets/{bucket['id']}")
    copy = bench.copy()
    copy.rewrite(same(copy, later), "metadata.bolt.zst", lambda _: content)
    with bench.restored(same(copy, later), copy.vault) as done:
        if done.restored is None:
            assert "does not take shard" in done.failure
        else:
            assert f"bucket home/{made['name']}: is missing" in " ".join(differences(done))
