"""RPO and RTO of each component over the runs that the ledger knows, against their targets."""

import math
from collections.abc import Sequence
from datetime import datetime, timedelta

from markupsafe import Markup

from restoreproof.evidence import EarlierResult, EarlierRun, Evidence
from restoreproof.evidence_circumstances import Objectives
from restoreproof.pictures.drawing import MUTED, NAVY, PALE, RED, RULE, WIDTH, Drawing
from restoreproof.verdicts import Verdict
from restoreproof.wording import duration

RUNS = 24
"""Only the newest are drawn; the ledger has them all."""
LANES = 12
LEFT, TOP, LANE = 118.0, 16.0, 40.0
CHARTS = ((LEFT, "RPO, the largest of its figures"), (LEFT + 278, "RTO measured"))
CHART, HEIGHT = 200.0, 26.0


def this_run(evidence: Evidence) -> EarlierRun:
    """This run in the form in which the next one will know it."""
    return EarlierRun(
        run=evidence.run.id,
        finished_at=evidence.run.finished_at,
        verdict=evidence.verdict,
        results=tuple(
            EarlierResult(
                component=one.name, verdict=one.verdict, rpo=one.rpo, rto=one.rto_measured.value
            )
            for one in evidence.components
        ),
    )


def trend(evidence: Evidence) -> tuple[Markup, ...]:
    """The trend up to this run; nothing if no earlier run is known."""
    if not evidence.earlier_runs:
        return ()
    return trend_of((*evidence.earlier_runs, this_run(evidence)), evidence.policy.objectives)


def trend_of(runs: Sequence[EarlierRun], objectives: Objectives) -> tuple[Markup, ...]:
    """Two charts for each component of the newest run. There must be a run."""
    newest = runs[-RUNS:]
    names = [result.component for result in newest[-1].results]
    targets = (objectives.rpo, objectives.rto)
    return tuple(
        _picture(names[i : i + LANES], newest, targets) for i in range(0, len(names), LANES)
    )


def _picture(
    names: Sequence[str], runs: Sequence[EarlierRun], targets: tuple[timedelta, timedelta]
) -> Markup:
    bottom = TOP + LANE * len(names)
    drawing = Drawing(_words(names, runs), bottom + 18)
    for left, title in CHARTS:
        drawing.text(left, TOP - 6, title, fill=MUTED, size=8)
        for x, run, anchor in ((left, runs[0], "start"), (left + CHART, runs[-1], "end")):
            drawing.text(x, bottom + 8, _day(run.finished_at), anchor=anchor, fill=MUTED, size=8)
    for row, name in enumerate(names):
        y = TOP + LANE * row
        drawing.line(0, y, WIDTH, y)
        drawing.text(0, y + 18, name, limit=20)
        mine = [_of(run, name) for run in runs]
        for (left, _), target, values in zip(
            CHARTS,
            targets,
            ([one.rpo for one in mine], [one.rto for one in mine]),
            strict=True,
        ):
            _chart(drawing, left, y + 6, values, target)
    return drawing.svg()


def _chart(
    drawing: Drawing,
    left: float,
    top: float,
    values: Sequence[timedelta | None],
    target: timedelta,
) -> None:
    """One line over the runs on a logarithmic scale, which shows seconds beside days."""
    known = [_log(value) for value in values if value is not None]
    low, high = min([*known, _log(target)]), max([*known, _log(target)])
    room = max(high - low, 0.3)

    def y_of(value: timedelta) -> float:
        return top + HEIGHT - (_log(value) - low) / room * HEIGHT

    step = CHART / max(len(values) - 1, 1)
    drawing.line(left, y_of(target), left + CHART, y_of(target), stroke=RED, dashes="4 2")
    placed = [(left + i * step, y_of(v), v) for i, v in enumerate(values) if v is not None]
    drawing.path(
        [f"{'L' if i else 'M'}{x:.2f} {y:.2f}" for i, (x, y, _) in enumerate(placed)],
        stroke=PALE, weight=1.2,
    )  # fmt: skip
    within = [(x - 1.8, y - 1.8, 3.6, 3.6) for x, y, v in placed if v <= target]
    beyond = [(x - 2.4, y - 2.4) for x, y, v in placed if v > target]
    drawing.rectangles(within, fill=NAVY)
    drawing.path(
        (f"M{x:.2f} {y:.2f}l4.8 4.8m0-4.8l-4.8 4.8" for x, y in beyond), stroke=RED, weight=1.4
    )
    newest = values[-1]
    words = "no figure" if newest is None else duration(newest)
    over = newest is not None and newest > target
    drawing.text(
        left + CHART + 7, top + 12, f"{words}{' ✗' if over else ''}", fill=RED if over else NAVY
    )
    drawing.text(left + CHART + 7, top + 23, f"target {duration(target)}", fill=MUTED, size=7)
    drawing.line(left, top + HEIGHT + 3, left + CHART, top + HEIGHT + 3, stroke=RULE)


def _log(value: timedelta) -> float:
    return math.log10(max(value.total_seconds(), 0.001))


def _day(instant: datetime) -> str:
    return f"{instant:%Y-%m-%d}"


def _of(run: EarlierRun, name: str) -> EarlierResult:
    nothing = EarlierResult(component=name, verdict=Verdict.UNPROVEN, rpo=None, rto=None)
    return next((one for one in run.results if one.component == name), nothing)


def _words(names: Sequence[str], runs: Sequence[EarlierRun]) -> str:
    told = []
    for name in names:
        first, last = _of(runs[0], name), _of(runs[-1], name)
        told.append(
            f"{name}: RPO {_said(first.rpo)} to {_said(last.rpo)},"
            f" RTO {_said(first.rto)} to {_said(last.rto)}"
        )
    return (
        f"Trend over {len(runs)} runs from {_day(runs[0].finished_at)}"
        f" to {_day(runs[-1].finished_at)}. {'; '.join(told)}"
    )


def _said(value: timedelta | None) -> str:
    return "no figure" if value is None else duration(value)
