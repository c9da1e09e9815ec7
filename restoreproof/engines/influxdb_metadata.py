"""What an InfluxDB 1.x server knows around its points, stored apart and put back.

A portable backup brings retention policies back, and nothing else that can be relied on: not
continuous queries, not users, and subscriptions only with some versions. Users come back with
their privileges and without their passwords, which a server gives to nobody.
"""

import hashlib
import secrets
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel, ConfigDict

from restoreproof.engines.influxdb_client import InfluxClient, Series, name
from restoreproof.fingerprint import Item

NOTHING_GRANTED = "NO PRIVILEGES"
KINDS = ("retention policy", "continuous query", "subscription", "user", "privilege")
"""The kinds of a fingerprint's items that come from here, next to ``database``."""


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class RetentionPolicy(_Model):
    """A retention policy; durations as the server writes them, ``0s`` for ever."""

    database: str
    name: str
    duration: str
    shard_duration: str
    replication: int
    default: bool

    @property
    def lengths(self) -> str:
        """Its durations in a statement."""
        kept = "INF" if self.duration == "0s" else self.duration
        shard = "" if self.shard_duration == "0s" else f" SHARD DURATION {self.shard_duration}"
        return f"DURATION {kept} REPLICATION {self.replication}{shard}"


class ContinuousQuery(_Model):
    """A continuous query, with the statement that makes it."""

    database: str
    name: str
    statement: str


class Subscription(_Model):
    """A subscription; its destinations may hold passwords."""

    database: str
    policy: str
    name: str
    mode: str
    destinations: tuple[str, ...]


class User(_Model):
    """A user without the password. ``privileges`` are by database."""

    name: str
    admin: bool
    privileges: dict[str, str]


class Metadata(_Model):
    """All of it, of the databases that are backed up; users are the server's."""

    databases: tuple[str, ...]
    policies: tuple[RetentionPolicy, ...]
    queries: tuple[ContinuousQuery, ...]
    subscriptions: tuple[Subscription, ...]
    users: tuple[User, ...]

    def items(self) -> Iterator[Item]:
        """Each as an item of a fingerprint, whose digest tells nothing of what it holds."""
        for database in self.databases:
            yield Item(kind="database", name=database)
        for policy in self.policies:
            yield _item("retention policy", f"{policy.database}.{policy.name}", policy)
        for query in self.queries:
            yield _item("continuous query", f"{query.database}.{query.name}", query)
        for one in self.subscriptions:
            yield _item("subscription", f"{one.database}.{one.policy}.{one.name}", one)
        for user in self.users:
            digest = hashlib.sha256(repr(user.admin).encode()).hexdigest()
            yield Item(kind="user", name=user.name, digest=digest)
            for database, privilege in sorted(user.privileges.items()):
                digest = hashlib.sha256(privilege.encode()).hexdigest()
                yield Item(kind="privilege", name=f"{user.name} on {database}", digest=digest)


def metadata_items(client: InfluxClient, databases: tuple[str, ...]) -> Iterator[Item]:
    """The metadata of a server as items."""
    return read_metadata(client, databases).items()


def read_metadata(client: InfluxClient, databases: tuple[str, ...]) -> Metadata:
    """Read the metadata of a server. Raise InfluxRefused."""
    return Metadata(
        databases=databases,
        policies=tuple(one for database in databases for one in policies_of(client, database)),
        queries=tuple(
            ContinuousQuery(database=series.name, name=row["name"], statement=row["query"])
            for series in client.query("SHOW CONTINUOUS QUERIES")
            for row in _rows(series)
            if series.name in databases
        ),
        subscriptions=tuple(
            Subscription(
                database=series.name,
                policy=row["retention_policy"],
                name=row["name"],
                mode=row["mode"],
                destinations=tuple(row["destinations"]),
            )
            for series in client.query("SHOW SUBSCRIPTIONS")
            for row in _rows(series)
            if series.name in databases
        ),
        users=tuple(
            User(
                name=row["user"],
                admin=row["admin"],
                privileges=_privileges(client, row["user"], databases),
            )
            for series in client.query("SHOW USERS")
            for row in _rows(series)
        ),
    )


def policies_of(client: InfluxClient, database: str) -> Iterator[RetentionPolicy]:
    """The retention policies of a database."""
    for series in client.query(f"SHOW RETENTION POLICIES ON {name(database)}"):
        for row in _rows(series):
            yield RetentionPolicy(
                database=database,
                name=row["name"],
                duration=row["duration"],
                shard_duration=row["shardGroupDuration"],
                replication=int(row["replicaN"].text),
                default=row["default"],
            )


def put_back(client: InfluxClient, wanted: Metadata) -> None:
    """Give a restored server the metadata of its source. Raise InfluxRefused.

    What is there already is left alone, and what the source has not is removed.
    """
    databases = wanted.databases
    there = read_metadata(client, databases)
    set_policies(client, there.policies, wanted.policies)
    for query in set(there.queries) - set(wanted.queries):
        client.query(f"DROP CONTINUOUS QUERY {name(query.name)} ON {name(query.database)}")
    for query in wanted.queries:
        if query not in there.queries:
            client.query(query.statement, query.database)
    for one in set(there.subscriptions) - set(wanted.subscriptions):
        client.query(f"DROP SUBSCRIPTION {name(one.name)} ON {name(one.database, one.policy)}")
    for one in wanted.subscriptions:
        if one not in there.subscriptions:
            to = ", ".join(map(_text, one.destinations))
            place = name(one.database, one.policy)
            statement = f"CREATE SUBSCRIPTION {name(one.name)} ON {place}"
            client.query(f"{statement} DESTINATIONS {one.mode} {to}")
    _put_back_users(client, there.users, wanted.users)


def set_policies(
    client: InfluxClient, there: tuple[RetentionPolicy, ...], wanted: tuple[RetentionPolicy, ...]
) -> None:
    """Make, change and drop retention policies, so that those remain that are wanted."""
    known = {(one.database, one.name): one for one in there}
    for policy in wanted:
        same = known.pop((policy.database, policy.name), None)
        if same != policy:
            verb = "ALTER" if same else "CREATE"
            place = f"{name(policy.name)} ON {name(policy.database)}"
            default = " DEFAULT" if policy.default else ""
            client.query(f"{verb} RETENTION POLICY {place} {policy.lengths}{default}")
    for database, policy_name in known:
        client.query(f"DROP RETENTION POLICY {name(policy_name)} ON {name(database)}")


def _put_back_users(
    client: InfluxClient, there: tuple[User, ...], wanted: tuple[User, ...]
) -> None:
    known = {user.name: user for user in there}
    for gone in known.keys() - {user.name for user in wanted}:
        client.query(f"DROP USER {name(gone)}")
    for user in wanted:
        if known.get(user.name) == user:
            continue
        if user.name in known:
            client.query(f"DROP USER {name(user.name)}")
        rights = " WITH ALL PRIVILEGES" if user.admin else ""
        # No server tells a password: this one is nobody's.
        password = _text(secrets.token_hex(32))
        client.query(f"CREATE USER {name(user.name)} WITH PASSWORD {password}{rights}")
        for database, privilege in user.privileges.items():
            client.query(f"GRANT {privilege} ON {name(database)} TO {name(user.name)}")


def _privileges(client: InfluxClient, user: str, databases: tuple[str, ...]) -> dict[str, str]:
    return {
        row["database"]: row["privilege"]
        for series in client.query(f"SHOW GRANTS FOR {name(user)}")
        for row in _rows(series)
        if row["database"] in databases and row["privilege"] != NOTHING_GRANTED
    }


def _rows(series: Series) -> Iterator[dict[str, Any]]:
    for row in series.values:
        yield dict(zip(series.columns, row, strict=True))


def _item(kind: str, label: str, model: BaseModel) -> Item:
    digest = hashlib.sha256(model.model_dump_json().encode()).hexdigest()
    return Item(kind=kind, name=label, digest=digest)


def _text(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
