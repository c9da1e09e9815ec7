"""Whether a document says what its evidence says: it is typeset again from that, and compared.

The same evidence gives the same bytes where the same version, typesetting libraries and fonts are
at hand. Elsewhere bytes differ, and the verdict and every duration that is printed are compared.
"""

import io
import re
from collections import Counter

from restoreproof import __version__
from restoreproof.errors import UserError
from restoreproof.evidence import Evidence
from restoreproof.proofs import Proof, failed, open_, proved
from restoreproof.wording import HEADLINES, headline

ABOUT = "figures"
DURATION = re.compile(r"(?<![\d.,])(\d+(?:\.\d+)?)\s+(ms|s|min|h|d)\b")


def check_rendering(pdf: bytes, evidence: Evidence) -> Proof:
    """Typeset an authentic report again and compare."""
    try:
        # Loads system libraries, which not every reader has.
        from restoreproof import report  # noqa: PLC0415
    except (ImportError, OSError) as error:
        return open_(ABOUT, f"the document could not be typeset again: {error}")
    try:
        again = report.render(evidence)
    except UserError:
        return open_(ABOUT, _other_version(evidence))
    if pdf.startswith(again):
        return proved(ABOUT, "typeset again from the evidence, the document has the same bytes")
    difference = _difference(_text(pdf), _text(again), evidence)
    if not difference:
        return proved(
            ABOUT, "the verdict and every duration in the document are those of the evidence"
        )
    # A checkout may have been anything at that version.
    same = evidence.environment.restoreproof_version == __version__
    if same and evidence.environment.source_commit is None:
        return failed(ABOUT, f"the document does not say what its evidence says: {difference}")
    return open_(ABOUT, f"{difference}; {_other_version(evidence)}")


def _other_version(evidence: Evidence) -> str:
    made = evidence.environment
    commit = f" ({made.source_commit})" if made.source_commit else ""
    return (
        f"the document was made by RestoreProof {made.restoreproof_version}{commit},"
        f" which may say things otherwise than this one ({__version__})"
    )


def _difference(given: str, again: str, evidence: Evidence) -> str:
    word = headline(evidence.verdict)
    if given.count(word) != again.count(word):
        return f"{word} stands in it {given.count(word)} times, and not {again.count(word)}"
    for other in set(HEADLINES.values()) - {word}:
        if given.count(other) != again.count(other):
            return f"{other} stands in it"
    ours, theirs = Counter(DURATION.findall(again)), Counter(DURATION.findall(given))
    for figure in (*(theirs - ours), *(ours - theirs)):
        return f"{' '.join(figure)} stands in it {theirs[figure]} times, and not {ours[figure]}"
    return ""


def _text(pdf: bytes) -> str:
    from pypdf import PdfReader  # noqa: PLC0415  # takes time, and is seldom needed

    pages = PdfReader(io.BytesIO(pdf)).pages
    return " ".join(" ".join(page.extract_text() for page in pages).split())
