"""Which damage was noticed by which check, as a matrix: one for each engine of the estate."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from markupsafe import Markup

from restoreproof.evidence import Evidence
from restoreproof.evidence_negative_control import Outcome, TrialRecord
from restoreproof.pictures.drawing import (
    CELL,
    INK,
    MUTED,
    NAVY,
    PALE,
    RED,
    RULE,
    WIDTH,
    Drawing,
)
from restoreproof.verdicts import Verdict
from restoreproof.wording import plural

ROWS = 52
"""As many as fit on a page; further damages go into a picture of their own."""
LEFT, RIGHT, TOP, ROW = 196.0, 548.0, 28.0, 15.0
MOST_STEP = 30.0
LAYERS = {"vault": "the vault's books", "bytes": "stored bytes", "content": "content"}


@dataclass(frozen=True)
class Row:
    """One damage, done to backups of one or several components."""

    title: str
    layer: str
    trials: tuple[TrialRecord, ...]

    @cached_property
    def count(self) -> Counter[Outcome]:
        """How often what came of it."""
        return Counter(one.outcome for one in self.trials)

    @property
    def tried(self) -> int:
        """How often it was done."""
        return sum(self.count[o] for o in (Outcome.DETECTED, Outcome.MISSED, Outcome.ERROR))

    @property
    def sign(self) -> Verdict | None:
        """What its last column shows; nothing where it was not done."""
        if self.count[Outcome.MISSED]:
            return Verdict.FAILED
        if self.count[Outcome.ERROR]:
            return Verdict.ERROR
        return Verdict.PASSED if self.tried else None

    @property
    def words(self) -> str:
        """Its last column in words."""
        if self.tried:
            return f"{self.count[Outcome.DETECTED]} of {self.tried}"
        return Outcome.NOT_TRIED if self.count[Outcome.NOT_TRIED] else Outcome.NOT_APPLICABLE

    def noticed(self, check: str) -> int:
        """How often a check noticed it."""
        return sum(check in one.detected_by for one in self.trials)


@dataclass(frozen=True)
class Matrix:
    """The damages of one engine's backups, those in the books first and in the content last."""

    engine: str
    components: int
    rows: tuple[Row, ...]

    @cached_property
    def checks(self) -> tuple[str, ...]:
        """The checks that noticed anything."""
        return tuple(sorted({c for row in self.rows for t in row.trials for c in t.detected_by}))


def matrices(evidence: Evidence) -> tuple[Matrix, ...]:
    """One matrix an engine, over all its components."""
    engines = dict.fromkeys(one.engine for one in evidence.negative_controls)
    found = []
    for engine in engines:
        mine = [one for one in evidence.negative_controls if one.engine == engine]
        trials: dict[str, list[TrialRecord]] = {}
        for trial in (trial for control in mine for trial in control.damages):
            trials.setdefault(trial.damage, []).append(trial)
        rows = [Row(some[0].title, some[0].layer, tuple(some)) for some in trials.values()]
        rows.sort(key=lambda row: ([*LAYERS, row.layer].index(row.layer), row.title))
        found.append(Matrix(engine, len(mine), tuple(rows)))
    return tuple(one for one in found if one.rows)


def detection(evidence: Evidence) -> tuple[Markup, ...]:
    """The detection matrices of a run; nothing where nothing was damaged."""
    return tuple(
        _picture(matrix, matrix.rows[i : i + ROWS])
        for matrix in matrices(evidence)
        for i in range(0, len(matrix.rows), ROWS)
    )


def _picture(matrix: Matrix, rows: Sequence[Row]) -> Markup:
    groups = list(dict.fromkeys(row.layer for row in rows))
    bottom = TOP + ROW * (len(rows) + len(groups))
    drawing = Drawing(_words(matrix, rows), bottom + 26)
    checks = matrix.checks
    step = min((RIGHT - LEFT) / max(len(checks), 1), MOST_STEP)
    several = f", {matrix.components} components" if matrix.components > 1 else ""
    drawing.text(0, TOP - 8, f"{matrix.engine}{several}", limit=34)
    for number, check in enumerate(checks):
        x = LEFT + step * number + CELL / 2
        family, _, place = check.partition("-")
        drawing.text(x, TOP - 17, family, anchor="middle", fill=MUTED, size=7)
        drawing.text(x, TOP - 8, place, anchor="middle", fill=MUTED, size=7)
    drawing.text(RIGHT + 8, TOP - 8, "noticed", fill=MUTED, size=7)
    y, layer, signs = TOP, "", []
    for row in rows:
        if row.layer != layer:
            layer = row.layer
            drawing.line(0, y - 1, WIDTH, y - 1)
            what = LAYERS.get(layer, layer)
            drawing.text(0, y + 10.5, f"damage to {what}", fill=MUTED, size=7)
            y += ROW
        drawing.text(8, y + 9.5, row.title, size=8, limit=38, fill=INK if row.tried else MUTED)
        _cells(drawing, row, checks, step, y)
        if row.sign:
            signs.append((RIGHT + 8, y, row.sign))
        bad = row.sign in (Verdict.FAILED, Verdict.ERROR)
        drawing.text(
            RIGHT + (26 if row.sign else 8), y + 9.5, row.words, size=8,
            fill=RED if bad else INK if row.tried else MUTED,
        )  # fmt: skip
        y += ROW
    drawing.line(0, bottom - 1, WIDTH, bottom - 1, stroke=RULE)
    drawing.verdicts(signs)
    _legend(drawing, bottom + 7)
    return drawing.svg()


def _cells(drawing: Drawing, row: Row, checks: Sequence[str], step: float, y: float) -> None:
    """Filled where a check noticed the damage always, half where sometimes, a dot where never."""
    if not row.tried:
        return
    for number, check in enumerate(checks):
        x, times = LEFT + step * number, row.noticed(check)
        if times == row.tried:
            drawing.rectangle(x + 1, y + 1, CELL - 2, CELL - 2, fill=NAVY)
        elif times:
            drawing.rectangle(x + 1, y + 1, CELL - 2, CELL - 2, fill=PALE, stroke=NAVY)
        else:
            drawing.rectangle(x + CELL / 2 - 0.8, y + CELL / 2 - 0.8, 1.6, 1.6, fill=MUTED)


def _legend(drawing: Drawing, y: float) -> None:
    drawing.rectangle(1, y + 1, CELL - 2, CELL - 2, fill=NAVY)
    drawing.text(18, y + 10, "check failed, as it has to", fill=MUTED, size=8)
    drawing.rectangle(151, y + 1, CELL - 2, CELL - 2, fill=PALE, stroke=NAVY)
    drawing.text(168, y + 10, "failed on some copies", fill=MUTED, size=8)
    drawing.rectangle(288, y + 6, 1.6, 1.6, fill=MUTED)
    drawing.text(296, y + 10, "did not fail, or was not asked", fill=MUTED, size=8)
    drawing.verdicts([(452, y, Verdict.PASSED), (548, y, Verdict.FAILED)])
    drawing.text(470, y + 10, "noticed by one", fill=MUTED, size=8)
    drawing.text(566, y + 10, "missed by all", fill=MUTED, size=8)


def _words(matrix: Matrix, rows: Sequence[Row]) -> str:
    noticed = Counter(check for row in rows for one in row.trials for check in one.detected_by)
    tried = [row for row in rows if row.tried]
    missed = [row.title for row in rows if row.count[Outcome.MISSED]]
    broken = [row.title for row in rows if row.count[Outcome.ERROR]]
    left = [row.title for row in rows if row.words == Outcome.NOT_TRIED]
    by = ", ".join(f"{check} ({count})" for check, count in sorted(noticed.items()))
    what = f"{plural(len(tried), 'kind')} of damage done to copies of backups"
    parts = [
        f"Detection matrix of {matrix.engine}: {what} of {plural(matrix.components, 'component')}",
        f"noticed by {by}" if by else "noticed by no check",
        f"missed: {', '.join(missed)}" if missed else "none was missed",
    ]
    parts += [f"a check broke on: {', '.join(broken)}"] if broken else []
    parts += [f"not tried: {', '.join(left)}"] if left else []
    return "; ".join(parts)
