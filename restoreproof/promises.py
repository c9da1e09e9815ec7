"""What a policy promises, and what the checks of a run can say of each promise.

Every promise of the policy is in the report, also one that nothing tests yet: that one is
unproven. A promise is only as good as the worst answer of the checks that give evidence for
it, and a check that is required for it and gave no answer leaves it unproven.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from restoreproof import criteria, schedule
from restoreproof.contradictions import estate_rulings
from restoreproof.engines.contract import STREAMED, Engine
from restoreproof.evidence import CheckRecord, PromiseRecord
from restoreproof.policy import COVERAGE_KINDS, Component, Policy
from restoreproof.references import SourceModel
from restoreproof.verdicts import Verdict, worst
from restoreproof.wording import duration

RESTORED = ("VLT-001", "RST-001", "RST-002")
REQUIRED = {
    "data": RESTORED,
    "configuration": RESTORED,
    "logs": RESTORED,
    "playbook": RESTORED,
    "inventory": RESTORED,
    "rpo": ("RPO-001", "RPO-002", "RPO-003", "RPO-004", "JOB-002"),
    "rto": ("RTO-001",),
    "full": ("SCH-001", "SCH-003", "JOB-002", "POL-001"),
    "incremental": ("SCH-002", "SCH-003", "INC-001", "RST-004", "POL-001", "POL-002"),
    "continuous": ("STR-001", "RST-004"),
    "integrity": ("VLT-001", "VLT-002"),
    "restore-test": ("CAD-001", "CAD-002", "CAD-003"),
    "retention": ("RET-001", "VLT-002"),
    "negative-control": ("NEG-001",),
    "corruption": ("CRT-001",),
    "deletion": ("CRT-002",),
    "failure": ("CRT-003",),
    "versions": ("GIT-001", "GIT-002", "GIT-009", "GIT-011", "RET-001", "VLT-002"),
}
REQUIRED_OF_ENGINE = {
    ("files", "data"): ("FIL-001",),
    ("files", "configuration"): ("FIL-001", "FIL-002"),
    ("files", "logs"): ("FIL-001", "FIL-003"),
    ("git", "playbook"): ("GIT-003", "GIT-006"),
    ("git", "inventory"): ("GIT-004", "GIT-007"),
    ("git", "configuration"): ("GIT-005", "GIT-008", "GIT-012"),
    ("influxdb", "data"): ("INF-001", "INF-002"),
    ("influxdb", "configuration"): ("INF-003",),
    ("influxdb2", "data"): ("INF-001", "INF-002"),
    ("influxdb2", "configuration"): ("INF-003",),
    ("mysql", "data"): ("MYS-002", "MYS-003"),
    ("mysql", "configuration"): ("MYS-004",),
    ("mysql", "logs"): ("MYS-005",),
}
"""Checks without whose answer a promise is not kept, so that none can vanish unseen."""
WHERE_NAMED = {"GIT-011": "signers", "GIT-012": "vault_passwords"}
"""Those of them that are asked only where the source of a component has this key."""


@dataclass(frozen=True)
class Promise:
    """One promise of one component. ``gap`` says why nothing can prove it today.

    ``waived`` names checks that are asked only of other engines, or of other sources.
    """

    key: str
    component: str
    text: str
    gap: str = ""
    engine: str = ""
    waived: tuple[str, ...] = ()

    @property
    def required(self) -> tuple[str, ...]:
        """Checks without whose answer it is not kept."""
        every = REQUIRED.get(self.key, ()) + REQUIRED_OF_ENGINE.get((self.engine, self.key), ())
        return tuple(one for one in every if one not in self.waived)


def promises(
    name: str, component: Component, policy: Policy, engine: Engine[SourceModel]
) -> Iterator[Promise]:
    """All promises that a policy makes for one component."""
    unasked = tuple(
        one for one, key in WHERE_NAMED.items() if not getattr(component.source, key, ())
    )
    for kind in component.coverage:
        gap = engine.gap(component.source, kind)
        yield Promise(kind, name, f"backup and restore of {kind}", gap, engine.name, unasked)
    if component.schedule:
        for due, expression in component.schedule.kinds.items():
            when = schedule.describe(expression, component.schedule.time_zone)
            gap = (
                ""
                if due in engine.kinds
                else f"the {engine.name} engine does not make {due} backups yet"
            )
            text = f"{due} backup {when[0].lower()}{when[1:]}"
            waived = () if engine.restores_instants else ("RST-004",)
            yield Promise(due, name, text, gap, waived=waived)
        if component.schedule.continuous:
            lacking = f"the {engine.name} engine stores no changes as they happen"
            gap = "" if STREAMED in engine.kinds else lacking
            yield Promise("continuous", name, "changes are stored as they happen", gap)
    objectives = policy.objectives
    yield Promise("rpo", name, f"no more than {duration(objectives.rpo)} of changes is lost (RPO)")
    yield Promise("rto", name, f"restored within {duration(objectives.rto)} (RTO)")
    if policy.integrity_checks is not None:
        often = policy.integrity_checks
        when = f"within {duration(often)}" if often else "at every audit"
        yield Promise("integrity", name, f"every backup's integrity is checked {when}")
    if component.retention:
        if component.retention.until and engine.name == "git":
            text = "any version can be viewed unless deleted by hand"
            yield Promise("versions", name, text, waived=unasked)
        else:
            kept = component.retention.describe()
            yield Promise("retention", name, f"backups are kept: {kept}")
    if policy.negative_control != "off":
        text = "damage done to copies of its backups is noticed (negative control)"
        yield Promise("negative-control", name, text)
    for criterion in policy.restoration_criteria:
        if criterion.name is not None:
            text = f"restored when: {criterion.text}"
            yield Promise(criterion.name, name, text, criteria.why_not(policy, name))
    yield Promise(
        "restore-test",
        name,
        f"a restore is tested at least every {duration(objectives.restore_test_every)}",
    )


def uncovered(policy: Policy) -> Iterator[PromiseRecord]:
    """What the document behind the policy names as backed up, and the policy does not back up."""
    for ruling in estate_rulings(policy):
        if not ruling.holds:
            yield PromiseRecord(
                id=f"{ruling.component}.promised-coverage",
                component=ruling.component,
                promise=ruling.expected,
                verdict=Verdict.FAILED,
                checks=(),
                reason=f"{ruling.seen}: {ruling.mend}",
            )


def judge(
    promise: Promise, checks: Sequence[CheckRecord], *, audited: bool = True
) -> PromiseRecord:
    """What the answers of a run say of a promise."""
    mine = [check for check in checks if check.component == promise.component]
    keys = {promise.key, "content"} if promise.key in COVERAGE_KINDS else {promise.key}
    evidence = [] if promise.gap else [c for c in mine if keys.intersection(c.proves)]
    silent = [
        identifier for identifier in promise.required if identifier not in {c.id for c in evidence}
    ]
    if not audited:
        verdict, reason = Verdict.UNPROVEN, "the component was left out of this run"
    elif promise.gap:
        verdict, reason = Verdict.UNPROVEN, promise.gap
    elif silent:
        verdict = worst([Verdict.UNPROVEN, *(check.verdict for check in evidence)])
        reason = f"no answer from {', '.join(silent)}"
    else:
        verdict = worst(check.verdict for check in evidence)
        bad = sorted({check.id for check in evidence if check.verdict is not Verdict.PASSED})
        reason = f"see {', '.join(bad)}" if bad else ""
        if not evidence:
            reason = "no check gives evidence of it"
    return PromiseRecord(
        id=f"{promise.component}.{promise.key}",
        component=promise.component,
        promise=promise.text,
        verdict=verdict,
        checks=tuple(sorted({check.id for check in evidence})),
        reason=reason,
    )
