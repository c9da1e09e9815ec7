"""A disk that takes no more ends an audit in one line, and never in the words of a verdict."""

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from restoreproof.clock import system_clock
from restoreproof.signing import create_identity

ROOT = Path(__file__).parents[1]
AUTHOR = ("-c", "user.name=a", "-c", "user.email=a@example.invalid")
POLICY = """
estate: Full
objectives: {rpo: 1h, rto: 4h, restore_test_every: 31d}
vault: {location: vault}
signing: {identity: id/signer.p12, passphrase: "${FULL_PASSPHRASE}"}
components:
  repo: {engine: git, coverage: [playbook], source: {repository: repo, paths: {playbook: a}}}
"""


@pytest.mark.parametrize("limit", [2_048, 8_192], ids=["junit.xml", "evidence.json"])
def test_full_archive_is_one_line_and_exit_code_2(limit: int, tmp_path: Path) -> None:
    """No traceback, no exit code of a verdict or an interrupt, and nothing half-written.

    A limit on the size of files stands for the disk: it is an error of writing just the same.
    """
    create_identity(tmp_path / "id", b"passphrase", now=system_clock())
    (tmp_path / "policy.yaml").write_text(POLICY)
    (tmp_path / "templates").mkdir()
    environment = os.environ | {
        "FULL_PASSPHRASE": "passphrase",
        "PYTHONPATH": str(ROOT),
        # Git's sample hooks would not fit either.
        "GIT_TEMPLATE_DIR": str(tmp_path / "templates"),
    }
    for command in (("init", "-q"), (*AUTHOR, "commit", "-q", "--allow-empty", "-m", "one")):
        place = tmp_path / "repo"
        place.mkdir(exist_ok=True)
        subprocess.run(["git", *command], cwd=place, env=environment, check=True)

    def cut() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    # Output goes through pipes, which the limit does not touch.
    done = subprocess.run(
        [sys.executable, "-m", "restoreproof.cli", "audit", "policy.yaml", "--out", "archive"],
        cwd=tmp_path,
        env=environment,
        preexec_fn=cut,  # this process has no other threads by then
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )

    assert done.returncode == 2, done.stdout + done.stderr
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1, done.stderr
    assert "cannot be written: File too large -- make room" in lines[0]
    for noise in ("Traceback", "INTERNALERROR", "interrupted"):
        assert noise not in done.stdout + done.stderr
    assert list((tmp_path / "archive").iterdir()) == []
