"""The report shows what the evidence holds, the same every time, as PDF/A with it attached."""

import io
from datetime import UTC, datetime, timedelta
from typing import Any

import pikepdf
import pytest
import samples
from pypdf import PdfReader
from samples import text_of

from restoreproof import report
from restoreproof.errors import UserError
from restoreproof.evidence import EarlierResult, EarlierRun, Evidence, parse
from restoreproof.signing import create_identity, load_identity, sign
from restoreproof.verdicts import Verdict

NOW = datetime(2026, 7, 3, 10, 0, tzinfo=UTC)


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


@pytest.mark.parametrize(
    ("left", "words"),
    [
        (0, "had no server of this run any more"),
        (2, "✗ 2 servers of this run"),
        (None, "nothing: the container engine could not be asked"),
    ],
)
def test_removal_of_what_was_tested_is_told(
    evidence: Evidence, left: int | None, words: str
) -> None:
    """The last step of the chain of custody says what vouches for it, or that nothing does."""
    environment = evidence.environment.model_copy(update={"servers_left": left})
    page = report.page(samples.seal(evidence, environment=environment))

    assert words in page[page.index('id="custody"') : page.index('id="signoff"')]


def test_who_may_read_it_stands_on_every_page(evidence: Evidence) -> None:
    """In the organisation's own words; a report without a classification names none."""
    policy = evidence.policy.model_copy(update={"classification": "Strictly internal"})
    pages = PdfReader(io.BytesIO(report.render(samples.seal(evidence, policy=policy)))).pages

    assert "STRICTLY INTERNAL" in pages[0].extract_text()
    assert all("Strictly internal" in page.extract_text() for page in pages[1:])
    assert "STRICTLY" not in report.page(evidence).upper()


def test_how_to_verify_is_on_one_page(pdf: bytes) -> None:
    """Whoever verifies has all commands before him."""
    pages = [page.extract_text() for page in PdfReader(io.BytesIO(pdf)).pages]
    (whole,) = [page for page in pages[1:] if "How to verify this file" in page]

    assert "restoreproof verify report.pdf" in whole
    assert "sha256sum --check --strict SHA256SUMS" in whole


def test_an_empty_run_is_rendered(evidence: Evidence) -> None:
    """A run that saw nothing at all still has a report."""
    nothing: dict[str, Any] = dict.fromkeys(
        ("components", "promises", "checks", "jobs", "backups", "attempts", "exclusions"), ()
    )
    empty = samples.seal(evidence, verdict=Verdict.UNPROVEN, **nothing)

    assert "COULD NOT TELL" in text_of(report.render(empty))


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


def test_pages_are_of_the_paper_that_the_policy_names(evidence: Evidence, pdf: bytes) -> None:
    """A4 unless the policy asks for letter; what is 174 mm wide fits on both."""
    letter = evidence.policy.model_copy(update={"paper": "letter"})

    assert round(PdfReader(io.BytesIO(pdf)).pages[0].mediabox.width) == 595
    assert "size: letter;" in report.page(samples.seal(evidence, policy=letter))


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
