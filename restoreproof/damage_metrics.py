"""Damages to backups of InfluxDB 1.x and 2.x, each at a place that is drawn."""

import json
from collections.abc import Callable
from typing import Any

from restoreproof import damage_influxdb
from restoreproof.damage import Change, NotApplicable
from restoreproof.damage_files import spoil_file
from restoreproof.damage_kinds import Damage, Layer, Subject

FIRST, SECOND = frozenset({"influxdb"}), frozenset({"influxdb2"})
PORTABLE, METADATA = "portable.tar", "metadata.json"
EXPIRING = "points about to expire"
SHARD, EXPORTED = ".tar.zst", ".lines.zst"


# InfluxDB 1.x


def _in_portable(change: Callable[[int], Change], told: str) -> Callable[[Subject], str]:
    def damage(subject: Subject) -> str:
        if not subject.equal("points"):
            raise NotApplicable("no points that have to come back exactly")
        subject.rewrite(PORTABLE, change(subject.chance.randrange(2**32)))
        return told

    return damage


def lose_query(subject: Subject) -> str:
    return _lose(subject, "queries", "continuous query")


def lose_subscription(subject: Subject) -> str:
    return _lose(subject, "subscriptions", "subscription")


def lose_user(subject: Subject) -> str:
    return _lose(subject, "users", "user")


def lose_policy(subject: Subject) -> str:
    def change(metadata: dict[str, Any]) -> None:
        policies = [one for one in metadata["policies"] if one["duration"] == "0s"]
        if not policies:
            raise NotApplicable("no retention policy keeps points for ever")
        subject.chance.choice(policies)["duration"] = "87600h0m0s"

    _in_metadata(subject, change)
    return "retention policy of ten years where it was for ever"


def _lose(subject: Subject, key: str, what: str) -> str:
    def change(metadata: dict[str, Any]) -> None:
        if not metadata[key]:
            raise NotApplicable(f"the backup holds no {what}")
        metadata[key].pop(subject.chance.randrange(len(metadata[key])))

    _in_metadata(subject, change)
    return f"one {what} left out"


def _in_metadata(subject: Subject, change: Callable[[dict[str, Any]], None]) -> None:
    def changed(content: bytes) -> bytes:
        metadata = json.loads(content)
        change(metadata)
        return json.dumps(metadata).encode()

    subject.rewrite(METADATA, changed)


# InfluxDB 2.x


def _in_shard(change: Change, told: str) -> Callable[[Subject], str]:
    def damage(subject: Subject) -> str:
        if any(item.kind == EXPIRING for item in subject.fingerprint.items):
            raise NotApplicable("points that retention may have taken away in the meantime")
        names = {one.name for one in subject.manifest.artifacts}
        shards = [
            one
            for one in sorted(names)
            if one.startswith("shard-")
            and one.endswith(SHARD)
            and one.removesuffix(SHARD) + EXPORTED not in names
        ]
        if not shards:
            raise NotApplicable("no shard that is restored from its archive alone")
        drawn = subject.chance.choice(shards)
        subject.rewrite(drawn, change)
        return f"{drawn}: {told}"

    return damage


DAMAGES = tuple(
    Damage(name, title, Layer.CONTENT, inflict, engines, increments)
    for name, title, inflict, engines, increments in (
        (
            "shard-lost", "file of a shard lost",
            _in_portable(damage_influxdb.drop_shard, "file of one shard left out"), FIRST, False,
        ),
        (
            "shard-truncated", "file of a shard cut in half",
            _in_portable(damage_influxdb.truncate_shard, "file of one shard cut in half"),
            FIRST, False,
        ),
        (
            "points-flipped", "bits of points turned over",
            _in_portable(
                damage_influxdb.flip_bits_in_shard,
                "one bit in every hundred bytes of the oldest shard's points turned over",
            ),
            FIRST, False,
        ),
        ("query-lost", "continuous query lost", lose_query, FIRST, False),
        ("subscription-lost", "subscription lost", lose_subscription, FIRST, False),
        ("user-lost", "user lost", lose_user, FIRST, False),
        ("policy-changed", "retention policy changed", lose_policy, FIRST, False),
        (
            "influxdb-configuration-changed", "InfluxDB's configuration changed", spoil_file,
            FIRST | SECOND, False,
        ),
        (
            "shard-points-lost", "points of a shard lost",
            _in_shard(damage_influxdb.drop_points, "files of points left out"), SECOND, False,
        ),
        (
            "shard-points-cut", "points of a shard cut in half",
            _in_shard(damage_influxdb.cut_points, "files of points cut in half"), SECOND, False,
        ),
        (
            "shard-breaks-off", "archive of a shard breaks off",
            _in_shard(damage_influxdb.truncate, "archive breaks off"), SECOND, False,
        ),
    )
)  # fmt: skip
