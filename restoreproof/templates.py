"""The templates of ``reports/templates``, with the words and pictures that they may use."""

from collections import Counter
from collections.abc import Iterable
from datetime import UTC

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from restoreproof import week_picture, wording
from restoreproof.evidence import CheckRecord, PromiseRecord
from restoreproof.pictures.restore_timeline import restore_timeline, steps
from restoreproof.resources import folder
from restoreproof.verdicts import Verdict


def environment() -> Environment:
    """Where every value that is printed is escaped, and one that is missing is an error."""
    found = Environment(
        loader=FileSystemLoader(folder("reports") / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_printable,
    )
    found.filters |= {
        "duration": wording.duration,
        "size": wording.size,
        "instant": wording.instant,
        "plural": wording.plural,
        "excerpt": wording.excerpt,
        "headline": wording.headline,
        "sign": wording.sign,
        "w3c": lambda value: f"{value.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}",
        "week_days": week_picture.days,
        "week_words": week_picture.in_words,
        "tally": tally,
        "tallied_ids": tallied_ids,
        "timeline": restore_timeline,
        "steps": steps,
    }
    return found


def tally(records: Iterable[CheckRecord | PromiseRecord], verdict: Verdict) -> int:
    """How many of the checks or promises have this verdict."""
    return sum(record.verdict is verdict for record in records)


def tallied_ids(checks: Iterable[CheckRecord]) -> str:
    """The ids of checks in order, each once, and how often if more than once."""
    count = Counter(check.id for check in checks)
    return ", ".join(f"{key} ×{number}" if number > 1 else key for key, number in count.items())


def _printable(value: object) -> object:
    """Make every value that a template prints harmless, so that none can be forgotten."""
    if isinstance(value, str) and not isinstance(value, Markup):
        return wording.printable(value)
    return value
