"""What a scenario is: a fault, the check that has to fail on it, and the audit that was played."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from runs import Finished
from vault_faults import nothing

from restoreproof.damage import VaultCopy
from restoreproof.vault import StoredBackup

JOINING = ("at_least: 100", "at_least: 100\n      join_as_replica: true")
"""What has a policy ask that the restored server joins its source."""


@dataclass(frozen=True)
class Scenario:
    """A fault, the check that has to fail on it, and in which words.

    ``source`` damages the source itself, for which a job is run; ``policy`` and ``policy_too``
    each replace a text of the policy; ``tampering`` names what the plugin ``tampering`` does to
    the restored copy. Ansible, which takes seconds, is asked only where ``asks_ansible``.
    """

    check: str
    component: str
    title: str
    seen: str
    damage: Callable[[VaultCopy], None] = nothing
    also: frozenset[str] = frozenset()
    policy: tuple[str, str] = ("", "")
    policy_too: tuple[str, str] = ("", "")
    tampering: str = ""
    source: Callable[[Path, Path], Mapping[str, str]] | None = None
    asks_ansible: bool = False

    def __str__(self) -> str:
        return f"{self.check} {self.title}"


@dataclass(frozen=True)
class Case:
    """A scenario that was played: the backup that was damaged, and the audit after it."""

    backup: StoredBackup
    finished: Finished


CRITERIA = {"CRT-001", "CRT-002", "CRT-003"}
"""The checks of what is played; only their own scenarios play it."""
RETENTION = "    retention:\n      until: deleted-by-hand"
SCHEDULED = (
    RETENTION,
    "    schedule: {full: 0 2 * * 1-5}\n    retention: {days: 2}",
)
"""What gives the repository a schedule, and a retention that does not fit it."""

EXPECTED = (
    "    description: Ansible repository\n",
    "    description: Ansible repository\n    expected_size: 1.2MB\n",
)
"""What gives the repository a size that is larger than what is restored."""

ANOTHER_VERSION = frozenset({"RST-002", "GIT-002"})
"""A version that nobody recorded is seen by whoever compares."""
