"""What an InfluxDB 2.x server holds: every value's digest, and what its organisations own.

InfluxDB has no snapshot. So values older than a boundary before the backup are digested, once
before and once after it: equal digests mean that this window was closed, and then it must come
back exactly. Newer values are only counted: at least those seen before must come back. Values
that the source's own retention may delete meanwhile are a window of their own: where they stayed
they must come back exactly, and where they went they may.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import rfc8785

from restoreproof.engines.influxdb2_client import Influx2Client
from restoreproof.engines.influxdb2_points import EPOCH, Tally, tally
from restoreproof.fingerprint import Comparison, Fingerprint, Item, settled

METHOD = "influxdb2-values-sha256-v1"
CLOSED, EXPIRING, OPEN = "points", "points about to expire", "points of the open window"
MOVED = "changed at the source during the backup; widen source.lateness"
CARRIAGE_RETURN = "\ue00d"
"""Stands for one where it would be lost: a letter for private use."""
EVER = (-(2**63) + 2, 2**63 - 2)
"""All nanoseconds that a point can have."""
LONGEST_BACKUP = timedelta(hours=1)
"""For so long what retention deletes meanwhile is told from what was lost."""
OWNED = (
    ("task", "/api/v2/tasks", "tasks"),
    ("dashboard", "/api/v2/dashboards", "dashboards"),
    ("variable", "/api/v2/variables", "variables"),
    ("label", "/api/v2/labels", "labels"),
    ("check", "/api/v2/checks", "checks"),
    ("notification rule", "/api/v2/notificationRules", "notificationRules"),
    ("notification endpoint", "/api/v2/notificationEndpoints", "notificationEndpoints"),
    ("telegraf configuration", "/api/v2/telegrafs", "configurations"),
    ("scraper", "/api/v2/scrapers", "configurations"),
    ("database mapping", "/api/v2/dbrps", "content"),
    ("authorization", "/api/v2/authorizations", "authorizations"),
    ("v1 authorization", "/private/legacy/authorizations", "authorizations"),
)
"""What an organization owns: kind, path and the key of the list in the answer."""
SURROUNDING = frozenset(
    {"organization", "secret", "bucket", "retention", "user", *(kind for kind, _, _ in OWNED)}
)
"""The kinds of items that are not points."""
VOLATILE = {"links", "token", "meta", "createdAt", "updatedAt"}
MOVING = ("latest", "lastRun")
"""What says nothing of the content, moves while a server runs, or is a secret."""


@dataclass(frozen=True)
class Bucket:
    """One bucket. ``retention`` is None where values are kept for ever."""

    id: str
    name: str
    organization: str
    organization_id: str
    retention: timedelta | None

    @property
    def label(self) -> str:
        """The bucket's name in a fingerprint."""
        return f"{_escaped(self.organization, '/')}/{self.name}"

    def points(self, start: int, stop: int) -> str:
        """The beginning of a Flux query: all values from start to before stop, nanoseconds."""
        return (
            f"from(bucketID: {flux_text(self.id)})"
            f" |> range(start: time(v: {start}), stop: time(v: {stop}))"
        )


@dataclass(frozen=True)
class Windows:
    """Where the closed window of every bucket begins and ends, in nanoseconds since 1970."""

    boundary: int
    begins: Mapping[str, int]

    @classmethod
    def at(cls, now: datetime, lateness: timedelta, of: Iterable[Bucket]) -> "Windows":
        """The windows of a backup that begins now."""
        boundary, begins = nanoseconds(now - lateness), {}
        for bucket in of:
            begins[bucket.id] = EVER[0]
            if bucket.retention is not None:
                kept = now - bucket.retention + min(LONGEST_BACKUP, bucket.retention / 2)
                begins[bucket.id] = min(nanoseconds(kept), boundary)
        return cls(boundary, begins)

    @classmethod
    def of_text(cls, text: str) -> "Windows":
        """The windows as a manifest keeps them."""
        return cls(**json.loads(text))

    def text(self) -> str:
        """Them as JSON."""
        return json.dumps({"boundary": self.boundary, "begins": dict(self.begins)})


def nanoseconds(instant: datetime) -> int:
    """Whole nanoseconds since 1970, in integers: a float has too few digits."""
    return (instant - EPOCH) // timedelta(microseconds=1) * 1000


def flux_text(text: str) -> str:
    """A text as Flux writes it."""
    for letter, written in (("\\", "\\\\"), ('"', '\\"'), ("${", "\\${")):
        text = text.replace(letter, written)
    return f'"{text}"'


def buckets(client: Influx2Client) -> dict[str, Bucket]:
    """All buckets of all organizations, by their identifiers."""
    names = {one["id"]: one["name"] for one in client.listed("/api/v2/orgs", "orgs", limit=100)}
    found = client.listed("/api/v2/buckets", "buckets", limit=100)
    return {
        one["id"]: Bucket(
            one["id"],
            one["name"],
            names.get(one["orgID"], one["orgID"]),
            one["orgID"],
            timedelta(seconds=_kept_seconds(one)) or None,
        )
        for one in found
    }


def _escaped(name: str, separator: str) -> str:
    """A name in which no separator stands that could be taken for ours."""
    return name.replace("\\", "\\\\").replace(separator, f"\\{separator}")


def _dotted(*names: str) -> str:
    return ".".join(_escaped(name, ".") for name in names)


def fingerprint(
    client: Influx2Client, chosen: Iterable[Bucket], windows: Windows, taken_at: datetime
) -> Fingerprint:
    """The fingerprint of the whole metadata and of the points of the chosen buckets."""
    items = [*_server(client)]
    for bucket in chosen:
        items += _points(client, bucket, windows)
    return Fingerprint.of(METHOD, taken_at, items)


def at_rest(before: Fingerprint, after: Fingerprint) -> Fingerprint:
    """What must come back, given what was read before and after a backup."""
    items = [
        item.model_copy(update={"comparison": Comparison.OPTIONAL, "reason": ""})
        if item.kind == EXPIRING and item.comparison is Comparison.UNDECIDED
        else item
        for item in settled(before.items, after.items, MOVED)
    ]
    return Fingerprint.of(before.method, before.taken_at, items)


def _server(client: Influx2Client) -> Iterator[Item]:
    organizations = client.listed("/api/v2/orgs", "orgs", limit=100)
    names = {one["id"]: one["name"] for one in organizations}
    for one in organizations:
        yield _described("organization", one["name"], one)
        secrets = client.get(f"/api/v2/orgs/{one['id']}/secrets").get("secrets") or ()
        for secret in secrets:
            yield Item(kind="secret", name=f"{_escaped(one['name'], '/')}/{secret}")
    for one in client.listed("/api/v2/buckets", "buckets", limit=100):
        organization = names.get(one["orgID"], one["orgID"])
        label = f"{_escaped(organization, '/')}/{one['name']}"
        yield _described("bucket", label, one)
        yield Item(kind="retention", name=label, count=_kept_seconds(one))
    for one in client.listed("/api/v2/users", "users", limit=100):
        yield _described("user", one["name"], one)
    for kind, path, key in OWNED:
        for organization, name in names.items():
            for one in client.listed(path, key, orgID=organization):
                whole = kind == "dashboard"
                # The list names cells without what they show.
                content = client.get(f"{path}/{one['id']}", include="properties") if whole else one
                label = f"{_escaped(name, '/')}/{_called(one)}"
                yield _described(kind, label, content)


def _called(one: Mapping[str, Any]) -> str:
    """A name that is unique: names of tasks, dashboards and tokens may stand twice."""
    named = one.get("name") or one.get("description") or one.get("database") or "unnamed"
    return f"{named} ({one['id']})" if "id" in one else str(named)


def _described(kind: str, name: str, content: Mapping[str, Any]) -> Item:
    digest = hashlib.sha256(rfc8785.dumps(_lasting(content))).hexdigest()
    return Item(kind=kind, name=name, digest=digest)


def _lasting(content: Any) -> Any:
    """The content without what is volatile or secret; lists of objects in one order."""
    if isinstance(content, dict):
        return {
            name: _lasting(value)
            for name, value in content.items()
            if name not in VOLATILE and not name.startswith(MOVING)
        }
    if isinstance(content, list):
        lasting = list(map(_lasting, content))
        in_any_order = all(isinstance(one, dict) for one in lasting)
        return sorted(lasting, key=rfc8785.dumps) if in_any_order else lasting
    # Canonical JSON knows no integers beyond 2^53.
    return str(content) if isinstance(content, int) else content


def _kept_seconds(bucket: Mapping[str, Any]) -> int:
    """How long a bucket keeps its values; 0 is for ever."""
    rules = bucket.get("retentionRules") or ()
    return next((int(one["everySeconds"]) for one in rules if one.get("type") == "expire"), 0)


def _points(client: Influx2Client, bucket: Bucket, windows: Windows) -> Iterator[Item]:
    begin = windows.begins[bucket.id]
    for measurement, seen in _tallies(client, bucket, EVER[0], begin).items():
        yield _whole(EXPIRING, _dotted(bucket.label, measurement), seen)
    for measurement, seen in _tallies(client, bucket, begin, windows.boundary).items():
        label = _dotted(bucket.label, measurement)
        yield _whole(CLOSED, label, seen)
        yield Item(kind="series", name=label, count=len(seen.series))
        for name, types in seen.fields.items():
            yield Item(
                kind="field", name=f"{label}.{_escaped(name, '.')} ({', '.join(sorted(types))})"
            )
        for name in seen.tags:
            yield Item(kind="tag", name=f"{label}.{_escaped(name, '.')}")
    for measurement, seen in _tallies(client, bucket, windows.boundary, EVER[1]).items():
        label = _dotted(bucket.label, measurement)
        yield Item(kind=OPEN, name=label, count=seen.values, comparison=Comparison.AT_LEAST)


def _whole(kind: str, label: str, seen: Tally) -> Item:
    return Item(kind=kind, name=label, count=seen.values, digest=seen.digest)


def _tallies(client: Influx2Client, bucket: Bucket, start: int, stop: int) -> dict[str, Tally]:
    if start >= stop:
        return {}
    points = bucket.points(start, stop)
    with client.flux(bucket.organization_id, points) as answer:
        found = tally(answer)
    for measurement, seen in found.items():
        for name, types in seen.fields.items():
            if types == {"string"}:
                query = f'import "strings" {points} {carriage_returns(measurement, name)}'
                with client.flux(bucket.organization_id, query) as answer:
                    for held in tally(answer).values():
                        seen.note(held)
    return found


def carriage_returns(measurement: str, name: str) -> str:
    """The texts with carriage returns in them, spelt out: InfluxDB's CSV leaves them away."""
    spelt = f't: "\\r", u: "{CARRIAGE_RETURN}"'
    return (
        f"|> filter(fn: (r) => r._measurement == {flux_text(measurement)}"
        f" and r._field == {flux_text(name)})"
        r" |> filter(fn: (r) => r._value =~ /\r/)"
        f" |> map(fn: (r) => ({{r with _value: strings.replaceAll(v: r._value, {spelt})}}))"
        ' |> drop(columns: ["_start", "_stop"])'
    )
