"""The catalog's lines as evidence, so that an auditor can work out RPO kept and missed runs."""

from collections.abc import Iterator
from datetime import datetime
from functools import partial

from restoreproof.evidence import HistoryRecord
from restoreproof.manifest import (
    BackupGone,
    BackupPruned,
    CatalogEntry,
    CatalogEvent,
    CatalogMended,
    RunFailed,
    RunMissed,
    ScheduleSeen,
)
from restoreproof.redaction import redact
from restoreproof.run_history import RunHistory
from restoreproof.wording import instant


def history_records(history: RunHistory, since: datetime) -> Iterator[HistoryRecord]:
    """The lines of the period, with the last backup and the schedule from before it."""
    records = [record for event in history.events if (record := _record(event))]
    earlier = [record for record in records if record.at < since]
    for event in ("scheduled", "stored"):
        yield from [record for record in earlier if record.event == event][-1:]
    yield from (record for record in records if record.at >= since)


def _record(event: CatalogEvent) -> HistoryRecord | None:  # noqa: PLR0911  # one a kind
    if isinstance(event, CatalogMended):
        return None
    record = partial(
        HistoryRecord, component=event.component, line=event.sequence, event=event.event
    )
    match event:
        case CatalogEntry():
            return record(
                kind=event.kind,
                at=event.started_at,
                backup=event.backup,
                recovery_point=event.recovery_point,
                told="entered late" if event.entered_late else "",
            )
        case ScheduleSeen():
            kinds = "; ".join(f"{kind}: {', '.join(due)}" for kind, due in event.kinds.items())
            return record(at=event.seen_at, told=f"{kinds} ({event.time_zone})")
        case RunMissed():
            told = f"{event.count} due up to {instant(event.last_due_at)}"
            return record(kind=event.kind, at=event.due_at, told=told)
        case RunFailed():
            return record(kind=event.kind, at=event.started_at, told=redact(event.problem))
        case BackupPruned():
            return record(at=event.at, backup=event.backup, told=event.rule)
        case BackupGone():
            told = "gone without having been pruned"
            return record(at=event.noted_at, backup=event.backup, told=told)
