"""The report shows what the evidence holds, the same every time, as PDF/A with it attached."""

import io
import logging
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pikepdf
import pytest
import samples
from pypdf import PdfReader
from weasyprint.urls import FatalURLFetchingError

from restoreproof import report, wording
from restoreproof.errors import UserError
from restoreproof.evidence import (
    EarlierResult,
    EarlierRun,
    Evidence,
    Severity,
    Verdict,
    parse,
)
from restoreproof.signing import create_identity, load_identity, sign

NOW = datetime(2026, 7, 3, 10, 0, tzinfo=UTC)
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


@pytest.fixture(scope="module")
def pdf(evidence: Evidence) -> bytes:
    """The report of that run, not yet signed."""
    return report.render(evidence)


@pytest.fixture(scope="module")
def signed(pdf: bytes, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The same report, signed."""
    files = create_identity(tmp_path_factory.mktemp("identity"), b"passphrase", now=NOW)
    return sign(pdf, load_identity(files.signer, b"passphrase", now=NOW), now=NOW)


def text_of(content: bytes) -> str:
    """The words of a PDF, with every run of white space folded."""
    pages = PdfReader(io.BytesIO(content)).pages
    return " ".join(" ".join(page.extract_text() for page in pages).split())


def test_same_evidence_gives_the_same_bytes(evidence: Evidence, pdf: bytes) -> None:
    """Nothing but the evidence decides what the report is, not even the clock."""
    again = parse(evidence.canonical(), where="evidence.json")

    assert report.render(again) == pdf


def test_evidence_without_a_matching_seal_is_not_rendered(evidence: Evidence) -> None:
    """No report is made that could not be verified later."""
    for unsound in (
        evidence.model_copy(update={"seal": None}),
        evidence.model_copy(update={"verdict": Verdict.PASSED}),
    ):
        with pytest.raises(UserError, match="seal"):
            report.render(unsound)


def test_evidence_is_attached_once_and_whole(evidence: Evidence, signed: bytes) -> None:
    """The only attachment is evidence.json, byte for byte, marked as the report's source."""
    with pikepdf.open(io.BytesIO(signed)) as opened:
        assert list(opened.attachments) == ["evidence.json"]
        assert opened.attachments["evidence.json"].get_file().read_bytes() == evidence.canonical()
        assert {str(file.AFRelationship) for file in opened.Root.AF} == {"/Source"}


def test_first_page_answers(pdf: bytes) -> None:
    """Verdict, reason, objectives, components and scope are on page one."""
    page = " ".join(PdfReader(io.BytesIO(pdf)).pages[0].extract_text().split())

    for words in (
        "Agama",
        "NOT COMPLIANT",
        "the schedule allows 24 h between recovery points of mysql and influxdb",
        "1 h",
        "4 h",
        "16 h 54 min",
        "no figure",
        "6.5 s",
        "29 checks: 21 passed, 5 failed, 1 met an error, 2 unproven",
        "22 promises: 6 proven, 2 broken, 0 met an error, 14 unproven",
        "Monitoring and web servers of the estate: no component of the policy",
        "page 1 of",
    ):
        assert words in page


@pytest.mark.parametrize(
    ("verdict", "words"),
    [
        (Verdict.PASSED, "✓ COMPLIANT"),
        (Verdict.FAILED, "✗ NOT COMPLIANT"),
        (Verdict.ERROR, "! COULD NOT TELL"),
        (Verdict.UNPROVEN, "? COULD NOT TELL"),
    ],
)
def test_every_verdict_has_its_word_and_sign(
    evidence: Evidence, verdict: Verdict, words: str
) -> None:
    """Verdicts differ in more than colour."""
    assert f">{words}<" in report.page(samples.seal(evidence, verdict=verdict))


def test_everything_in_the_evidence_is_printed(evidence: Evidence, pdf: bytes) -> None:
    """Every check, promise, backup, digest, attempt, image and package can be read."""
    compact = text_of(pdf).replace(" ", "")
    expected = [
        *(check.id for check in evidence.checks),
        *(promise.promise for promise in evidence.promises),
        *(backup.id for backup in evidence.backups),
        *(artifact.sha256 for backup in evidence.backups for artifact in backup.artifacts),
        *(attempt.image_identifier for attempt in evidence.attempts),
        *(finding.remedy for finding in evidence.findings),
        *(check.reason for check in evidence.unproven),
        *(image.identifier for image in evidence.environment.images),
        *(package.version for package in evidence.environment.packages),
        *evidence.exclusions,
        evidence.run.id,
        evidence.policy.sha256,
        evidence.seal.digest if evidence.seal else "no seal",
    ]

    assert [words for words in expected if words.replace(" ", "") not in compact] == []


def test_unproven_is_a_section_of_its_own(evidence: Evidence) -> None:
    """What was not proven is listed with its reason, and never among what passed."""
    page = report.page(evidence)
    section = page[page.index('id="unproven"') : page.index('id="promises"')]

    for check in evidence.unproven:
        assert check.reason in section
    assert section.count("this version does not run it yet") == 12
    assert "verdict passed" not in section


def test_a_record_of_an_unknown_component_is_not_lost(evidence: Evidence) -> None:
    """A check about a component that the run does not list is printed all the same."""
    stray = evidence.checks[0].model_copy(update={"component": "forgotten"})
    page = report.page(samples.seal(evidence, checks=(*evidence.checks, stray)))

    assert "Every check of forgotten" in page


def test_component_without_backups_says_so(evidence: Evidence) -> None:
    """No backups is an answer that is printed, not an empty table."""
    bare = samples.seal(
        evidence,
        backups=tuple(one for one in evidence.backups if one.component != "ansible"),
        attempts=tuple(one for one in evidence.attempts if one.component != "ansible"),
    )
    page = report.page(bare)

    assert "holds no backup of this component" in page
    assert "No backup of this component was restored" in page


def test_nothing_to_report_looks_right() -> None:
    """With no findings and nothing unproven the report says so in words."""
    words = text_of(report.render(samples.compliant()))

    assert "✓ COMPLIANT" in words
    assert "None. No check failed, and none met an error." in words
    assert "Nothing. Every promise of the policy and every check has an answer." in words


def test_an_empty_run_is_rendered(evidence: Evidence) -> None:
    """A run that saw nothing at all still has a report."""
    nothing: dict[str, Any] = dict.fromkeys(
        ("components", "promises", "checks", "jobs", "backups", "attempts", "exclusions"), ()
    )
    empty = samples.seal(evidence, verdict=Verdict.UNPROVEN, **nothing)

    assert "COULD NOT TELL" in text_of(report.render(empty))


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
def test_nothing_is_fetched_even_if_a_template_asks(
    evidence: Evidence, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    """If markup did get through, fetching would end the rendering rather than happen."""
    monkeypatch.setattr(report, "page", lambda _: f'<html lang="en"><img src="{address}">')

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


def test_rendering_says_nothing_on_its_own(
    evidence: Evidence, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """The libraries' warnings stay away from the user's terminal."""
    with caplog.at_level(logging.WARNING):
        report.render(hostile(evidence))

    assert capfd.readouterr() == ("", "")
    assert caplog.records == []


@pytest.mark.parametrize("which", ["pdf", "signed"])
def test_structure_is_that_of_pdf_a_3u(request: pytest.FixtureRequest, which: str) -> None:
    """What ISO 19005-3 demands and can be checked without a validator holds.

    It holds after signing too, where a visible stamp would bring a font that is not embedded.
    """
    with pikepdf.open(io.BytesIO(request.getfixturevalue(which))) as opened:
        assert not opened.is_encrypted
        xmp = opened.open_metadata()
        assert (xmp["pdfaid:part"], xmp["pdfaid:conformance"]) == ("3", "U")
        assert xmp["pdf:Keywords"] == str(opened.docinfo["/Keywords"])
        (intent,) = opened.Root.OutputIntents
        assert intent.S == "/GTS_PDFA1"
        assert len(intent.DestOutputProfile.read_bytes()) > 500
        assert opened.Root.MarkInfo.Marked
        assert opened.Root.StructTreeRoot.K is not None
        assert str(opened.Root.Lang) == "en"
        assert opened.trailer.ID is not None

        objects = [one for one in opened.objects if isinstance(one, pikepdf.Dictionary)]
        fonts = [one for one in objects if one.get("/Type") == "/Font"]
        descriptors = [one for one in objects if one.get("/Type") == "/FontDescriptor"]
        assert descriptors
        assert all("/FontFile2" in one for one in descriptors)
        assert all("/ToUnicode" in one for one in fonts if one.Subtype == "/Type0")
        assert {str(one.Subtype) for one in fonts} <= {"/Type0", "/CIDFontType2"}
        assert all("/JavaScript" not in one and one.get("/S") != "/JavaScript" for one in objects)
        for page in opened.pages:
            for note in page.get("/Annots", []):
                assert int(note.F) & 4
                assert not int(note.F) & 0b100011
                assert note.Subtype in {"/Link", "/Widget"}


def test_pictures_have_words(evidence: Evidence, pdf: bytes) -> None:
    """Every timeline has a text alternative that says what it shows."""
    with pikepdf.open(io.BytesIO(pdf)) as opened:
        alternatives = [
            str(one.Alt)
            for one in opened.objects
            if isinstance(one, pikepdf.Dictionary) and one.get("/S") == "/Figure"
        ]

    told = [words for words in alternatives if words.startswith("Timeline of the restore of")]
    assert len(told) == len(evidence.attempts)
    assert any("load full backup 3.9 s" in words for words in told)
    for picture in ("Coverage matrix. mysql: 2 of 7 promises proven", "Recovery points in the"):
        assert any(words.startswith(picture) for words in alternatives)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (timedelta(0), "0 s"),
        (timedelta(microseconds=3), "< 1 ms"),
        (timedelta(milliseconds=4.6), "5 ms"),
        (timedelta(milliseconds=999.9), "1 s"),
        (timedelta(seconds=1.84), "1.8 s"),
        (timedelta(seconds=59.97), "1 min"),
        (timedelta(seconds=61), "1 min 1 s"),
        (timedelta(minutes=59, seconds=59.9), "1 h"),
        (timedelta(hours=24, minutes=3, seconds=7), "24 h 3 min"),
        (timedelta(hours=47, minutes=59, seconds=59), "48 h"),
        (timedelta(days=31), "31 d"),
        (timedelta(days=2, hours=3, minutes=59), "2 d 4 h"),
        (timedelta(seconds=-7.6), "\N{MINUS SIGN}7.6 s"),
    ],
)
def test_durations_are_for_people(value: timedelta, words: str) -> None:
    """A duration is told in at most two units, and rounds up into the next one."""
    assert wording.duration(value) == words


@pytest.mark.parametrize(
    ("count", "words"),
    [
        (0, "0 bytes"),
        (1, "1 byte"),
        (999, "999 bytes"),
        (1_468_006, "1.47 MB (1,468,006 bytes)"),
        (999_999, "1 MB (999,999 bytes)"),
        (5 * 10**16, "50 PB (50,000,000,000,000,000 bytes)"),
    ],
)
def test_sizes_are_for_people_and_exact(count: int, words: str) -> None:
    """A size is told roughly and to the byte."""
    assert wording.size(count) == words


def test_right_to_left_text_stays_by_itself() -> None:
    """A right-to-left name cannot reorder the words around it."""
    name = "\u05e9\u05dc\u05d5\u05dd"

    assert wording.printable(name) == f"\u2068{name}\u2069"
    assert wording.printable("naïve 数据 ✓\n") == "naïve 数据 ✓\n"


def test_pages_are_of_the_paper_that_the_policy_names(evidence: Evidence, pdf: bytes) -> None:
    """A4 unless the policy asks for letter; what is 174 mm wide fits on both."""
    letter = evidence.policy.model_copy(update={"paper": "letter"})

    assert round(PdfReader(io.BytesIO(pdf)).pages[0].mediabox.width) == 595
    assert "size: letter;" in report.page(samples.seal(evidence, policy=letter))


def test_page_for_the_screen_stands_alone(evidence: Evidence) -> None:
    """It refers to nothing outside itself, forbids scripts, and says that the PDF counts."""
    page = report.page(hostile(evidence), screen=True)

    assert not re.search(r"(?:src|href)=\"(?!#)", page)
    assert "@page" not in page
    assert "<script" not in page
    assert "default-src 'none'" in page
    assert "What counts is the signed <strong>report.pdf</strong>" in page
    assert page.count("<h2") >= 14


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


def test_no_row_of_a_table_stands_alone(evidence: Evidence) -> None:
    """Wherever a long table breaks, two of its rows or more are on either side."""
    promise = evidence.promises[0].model_copy(update={"reason": "", "checks": ()})
    for count in (27, 41):
        many = tuple(
            promise.model_copy(update={"promise": f"promise-{number:03}"})
            for number in range(count)
        )
        content = report.render(samples.seal(evidence, promises=many, checks=()))
        for page in PdfReader(io.BytesIO(content)).pages:
            assert page.extract_text().count("promise-") != 1


def test_exclusions_that_say_the_same_are_told_once() -> None:
    """Fifty components without retention are one line, with their names."""
    many = samples.large(components=50, checks=50)
    page = report.page(many)

    assert len(many.exclusions) == 50
    assert page.count("<li>the policy promises no retention: mysql-01, mysql-02") == 2


def test_trend_is_drawn_of_earlier_runs(evidence: Evidence) -> None:
    """Earlier runs are in a chart with words and in a table; none are told to be none."""
    earlier = tuple(
        EarlierRun(
            run=f"run-{month}",
            finished_at=NOW - timedelta(days=31 * (7 - month)),
            verdict=Verdict.PASSED,
            results=tuple(
                EarlierResult(
                    component=one.name,
                    verdict=Verdict.PASSED,
                    rpo=None if month == 3 else timedelta(minutes=month * 20),
                    rto=timedelta(seconds=month),
                )
                for one in evidence.components
            ),
        )
        for month in range(1, 7)
    )
    page = report.page(samples.seal(evidence, earlier_runs=earlier))

    assert "Trend over 7 runs from 2025-12-29" in page
    assert "mysql: RPO 20 min to 24 h, RTO 1 s to 6.5 s" in page
    assert all(f"run-{month}" in page for month in range(1, 7))
    assert "No earlier run is known" in report.page(evidence)


def test_large_estates_are_whole() -> None:
    """Fifty components and two hundred findings: every one has its entry."""
    page = report.page(samples.large(components=50, checks=1_000, findings=200))

    assert all(f"Component mysql-{number:02} " in page for number in range(1, 51))
    assert all(f"<h3>F{number} " in page for number in range(1, 201))
