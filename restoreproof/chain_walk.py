"""Reaches the recovery points of a chain one after the other, on the server of the one before.

A chain of n increments would be loaded n times over if each of its recovery points began with an
empty server. The newest always does. Whatever goes wrong on the way is decided by a server of its
own; and what writes to a server is asked only where no other recovery point follows on it.
"""

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from itertools import accumulate

from restoreproof.component_audit import ComponentAudit
from restoreproof.outcomes import RestoreFailed
from restoreproof.restore import ANSWER, Phase, RestoreAttempt, Target, Timeline, to_restore


class ChainWalk:
    """The server of the last recovery point, for as long as the next one is reached from it."""

    def __init__(self) -> None:
        self._held = ExitStack()
        self._last: RestoreAttempt | None = None

    @contextmanager
    def attempt(self, audited: ComponentAudit, target: Target) -> Iterator[RestoreAttempt]:
        """Restore a target; its server stays until the block ends, or longer if it leads on.

        Raise SandboxTrouble for what says nothing about the backup.
        """
        attempt = self._went_on(audited, target)
        if attempt is None:
            self.close()
            attempt = self._held.enter_context(audited.attempt(target))
        else:
            audited.attempts.append(attempt)
        try:
            yield attempt
        finally:
            self._last = attempt
            if not target.leads_on or attempt.restored is None:
                self.close()

    def close(self) -> None:
        """Take the server away, if there is one."""
        self._last = None
        self._held.close()

    def _went_on(self, audited: ComponentAudit, target: Target) -> RestoreAttempt | None:
        """The attempt that goes on from the last one; None if it cannot, or did not come to it."""
        last, backup = self._last, target.backup
        if last is None or last.restored is None or last.target.backup.id != backup.entry.base:
            return None
        decided_at, timeline = audited.clock(), Timeline()
        with suppress(RestoreFailed):
            with timeline.phase("find chain"):
                manifest = backup.manifest()
            with timeline.phase("check artifacts"):
                for artifact in manifest.artifacts:
                    backup.check(artifact)
            with timeline.phase("replay"):
                audited.engine.replay(last.restored, to_restore(backup, manifest))
            with timeline.phase(ANSWER):
                last.restored.answer()
            phases = _one_after_the_other(last.phases, timeline.phases)
            return replace(
                last,
                target=target,
                decided_at=decided_at,
                phases=phases,
                duration=phases[-1].started_after + phases[-1].duration,
                manifest=manifest,
                reached_from=last.target.backup.id,
            )
        return None


def _one_after_the_other(before: Iterable[Phase], since: Iterable[Phase]) -> tuple[Phase, ...]:
    """Steps as one restore would have taken them, without what was looked at in between."""
    took = {one.name: one.duration for one in before if one.name != ANSWER}
    for one in since:
        took[one.name] = took.get(one.name, timedelta()) + one.duration
    begins = accumulate(took.values(), initial=timedelta())
    return tuple(Phase(name, begin, took[name]) for name, begin in zip(took, begins, strict=False))
