"""Say verdicts, durations, sizes, times and hostile text so that people can read them.

Nothing here judges: words are chosen for values that the evidence holds.
"""

import re
import unicodedata
from datetime import UTC, datetime, timedelta

from restoreproof.evidence import Evidence
from restoreproof.verdicts import Verdict

ATTACHMENT = "evidence.json"

HEADLINES = {
    Verdict.PASSED: "COMPLIANT",
    Verdict.FAILED: "NOT COMPLIANT",
    Verdict.ERROR: "COULD NOT TELL",
    Verdict.UNPROVEN: "COULD NOT TELL",
}

# Each verdict has a sign of its own, so that it survives greyscale and colour blindness.
SIGNS = {
    Verdict.PASSED: "✓",
    Verdict.UNPROVEN: "?",
    Verdict.ERROR: "!",
    Verdict.FAILED: "✗",
}

# Printed as a code, since they are invisible, or would reorder the words around them:
# controls, formats (direction marks among them), surrogates, private and unassigned
# characters, line and paragraph separators.
UNPRINTABLE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
RIGHT_TO_LEFT = frozenset({"R", "AL"})
FIRST_STRONG_ISOLATE, POP_ISOLATE = "\u2068", "\u2069"

ROOM_FOR_A_NOTE = 300
MINUS = "\N{MINUS SIGN}"

_BLANKS = re.compile(r"[ \t\r]+")
_UNITS = (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))


def headline(verdict: Verdict) -> str:
    """The verdict of a run in capital letters."""
    return HEADLINES[verdict]


def sign(verdict: Verdict) -> str:
    """One character that tells verdicts apart without colour."""
    return SIGNS[verdict]


def level(evidence: Evidence) -> str:
    """The level that the report of this evidence is signed at."""
    return f"PAdES {evidence.policy.signature_level}"


def keywords(evidence: Evidence) -> str:
    """How a report names its run, verdict and evidence in the PDF's metadata."""
    digest = evidence.seal.digest if evidence.seal else "none"
    verdict = headline(evidence.verdict).lower().replace(" ", "-")
    marks = (
        f"restoreproof-run={evidence.run.id}",
        f"restoreproof-verdict={verdict}",
        f"restoreproof-seal=sha256:{digest}",
    )
    return ", ".join(printable(mark.replace(",", " ")) for mark in marks)


def duration(value: timedelta, limit: timedelta | None = None) -> str:
    """A duration in at most two units, such as ``24 h 3 min`` or ``1.8 s``.

    One above its ``limit`` is not told in the limit's own words: ``24 h and 686 ms``.
    """
    if limit is not None and value > limit and duration(value) == duration(limit):
        return f"{duration(limit)} and {duration(value - limit)}"
    seconds = value.total_seconds()
    minus = MINUS if seconds < 0 else ""
    seconds = abs(seconds)
    if round(seconds, 3) == 0:
        return "0 s" if seconds == 0 else "< 1 ms"
    if round(seconds, 3) < 1:
        return f"{minus}{round(seconds * 1000)} ms"
    if round(seconds, 1) < 60:
        return f"{minus}{seconds:.1f} s".replace(".0 s", " s")
    return minus + " ".join(_largest_two(round(seconds)))


def _largest_two(seconds: int) -> list[str]:
    # Up to two days hours say more than days do: objectives are written as 24 h or 36 h.
    units = _UNITS if seconds >= 2 * 86_400 else _UNITS[1:]
    largest = next(i for i, (_, size) in enumerate(units) if seconds >= size)
    smallest = units[min(largest + 1, len(units) - 1)][1]
    seconds = round(seconds / smallest) * smallest
    parts = []
    for unit, size in units[largest : largest + 2]:
        count, seconds = divmod(seconds, size)
        if count:
            parts.append(f"{count} {unit}")
    return parts


def size(count: int) -> str:
    """A number of bytes for people, with the exact one: ``1.47 MB (1,468,006 bytes)``."""
    exact = f"{count:,} byte{'' if count == 1 else 's'}"
    amount = float(count)
    for unit in ("bytes", "kB", "MB", "GB", "TB", "PB"):
        if round(amount, 1) < 1000 or unit == "PB":
            break
        amount /= 1000
    return exact if unit == "bytes" else f"{amount:.3g} {unit} ({exact})"


def instant(value: datetime) -> str:
    """A time in UTC to the second."""
    return f"{value.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def plural(count: int, one: str, many: str = "") -> str:
    """A count with its noun: ``1 finding``, ``2 findings``."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def printable(text: str) -> str:
    """The text with everything shown that could hide, break or reorder what is printed.

    Line ends and tabs stay, as white space does no harm where text is laid out.
    """
    if text.isascii() and text.isprintable():
        return text
    shown = "".join(
        f"[U+{ord(char):04X}]"
        if char not in "\n\t" and unicodedata.category(char) in UNPRINTABLE
        else char
        for char in text.replace("\r\n", "\n")
    )
    if any(unicodedata.bidirectional(char) in RIGHT_TO_LEFT for char in shown):
        return f"{FIRST_STRONG_ISOLATE}{shown}{POP_ISOLATE}"
    return shown


def excerpt(text: str, limit: int = 700) -> str:
    """The text on one line, its middle left out visibly if it is longer than the limit.

    Where there is room, how much was left out is said too.
    """
    parts = (_BLANKS.sub(" ", part).strip() for part in text.split("\n"))
    line = " ↵ ".join(part for part in parts if part)
    if len(line) <= limit:
        return line
    head, tail = line[: limit * 3 // 4], line[-limit // 4 :]
    if limit < ROOM_FOR_A_NOTE:
        return f"{head} […] {tail}"
    left_out = len(line) - len(head) - len(tail)
    return f"{head} […] {tail} [{left_out:,} characters left out here; {ATTACHMENT} has all]"
