"""``restoreproof exercise``: plays restoration criteria on copies of an estate's components.

The copies come from the newest backups of the vault; no source is asked or written to.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from restoreproof.clock import system_clock
from restoreproof.component_audit import ComponentAudit
from restoreproof.engines.contract_exercise import CRITERIA, Criterion
from restoreproof.errors import RestoreProofError, UserError
from restoreproof.estate import open_components, open_vault, sandboxes_of
from restoreproof.exercise import play
from restoreproof.exercised import Exercised
from restoreproof.policy_file import read_policy
from restoreproof.progress import Progress
from restoreproof.verdicts import Verdict, worst


@dataclass(frozen=True)
class ExerciseOptions:
    """What a user asked for: which component, or all; which criterion, or all."""

    policy: Path
    component: str | None = None
    criterion: Criterion | None = None


def exercise(options: ExerciseOptions, progress: Progress) -> int:
    """Play, tell what came of it, and return the exit code of the worst answer.

    Raise UserError for what cannot be had, SandboxTrouble at the end for what says nothing.
    """
    document = read_policy(options.policy)
    vault = open_vault(document)
    sandboxes = sandboxes_of(document, system_clock())
    chosen = (options.component,) if options.component else ()
    components = open_components(document, chosen, sandboxes, system_clock, progress)
    wanted = (options.criterion,) if options.criterion else CRITERIA
    verdicts: list[Verdict] = []
    troubles: list[RestoreProofError] = []
    with vault.reading("exercising", system_clock()):
        for audited in components:
            audited.backups = vault.backups(audited.name)
            try:
                verdicts += [
                    _told(audited, one, progress) for one in _played(audited, wanted, progress)
                ]
            except RestoreProofError as trouble:
                troubles.append(trouble)
    if troubles:
        raise troubles[0]
    return worst(verdicts).exit_code


def _played(
    audited: ComponentAudit, wanted: Sequence[Criterion], progress: Progress
) -> tuple[Exercised, ...]:
    if not audited.engine.plays:
        why = f"the {audited.engine.name} engine plays no accidents yet"
        return tuple(Exercised(one, unproven=why) for one in wanted)
    if not audited.backups:
        mend = f"take one: restoreproof backup POLICY {audited.name}"
        raise UserError("the vault holds no backup", where=audited.name, mend=mend)
    return play(audited, wanted, lambda told: progress(f"{audited.name}: {told}"))


def _told(audited: ComponentAudit, played: Exercised, progress: Progress) -> Verdict:
    verdict = played.verdict(audited.objectives)
    progress.answer(verdict, f"{audited.name}, {played.criterion}: {played.seen}")
    for phase in played.phases:
        progress.plain(f"    {phase.name:<20} {phase.duration.total_seconds():7.1f} s")
    return verdict
