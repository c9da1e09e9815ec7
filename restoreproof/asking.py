"""Asks the suites' checks of a copy of a vault, as an audit would that found nothing else."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from restoreproof import interrupts
from restoreproof.checks import Answer
from restoreproof.command_engine import OwnCommands
from restoreproof.component_audit import ComponentAudit
from restoreproof.damage import VaultCopy
from restoreproof.earlier_runs import EarlierRuns
from restoreproof.errors import SandboxTrouble
from restoreproof.restore import Target
from restoreproof.run_history import RunHistory
from restoreproof.suite_index import Declaration, Scope
from restoreproof.verdicts import Verdict

Ask = Callable[[Declaration, Mapping[str, Any]], Answer | None]
"""Ask a check of what it wants; None if it wants what is not given."""
NOT_ASKED = (
    *("JOB", "CAD", "POL", "STR", "NEG"),
    *("RTO", "RPO-001", "SCH-003", "RST-004", "VLT-003"),
    *("MYS-003", "MYS-006", "INF-001"),
)
"""Checks of jobs, of plans, of the run itself, of speed, and of what a server can do: what they
ask is no matter of stored bytes."""


@dataclass(frozen=True)
class Seen:
    """What was asked of one copy, and what came of it."""

    answers: Mapping[str, Answer]
    trouble: str = ""
    """What kept a restore from saying anything of the copy."""

    def with_verdict(self, verdict: Verdict) -> set[str]:
        """The checks that answered so."""
        return {name for name, one in self.answers.items() if one.judged()[0] is verdict}

    def words(self, checks: set[str]) -> str:
        """What some checks said, those about restores first."""
        said = []
        for name in sorted(checks, key=lambda one: (not one.startswith("RST"), one)):
            answer = self.answers.get(name)
            if answer is None:
                said.append(f"{name}: no answer{f': {self.trouble}' if self.trouble else ''}")
            else:
                said.append(f"{name}: {answer.reason or answer.observation.seen}")
        return "; ".join(said)


class Questions:
    """The checks of the suites that concern stored backups of one component."""

    def __init__(
        self, audited: ComponentAudit, declarations: Sequence[Declaration], ask: Ask, seed: int
    ) -> None:
        self.audited = audited
        self.seed = seed
        self._ask = ask
        self._declarations = tuple(
            one for one in declarations if not one.id.startswith(NOT_ASKED) and one.applies(audited)
        )

    @property
    def checks(self) -> frozenset[str]:
        """The ids of those that may be asked."""
        return frozenset(one.id for one in self._declarations)

    def of(self, copy: VaultCopy, backup: str, *, restore: bool) -> Seen:
        """Ask the checks of a copy, and of what it restores to."""
        audited = _standing_alone(self.audited, copy)
        answers: dict[str, Answer] = {}
        given: dict[str, Any] = {"component": audited, "objectives": audited.objectives}
        for declaration in self._declarations:
            if declaration.scope is Scope.COMPONENT and declaration.applies(audited):
                self._put(declaration, given, answers)
        target = next((one for one in audited.targets if one.backup.id == backup), None)
        if target is None or not restore:
            return Seen(answers)
        trouble = ""
        try:
            self._restore(audited, target, answers)
        except SandboxTrouble as error:
            trouble = str(error)
        except Exception as error:  # noqa: BLE001  # it is the damage that broke it, and no answer
            trouble = f"{type(error).__name__}: {error}"
        interrupts.obey()
        return Seen(answers, trouble)

    def _restore(self, audited: ComponentAudit, target: Target, answers: dict[str, Answer]) -> None:
        with audited.attempt(target) as attempt:
            given: dict[str, Any] = {
                "target": target,
                "attempt": attempt,
                "audited": audited,
                "objectives": audited.objectives,
                "seed": self.seed,
            }
            if attempt.restored is not None:
                given["restored"] = attempt.restored
            for declaration in self._declarations:
                if declaration.scope is Scope.TARGET and declaration.asks(target):
                    self._put(declaration, given, answers)

    def _put(
        self, declaration: Declaration, given: Mapping[str, Any], answers: dict[str, Answer]
    ) -> None:
        answer = self._ask(declaration, given)
        if answer is not None:
            answers[declaration.id] = answer


def _standing_alone(audited: ComponentAudit, copy: VaultCopy) -> ComponentAudit:
    """The component as it would be if there were nothing but the copy."""
    engine = audited.engine
    if copy.store is not None and isinstance(engine, OwnCommands):
        engine = engine.on_store(copy.store)
    alone = replace(
        audited,
        engine=engine,
        jobs=[],
        attempts=[],
        restored_heartbeat=None,
        stream=None,
        earlier=EarlierRuns(),
        check_within=timedelta(),
        lying=copy.vault.folders(audited.name),
        negative_control=None,
    )
    history = RunHistory.of(copy.vault.catalog.events(), audited.name)
    alone.choose(copy.vault.backups(audited.name), "all", 0, history)
    return alone
