"""What a backup read of an InfluxDB 1.x server, kept with it for the increment that follows.

The increment reads again what changed since, as a backup does when it has ended: shards that took
writes, and windows in which a field has another number of values.
"""

from collections.abc import Iterator

from pydantic import BaseModel, ConfigDict

from restoreproof.engines.contract import Base
from restoreproof.engines.influxdb_fingerprint import Content, Measurement
from restoreproof.engines.influxdb_layout import Layout, Shard, Window
from restoreproof.engines.influxdb_points import Field, Points
from restoreproof.outcomes import RestoreFailed

KNOWN = "known.json"


class _Window(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    window: Window
    points: Points
    values: tuple[tuple[Field, int], ...]


class _Measured(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    measurement: Measurement
    windows: tuple[_Window, ...]


class _Known(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    started: str
    writes: tuple[tuple[Shard, int], ...]
    measured: tuple[_Measured, ...]


def known_of(content: Content) -> bytes:
    """What was read, as an artifact of the backup."""
    known = _Known(
        started=content.started,
        writes=tuple(content.writes.items()),
        measured=tuple(_measured(content)),
    )
    return known.model_dump_json().encode()


def recalled(base: Base, layout: Layout) -> Content | None:
    """What the base read; None if it does not tell."""
    try:
        known = _Known.model_validate_json(b"".join(base.read(KNOWN)))
    except (RestoreFailed, ValueError):
        return None
    return Content(
        layout=layout,
        points={
            one.measurement: {each.window: each.points for each in one.windows}
            for one in known.measured
        },
        values={
            one.measurement: {each.window: dict(each.values) for each in one.windows}
            for one in known.measured
        },
        newer={},
        metadata=(),
        started=known.started,
        writes=dict(known.writes),
    )


def _measured(content: Content) -> Iterator[_Measured]:
    for measurement, windows in content.points.items():
        yield _Measured(
            measurement=measurement,
            windows=tuple(
                _Window(
                    window=window,
                    points=points,
                    values=tuple(content.values[measurement][window].items()),
                )
                for window, points in windows.items()
                if points.digest
            ),
        )
