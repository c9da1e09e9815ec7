"""The restoration criteria of a policy: which are played on which component, which are not."""

from collections.abc import Iterator

from restoreproof import engines
from restoreproof.engines.contract_exercise import Criterion
from restoreproof.evidence import PromiseRecord
from restoreproof.policy import Policy
from restoreproof.verdicts import Verdict

NAMELESS = (
    "nothing plays a sentence: write {name: NAME, text: SENTENCE}, its name corruption, deletion"
    " or failure"
)


def played(policy: Policy, component: str) -> tuple[Criterion, ...]:
    """The criteria that an audit plays on a component."""
    if why_not(policy, component):
        return ()
    return tuple(one.name for one in policy.restoration_criteria if one.name is not None)


def why_not(policy: Policy, component: str) -> str:
    """Why an audit plays none on a component; empty if it does."""
    engine = engines.load(policy.components[component].engine)
    if not engine.plays:
        return f"the {engine.name} engine plays no accidents yet"
    chosen = policy.audit.exercise
    if chosen == "none" or (chosen != "all" and component not in chosen):
        return "audit.exercise leaves the component out"
    return ""


def unplayed(policy: Policy) -> Iterator[PromiseRecord]:
    """Criteria that are sentences alone: promises that nothing proves."""
    for number, criterion in enumerate(policy.restoration_criteria, start=1):
        if criterion.name is None:
            yield PromiseRecord(
                id=f"estate.criterion-{number}",
                component=None,
                promise=f"restored when: {criterion.text}",
                verdict=Verdict.UNPROVEN,
                checks=(),
                reason=NAMELESS,
            )
