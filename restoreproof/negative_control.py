"""The negative control of a component: copies of its backups are damaged, and the checks asked.

The answers are those of the suites' own checks, asked of a vault that holds nothing but the
copy. A damage is detected if a check fails on it that passed on an undamaged copy, which went the
same way. What does not fit into the budget is not tried: which, is drawn with a seed. Where it
holds a restore, one damage to the content is tried all the same, even if the undamaged copy used
it up: a machine that is busy for a moment would give no answer else.
"""

import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta

from restoreproof import damage_stores
from restoreproof.asking import Ask, Questions, Seen
from restoreproof.command_engine import OwnCommands
from restoreproof.component_audit import ComponentAudit
from restoreproof.damage import VaultCopy
from restoreproof.damage_catalogue import damages_for
from restoreproof.damage_kinds import Damage, Layer, LeftAlone, Subject
from restoreproof.engines.contract import STREAMED
from restoreproof.evidence_negative_control import NegativeControlRecord, Outcome, TrialRecord
from restoreproof.redaction import redact
from restoreproof.restore import chain_of
from restoreproof.suite_index import Declaration
from restoreproof.vault import StoredBackup
from restoreproof.verdicts import Verdict
from restoreproof.wording import duration as in_words

ESSENTIAL = ("VLT-001", "VLT-002", "RST-001", "RST-002")
"""What has to pass on an undamaged copy, or nothing that is seen on a damaged one counts."""
UNTRIED = "no time is left of the budget"
NO_CONTROL = "no undamaged copy of it came out clean"
REASON_LENGTH = 300


@dataclass(frozen=True)
class _Waiting:
    """A damage that is to be done, and what is known of the undamaged copy."""

    backup: StoredBackup
    damage: Damage
    undamaged: Seen
    estimate: timedelta


@dataclass
class _Budget:
    """Time that is left, and how long things took."""

    limit: timedelta
    monotonic: Callable[[], float]
    begun: float = field(init=False)

    def __post_init__(self) -> None:
        self.begun = self.monotonic()

    @property
    def used(self) -> timedelta:
        return timedelta(seconds=self.monotonic() - self.begun)

    def holds(self, estimate: timedelta) -> bool:
        """Whether there is time left for something that takes so long."""
        return self.used + estimate <= self.limit


class NegativeControl:
    """The negative control of one component, after its backups were audited."""

    def __init__(
        self,
        audited: ComponentAudit,
        declarations: Sequence[Declaration],
        ask: Ask,
        budget: timedelta,
        seed: int,
        tell: Callable[[str], None] = lambda _: None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.audited = audited
        self.seed = seed
        self.tell = tell
        self._budget = _Budget(budget, monotonic)
        self._trials: list[TrialRecord] = []
        self._questions = Questions(audited, declarations, ask, seed)
        self._chance = random.Random(f"{seed} {audited.name}")  # noqa: S311  # repeatable, no secret

    def run(self) -> NegativeControlRecord:
        """Damage, restore and ask, for as long as the budget lasts."""
        waiting: list[_Waiting] = []
        for backup in self._subjects():
            known = self._damages(backup)
            begun = self._budget.used
            undamaged = self._undamaged(backup)
            if undamaged is None:
                last = self._trials[-1]
                reason = last.reason if last.outcome is Outcome.NOT_TRIED else NO_CONTROL
                for damage in known:
                    self._note(backup, damage, Outcome.NOT_TRIED, reason=reason)
                continue
            took = self._budget.used - begun
            mine = [_Waiting(backup, one, undamaged, took) for one in known]
            slow = [one for one in mine if one.damage.layer is Layer.CONTENT]
            self._chance.shuffle(slow)
            # Without a damage to the content nothing is shown, so one comes before all else.
            while slow and not self._tried(Layer.CONTENT):
                self._damaged(slow.pop(0), at_least=True)
            # What needs no restore costs little and comes next; of the rest the seed decides.
            for one in mine:
                if one.damage.layer is not Layer.CONTENT:
                    self._damaged(one)
            waiting += slow
        self._chance.shuffle(waiting)
        for one in waiting:
            self._damaged(one)
        return self._record()

    def _damages(self, backup: StoredBackup) -> tuple[Damage, ...]:
        """The damages that can be done to a backup's copy."""
        known = damages_for(self.audited.engine.name, backup.entry.kind)
        if not self.audited.engine.finds_chains:
            return known
        # Its content lies in a store that is not ours, and in no artifact of the vault.
        ours = (one for one in known if one.layer is not Layer.CONTENT)
        return (*ours, *damage_stores.DAMAGES)

    def _tried(self, layer: Layer) -> bool:
        """Whether a damage of this layer was done, or there was no time for it."""
        mine = [one for one in self._trials if one.layer == layer]
        return any(one.outcome is not Outcome.NOT_APPLICABLE for one in mine)

    def _subjects(self) -> Iterator[StoredBackup]:
        """The newest full backup, and the increment of the shortest chain, that came back."""
        came_back = set(self.audited.restored_now())
        mine = [one for one in self.audited.backups if one.id in came_back]
        fulls = [one for one in mine if one.entry.kind == "full"]
        yield from fulls[-1:]
        # The end of a stream was not looked at, so it is taken only where there is nothing else.
        increments = sorted(
            (one for one in mine if one.entry.kind != "full"),
            key=lambda one: (
                one.entry.kind == STREAMED,
                len(chain_of(one, self.audited.backups)),
                -one.entry.recovery_point.timestamp(),
            ),
        )
        yield from increments[:1]

    def _undamaged(self, backup: StoredBackup) -> Seen | None:
        """What the checks say of an untouched copy; None if that is nothing to go by."""
        shortest = min(one.duration for one in self.audited.attempts_of(backup))
        if not self._budget.holds(shortest):
            reason = f"{UNTRIED}, and a restore takes {in_words(shortest)}"
            self._note(backup, None, Outcome.NOT_TRIED, reason=reason)
            return None
        begun = self._budget.used
        with self._copy(backup) as copy:
            seen = self._questions.of(copy, backup.id, restore=True)
        asked = set(ESSENTIAL) & self._questions.checks
        if backup.entry.kind == STREAMED:
            asked -= {"RST-002"}
        passed = seen.with_verdict(Verdict.PASSED)
        clean = asked <= passed
        self._note(
            backup,
            None,
            Outcome.CLEAN if clean else Outcome.NOT_CLEAN,
            passed=passed,
            reason="" if clean else seen.words(asked - passed),
            begun=begun,
        )
        return seen if clean else None

    def _damaged(self, waiting: "_Waiting", *, at_least: bool = False) -> None:
        """Do a damage and ask, if there is time for it or it has to be done ``at_least``."""
        backup, damage, undamaged = waiting.backup, waiting.damage, waiting.undamaged
        restores = damage.layer is Layer.CONTENT
        if not at_least and not self._budget.holds(waiting.estimate if restores else timedelta()):
            self._note(backup, damage, Outcome.NOT_TRIED, reason=UNTRIED)
            return
        begun = self._budget.used
        usable = undamaged.with_verdict(Verdict.PASSED)
        if damage.only and not damage.only & usable:
            reason = f"{', '.join(sorted(damage.only))} does not pass without it either"
            self._note(backup, damage, Outcome.NOT_APPLICABLE, reason=reason)
            return
        with self._copy(backup) as copy:
            subject = Subject(
                copy,
                copy.same(backup),
                random.Random(f"{self.seed} {backup.id} {damage.name}"),  # noqa: S311  # repeatable
                self.audited.lost_at,
                self._earlier(backup),
            )
            try:
                done = damage.inflict(subject)
            except LeftAlone as why:
                self._note(backup, damage, Outcome.NOT_TRIED, reason=str(why))
                return
            except AssertionError as obstacle:
                self._note(backup, damage, Outcome.NOT_APPLICABLE, reason=str(obstacle))
                return
            seen = self._questions.of(copy, backup.id, restore=damage.layer is not Layer.VAULT)
        detected = seen.with_verdict(Verdict.FAILED) & usable
        if detected:
            outcome, reason = Outcome.DETECTED, seen.words(detected)
        elif seen.trouble or seen.with_verdict(Verdict.ERROR):
            outcome = Outcome.ERROR
            reason = seen.trouble or seen.words(seen.with_verdict(Verdict.ERROR))
        else:
            outcome, reason = Outcome.MISSED, "no check failed"
        passed = seen.with_verdict(Verdict.PASSED) & usable
        self._note(backup, damage, outcome, detected, passed, reason, done, begun)

    @contextmanager
    def _copy(self, backup: StoredBackup) -> Iterator[VaultCopy]:
        """A vault of nothing but a backup's chain, gone when the block ends."""
        chain = chain_of(backup, self.audited.backups)
        with self.audited.context.sandboxes.folder() as folder:
            copy = VaultCopy.of_chain(chain, folder / "vault")
            if isinstance(self.audited.engine, OwnCommands):
                damage_stores.take_store(copy, chain, self.audited.engine)
            yield copy

    def _earlier(self, backup: StoredBackup) -> StoredBackup | None:
        """The full backup before a full one, if it is as it was stored."""
        fulls = self.audited.fulls
        before = [one for one in fulls if one.entry.recovery_point < backup.entry.recovery_point]
        return before[-1] if before and not before[-1].damage()[1] else None

    def _note(
        self,
        backup: StoredBackup,
        damage: Damage | None,
        outcome: Outcome,
        detected: set[str] | None = None,
        passed: set[str] | None = None,
        reason: str = "",
        done: str = "",
        begun: timedelta | None = None,
    ) -> None:
        self._trials.append(
            TrialRecord(
                damage=damage.name if damage else "",
                title=damage.title if damage else "undamaged copy",
                layer=damage.layer if damage else "",
                backup=backup.id,
                done=redact(done),
                outcome=outcome,
                detected_by=tuple(sorted(detected or ())),
                passed=tuple(sorted(passed or ())),
                reason=redact(reason)[:REASON_LENGTH],
                duration=timedelta() if begun is None else self._budget.used - begun,
            )
        )
        if outcome in (Outcome.MISSED, Outcome.NOT_CLEAN, Outcome.ERROR):
            told = damage.title if damage else "undamaged copy"
            self.tell(f"negative control of {backup.id}, {told}: {outcome}: {reason}")

    def _record(self) -> NegativeControlRecord:
        record = NegativeControlRecord(
            component=self.audited.name,
            engine=self.audited.engine.name,
            budget=self._budget.limit,
            took=self._budget.used,
            seed=self.seed,
            trials=tuple(self._trials),
        )
        return record.model_copy(update={"unproven": why_unproven(record)})


def why_unproven(record: NegativeControlRecord) -> str:
    """Why a negative control does not show that the checks can fail; empty if it does."""
    missed, broken = record.with_outcome(Outcome.MISSED), record.with_outcome(Outcome.ERROR)
    unclean = [one for one in record.controls if one.outcome is Outcome.NOT_CLEAN]
    deep = [one for one in record.tried if one.layer == Layer.CONTENT]
    untried = [one for one in record.with_outcome(Outcome.NOT_TRIED) if one.layer == Layer.CONTENT]
    told = "; ".join(f"{one.title} ({one.done})" for one in missed)
    reasons = (
        (missed, f"{len(missed)} of {len(record.tried)} damages went unnoticed: {told}"),
        (unclean, f"the checks found something in an undamaged copy: {_first(unclean)}"),
        (broken, f"a check broke: {_first(broken)}"),
        (not record.controls, "no backup came back, so none could be damaged"),
        (untried and not deep, f"no damage to the content was tried: {_first(untried)}"),
        (not record.tried, "no damage applies"),
    )
    return next((reason for applies, reason in reasons if applies), "")


def _first(trials: Sequence[TrialRecord]) -> str:
    return f"{trials[0].title}: {trials[0].reason}" if trials else ""
