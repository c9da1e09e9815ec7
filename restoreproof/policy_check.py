"""``restoreproof policy check``: contradictions and warnings of a policy, before anything runs."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from restoreproof.command_engine import engine_of
from restoreproof.contradictions import (
    Planned,
    Ruling,
    estate_rulings,
    known_durations,
    rulings,
)
from restoreproof.errors import UserError
from restoreproof.estate import open_vault
from restoreproof.policy import PolicyDocument
from restoreproof.policy_file import read_policy
from restoreproof.policy_warnings import PolicyWarning, component_warnings, estate_warnings
from restoreproof.vault import StoredBackup
from restoreproof.wording import plural


@dataclass(frozen=True)
class PolicyCheck:
    """A valid policy with all that can be said of it without a server."""

    document: PolicyDocument
    planned: tuple[Planned, ...]
    rulings: tuple[Ruling, ...]
    warnings: tuple[PolicyWarning, ...]

    @property
    def contradictions(self) -> tuple[Ruling, ...]:
        """The rules that do not hold."""
        return tuple(ruling for ruling in self.rulings if not ruling.holds)

    def lines(self) -> Iterator[str]:
        """What a user reads of it."""
        policy = self.document.policy
        components = plural(len(policy.components), "component")
        yield f"{self.document.path.name}: valid, {components} of the estate {policy.estate}"
        for found in self.contradictions:
            yield f"contradiction {found.rule} {found.component}: {found.seen}"
            yield f"    computed from  {found.basis}"
            yield f"    to do          {found.mend}"
        for warning in self.warnings:
            about = f"{warning.about}: " if warning.about else ""
            yield f"warning {about}{warning.what} -- {warning.mend}"
        count = plural(len(self.contradictions), "contradiction")
        judged = "sound" if not self.contradictions else count
        yield f"{judged}, {plural(len(self.warnings), 'warning')}"


def check(path: Path, now: datetime) -> PolicyCheck:
    """Read a policy and hold its promises against each other.

    How long jobs take is known from the vault, if there is one. Raise PolicyInvalid, and
    CatalogCorrupt for a vault that does not tell.
    """
    document = read_policy(path)
    policy = document.policy
    planned = tuple(
        Planned(
            name,
            component,
            policy.objectives,
            policy.audit,
            engine_of(name, component),
            now,
            known_durations(_known_backups(document, name)),
        )
        for name, component in policy.components.items()
    )
    found = [ruling for one in planned for ruling in rulings(one)]
    warnings = [warning for one in planned for warning in component_warnings(one, policy)]
    return PolicyCheck(
        document,
        planned,
        (*found, *estate_rulings(policy)),
        (*estate_warnings(policy, now), *warnings),
    )


def _known_backups(document: PolicyDocument, name: str) -> tuple[StoredBackup, ...]:
    try:
        return open_vault(document).backups(name)
    except UserError:
        # A variable of the vault's place is not set, or it is no folder.
        return ()
