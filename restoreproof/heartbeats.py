"""``restoreproof heartbeat``: writes what the measured RPO is measured by.

One row or point a beat, into a table or measurement that is there for nothing else, by a user
who may do nothing else.
"""

import threading
from collections.abc import Callable, Sequence
from datetime import timedelta

from restoreproof import engines
from restoreproof.archive import new_run_id
from restoreproof.engines.contract import Clock, SourceContext
from restoreproof.errors import UserError
from restoreproof.estate import chosen_components
from restoreproof.policy import PolicyDocument
from restoreproof.sandbox import Sandboxes


def heartbeat(
    document: PolicyDocument,
    chosen: Sequence[str],
    clock: Clock,
    tell: Callable[[str], None],
    *,
    clear: bool = False,
    every: timedelta | None = None,
    stop: threading.Event | None = None,
) -> None:
    """Write one beat to every component whose policy names a writer, or remove the old ones.

    With ``every`` a beat each time until ``stop`` is set. Raise UserError if the policy names no
    writer, and SourceUnavailable with the server's words.
    """
    components = document.policy.components
    names = [
        name
        for name in chosen_components(document, chosen)
        if getattr(getattr(components[name].source, "heartbeat", None), "writer", None)
    ]
    if not names:
        raise UserError(
            "the policy names nobody who writes heartbeats",
            where=str(document.path),
            mend="add 'writer: {user: NAME, password: ${NAME}}' to source.heartbeat, for a table"
            " or measurement that is there for nothing else",
        )
    stop = stop or threading.Event()
    sandboxes = Sandboxes(new_run_id(clock()))
    while True:
        for name in names:
            component = components[name]
            engine = engines.load(component.engine)
            context = SourceContext(
                component=name,
                source=component.source,
                image=None,
                folder=document.folder,
                sandboxes=sandboxes,
                clock=clock,
            )
            if clear:
                tell(f"{name}: {engine.clear_heartbeats(context)} old heartbeats removed")
            else:
                engine.beat(context)
        if clear or every is None or stop.wait(every.total_seconds()):
            return
