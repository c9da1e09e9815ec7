"""The runs of an archive over time, as its ledger has them: in the terminal, or as one page."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from restoreproof import wording
from restoreproof.errors import OutputUnwritable, UserError
from restoreproof.ledger import Ledger, LedgerEntry
from restoreproof.progress import STYLES, Progress
from restoreproof.storage import write_once

BARS = "▁▂▃▄▅▆▇█"
RUNS_SHOWN = 24


@dataclass(frozen=True)
class EstateHistory:
    """The runs of one estate, the oldest first; there is at least one."""

    estate: str
    entries: tuple[LedgerEntry, ...]

    @property
    def newest(self) -> LedgerEntry:
        """The latest run."""
        return self.entries[-1]


def show(archive: Path, html: Path | None, progress: Progress) -> None:
    """Print the history, or write it as a page. Raise UserError, LedgerCorrupt."""
    histories = read(archive)
    if html is None:
        for history in histories:
            _print(history, progress)
        return
    try:
        write_once(html, page(histories).encode(), mode=0o644)
    except OSError as error:
        mend = "name a new file in a folder that this user may write with --html"
        raise OutputUnwritable(f"{error.strerror}", where=str(html), mend=mend) from None
    progress.plain(f"{html}: written")


def read(archive: Path) -> tuple[EstateHistory, ...]:
    """The history of every estate. Raise UserError if there is none, LedgerCorrupt."""
    entries = Ledger(archive).entries()
    if not entries:
        mend = "give the folder into which audits report with --archive"
        raise UserError("no run is known", where=str(archive), mend=mend)
    estates = dict.fromkeys(entry.estate for entry in entries)
    return tuple(
        EstateHistory(estate, tuple(one for one in entries if one.estate == estate))
        for estate in estates
    )


def page(histories: Sequence[EstateHistory]) -> str:
    """The history as one HTML page that refers to nothing outside itself."""
    # Pictures and templates are no matter of the terminal.
    from restoreproof import templates  # noqa: PLC0415
    from restoreproof.pictures.trend import trend_of  # noqa: PLC0415

    drawn = [
        (one, trend_of([entry.summary for entry in one.entries], one.newest.objectives))
        for one in histories
    ]
    return templates.environment().get_template("history.html").render(histories=drawn)


def _print(history: EstateHistory, progress: Progress) -> None:
    entries = history.entries[-RUNS_SHOWN:]
    count = wording.plural(len(history.entries), "run")
    progress.plain(f"{wording.printable(history.estate)}: {count}")
    for entry in entries:
        line = f"  {entry.finished_at:%Y-%m-%d %H:%M} UTC  {entry.verdict:<8}  {entry.run}"
        progress.plain(line, STYLES[entry.verdict])
    objectives = history.newest.objectives
    width = max((len(one.component) for one in history.newest.results), default=0)
    for result in history.newest.results:
        mine = [
            next((one for one in entry.results if one.component == result.component), None)
            for entry in entries
        ]
        rpo = _series([one.rpo if one else None for one in mine], objectives.rpo)
        rto = _series([one.rto if one else None for one in mine], objectives.rto)
        progress.plain(f"  {wording.printable(result.component):<{width}}  RPO {rpo}  RTO {rto}")


def _series(values: Sequence[timedelta | None], target: timedelta) -> str:
    """Bars on a logarithmic scale, a gap where there is no figure, and the newest in words."""
    known = [math.log10(max(one.total_seconds(), 0.001)) for one in values if one is not None]
    low, room = min(known, default=0.0), max(max(known, default=0.0) - min(known, default=0.0), 0.3)
    bars = "".join(
        " "
        if one is None
        else BARS[int((math.log10(max(one.total_seconds(), 0.001)) - low) / room * 7)]
        for one in values
    )
    newest = values[-1]
    words = "no figure" if newest is None else wording.duration(newest)
    broken = " ✗" if newest is not None and newest > target else ""
    return f"{bars} {words}{broken} (target {wording.duration(target)})"
