"""Documents of one blank page that carry evidence as reports do: signing them takes no time."""

import io
from datetime import datetime

import pikepdf
import samples

from restoreproof import wording
from restoreproof.evidence import Evidence
from restoreproof.signature_level import Level


def evidence_at(level: Level, ended: datetime) -> Evidence:
    """Evidence of a run that ended at an instant, whose report has a level."""
    found = samples.compliant()
    return samples.seal(
        found,
        run=found.run.model_copy(update={"started_at": ended, "finished_at": ended}),
        policy=found.policy.model_copy(update={"signature_level": level}),
    )


def small_report(evidence: Evidence) -> bytes:
    """A document with this evidence, not signed."""
    pdf = pikepdf.new()
    pdf.add_blank_page()
    with pdf.open_metadata(update_docinfo=False) as metadata:
        metadata["dc:title"] = "Restore audit"
    pdf.docinfo["/Title"] = "Restore audit"
    pdf.docinfo["/Keywords"] = wording.keywords(evidence)
    pdf.attachments[wording.ATTACHMENT] = evidence.canonical()
    output = io.BytesIO()
    pdf.save(output)
    return output.getvalue()
