"""Turn evidence into the report: HTML from templates, then PDF/A-3u with the evidence attached.

Prints what the evidence holds and judges nothing. The same evidence gives the same bytes on
the same machine (another set of fonts draws other glyphs).
"""

import hashlib
import logging
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from weasyprint import HTML, Attachment
from weasyprint.urls import URLFetcher

from restoreproof import week_picture, wording
from restoreproof.errors import UserError
from restoreproof.evidence import (
    AttemptRecord,
    BackupRecord,
    CheckRecord,
    ComponentRecord,
    Evidence,
    PromiseRecord,
    Verdict,
)
from restoreproof.resources import folder
from restoreproof.wording import ATTACHMENT, LEVEL

MOST_TICKS = 6


@dataclass(frozen=True)
class Part:
    """What the evidence holds about one component, or about the estate if it has no name."""

    name: str | None
    component: ComponentRecord | None
    backups: tuple[BackupRecord, ...]
    attempts: tuple[AttemptRecord, ...]
    checks: tuple[CheckRecord, ...]
    promises: tuple[PromiseRecord, ...]

    @property
    def checks_by_backup(self) -> tuple[tuple[str | None, tuple[CheckRecord, ...]], ...]:
        """The checks of each backup, those about no backup in particular first."""
        backups = {None: None, **{check.backup: None for check in self.checks}}
        groups = ((b, tuple(c for c in self.checks if c.backup == b)) for b in backups)
        return tuple((backup, checks) for backup, checks in groups if checks)


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
    with _clock_of_fonts_at(evidence.run.finished_at):
        pdf: bytes = document.write_pdf(
            pdf_variant="pdf/a-3u",
            pdf_tags=True,
            attachments=[attachment],
            pdf_identifier=hashlib.sha256(evidence.seal.digest.encode()).digest()[:16],
        )
    return pdf


def page(evidence: Evidence) -> str:
    """The report as one HTML page that refers to nothing outside itself."""
    template = _templates().get_template("layout.html")
    return template.render(
        evidence=evidence,
        parts=_parts(evidence),
        catalogue=_catalogue(evidence.checks),
        keywords=wording.keywords(evidence),
        level=LEVEL,
        attachment=ATTACHMENT,
        Verdict=Verdict,
    )


def ticks(span: timedelta) -> list[timedelta]:
    """Round instants from zero up to the span at which to label a time axis."""
    seconds = max(span.total_seconds(), 0.001)
    step = 0.001
    factors = (2, 2.5, 2)
    for attempt in range(60):
        if seconds / step <= MOST_TICKS:
            break
        step *= factors[attempt % 3]
    return [timedelta(seconds=step * index) for index in range(int(seconds / step) + 1)]


def tally(records: Iterable[CheckRecord | PromiseRecord], verdict: Verdict) -> int:
    """How many of the checks or promises have this verdict."""
    return sum(record.verdict is verdict for record in records)


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


def _templates() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(folder("reports") / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_printable,
    )
    environment.filters |= {
        "duration": wording.duration,
        "size": wording.size,
        "instant": wording.instant,
        "plural": wording.plural,
        "excerpt": wording.excerpt,
        "headline": wording.headline,
        "sign": wording.sign,
        "w3c": lambda value: f"{value.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}",
        "ticks": ticks,
        "week_days": week_picture.days,
        "week_words": week_picture.in_words,
        "tally": tally,
    }
    return environment


def _printable(value: object) -> object:
    """Make every value that a template prints harmless, so that none can be forgotten."""
    if isinstance(value, str) and not isinstance(value, Markup):
        return wording.printable(value)
    return value


def _parts(evidence: Evidence) -> tuple[Part, ...]:
    """One part a component, in the policy's order, and the estate's own last.

    A component that only a record names has its part too: nothing may be left out.
    """
    components = {component.name: component for component in evidence.components}
    named = {
        *(one.component for one in evidence.backups),
        *(one.component for one in evidence.attempts),
        *(one.component for one in evidence.checks),
        *(one.component for one in evidence.promises),
    }
    others = sorted(name for name in named if name is not None and name not in components)
    return (
        *(_part(evidence, name, component) for name, component in components.items()),
        *(_part(evidence, name, None) for name in (*others, None)),
    )


def _part(evidence: Evidence, name: str | None, component: ComponentRecord | None) -> Part:
    return Part(
        name=name,
        component=component,
        backups=tuple(one for one in evidence.backups if one.component == name),
        attempts=tuple(one for one in evidence.attempts if one.component == name),
        checks=tuple(one for one in evidence.checks if one.component == name),
        promises=tuple(one for one in evidence.promises if one.component == name),
    )


def _catalogue(checks: tuple[CheckRecord, ...]) -> tuple[CheckRecord, ...]:
    """Every check once, ordered by its id."""
    return tuple({check.id: check for check in sorted(checks, key=lambda one: one.id)}.values())
