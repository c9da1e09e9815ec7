"""``restoreproof backup --due``: what the schedules say is due now, once."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from restoreproof.clock import system_clock
from restoreproof.due import DueRun, due_now, next_due, note_schedule
from restoreproof.engines.contract import Clock
from restoreproof.errors import RestoreProofError, SeveralProblems, UserError
from restoreproof.estate import (
    chosen_components,
    open_components,
    open_vault,
    prepare_vault,
    probe,
    run_job_alone,
    sandboxes_of,
)
from restoreproof.jobs import JobResult, note_failure
from restoreproof.policy import PolicyDocument, Schedule
from restoreproof.policy_file import read_policy
from restoreproof.progress import Progress
from restoreproof.run_history import RunHistory
from restoreproof.vault import Vault
from restoreproof.wording import instant, plural


def run_due(
    policy: Path, chosen: Sequence[str], progress: Progress, clock: Clock = system_clock
) -> tuple[JobResult, ...]:
    """Run every job that is due, and return what came of each.

    Missed and failed runs are told to the catalog, also those that came to no job. Every
    component has its turn; raise RestoreProofError at the end for what kept one from it.
    """
    document = read_policy(policy)
    vault = open_vault(document)
    prepare_vault(vault)
    results: list[JobResult] = []
    problems: list[RestoreProofError] = []
    for name in chosen_components(document, chosen):
        schedule = document.policy.components[name].schedule
        if schedule is None:
            progress(f"{name}: the policy gives no schedule")
            continue
        try:
            with vault.working_on(name, "backing up", clock()):
                result = _run_due(document, name, schedule, vault, progress, clock)
        except RestoreProofError as problem:
            progress(f"no backup of {name}: {problem}")
            problems.append(problem)
            continue
        if result is not None:
            results.append(result)
            problems += [result.trouble] if result.trouble else []
    mistakes = [problem for problem in problems if isinstance(problem, UserError)]
    if trouble := [problem for problem in problems if not isinstance(problem, UserError)]:
        raise trouble[0]
    if mistakes:
        raise SeveralProblems(mistakes)
    return tuple(results)


def _run_due(
    document: PolicyDocument,
    name: str,
    schedule: Schedule,
    vault: Vault,
    progress: Progress,
    clock: Clock,
) -> JobResult | None:
    now = clock()
    before = RunHistory.of(vault.catalog.events(), name)
    missed = before.missed_and_not_noted(now)
    history = note_schedule(vault, name, schedule, now)
    if missed:
        since = instant(missed[0].due_at)
        progress(f"{name}: missed {plural(len(missed), 'run')} since {since}; noted")
    due = due_now(schedule, history, now)
    if due is None:
        coming = next_due(schedule, now)
        progress(f"{name}: nothing is due; next {coming.kind} at {instant(coming.due_at)}")
        return None
    progress(f"{name}: {due.kind} backup due since {instant(due.due_at)}")
    return _made(document, name, due, vault, progress, clock, now)


def _made(
    document: PolicyDocument,
    name: str,
    due: DueRun,
    vault: Vault,
    progress: Progress,
    clock: Clock,
    now: datetime,
) -> JobResult:
    try:
        sandboxes = sandboxes_of(document, now)
        (audited,) = open_components(document, (name,), sandboxes, clock, progress)
        probe([audited])
    except RestoreProofError as problem:
        # It came to no job, and a run that was due failed all the same.
        note_failure(vault, name, due.kind, now, clock(), str(problem))
        raise
    return run_job_alone(audited, vault, document.policy.estate, progress, full=due.kind == "full")
