"""The week's recovery points against the RPO: what was covered at every instant, what was not."""

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from markupsafe import Markup

from restoreproof.evidence import BackupRecord, Evidence
from restoreproof.pictures.drawing import MUTED, NAVY, PALE, RED, WIDTH, Drawing
from restoreproof.wording import duration, plural

WEEK = timedelta(days=7)
LANES = 18
"""As many as fit on half a page; further components go into a picture of their own."""
LEFT, RIGHT = 118.0, 552.0
TOP, LANE = 14.0, 21.0
LEAST = 0.8
"""How wide the shortest exposure is drawn: none may be invisible."""


def recovery_points(evidence: Evidence) -> tuple[Markup, ...]:
    """The last seven days of every component with backups, up to when the estate was lost."""
    end = lost_at(evidence)
    lanes = [
        (component.name, sorted(one.recovery_point for one in mine), mine)
        for component in evidence.components
        if (mine := [one for one in evidence.backups if one.component == component.name])
    ]
    rpo = evidence.policy.objectives.rpo
    return tuple(_picture(lanes[i : i + LANES], end, rpo) for i in range(0, len(lanes), LANES))


def lost_at(evidence: Evidence) -> datetime:
    """When the estate was taken for lost: when the first restore was decided."""
    decided = (attempt.decided_at for attempt in evidence.attempts)
    return min(decided, default=evidence.run.finished_at).astimezone(UTC)


def longest_gap(points: Sequence[datetime], end: datetime) -> timedelta:
    """The longest time within the week up to ``end`` in which no new recovery point came.

    The time before the first point that is known is not counted: nothing is known of it.
    """
    known = [point for point in points if point <= end]
    return max((later - earlier for earlier, later in _gaps(known, end)), default=timedelta())


def _gaps(points: Sequence[datetime], end: datetime) -> Iterator[tuple[datetime, datetime]]:
    """What lies between neighbours, as far as it is within the week."""
    begin = end - WEEK
    for earlier, later in pairwise([*points, end]):
        if later > begin:
            yield earlier, later


def _picture(
    lanes: Sequence[tuple[str, list[datetime], list[BackupRecord]]], end: datetime, rpo: timedelta
) -> Markup:
    bottom = TOP + LANE * len(lanes)
    drawing = Drawing(_words(lanes, end, rpo), bottom + 36)
    scale = (RIGHT - LEFT) / WEEK.total_seconds()
    begin = end - WEEK

    def at(instant: datetime) -> float:
        return LEFT + max((instant - begin).total_seconds(), 0) * scale

    midnight = end.replace(hour=0, minute=0, second=0, microsecond=0)
    for day in (midnight - timedelta(days=back) for back in range(7)):
        drawing.line(at(day), TOP - 4, at(day), bottom)
        drawing.text(at(day) + 2, TOP - 6, f"{day:%a} {day.day}", fill=MUTED, size=8)
    drawing.line(RIGHT, TOP - 4, RIGHT, bottom + 3, stroke=NAVY)
    drawing.text(RIGHT + 6, TOP - 6, "longest gap", fill=MUTED, size=8)
    for row, (name, points, backups) in enumerate(lanes):
        y = TOP + LANE * row
        drawing.text(0, y + 13, name, limit=20)
        known = [point for point in points if point <= end]
        covered, exposed = [], []
        for earlier, later in _gaps(known, end):
            kept = min(earlier + rpo, later)
            if kept > begin:
                covered.append((at(earlier), y + 8, max(at(kept) - at(earlier), 0.3), 6.0))
            if later > kept:
                exposed.append((at(kept), y + 8, max(at(later) - at(kept), LEAST), 6.0))
        drawing.rectangles(exposed, fill="#ffffff", stroke=RED)
        drawing.rectangles(covered, fill=PALE)
        _points(drawing, [one for one in backups if begin <= one.recovery_point <= end], y, at)
        gap = longest_gap(points, end)
        words = "none yet" if not known else duration(gap)
        over = gap > rpo
        drawing.text(
            RIGHT + 6, y + 14, f"{words}{' ✗' if over else ''}", fill=RED if over else NAVY
        )
    drawing.line(0, bottom + 3, WIDTH, bottom + 3)
    _legend(drawing, bottom + 18, rpo)
    return drawing.svg()


def _points(
    drawing: Drawing, backups: Sequence[BackupRecord], y: float, at: Callable[[datetime], float]
) -> None:
    """A mark for each recovery point; those that fall on one spot are drawn once."""
    fulls = sorted({round(at(one.recovery_point), 1) for one in backups if one.kind == "full"})
    others = sorted({round(at(one.recovery_point), 1) for one in backups if one.kind != "full"})
    drawing.path((f"M{x:.1f} {y + 6:.1f}v10" for x in others), stroke=NAVY, weight=1)
    drawing.rectangles([(x - 2, y + 4, 4.0, 14.0) for x in fulls], fill=NAVY)


def _legend(drawing: Drawing, y: float, rpo: timedelta) -> None:
    drawing.rectangle(0, y - 10, 4, 14)
    drawing.text(9, y, "full backup", fill=MUTED, size=8)
    drawing.line(74, y - 8, 74, y + 2, stroke=NAVY)
    drawing.text(79, y, "increment, or end of a stream", fill=MUTED, size=8)
    drawing.rectangle(226, y - 6, 14, 6, fill=PALE)
    drawing.text(245, y, f"covered: a point not older than {duration(rpo)}", fill=MUTED, size=8)
    drawing.rectangle(452, y - 6, 14, 6, fill="#ffffff", stroke=RED)
    drawing.text(471, y, "exposed: only older ones", fill=MUTED, size=8)


def _words(
    lanes: Sequence[tuple[str, list[datetime], list[BackupRecord]]], end: datetime, rpo: timedelta
) -> str:
    told = "; ".join(
        f"{name}: {plural(len([p for p in points if end - WEEK <= p <= end]), 'recovery point')},"
        f" longest gap {duration(longest_gap(points, end))}"
        for name, points, _ in lanes
    )
    return (
        f"Recovery points in the seven days up to {end:%Y-%m-%d %H:%M} UTC"
        f" against an RPO of {duration(rpo)}: {told}"
    )
