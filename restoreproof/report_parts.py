"""What the templates are given: the evidence cut into the parts that a reader asks for.

A report has an end where evidence need not have one. What is left out is counted, and told.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from restoreproof.evidence import (
    AttemptRecord,
    BackupRecord,
    CheckRecord,
    ComponentRecord,
    Evidence,
    PromiseRecord,
)

CHECKS_TOLD = 400
"""Where more checks were asked, those that passed are told by their ids alone."""
MOST_FINDINGS = 250
MOST_UNPROVEN = 400
MOST_CHECKS = 4_000
MOST_BACKUPS = 2_000
LEAST_SHARE = 20
"""Every component has room for as many rows as this, whatever the others need."""


@dataclass(frozen=True)
class Part:
    """What the evidence holds about one component, or about the estate if it has no name."""

    name: str | None
    component: ComponentRecord | None
    backups: tuple[BackupRecord, ...]
    attempts: tuple[AttemptRecord, ...]
    checks: tuple[CheckRecord, ...]
    promises: tuple[PromiseRecord, ...]
    shown_checks: tuple[CheckRecord, ...]
    shown_backups: tuple[BackupRecord, ...]

    @property
    def checks_by_backup(self) -> tuple[tuple[str | None, tuple[CheckRecord, ...]], ...]:
        """The checks of each backup, those about no backup in particular first."""
        shown = self.shown_checks
        backups = {None: None, **{check.backup: None for check in shown}}
        groups = ((b, tuple(c for c in shown if c.backup == b)) for b in backups)
        return tuple((backup, checks) for backup, checks in groups if checks)


@dataclass(frozen=True)
class AlikePromises:
    """Promises that say the same of several components, with the same answer."""

    promise: PromiseRecord
    components: tuple[str | None, ...]


def parts(evidence: Evidence) -> tuple[Part, ...]:
    """One part a component, in the policy's order, and the estate's own last.

    A component that only a record names has its part too: nothing may be left out.
    """
    components = {component.name: component for component in evidence.components}
    named = {
        *(one.component for one in evidence.backups),
        *(one.component for one in evidence.attempts),
        *(one.component for one in evidence.checks),
        *(one.component for one in evidence.promises),
    }
    others = sorted(name for name in named if name is not None and name not in components)
    names = [*components, *others, None]
    return tuple(_part(evidence, name, components.get(name or ""), len(names)) for name in names)


def _part(
    evidence: Evidence, name: str | None, component: ComponentRecord | None, count: int
) -> Part:
    backups = tuple(one for one in evidence.backups if one.component == name)
    checks = tuple(one for one in evidence.checks if one.component == name)
    return Part(
        name=name,
        component=component,
        backups=backups,
        attempts=tuple(one for one in evidence.attempts if one.component == name),
        checks=checks,
        promises=tuple(one for one in evidence.promises if one.component == name),
        shown_checks=_worst(checks, max(MOST_CHECKS // count, LEAST_SHARE)),
        shown_backups=_chosen(backups, max(MOST_BACKUPS // count, LEAST_SHARE)),
    )


def _worst(checks: tuple[CheckRecord, ...], most: int) -> tuple[CheckRecord, ...]:
    """As many checks as there is room for, in their order, those that did not pass before all."""
    ranked = sorted(range(len(checks)), key=lambda i: (-checks[i].verdict.rank, i))
    return tuple(checks[i] for i in sorted(ranked[:most]))


def _chosen(backups: tuple[BackupRecord, ...], most: int) -> tuple[BackupRecord, ...]:
    """As many backups as there is room for, in their order, those that were chosen before all."""
    last = len(backups)
    ranked = sorted(range(last), key=lambda i: (not backups[i].selected, last - i))
    return tuple(backups[i] for i in sorted(ranked[:most]))


def catalogue(checks: Sequence[CheckRecord]) -> tuple[CheckRecord, ...]:
    """Every check once, ordered by its id."""
    return tuple({check.id: check for check in sorted(checks, key=lambda one: one.id)}.values())


def answers(checks: Sequence[CheckRecord]) -> dict[str, Counter[str]]:
    """Check id to how often it gave which verdict."""
    found: dict[str, Counter[str]] = {}
    for check in checks:
        found.setdefault(check.id, Counter())[check.verdict] += 1
    return found


def alike(evidence: Evidence) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Exclusions that say the same of several components, together: what, and of which."""
    components = {component.name for component in evidence.components}
    groups: dict[str, list[str]] = {}
    for exclusion in evidence.exclusions:
        name, _, what = exclusion.partition(": ")
        if name in components:
            groups.setdefault(what, []).append(name)
        else:
            groups.setdefault(exclusion, [])
    return tuple(
        (f"{names[0]}: {what}", ()) if len(names) == 1 else (what, tuple(names))
        for what, names in groups.items()
    )


def alike_promises(promises: Sequence[PromiseRecord]) -> tuple[AlikePromises, ...]:
    """Each promise once with the components of which it is made and answered alike."""
    groups: dict[tuple[object, ...], list[PromiseRecord]] = {}
    for one in promises:
        key = (one.promise, one.verdict, one.checks, one.reason)
        groups.setdefault(key, []).append(one)
    return tuple(
        AlikePromises(group[0], tuple(one.component for one in group)) for group in groups.values()
    )


def surroundings(attempts: Sequence[AttemptRecord]) -> tuple[tuple[AttemptRecord, int], ...]:
    """One attempt for each of the surroundings that there were, and how many had them."""
    first: dict[tuple[str, ...], AttemptRecord] = {}
    count: Counter[tuple[str, ...]] = Counter()
    for one in attempts:
        key = (one.server_version, one.image, one.image_identifier, one.isolation, one.limits)
        first.setdefault(key, one)
        count[key] += 1
    return tuple((one, count[key]) for key, one in first.items())


def more_findings(findings: Sequence[CheckRecord]) -> tuple[tuple[CheckRecord, int], ...]:
    """Findings beyond those that have an entry of their own: each check once, how often."""
    rest = findings[MOST_FINDINGS:]
    count = Counter(check.id for check in rest)
    return tuple((check, count[check.id]) for check in catalogue(rest))
