"""A chain's recovery points, reached by an audit one after the other."""

from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta

from restoreproof import engines
from restoreproof.chain_walk import ChainWalk
from restoreproof.component_audit import ComponentAudit
from restoreproof.engines.contract import SourceContext
from restoreproof.policy import Audit, Component, Objectives
from restoreproof.restore import RestoreAttempt
from restoreproof.vault import Vault

DAY = timedelta(days=1)
OBJECTIVES = Objectives(rpo=DAY, rto=DAY, restore_test_every=DAY)


def component(engine: str, context: SourceContext, vault: Vault) -> ComponentAudit:
    """A component whose backups are those of a vault, all of which are restored."""
    assert context.image is not None
    described = Component(
        engine=engine,
        image=context.image.reference,
        coverage=("data",),
        source=context.source,
    )
    name = context.component
    made = ComponentAudit(
        name, described, OBJECTIVES, engines.load(engine), context, context.clock, Audit()
    )
    made.choose(vault.backups(name), "all")
    return made


def walked(audited: ComponentAudit) -> Iterator[RestoreAttempt]:
    """The attempts of an audit, each while its server is there."""
    with closing(ChainWalk()) as walk:
        for target in audited.targets:
            with walk.attempt(audited, target) as attempt:
                yield attempt
