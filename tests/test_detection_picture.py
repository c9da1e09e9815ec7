"""The section on the negative control and its matrix: what was noticed, missed and left out."""

import io
import re
from datetime import timedelta

import pikepdf
import samples

from restoreproof import report
from restoreproof.evidence import Evidence
from restoreproof.evidence_negative_control import NegativeControlRecord, Outcome, TrialRecord
from restoreproof.negative_control import why_unproven
from restoreproof.pictures.detection import ROWS, detection, matrices

HOSTILE = "<script>alert(1)</script>\x07\u202e" + "x" * 10_000


def _trial(
    name: str, outcome: Outcome = Outcome.DETECTED, by: tuple[str, ...] = ("RST-001",)
) -> TrialRecord:
    return TrialRecord(
        damage=name,
        title=name.replace("-", " ") if name else "undamaged copy",
        layer="content" if name.startswith("row") else "bytes" if name else "",
        backup="mysql-1",
        done="somewhere",
        outcome=outcome,
        detected_by=by if outcome is Outcome.DETECTED else (),
        reason="the reason",
        duration=timedelta(seconds=1),
    )


UNDAMAGED = _trial("", Outcome.CLEAN)
USUAL = (
    UNDAMAGED,
    _trial("byte-flipped", by=("RST-001", "VLT-001")),
    _trial("row-lost", by=("RST-002",)),
    _trial("row-moved", Outcome.NOT_TRIED),
    _trial("files-swapped", Outcome.NOT_APPLICABLE),
)


def _control(name: str, *trials: TrialRecord, engine: str = "mysql") -> NegativeControlRecord:
    record = NegativeControlRecord(
        component=name,
        engine=engine,
        budget=timedelta(minutes=1),
        took=timedelta(seconds=9),
        seed=77,
        trials=trials,
    )
    return record.model_copy(update={"unproven": why_unproven(record)})


def _with(*controls: NegativeControlRecord) -> Evidence:
    return samples.seal(samples.compliant(), negative_controls=controls)


def _section(evidence: Evidence) -> str:
    page = report.page(evidence)
    section = page[page.index('id="negative-control"') : page.index('id="trend"')]
    return re.sub(r"\s+", " ", re.sub("<[^>]*>", " ", section))


def test_the_matrix_says_in_words_what_it_shows() -> None:
    """Which checks noticed how much, what was missed by all and what was not tried."""
    (picture,) = detection(_with(_control("mysql", *USUAL)))

    title = str(picture).partition("<title>")[2].partition("</title>")[0]
    assert title == (
        "Detection matrix of mysql: 2 kinds of damage done to copies of backups of 1 component;"
        " noticed by RST-001 (1), RST-002 (1), VLT-001 (1); none was missed; not tried: row moved"
    )
    for words in ("byte flipped", "1 of 1", "not applicable", "not tried"):
        assert words in picture


def test_a_miss_stands_out() -> None:
    """It has the sign of a failure, is told in words, and leaves the component unproven."""
    missed = _control("mysql", *USUAL, _trial("row-doubled", Outcome.MISSED))
    evidence = _with(missed)

    (picture,) = detection(evidence)
    section = _section(evidence)

    assert "missed: row doubled" in picture
    assert "0 of 1" in picture
    assert "1 ✗" in section
    assert "1 of 3 damages went unnoticed: row doubled (somewhere)" in section


def test_why_nothing_is_proven_is_told_worst_first() -> None:
    """A miss, a check that broke, a copy that is not clean, no time: each with its reason."""
    control, broken = _trial("", Outcome.NOT_CLEAN), _trial("row-a", Outcome.ERROR)
    late = _trial("row-b", Outcome.NOT_TRIED)
    for trials, reason in (
        ((UNDAMAGED, _trial("row-a", Outcome.MISSED), broken), "went unnoticed"),
        ((control, broken), "found something in an undamaged copy"),
        ((UNDAMAGED, broken), "a check broke"),
        ((UNDAMAGED, _trial("byte-flipped"), late), "no damage to the content was tried"),
        ((), "no backup came back"),
        ((UNDAMAGED, _trial("a", Outcome.NOT_APPLICABLE)), "no damage applies"),
    ):
        assert reason in _control("mysql", *trials).unproven
    assert _control("mysql", *USUAL).unproven == ""


def test_fifty_components_share_a_matrix_and_have_a_row_each() -> None:
    """One picture an engine, with how often each damage was noticed, however many there are."""
    controls = [_control(f"mysql-{number:02}", *USUAL) for number in range(49)]
    sometimes = (UNDAMAGED, _trial("byte-flipped", by=("VLT-001",)))
    evidence = _with(*controls, _control("metrics", *sometimes), _control("a", engine="git"))

    (matrix,) = matrices(evidence)
    (picture,) = detection(evidence)
    section = _section(evidence)

    assert (matrix.engine, matrix.components) == ("mysql", 50)
    assert "50 of 50" in picture
    assert "mysql, 50 components" in picture
    assert all(f"mysql-{number:02}" in section for number in range(49))
    assert "a : no backup came back" in section


def test_more_damages_than_a_page_holds_are_cut() -> None:
    """Then there are two pictures, and each says what is in it."""
    many = [_trial(f"damage-{number}") for number in range(ROWS + 3)]
    first, second = detection(_with(_control("mysql", UNDAMAGED, *many)))

    assert f"{ROWS} kinds of damage" in first
    assert "3 kinds of damage" in second


def test_hostile_words_are_only_text() -> None:
    """Names and reasons that hold markup, control characters or no end do no harm to the PDF."""
    hostile = UNDAMAGED.model_copy(update={"title": HOSTILE, "reason": HOSTILE, "damage": "row"})
    missed = hostile.model_copy(update={"outcome": Outcome.MISSED, "done": HOSTILE})
    evidence = _with(_control(HOSTILE, UNDAMAGED, missed, engine=HOSTILE))

    page = report.page(evidence)

    assert "<script>" not in page
    with pikepdf.open(io.BytesIO(report.render(evidence))) as opened:
        assert len(opened.pages) < 30


def test_a_run_without_it_says_so() -> None:
    """There is no picture, and the section says what that means."""
    assert detection(samples.compliant()) == ()
    assert "Not done in this run" in _section(samples.compliant())
