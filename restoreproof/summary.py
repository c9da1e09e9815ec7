"""What a user reads at the end of a run: where the report lies, its verdict, the findings."""

import os
from collections.abc import Sequence
from pathlib import Path

from restoreproof import wording
from restoreproof.evidence import CheckRecord, Evidence, PromiseRecord
from restoreproof.progress import STYLES, Progress
from restoreproof.verdicts import Verdict
from restoreproof.wording import ATTACHMENT


def summarise(evidence: Evidence, folder: Path, trust: Path | None, progress: Progress) -> None:
    """Print report, verdict, findings and the command that verifies the report, or makes one."""
    pdf, recorded = _short(folder / "report.pdf"), _short(folder / ATTACHMENT)
    reported = (folder / "report.pdf").exists()
    progress.plain("")
    progress.plain(f"Report   {pdf}" if reported else f"Evidence {recorded}")
    headline = wording.headline(evidence.verdict)
    progress.plain(f"Verdict  {headline}: {evidence.verdict_reason}", STYLES[evidence.verdict])
    progress.plain(f"Findings {len(evidence.findings) or 'none'}")
    for check in evidence.findings:
        progress.plain(f"  {check.verdict}  {_named(check)}", STYLES[check.verdict])
        seen = check.reason or f"expected {check.expected}; saw {check.seen}"
        progress.plain(f"          {_cut(seen)}")
        if check.remedy:
            progress.plain(f"          to do: {_cut(check.remedy)}")
    unproven = [one for one in evidence.promises if one.verdict is Verdict.UNPROVEN]
    unanswered = evidence.unproven
    if unproven or unanswered:
        count = f"{_counted(len(unproven), 'promise')}, {_counted(len(unanswered), 'check')}"
        progress.plain(f"Unproven {count}", STYLES[Verdict.UNPROVEN])
        for promises in _alike(unproven):
            first = promises[0]
            what = first.promise if len(promises) == 1 else f"{len(promises)} promises"
            progress.plain(f"  {first.component}: {what} -- {_cut(first.reason)}")
        for check in unanswered:
            progress.plain(f"  {_named(check)} -- {_cut(check.reason)}")
    launcher = os.environ.get("RESTOREPROOF_LAUNCHER", "restoreproof")
    verify = f"Verify   {launcher} verify {pdf} --trust {_short(trust) if trust else 'CA.pem'}"
    if evidence.policy.signature_level.needs_timestamps:
        verify += " --trust-timestamps TSA.pem"
    progress.plain(verify if reported else f"Report   {launcher} report {recorded} --policy POLICY")


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _alike(promises: Sequence[PromiseRecord]) -> list[list[PromiseRecord]]:
    """Promises of one component that are unproven for one reason, together."""
    groups: dict[tuple[str | None, str], list[PromiseRecord]] = {}
    for promise in promises:
        groups.setdefault((promise.component, promise.reason), []).append(promise)
    return list(groups.values())


def _named(check: CheckRecord) -> str:
    return f"{check.id} {check.backup or check.component}: {check.title}"


def _cut(text: str, length: int = 400) -> str:
    line = " ".join(text.split())
    return line if len(line) <= length else f"{line[:length]}… (all of it is in evidence.json)"


def _short(path: Path) -> str:
    """Relative to the current folder where that is shorter."""
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(path)
