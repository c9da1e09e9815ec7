"""Two audits at once, while a third process backs up: each comes to its end, and nothing breaks."""

import os
from datetime import UTC, datetime
from pathlib import Path

from commands import PASSPHRASE, run, run_all
from git import Repo

from restoreproof.evidence import parse
from restoreproof.signing import create_identity
from restoreproof.vault import Vault
from restoreproof.verdicts import Verdict

POLICY = """\
estate: Harbour
objectives: {rpo: 1h, rto: 4h, restore_test_every: 31d}
vault: {location: vault}
signing: {identity: identity/signer.p12, passphrase: "${PASSPHRASE}"}
components:
  playbooks:
    engine: git
    source: {repository: playbooks.git}
    coverage: [playbook]
"""


def test_two_audits_at_once(tmp_path: Path) -> None:
    """Both say who holds the lock, restore what there is, and leave evidence of their own."""
    create_identity(tmp_path / "identity", PASSPHRASE.encode(), now=datetime.now(UTC))
    (tmp_path / "policy.yaml").write_text(POLICY)
    with Repo.init(tmp_path / "playbooks.git") as repository:
        repository.index.commit("begin")
    assert run(tmp_path, "backup", "policy.yaml").code == 0
    vault, archive = Vault(str(tmp_path / "vault")), tmp_path / "archive"
    before = vault.catalog.path.read_bytes()
    command = ("audit", "policy.yaml", "--out", "archive")

    with vault.working_on("playbooks", "backing up", datetime.now(UTC)):
        outcomes = run_all(tmp_path, command, command)

    runs = [parse(path.read_bytes(), where="") for path in archive.glob("*/evidence.json")]
    assert len(runs) == 2
    for outcome in outcomes:
        assert outcome.code == 3, outcome.printed
        assert f"held by process {os.getpid()} on" in outcome.printed
    for evidence in runs:
        found = {check.id: check for check in evidence.checks}
        assert found["JOB-001"].verdict is Verdict.ERROR
        assert f"process {os.getpid()} on" in found["JOB-001"].reason
        assert found["RST-001"].verdict is Verdict.PASSED
        assert not [one.id for one in evidence.checks if one.verdict is Verdict.FAILED]
    assert vault.catalog.path.read_bytes() == before
