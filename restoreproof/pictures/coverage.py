"""Which promise was made for which component, and what was proven of it, as a matrix."""

from collections.abc import Sequence

from markupsafe import Markup

from restoreproof.evidence import Evidence, PromiseRecord
from restoreproof.pictures.drawing import MUTED, RULE, WIDTH, Drawing
from restoreproof.verdicts import Verdict
from restoreproof.wording import plural

ROWS = 26
"""As many as fit on half a page; further components go into a picture of their own."""
LEFT, TOP, ROW = 118.0, 20.0, 17.0
USUAL = (
    "data", "configuration", "logs", "playbook", "inventory", "full", "incremental",
    "continuous", "rpo", "rto", "integrity", "retention", "versions", "restore-test",
    "negative-control",
)  # fmt: skip
SHORT = {
    "configuration": "config", "incremental": "increments", "continuous": "stream", "rpo": "RPO",
    "rto": "RTO", "restore-test": "re-test", "negative-control": "control",
}  # fmt: skip


def coverage(evidence: Evidence) -> tuple[Markup, ...]:
    """Components down, promises across; an empty cell is a promise that was not made."""
    made = {(one.component, key_of(one)): one.verdict for one in evidence.promises}
    keys = {key for _, key in made}
    columns = [*(key for key in USUAL if key in keys), *sorted(keys - set(USUAL))]
    names = list(dict.fromkeys(one.component for one in evidence.promises))
    return tuple(_picture(names[i : i + ROWS], columns, made) for i in range(0, len(names), ROWS))


def key_of(promise: PromiseRecord) -> str:
    """What a promise is about: ``data``, ``rpo``."""
    return promise.id.rpartition(".")[2]


def _picture(
    names: Sequence[str | None],
    columns: Sequence[str],
    made: dict[tuple[str | None, str], Verdict],
) -> Markup:
    bottom = TOP + ROW * len(names)
    drawing = Drawing(_words(names, columns, made), bottom + 24)
    step = min((WIDTH - LEFT) / len(columns), 62.0)
    for number, key in enumerate(columns):
        words = SHORT.get(key, key)
        drawing.text(LEFT + number * step, TOP - 8, words, fill=MUTED, size=7, limit=12)
    cells = []
    for row, name in enumerate(names):
        y = TOP + ROW * row
        drawing.line(0, y - 2, WIDTH, y - 2)
        drawing.text(0, y + 10, name or "the estate", limit=20)
        cells += [
            (LEFT + number * step, y, made[name, key])
            for number, key in enumerate(columns)
            if (name, key) in made
        ]
    drawing.line(0, bottom - 2, WIDTH, bottom - 2, stroke=RULE)
    drawing.verdicts(cells)
    legend = (
        (Verdict.PASSED, "proven"), (Verdict.FAILED, "broken"),
        (Verdict.ERROR, "met an error"), (Verdict.UNPROVEN, "unproven"),
    )  # fmt: skip
    drawing.verdicts((number * 90, bottom + 7, one) for number, (one, _) in enumerate(legend))
    for number, (_, words) in enumerate(legend):
        drawing.text(number * 90 + 18, bottom + 17, words, fill=MUTED, size=8)
    drawing.text(378, bottom + 17, "empty: not promised", fill=MUTED, size=8)
    return drawing.svg()


def _words(
    names: Sequence[str | None],
    columns: Sequence[str],
    made: dict[tuple[str | None, str], Verdict],
) -> str:
    told = []
    for name in names:
        mine = [made[name, key] for key in columns if (name, key) in made]
        bad = [
            f"{key} {made[name, key]}"
            for key in columns
            if made.get((name, key), Verdict.PASSED) is not Verdict.PASSED
        ]
        proven = mine.count(Verdict.PASSED)
        rest = f" ({', '.join(bad)})" if bad else ""
        told.append(
            f"{name or 'the estate'}: {proven} of {plural(len(mine), 'promise')} proven{rest}"
        )
    return f"Coverage matrix. {'; '.join(told)}"
