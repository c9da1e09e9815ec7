"""Restores one recovery point for a user: a throwaway server to work with, or files to take away.

The source is never asked for anything, and never written to.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from restoreproof.clock import system_clock
from restoreproof.component_audit import ComponentAudit
from restoreproof.engines.contract import Parts
from restoreproof.errors import OutputUnwritable, UserError
from restoreproof.estate import (
    chosen_components,
    open_components,
    open_vault,
    probe_commands,
    sandboxes_of,
    tell_of,
)
from restoreproof.outcomes import RestoreFailed
from restoreproof.policy import PolicyDocument
from restoreproof.policy_file import read_policy
from restoreproof.progress import Progress
from restoreproof.recovery_points import described, find
from restoreproof.restore import RestoreAttempt, Target, restoring
from restoreproof.vault import Vault

EQUAL, NOT_EQUAL, COULD_NOT_TELL = 0, 1, 3
SHOWN = 20
WAIT_SECONDS = 3600.0
NAMED = {"database": ("database",), "table": ("table", "view", "sequence")}


@dataclass(frozen=True)
class RestoreOptions:
    """What a user asked for: which recovery point, and what is to become of it."""

    policy: Path
    component: str
    to: str | None = None
    keep: bool = False
    output: Path | None = None
    parts: Parts = field(default_factory=Parts)


def show_points(policy: Path, component: str, show: Callable[[str], None]) -> None:
    """Show every recovery point of a component, the oldest first. Raise UserError."""
    document = read_policy(policy)
    chosen_components(document, (component,))
    for backup in open_vault(document).backups(component):
        show(f"{described(backup)}  {backup.entry.kind}")


def restore(options: RestoreOptions, progress: Progress) -> int:
    """Restore a recovery point and return the exit code: equal, not equal, or could not tell.

    Raise UserError for what cannot be had, SandboxTrouble for what says nothing of the backup.
    """
    document = read_policy(options.policy)
    vault = open_vault(document)
    sandboxes = sandboxes_of(document, system_clock())
    chosen = (options.component,)
    (audited,) = open_components(document, chosen, sandboxes, system_clock, progress)
    _require_sense(options, audited)
    probe_commands((audited,))
    _seal(audited, vault, document, progress)
    target = find(options.component, vault.backups(options.component), audited.engine, options.to)
    _require_parts(options, target)
    if options.output is not None:
        _make_empty(options.output)
    _announce(target, progress)
    with ExitStack() as stack:
        folder = stack.enter_context(sandboxes.folder())
        attempt = stack.enter_context(
            restoring(
                target,
                audited.engine,
                audited.component.source,
                audited.image,
                sandboxes,
                system_clock,
                show_values=audited.audits.show_values,
                tell=progress,
            )
        )
        if attempt.restored is None:
            progress(f"FAILED in '{attempt.failed_in}': {attempt.failure}")
            return NOT_EQUAL
        steps = ", ".join(f"{p.name} {p.duration.total_seconds():.1f} s" for p in attempt.phases)
        progress(f"restored in {attempt.duration.total_seconds():.1f} s: {steps}")
        code = _compared(attempt, progress)
        if options.output is not None:
            code = max(code, _written(attempt, options.output, options.parts, progress))
        if options.keep or options.output is None:
            for line in attempt.restored.access(folder):
                progress.plain(f"  {line}")
        if options.keep:
            sandboxes.kept = True
            progress("kept: it stays until 'restoreproof clean' removes it")
        elif options.output is None:
            _wait(progress)
            progress("removing it")
    return code


def _require_sense(options: RestoreOptions, audited: ComponentAudit) -> None:
    """Raise UserError unless the engine can write what is asked for."""
    writes, where = audited.engine.writes_out, options.component
    if options.parts and options.output is None:
        mend = "give --output FOLDER too"
        raise UserError("--database and --table say what is written", where=where, mend=mend)
    if options.output is None:
        return
    if writes == "nothing" or (options.parts and writes != "parts"):
        what = f"the {audited.engine.name} engine writes no {'parts' if options.parts else 'files'}"
        mend = "leave out --database and --table" if writes == "all" else "leave out --output"
        raise UserError(what, where=where, mend=mend)
    for table in options.parts.tables:
        if "." not in table:
            mend = "write it with its database: DATABASE.TABLE"
            raise UserError(f"--table {table} names no database", where=where, mend=mend)


def _make_empty(folder: Path) -> None:
    """Make sure of an empty folder for this user alone. Raise UserError, OutputUnwritable."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        taken = any(folder.iterdir())
    except OSError as error:
        raise _unwritable(folder, error) from None
    if taken:
        mend = "give an empty folder, or one that is not there yet: nothing is overwritten"
        raise UserError("the folder for the output is not empty", where=str(folder), mend=mend)


def _seal(
    audited: ComponentAudit, vault: Vault, document: PolicyDocument, progress: Progress
) -> None:
    """Make what was streamed a recovery point; where the vault takes nothing, go on without."""
    try:
        if sealed := audited.seal(vault, document.policy.estate):
            tell_of(sealed, progress)
    except OutputUnwritable as problem:
        progress(f"what was streamed since the newest backup is left out: {problem}")


def _require_parts(options: RestoreOptions, target: Target) -> None:
    """Raise UserError for parts that are not there, where the backup says what is."""
    if target.until is not None or not target.fingerprinted:
        return
    try:
        items = {item.key for item in target.backup.manifest().fingerprint.items}
    except RestoreFailed:
        return
    asked = {"database": options.parts.databases, "table": options.parts.tables}
    missing = [
        f"{kind} {name}"
        for kind, names in asked.items()
        for name in names
        if not any((one, name) in items for one in NAMED[kind])
    ]
    if missing:
        what = f"there is no {', no '.join(missing)} in {target.backup.id}"
        raise UserError(what, where=options.component, mend="correct the name, or --to")


def _announce(target: Target, progress: Progress) -> None:
    entry = target.backup.entry
    if isinstance(target.until, datetime):
        point = f"{target.until.isoformat()}, inside {target.backup.id}"
    elif target.until:
        point = f"{target.until}, inside {target.backup.id}"
    else:
        age = system_clock() - entry.recovery_point
        point = f"{entry.recovery_point.astimezone(UTC).isoformat(timespec='seconds')}"
        point += f", {age.total_seconds() / 60:,.0f} min ago: {target.backup.id}"
    progress(f"restoring {target.component} to {point}")


def _compared(attempt: RestoreAttempt, progress: Progress) -> int:
    """Say whether what came back is what was backed up."""
    if attempt.target.until is not None or not attempt.target.fingerprinted:
        progress(
            "not compared: nobody looked at the source in this instant; its changes were"
            " replayed to exactly where it stood"
        )
        return EQUAL
    progress("comparing with the backup's fingerprint")
    try:
        comparison = attempt.comparison
    except RestoreFailed as failure:
        progress(f"FAILED: {failure}")
        return NOT_EQUAL
    _list("DIFFERENT", list(map(str, comparison.differences)), progress)
    undecided = [f"{one.kind} {one.name}: {one.reason}" for one in comparison.undecided]
    _list("could not tell", undecided, progress)
    if comparison.differences:
        return NOT_EQUAL
    if not comparison.equal:
        progress(f"{comparison.examined:,} items were compared, and not all could be told")
        return COULD_NOT_TELL
    progress(f"EQUAL: all {comparison.examined:,} items are as they were backed up")
    return EQUAL


def _list(word: str, lines: Sequence[str], progress: Progress) -> None:
    for line in lines[:SHOWN]:
        progress(f"{word}: {line}")
    if len(lines) > SHOWN:
        progress(f"{word}: and {len(lines) - SHOWN:,} more")


def _written(attempt: RestoreAttempt, folder: Path, parts: Parts, progress: Progress) -> int:
    assert attempt.restored is not None
    progress(f"writing into {folder}")
    try:
        for line in attempt.restored.write_out(folder, parts):
            progress.plain(f"  {line}")
    except RestoreFailed as failure:
        progress(f"FAILED: {failure}")
        return NOT_EQUAL
    except OSError as error:
        raise _unwritable(folder, error) from None
    return EQUAL


def _unwritable(folder: Path, error: OSError) -> OutputUnwritable:
    mend = "give a folder that this user may write, with space left"
    what = f"the output cannot be written: {error.strerror}"
    return OutputUnwritable(what, where=str(folder), mend=mend)


def _wait(progress: Progress) -> None:
    try:
        progress("it stays until Ctrl-C, which removes it")
        while True:
            time.sleep(WAIT_SECONDS)
    except KeyboardInterrupt:
        return
