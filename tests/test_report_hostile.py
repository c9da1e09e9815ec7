"""The report of values that were never meant for one: hostile, endless, or too many."""

import io
import logging
import re
from pathlib import Path

import pikepdf
import pytest
import samples
from pypdf import PdfReader
from samples import text_of
from weasyprint.urls import FatalURLFetchingError

from restoreproof import report, wording
from restoreproof.evidence import Evidence
from restoreproof.verdicts import Severity, Verdict

HOSTILE = (
    '<script>alert(1)</script><a rel="attachment" href="file:///etc/hostname">x</a>'
    '<img src="file:///etc/hostname">{{ evidence }} & "quoted" \x00\x07\x1b[31m\ud7ff\ufffe'
    " \u202egnp.exe"
)
LONG = "mysqld: error 1062 " + "0123456789" * 1_000


@pytest.fixture(scope="module")
def evidence() -> Evidence:
    """A run over Agama that is not compliant."""
    return samples.agama()


def test_sixty_findings_are_all_printed(evidence: Evidence) -> None:
    """Many findings flow over pages, the most severe first."""
    severities = list(Severity)
    worse = tuple(
        check.model_copy(
            update={"verdict": Verdict.FAILED, "severity": severities[i % 4], "id": f"X-{i:03}"}
        )
        for i, check in enumerate((evidence.checks * 3)[:60])
    )
    words = text_of(report.render(samples.seal(evidence, checks=worse)))

    assert "60 checks failed or met an error" in words
    assert all(f"X-{i:03}" in words for i in range(60))
    assert words.index("severity critical") < words.index("severity low")


def hostile(evidence: Evidence) -> Evidence:
    """The evidence with a hostile value wherever free text stands."""
    return samples.seal(
        evidence,
        policy=evidence.policy.model_copy(update={"estate": HOSTILE, "owner": HOSTILE}),
        verdict_reason=HOSTILE,
        exclusions=(HOSTILE,),
        components=tuple(
            one.model_copy(update={"description": HOSTILE}) for one in evidence.components
        ),
        checks=tuple(
            one.model_copy(
                update={"title": HOSTILE, "expected": HOSTILE, "seen": HOSTILE, "reason": HOSTILE}
            )
            for one in evidence.checks
        ),
        attempts=tuple(
            one.model_copy(update={"failure": HOSTILE, "server_version": HOSTILE})
            for one in evidence.attempts
        ),
        backups=tuple(one.model_copy(update={"id": HOSTILE}) for one in evidence.backups),
        promises=tuple(one.model_copy(update={"reason": HOSTILE}) for one in evidence.promises),
    )


def test_hostile_values_are_only_text(evidence: Evidence) -> None:
    """Markup, control characters and direction marks in the evidence are shown, not obeyed."""
    content = report.render(hostile(evidence))
    words = text_of(content)

    with pikepdf.open(io.BytesIO(content)) as opened:
        assert list(opened.attachments) == ["evidence.json"]
    host = Path("/etc/hostname").read_text().strip()
    assert host not in words.replace("file:///etc/hostname", "")
    assert "<script>alert(1)</script>" in words
    assert "{{ evidence }}" in words
    assert "[U+0000][U+0007][U+001B][31m" in words.replace(" [", "[")
    assert "[U+202E]gnp.exe" in words
    assert not set(words) & set("\x00\x07\x1b\u202e")


@pytest.mark.parametrize("address", ["file:///etc/hostname", "http://127.0.0.1:9/x.png"])
@pytest.mark.parametrize(
    "markup",
    [
        '<img src="{}">',
        '<link rel="stylesheet" href="{}">',
        '<link rel="attachment" href="{}">',
        "<style>@import url({});</style>",
        '<p style="background: url({})">x</p>',
        '<object data="{}"></object>',
    ],
)
def test_nothing_is_fetched_even_if_a_template_asks(
    evidence: Evidence, monkeypatch: pytest.MonkeyPatch, markup: str, address: str
) -> None:
    """If markup did get through, fetching would end the rendering rather than happen."""
    page = f'<html lang="en">{markup.format(address)}'
    monkeypatch.setattr(report, "page", lambda _: page)

    with pytest.raises(FatalURLFetchingError):
        report.render(evidence)


def test_long_text_is_shortened_visibly(evidence: Evidence) -> None:
    """A 10,000-character error does not bury the report, and the evidence keeps all of it."""
    loud = samples.seal(
        evidence,
        verdict_reason=LONG,
        checks=tuple(one.model_copy(update={"seen": LONG}) for one in evidence.checks),
        attempts=tuple(one.model_copy(update={"failure": LONG}) for one in evidence.attempts),
    )
    content = report.render(loud)

    assert "characters left out here; evidence.json has all]" in text_of(content)
    assert len(PdfReader(io.BytesIO(content)).pages) < 25
    with pikepdf.open(io.BytesIO(content)) as opened:
        attached = opened.attachments["evidence.json"].get_file().read_bytes()
    assert attached.count(LONG.encode()) == len(evidence.checks) + len(evidence.attempts) + 1


def test_right_to_left_text_stays_by_itself() -> None:
    """A right-to-left name cannot reorder the words around it."""
    name = "\u05e9\u05dc\u05d5\u05dd"

    assert wording.printable(name) == f"\u2068{name}\u2069"
    assert wording.printable("naïve 数据 ✓\n") == "naïve 数据 ✓\n"


def test_components_of_any_name_are_drawn(evidence: Evidence) -> None:
    """Markup, right-to-left words and endless names do no harm in tables or pictures."""
    hebrew = "\u05e9\u05dc\u05d5\u05dd"
    names = ("<b>bold</b>", f"{hebrew}\u202e", "x" * 10_000)
    one = evidence.components[0]
    named = samples.seal(
        evidence,
        components=tuple(one.model_copy(update={"name": name}) for name in names),
        backups=tuple(evidence.backups[0].model_copy(update={"component": name}) for name in names),
        promises=tuple(
            evidence.promises[0].model_copy(update={"component": name}) for name in names
        ),
        checks=(),
        attempts=(),
    )
    content = report.render(named)

    assert "<b>bold</b>" in text_of(content)
    assert "<b>" not in report.page(named)
    assert "\u202e" not in report.page(named)
    assert len(PdfReader(io.BytesIO(content)).pages) < 25


def test_findings_without_end_are_counted(evidence: Evidence) -> None:
    """Of a hundred thousand findings the most severe are told in full, the rest as numbers."""
    finding = next(check for check in evidence.checks if check.verdict is Verdict.FAILED)
    endless = evidence.model_copy(update={"checks": (finding,) * 100_000})
    page = report.page(endless)

    assert "100,000 checks failed or met an error" in page
    assert "99,750 further findings" in page
    assert len(page) < 3_000_000


def test_large_estates_are_whole() -> None:
    """Fifty components and two hundred findings: every one has its entry, every promise its row."""
    large = samples.large(components=50, checks=1_000, findings=200)
    page = report.page(large)

    promises = page[page.index('id="promises"') : page.index('id="method"')]
    assert "all 50 components" in promises
    assert all(f">{one.promise}<br>" in promises for one in large.promises)
    assert all(f"Component mysql-{number:02} " in page for number in range(1, 51))
    assert all(f"<h3>F{number} " in page for number in range(1, 201))


def test_what_differs_in_a_large_estate_is_told_by_name() -> None:
    """Only what is alike of all components stands without their names."""
    large = samples.large(components=50, checks=1_000)
    first, *others = large.promises
    broken = first.model_copy(update={"verdict": Verdict.FAILED, "reason": "one of them"})
    page = report.page(samples.seal(large, promises=(broken, *others)))
    promises = page[page.index('id="promises"') : page.index('id="method"')]

    assert '<span class="small muted">mysql-01</span>' in promises
    assert '<span class="small muted">mysql-02, mysql-03, ' in promises


def test_rendering_says_nothing_on_its_own(
    evidence: Evidence, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """The libraries' warnings stay away from the user's terminal."""
    with caplog.at_level(logging.WARNING):
        report.render(hostile(evidence))

    assert capfd.readouterr() == ("", "")
    assert caplog.records == []


def test_page_for_the_screen_stands_alone(evidence: Evidence) -> None:
    """It refers to nothing outside itself, forbids scripts, and says that the PDF counts."""
    page = report.page(hostile(evidence), screen=True)

    assert not re.search(r"(?:src|href)=\"(?!#)", page)
    assert "@page" not in page
    assert "<script" not in page
    assert "default-src 'none'" in page
    assert "What counts is the signed <strong>report.pdf</strong>" in page
    assert page.count("<h2") >= 14
