"""One restore as a bar of its steps, above how much of the RTO it took."""

from datetime import timedelta

from markupsafe import Markup

from restoreproof.evidence import AttemptRecord, PhaseRecord
from restoreproof.pictures.drawing import INK, NAVY, PALE, RED, RULE, WIDTH, Drawing
from restoreproof.wording import duration

ROOM_FOR_A_NUMBER = 11.0
LEAST = 0.7
"""How wide the shortest step is drawn, so that none is invisible."""
TONES = (NAVY, PALE)


def restore_timeline(attempt: AttemptRecord, rto: timedelta) -> Markup:
    """The steps of a restore in order, numbered as in ``steps``, and its share of the RTO."""
    drawing = Drawing(f"Timeline of the restore of {attempt.backup}: {_words(attempt, rto)}", 34)
    span = max((phase.end for phase in attempt.phases), default=timedelta()).total_seconds()
    scale = WIDTH / max(span, 0.001)
    for number, phase in enumerate(attempt.phases, start=1):
        left = phase.started_after.total_seconds() * scale
        width = min(
            max(phase.duration.total_seconds() * scale, LEAST), WIDTH - min(left, WIDTH - 1)
        )
        left = min(left, WIDTH - width)
        failed = ended_here(attempt, phase)
        fill = RED if failed else TONES[number % 2] if phase.counts_towards_rto else "#ffffff"
        outline = {} if phase.counts_towards_rto else {"stroke": NAVY, "dashes": "2 1.5"}
        drawing.rectangle(left, 1, width, 13, fill=fill, **outline)
        if width >= ROOM_FOR_A_NUMBER:
            light = fill in (NAVY, RED)
            drawing.text(left + 3, 11, str(number), fill="#ffffff" if light else INK)
    share = attempt.recovery_duration / rto if rto else 1.0
    drawing.rectangle(0, 18, WIDTH, 4, fill="#ffffff", stroke=RULE)
    drawing.rectangle(0, 18, max(WIDTH * min(share, 1), LEAST), 4, fill=RED if share > 1 else NAVY)
    drawing.text(0, 32, f"{_percent(share)} of the RTO", size=8)
    drawing.text(WIDTH, 32, duration(rto), anchor="end", size=8)
    return drawing.svg()


def steps(attempt: AttemptRecord) -> str:
    """The steps in words, with the numbers that they have in the picture.

    What was waited for the image comes before them: it has none, and is no part of the recovery.
    """
    waited = f"before, {duration(attempt.image_waited)} for the image (not counted) · "
    told = " · ".join(
        f"{number} {phase.name} {duration(phase.duration)}"
        f"{' ✗ ended here' if ended_here(attempt, phase) else ''}"
        f"{'' if phase.counts_towards_rto else ' (not counted)'}"
        for number, phase in enumerate(attempt.phases, start=1)
    )
    return f"{waited if attempt.image else ''}{told}"


def ended_here(attempt: AttemptRecord, phase: PhaseRecord) -> bool:
    """Whether a restore that did not succeed ended in this step."""
    return not attempt.succeeded and phase.name == attempt.failed_in


def _words(attempt: AttemptRecord, rto: timedelta) -> str:
    told = ", ".join(
        f"{phase.name} {duration(phase.duration)}"
        f"{'' if phase.counts_towards_rto else ' (not counted)'}"
        for phase in attempt.phases
    )
    return (
        f"{told or 'no step'}; {duration(attempt.recovery_duration)} of an RTO of {duration(rto)}"
    )


def _percent(share: float) -> str:
    if share < 0.001:
        return "less than 0.1 %"
    return f"{share * 100:,.3g} %" if share < 1 else f"{share * 100:,.0f} %"
