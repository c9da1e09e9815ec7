"""Heartbeats of ours on real servers: when they beat, and what reads and refuses them."""

from datetime import UTC, datetime

import pytest

from restoreproof import engines
from restoreproof.engines.contract import SourceContext
from restoreproof.errors import SourceUnavailable
from restoreproof.heartbeats import heartbeat
from restoreproof.policy import PolicyDocument
from restoreproof.sandbox import Sandboxes

MONDAY = datetime(2026, 7, 6, 16, 10, tzinfo=UTC)


def context(document: PolicyDocument, name: str) -> SourceContext:
    """A component's source as its engine is handed it, on that Monday."""
    return SourceContext(
        component=name, source=document.policy.components[name].source, image=None,
        folder=document.folder, sandboxes=Sandboxes("heartbeats"), clock=lambda: MONDAY,
    )  # fmt: skip


def newest(document: PolicyDocument, name: str) -> datetime | None:
    """The newest heartbeat as the backup's user reads it."""
    engine = engines.load(document.policy.components[name].engine)
    return engine.newest_heartbeat(context(document, name))


def refuse_in_one_line(document: PolicyDocument, name: str, secret: str) -> None:
    """The writer's secret is refused: the user's mistake, told with the mend and without it."""
    with pytest.raises(SourceUnavailable) as caught:
        heartbeat(document, (name,), lambda: MONDAY, lambda _: None)
    assert secret not in str(caught.value)
    assert caught.value.mend
    assert "\n" not in str(caught.value)
