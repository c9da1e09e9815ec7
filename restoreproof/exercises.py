"""The exercises of one run, side by side: each component's is played once, whatever comes of it."""

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from functools import partial

from restoreproof.component_audit import ComponentAudit
from restoreproof.engines.contract_exercise import Criterion
from restoreproof.exercise import play
from restoreproof.exercised import Exercised
from restoreproof.sandbox import Sandboxes

AT_ONCE = 2
Played = tuple[Exercised, ...]


class Stopped(Exception):
    """The run is over before the exercise was."""


class Exercises:
    """What was played on each component."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="exercise")
        self._stop = threading.Event()
        self._begun: dict[str, Future[Played]] = {}

    def begin(self, components: Sequence[ComponentAudit], tell: Callable[[str], None]) -> None:
        """Begin what has not begun yet, in threads."""
        for one in components:
            if one.criteria and one.name not in self._begun:
                self._begun[one.name] = self._pool.submit(self._play, one, tell)

    def of(self, audited: ComponentAudit) -> Mapping[Criterion, Exercised]:
        """What came of each criterion on a component. Raise what kept them from being played."""
        return {one.criterion: one for one in self._begun[audited.name].result()}

    def known(self, component: str) -> Played:
        """What was played on a component to the end."""
        begun = self._begun.get(component)
        return begun.result() if begun and begun.done() and not begun.exception() else ()

    def stop(self) -> None:
        """End what is still played, and take its servers away."""
        self._stop.set()
        self._pool.shutdown(cancel_futures=True)

    def _play(self, audited: ComponentAudit, tell: Callable[[str], None]) -> Played:
        # An engine's client is not made for several threads.
        own = Sandboxes(audited.context.sandboxes.run_id, audited.context.sandboxes.limits)
        context = replace(audited.context, sandboxes=own)
        step = partial(self._step, audited.name, tell)
        return play(replace(audited, context=context), audited.criteria, step)

    def _step(self, name: str, tell: Callable[[str], None], told: str) -> None:
        if self._stop.is_set():
            raise Stopped
        tell(f"{name}: {told}")
