"""Turn evidence into the report: HTML from templates, then PDF/A-3u with the evidence attached.

Prints what the evidence holds and judges nothing. The same evidence gives the same bytes on
the same machine (another set of fonts draws other glyphs).
"""

import gc
import hashlib
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from weasyprint import HTML, Attachment, Document
from weasyprint.urls import URLFetcher

from restoreproof import controls, oscal, report_parts, templates, wording
from restoreproof.errors import UserError
from restoreproof.evidence import Evidence
from restoreproof.pictures.coverage import coverage
from restoreproof.pictures.detection import detection
from restoreproof.pictures.recovery_points import recovery_points
from restoreproof.pictures.trend import this_run, trend
from restoreproof.signature_level import Level
from restoreproof.verdicts import Verdict
from restoreproof.wording import ATTACHMENT


def render(evidence: Evidence) -> bytes:
    """The report as PDF, not yet signed. Raise UserError if the evidence is not sealed."""
    if evidence.seal is None or evidence.seal.digest != evidence.digest():
        mend = "use the evidence of a run as it was written"
        raise UserError("the evidence has no seal that matches", where=ATTACHMENT, mend=mend)
    # Both report every font table and every unknown CSS property that they leave out.
    logging.getLogger("weasyprint").setLevel(logging.CRITICAL)
    logging.getLogger("fontTools").setLevel(logging.CRITICAL)

    attachment = Attachment(
        string=evidence.canonical(),
        name=ATTACHMENT,
        description="Everything that the run saw, as canonical JSON under a seal",
        created=evidence.run.finished_at,
        modified=evidence.run.finished_at,
        relationship="Source",
    )
    # Not one file or address is fetched, whatever a value in the evidence may smuggle in.
    fetcher = URLFetcher(allowed_protocols=["data"], allow_redirects=False, fail_on_errors=True)
    document = HTML(string=page(evidence), url_fetcher=fetcher)
    with _clock_of_fonts_at(evidence.run.finished_at), _without_collecting():
        pdf: bytes = document.write_pdf(
            pdf_variant="pdf/a-3u",
            pdf_tags=True,
            attachments=[attachment],
            pdf_identifier=hashlib.sha256(evidence.seal.digest.encode()).digest()[:16],
            finisher=_plain if evidence.policy.signature_level is Level.LTA else None,
        )
    return pdf


def page(evidence: Evidence, *, screen: bool = False) -> str:
    """The report as one HTML page that refers to nothing outside itself.

    With ``screen`` it is the one for reading in a browser, which says that it is a copy.
    """
    template = templates.environment().get_template("layout.html")
    return template.render(
        evidence=evidence,
        screen=screen,
        compact=len(evidence.checks) > report_parts.CHECKS_TOLD,
        parts=report_parts.parts(evidence),
        catalogue=report_parts.catalogue(evidence.checks),
        answers=report_parts.answers(evidence.checks),
        exclusions=report_parts.alike(evidence),
        alike_promises=report_parts.alike_promises,
        surroundings=report_parts.surroundings,
        most_findings=report_parts.MOST_FINDINGS,
        most_unproven=report_parts.MOST_UNPROVEN,
        more_findings=report_parts.more_findings(evidence.findings),
        frameworks=controls.supporting(evidence),
        coverage=coverage(evidence),
        detection=detection(evidence),
        recovery_points=recovery_points(evidence),
        trend=trend(evidence),
        this_run=this_run(evidence),
        oscal_name=oscal.NAME,
        oscal_digest=hashlib.sha256(oscal.assessment_results(evidence)).hexdigest(),
        keywords=wording.keywords(evidence),
        level=wording.level(evidence),
        attachment=ATTACHMENT,
        Verdict=Verdict,
    )


def _plain(_: Document, pdf: Any) -> None:
    """Leave objects outside object streams.

    A report that is stamped after it was signed has two revisions, and comparing them takes
    pyHanko minutes where every object has to be unpacked anew.
    """
    write = pdf.write
    pdf.write = lambda output, version, identifier, _: write(output, version, identifier)


@contextmanager
def _without_collecting() -> Iterator[None]:
    """Spare the search for garbage, which takes a fifth of the time and finds nothing to free."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


@contextmanager
def _clock_of_fonts_at(moment: datetime) -> Iterator[None]:
    """Give fontTools a time to write into the fonts it embeds, where it would take the clock's.

    It cuts fonts where HarfBuzz's library for that is missing, and knows no other way.
    """
    before = os.environ.get("SOURCE_DATE_EPOCH")
    os.environ["SOURCE_DATE_EPOCH"] = str(int(moment.timestamp()))
    try:
        yield
    finally:
        if before is None:
            del os.environ["SOURCE_DATE_EPOCH"]
        else:
            os.environ["SOURCE_DATE_EPOCH"] = before
