"""Components under audit, made from a policy and a real vault, without a server."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from vaults import open_vault, store

from restoreproof.clock import system_clock
from restoreproof.component_audit import ComponentAudit
from restoreproof.estate import open_components
from restoreproof.evidence import CheckRecord
from restoreproof.policy import PolicyDocument
from restoreproof.policy_file import read_policy
from restoreproof.progress import Progress
from restoreproof.restore import Phase, RestoreAttempt, Target
from restoreproof.sandbox import Sandboxes
from restoreproof.vault import Vault
from restoreproof.verdicts import Severity, Verdict

SEED = 1
LOST = datetime(2026, 7, 8, 12, 0, tzinfo=UTC)
POLICY = """\
estate: Harbour
objectives: {rpo: 1h, rto: 4h, restore_test_every: 31d}
integrity_checks: every-audit
vault: {location: vault}
components:
  playbooks:
    engine: git
    source: {repository: ../playbooks.git, paths: {playbook: site.yml}}
    coverage: [playbook, inventory]
    schedule: {full: 10 16 * * 1, incremental: 10 16 * * 2-7}
    retention: {until: deleted-by-hand}
  wiki:
    engine: git
    source: {repository: ../wiki.git}
    coverage: [data, logs]
    retention: {days: 30}
"""


def policy_document(folder: Path, text: str = POLICY) -> PolicyDocument:
    """A policy that was read from a folder."""
    path = folder / "policy.yaml"
    path.write_text(text)
    return read_policy(path)


def components(
    folder: Path, backups: Mapping[str, int], which: Any = "all"
) -> tuple[list[ComponentAudit], Vault]:
    """The components of the policy, lost at noon, with so many daily backups each."""
    document = policy_document(folder)
    opened = open_components(document, (), Sandboxes("test"), lambda: LOST, Progress())
    vault = open_vault(folder / "vault")
    for audited in opened:
        for days in range(backups.get(audited.name, 0), 0, -1):
            point = LOST - timedelta(days=days)
            store(
                vault, f"{audited.name}-{days}", recovery_point=point,
                started_at=point - timedelta(seconds=2), finished_at=point + timedelta(seconds=8),
            )  # fmt: skip
        audited.lose(LOST, ask_source=False)
        audited.choose(vault.backups(audited.name), which, SEED)
    return opened, vault


def one_component(folder: Path, policy: str) -> tuple[ComponentAudit, Vault]:
    """The only component of a policy, and its vault, which is empty."""
    document = policy_document(folder, policy)
    (audited,) = open_components(document, (), Sandboxes("test"), system_clock, Progress())
    return audited, open_vault(folder / "vault")


def restored(audited: ComponentAudit, vault: Vault) -> ComponentAudit:
    """The component, lost by now, when each of its backups came back."""
    audited.lose(system_clock(), ask_source=False)
    audited.choose(vault.backups(audited.name), "all")
    for target in audited.targets:
        with audited.attempt(target) as done:
            assert done.succeeded, done.failure
    return audited


def attempt(target: Target, seconds: float, *, failure: str = "") -> RestoreAttempt:
    """A restore that took so long, or that failed after so long."""
    duration = timedelta(seconds=seconds)
    return RestoreAttempt(
        target=target,
        decided_at=LOST,
        phases=(Phase("load", timedelta(), duration),),
        duration=duration,
        manifest=None,
        restored=None if failure else object(),  # type: ignore[arg-type]  # only that it is there
        server_version="",
        isolation="",
        limits="",
        image=None,
        failure=failure,
        failed_in="load" if failure else "",
    )


def check_record(identifier: str, verdict: Verdict, **changes: Any) -> CheckRecord:
    """The answer of a check about the component ``wiki``."""
    facts = {
        "id": identifier,
        "title": "A claim",
        "description": "",
        "severity": Severity.HIGH,
        "component": "wiki",
        "backup": None,
        "verdict": verdict,
        "examined": 1,
        "expected": "",
        "seen": "",
        "remedy": "",
        "reason": "",
        "proves": ("content",),
        "duration": timedelta(),
    }
    return CheckRecord.model_validate(facts | changes)
