"""Plays the restoration criteria of a policy on a living copy, and measures loss and time.

1. The newest recovery point comes back as a server that lives on: the source is not touched.
2. A writer of ours works on it, and jobs back it up into a vault that is thrown away.
3. Content is corrupted, a part is deleted; then the next job runs.
4. Each is restored as a user would, and compared with what was there just before the accident.
5. At last server and disk are gone, and everything comes from the vault.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

from restoreproof.component_audit import ComponentAudit
from restoreproof.engines.contract import BackupToRestore, Restored, Until
from restoreproof.engines.contract_exercise import (
    CRITERIA,
    Accident,
    CannotBePlayed,
    Criterion,
    LivingCopy,
)
from restoreproof.errors import UserError
from restoreproof.exercised import Exercised
from restoreproof.fingerprint import Fingerprint, compare
from restoreproof.jobs import run_job
from restoreproof.outcomes import BackupFailed, RestoreFailed
from restoreproof.recovery_points import find
from restoreproof.restore import Phase, Target, restoring, to_restore
from restoreproof.vault import StoredBackup, Vault
from restoreproof.wording import plural

WRITES = 5
"""How many changes the writer makes between one step and the next."""
ESTATE = "exercise"
PUT_BACK = "put the part back"
NO_BACKUP = "the vault holds no backup of which a copy could be made"


@dataclass(frozen=True)
class Moment:
    """An accident, what the copy held just before it, and what had been acknowledged by then."""

    criterion: Criterion
    at: datetime
    here: Until | None
    accident: Accident
    before: Fingerprint
    acknowledged: frozenset[int]


@dataclass
class Writer:
    """Writes numbers to a living copy, and knows when each was acknowledged."""

    copy: LivingCopy
    acknowledged: dict[int, datetime] = field(default_factory=dict)

    def work(self) -> None:
        """Write a few numbers."""
        for number in range(len(self.acknowledged), len(self.acknowledged) + WRITES):
            self.copy.write(number)
            self.acknowledged[number] = self.copy.context.clock()


def play(
    audited: ComponentAudit,
    wanted: Sequence[Criterion] = CRITERIA,
    tell: Callable[[str], None] = lambda _: None,
) -> tuple[Exercised, ...]:
    """Play criteria on a copy of a component, and return what came of each, in their order.

    Raise SandboxTrouble for what says nothing of the backups.
    """
    if not audited.backups:
        return tuple(Exercised(one, unproven=NO_BACKUP) for one in wanted)
    newest = Target(audited.name, audited.backups[-1], newest=True, population=audited.backups)
    context = audited.context
    with ExitStack() as alive, ExitStack() as temporary:
        tell(f"making a living copy of {newest.backup.id}")
        folder = temporary.enter_context(context.sandboxes.folder())
        attempt = alive.enter_context(
            restoring(
                newest,
                audited.engine,
                audited.component.source,
                audited.image,
                context.sandboxes.that_serve(),
                audited.clock,
            )
        )
        if attempt.restored is None:
            problem = f"{newest.backup.id} does not come back: {attempt.failure}"
            return tuple(Exercised(one, problems=(problem,)) for one in wanted)
        try:
            copy = alive.enter_context(audited.engine.living(attempt.restored, context))
            return _Exercise(audited, copy, folder, tell).play(wanted, alive)
        except (BackupFailed, RestoreFailed) as problem:
            # It came to no restore, so it says nothing of one.
            return tuple(Exercised(one, unproven=str(problem)) for one in wanted)


class _Exercise:
    """One living copy, its vault, and what is done to it."""

    def __init__(
        self,
        audited: ComponentAudit,
        copy: LivingCopy,
        folder: Path,
        tell: Callable[[str], None],
    ) -> None:
        self.audited, self.copy, self.folder, self.tell = audited, copy, folder, tell
        self.vault = Vault(str(folder / "vault"))
        self.vault.prepare()
        self.writer = Writer(copy)
        self.moments: list[Moment] = []
        self.after: dict[Criterion, Fingerprint] = {}
        """What there was after an accident and before the next one."""
        self.silent: dict[Criterion, str] = {}

    def play(self, wanted: Sequence[Criterion], alive: ExitStack) -> tuple[Exercised, ...]:
        """Everything from the first job to the last restore."""
        self.copy.prepare()
        self.writer.work()
        full = self._back_up(None)
        like = to_restore(full, full.manifest())
        for criterion in CRITERIA[:2]:
            if criterion in wanted:
                self.writer.work()
                self._befall(criterion, like)
        if "corruption" in wanted and "deletion" not in wanted:
            self.after["corruption"] = self.copy.fingerprint(like)
        self.writer.work()
        increments = self.copy.context.increments and "incremental" in self.audited.engine.kinds
        last = self._back_up(full if increments else None)
        self.after["deletion"] = last.manifest().fingerprint
        done: dict[Criterion, Exercised] = {}
        for moment in reversed(self.moments):
            done[moment.criterion] = _told(moment, self._recover)
        if "failure" in wanted:
            moment = self._lose_everything(last, alive)
            done["failure"] = _told(moment, partial(self._all_back, last))
        silent = {one: Exercised(one, unproven=why) for one, why in self.silent.items()}
        return tuple((done | silent)[one] for one in wanted)

    def _back_up(self, base: StoredBackup | None) -> StoredBackup:
        self.tell(f"backing the copy up, {'an increment' if base else 'in full'}")
        result = run_job(self.audited.engine, self.copy.context, self.vault, ESTATE, base)
        result.require_answer()
        if result.backup is None:
            raise BackupFailed(f"the living copy could not be backed up: {result.problem}")
        return result.backup

    def _befall(self, criterion: Criterion, like: BackupToRestore) -> None:
        """Let an accident happen, and note what was there just before it."""
        before = self.after["corruption"] = self.copy.fingerprint(like)
        here, acknowledged = self.copy.here(), frozenset(self.writer.acknowledged)
        at = self.audited.clock()
        befallen = self.moments[-1].accident.part if self.moments else ""
        try:
            accident = (
                self.copy.corrupt() if criterion == "corruption" else self.copy.delete(befallen)
            )
        except CannotBePlayed as reason:
            self.silent[criterion] = str(reason)
            return
        self.tell(f"{criterion}: {accident.told}")
        self.moments.append(Moment(criterion, at, here, accident, before, acknowledged))

    def _recover(self, moment: Moment) -> Exercised:
        """Restore to just before an accident, and compare."""
        try:
            target = self._just_before(moment)
        except UserError as problem:
            return replace(_begun(moment), problems=(f"no recovery point: {problem}",))
        with self._restored(moment, target) as (begun, restored):
            if restored is None:
                return begun
            result = self._with_loss(begun, moment, target, restored)
            if moment.criterion == "deletion":
                return self._part_back(result, moment, restored)
            return self._compared(result, moment, restored.fingerprint(moment.before))

    def _part_back(self, result: Exercised, moment: Moment, restored: Restored) -> Exercised:
        """Put the deleted part back into the copy, which has gone on meanwhile."""
        self.tell(PUT_BACK)
        begun = time.monotonic()
        with self.copy.context.sandboxes.folder() as folder:
            self.copy.put_back(moment.accident, restored, folder)
        took = timedelta(seconds=time.monotonic() - begun)
        result = replace(
            result,
            phases=(*result.phases, Phase(PUT_BACK, result.duration, took)),
            duration=result.duration + took,
        )
        (full, *_) = self.vault.backups(self.audited.name)
        now = self.copy.fingerprint(to_restore(full, full.manifest()))
        result = self._compared(result, moment, now)
        if gone := self.writer.acknowledged.keys() - self.copy.written(self.copy.restored):
            told = f"{plural(len(gone), 'change')} that had nothing to do with it went too"
            result = replace(result, problems=(*result.problems, told))
        return result

    def _lose_everything(self, last: StoredBackup, alive: ExitStack) -> Moment:
        """Take server and disk away."""
        self.writer.work()
        at = self.audited.clock()
        self.tell("failure: the server and its disk are gone")
        alive.close()
        accident = Accident("the server and its disk were removed", "")
        acknowledged = frozenset(self.writer.acknowledged)
        return Moment("failure", at, None, accident, last.manifest().fingerprint, acknowledged)

    def _all_back(self, last: StoredBackup, moment: Moment) -> Exercised:
        """Restore from the vault alone."""
        target = self._target(last)
        with self._restored(moment, target) as (begun, restored):
            if restored is None:
                return begun
            result = self._with_loss(begun, moment, target, restored)
            found = compare(moment.before, restored.fingerprint(moment.before))
            return replace(
                result,
                examined=found.examined,
                problems=(*result.problems, *map(str, found.differences)),
                unproven="; ".join(one.reason for one in found.undecided),
            )

    @contextmanager
    def _restored(
        self, moment: Moment, target: Target
    ) -> Iterator[tuple[Exercised, Restored | None]]:
        """Restore a target; without a server what is yielded says why there is none."""
        self.tell(f"{moment.criterion}: restoring {target.backup.id}")
        with restoring(
            target,
            self.audited.engine,
            self.copy.context.source,
            self.audited.image,
            self.copy.context.sandboxes,
            self.audited.clock,
        ) as attempt:
            failed = f"the restore failed in '{attempt.failed_in}': {attempt.failure}"
            until = target.until
            result = replace(
                _begun(moment),
                kind=target.backup.entry.kind,
                until=until.isoformat() if isinstance(until, datetime) else until or "",
                recovery_point=target.backup.entry.recovery_point,
                phases=attempt.phases,
                duration=attempt.duration,
                problems=() if attempt.succeeded else (failed,),
            )
            yield result, attempt.restored

    def _just_before(self, moment: Moment) -> Target:
        """The last recovery point before an accident. Raise UserError if there is none."""
        backups = self.vault.backups(self.audited.name)
        if moment.here is not None:
            named = moment.here if isinstance(moment.here, str) else moment.here.isoformat()
            return find(self.audited.name, backups, self.audited.engine, named)
        earlier = [one for one in backups if one.entry.recovery_point <= moment.at]
        return self._target(earlier[-1])

    def _target(self, backup: StoredBackup) -> Target:
        population = self.vault.backups(self.audited.name)
        return Target(self.audited.name, backup, newest=False, population=population)

    def _compared(self, result: Exercised, moment: Moment, seen: Fingerprint) -> Exercised:
        """What differs from just before the accident, where the next backup saw the accident."""
        found = compare(self._still(moment.before), self._still(seen))
        told = self._was_seen(moment)
        return replace(
            result,
            examined=found.examined,
            problems=(*result.problems, *map(str, found.differences)),
            unproven="" if told else f"{moment.accident.told}, and no difference was seen",
        )

    def _was_seen(self, moment: Moment) -> bool:
        """Whether the accident changed what it befell: undoing nothing would prove nothing."""
        part, after = moment.accident.part, self.after[moment.criterion]
        if moment.criterion == "deletion":
            before, left = (
                [item for item in taken.items if self.copy.is_of(item.kind, item.name, part)]
                for taken in (moment.before, after)
            )
            return bool(before) and not left
        differences = compare(moment.before, after).differences
        return any(self.copy.is_of(one.kind, one.name, part) for one in differences)

    def _still(self, taken: Fingerprint) -> Fingerprint:
        """What of a fingerprint does not change with the writer's work."""
        items = (item for item in taken.items if not self.copy.is_busy(item))
        return Fingerprint.of(taken.method, taken.taken_at, items)

    def _with_loss(
        self, result: Exercised, moment: Moment, target: Target, restored: Restored
    ) -> Exercised:
        """Which changes that had been acknowledged before the accident did not come back."""
        came, when = self.copy.written(restored), self.writer.acknowledged
        exact, point = target.until is not None, target.backup.entry
        stored = {one for one in moment.acknowledged if exact or when[one] <= point.started_at}
        problems = list(result.problems)
        if missing := stored - came:
            told = "that had been made before the recovery point are missing"
            problems.append(f"{plural(len(missing), 'change')} {told}")
        if exact and (later := came - moment.acknowledged):
            problems.append(f"{plural(len(later), 'change')} from after the accident are there")
        loss, lost = timedelta(), moment.acknowledged - came
        if lost:
            reached = [when[number] for number in moment.acknowledged & came]
            since = max(reached, default=point.recovery_point)
            loss = max(when[number] for number in lost) - since
        return replace(result, lost=len(lost), loss=loss, problems=tuple(problems))


def _told(moment: Moment, recover: Callable[[Moment], Exercised]) -> Exercised:
    """What came of recovering; what a server refuses is a result."""
    try:
        return recover(moment)
    except RestoreFailed as failure:
        return replace(_begun(moment), problems=(str(failure),))


def _begun(moment: Moment) -> Exercised:
    return Exercised(
        moment.criterion,
        accident=moment.accident.told,
        at=moment.at,
        written=len(moment.acknowledged),
    )
