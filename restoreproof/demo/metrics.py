"""Points for the sample estate's metrics: the same ones for the same instant, in every run."""

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

DATABASE, EMPTY_DATABASE = "telegraf", "agama_reserve"
DEFAULT_POLICY, LONG_POLICY = "thirty_days", "long_term"
HEARTBEAT = "heartbeat"
SEED = 1610
WEEK, YEAR = timedelta(days=7), timedelta(days=365)
# The last two hold every character that line protocol escapes in a tag.
HOSTS = (
    "agama-web-1", "agama-web-2", "agama-db-1", "agama-db-2", "agama-metrics-1", "agama-backup-1",
    "倉庫", 'gateway, floor=3 "old"',
)  # fmt: skip
STATES = (
    "fine", 'said "no space", then rested', "путь C:\\temp, a=b", "再起動 🔁", "", "two\nlines",
)  # fmt: skip

Value = bool | int | float | str
Fields = Mapping[str, Value]


@dataclass(frozen=True)
class Measured:
    """Points of one measurement in one retention policy, as line protocol."""

    policy: str
    name: str
    lines: Sequence[str]


def measurements(now: datetime) -> Iterator[Measured]:
    """All measurements, with points up to ``now`` and none after it."""
    drawn = random.Random(SEED)  # noqa: S311  # sample data, no secret
    for name, policy, back, every, tags, fields in PLAN:
        lines = []
        for number, at in enumerate(_instants(now, back, every)):
            for host in HOSTS:
                for tag in tags:
                    values = fields(drawn, number)
                    lines.append(line(name, {"host": host, **tag}, values, at))
        yield Measured(policy, name, lines)


def line(name: str, tags: Mapping[str, str], fields: Fields, nanoseconds: int) -> str:
    """One point in line protocol."""
    key = ",".join([name, *(f"{tag}={_tag(tags[tag])}" for tag in sorted(tags))])
    values = ",".join(f"{field}={_value(value)}" for field, value in fields.items())
    return f"{key} {values} {nanoseconds}"


def nanoseconds(instant: datetime) -> int:
    """Whole nanoseconds since 1970, in integers: a float has too few digits."""
    return int(instant.timestamp()) * 1_000_000_000 + instant.microsecond * 1000


def _instants(now: datetime, back: timedelta, every: timedelta) -> Sequence[int]:
    step = int(every.total_seconds())
    last = int(now.timestamp()) // step * step
    first = last - int(back.total_seconds())
    return [second * 1_000_000_000 for second in range(first, last + 1, step)]


def _tag(text: str) -> str:
    return text.replace(",", "\\,").replace("=", "\\=").replace(" ", "\\ ")


def _value(value: Value) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"'
    return f"{value}i" if isinstance(value, int) else repr(value)


def _cpu(drawn: random.Random, _number: int) -> Fields:
    user = drawn.uniform(0, 60)
    return {"usage_user": user, "usage_idle": 100 - user}


def _memory(drawn: random.Random, _number: int) -> Fields:
    used = drawn.randrange(2**34)
    return {"used": used, "used_percent": used / 2**34 * 100}


def _disk(drawn: random.Random, number: int) -> Fields:
    # No float holds these integers: one that passed through a float comes back another.
    return {"bytes_read": 2**53 + 1 + 2 * number, "free": drawn.randrange(2**62), "ro": False}


def _system(drawn: random.Random, number: int) -> Fields:
    fields: dict[str, Value] = {"uptime": number * 3600, "state": drawn.choice(STATES)}
    # Not every point has every field.
    if number % 3:
        fields |= {"load1": drawn.expovariate(1), "raid": drawn.random() < 0.9}
    return fields


def _daily(drawn: random.Random, _number: int) -> Fields:
    return {"mean": drawn.uniform(0, 100), "peak": drawn.choice((100.0, 1e-300, 12.5))}


Plan = tuple[
    str,
    str,
    timedelta,
    timedelta,
    Sequence[Mapping[str, str]],
    Callable[[random.Random, int], Fields],
]
PLAN: tuple[Plan, ...] = (
    ("cpu", DEFAULT_POLICY, WEEK, timedelta(minutes=5), ({"cpu": "cpu-total"},), _cpu),
    ("mem", DEFAULT_POLICY, WEEK, timedelta(minutes=10), ({},), _memory),
    ("disk", DEFAULT_POLICY, WEEK, timedelta(minutes=30), ({"path": "/"}, {"path": "/srv"}), _disk),
    ("system", DEFAULT_POLICY, WEEK, timedelta(hours=1), ({},), _system),
    ("cpu_daily", LONG_POLICY, YEAR, timedelta(days=1), ({"cpu": "cpu-total"},), _daily),
)
