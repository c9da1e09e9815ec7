"""A report that could not be made with its run: evidence is kept, and made it is later, whole."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from commands import DOCKER, files, mistakes, run
from cryptography.hazmat.primitives.asymmetric import ec
from signing_services import Authority, serving

from restoreproof import report_folder
from restoreproof.beside_report import check_ledger
from restoreproof.engines.git_command import run_git
from restoreproof.errors import RestoreProofError
from restoreproof.evidence import parse
from restoreproof.identities import load_identity
from restoreproof.proofs import Outcome
from restoreproof.signature_level import Level
from restoreproof.signing import Means
from restoreproof.verification import verify

POLICY = """\
estate: Harbour
objectives: {{rpo: 1h, rto: 4h, restore_test_every: 31d}}
vault: {{location: vault}}
negative_control: off
signing:
  identity: identity/signer.pem
  timestamp: {{url: '{url}/tsa', trust: identity/ca.pem}}
components:
  notes: {{engine: git, source: {{repository: notes}}, coverage: [data]}}
"""
TRUST = ("--trust", "identity/ca.pem", "--trust-timestamps", "identity/ca.pem")
NOW = datetime.now(UTC)
pytestmark = pytest.mark.thorough


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Authority]]:
    """A folder with a policy whose time-stamping authority does not answer."""
    folder = tmp_path_factory.mktemp("later")
    who = ["-c", "user.name=x", "-c", "user.email=x@example.com"]
    run_git(["init", "--quiet", "--initial-branch=main", str(folder / "notes")])
    run_git([*who, "commit", "--quiet", "--allow-empty", "-m", "first"], folder / "notes")
    with serving(Authority(NOW)) as authority:
        key = ec.generate_private_key(ec.SECP256R1())
        authority.write_pem(folder / "identity", key, authority.issue(key))
        (folder / "policy.yaml").write_text(POLICY.format(url=authority.url))
        authority.broken.add("timestamps")
        yield folder, authority


def test_level_is_never_lowered_and_the_report_is_made_later(
    place: tuple[Path, Authority],
) -> None:
    """One line, exit code 3, all evidence; and the command that the line names makes it whole."""
    folder, authority = place

    audit = run(folder, "audit", "policy.yaml", "--out", "archive", **DOCKER)

    assert audit.code == 3, audit.printed
    told = audit.messages[-1]
    assert "level B-T is not lowered" in told
    (evidence,) = (folder / "archive").glob("*/evidence.json")
    left = sorted(path.name for path in evidence.parent.iterdir())
    assert "report.pdf" not in left and "SHA256SUMS" not in left
    (entry,) = map(json.loads, (folder / "archive" / "ledger.jsonl").read_text().splitlines())
    assert [one["name"] for one in entry["files"]] == left
    command = told.partition("then: restoreproof ")[2].split()
    assert command[:2] == ["report", str(evidence.relative_to(folder))]

    before = files(folder)
    (still,) = mistakes(folder, command, code=3)
    assert "level B-T is not lowered" in still
    assert files(folder) == before

    authority.broken.clear()
    made = run(folder, *command)
    assert made.code == 0, made.printed
    report = evidence.with_name("report.pdf")
    proven = run(folder, "verify", str(report), *TRUST, "--level", "B-T")
    assert proven.code == 0, proven.printed
    assert "proved      sidecars" in proven.printed
    assert "names the attached evidence" in proven.printed
    listed = {line.split("  ")[1] for line in
              evidence.with_name("SHA256SUMS").read_text().splitlines()}  # fmt: skip
    assert {*left, "report.pdf", "report.html", "attestation.dsse.json"} == listed
    assert run(folder, "ledger", "verify", "--archive", "archive").code == 0

    (taken,) = mistakes(folder, command)
    assert "there is a file already" in taken


def test_folder_for_a_report_is_the_runs_own_or_empty(
    place: tuple[Path, Authority], tmp_path: Path
) -> None:
    """What is not this run's is neither bound nor mixed in, and nothing half is left."""
    folder, authority = place
    authority.broken.clear()
    (run_folder,) = (path.parent for path in (folder / "archive").glob("*/evidence.json"))
    archive = tmp_path / "archive"
    copy = archive / run_folder.name
    shutil.copytree(run_folder, copy)
    for name in report_folder.MADE:
        (copy / name).unlink()
    shutil.copy(folder / "archive" / "ledger.jsonl", archive)
    evidence = parse((copy / "evidence.json").read_bytes(), where="")
    identity = load_identity(folder / "identity" / "signer.pem", b"", now=NOW)
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "notes.txt").write_text("somebody's")
    junit = copy / "junit.xml"
    content = junit.read_bytes()

    def refused(to: Path, problem: str) -> None:
        before = files(tmp_path)
        with pytest.raises(RestoreProofError, match=problem):
            report_folder.make_later(evidence, to, identity, Means(Level.T), lambda: NOW)
        assert files(tmp_path) == before

    refused(tmp_path / "foreign", "not the folder of this run")
    refused(copy, "none is named")
    junit.unlink()
    junit.write_bytes(content + b" ")
    refused(copy, "not the file that the run wrote")
    words = ("report", str(copy / "evidence.json"), "--to")
    (unsigned,) = mistakes(tmp_path, [*words, "new"])
    assert "a folder is for a signed report" in unsigned

    policy = ("--policy", str(folder / "policy.yaml"))
    made = run(tmp_path, *words, "new", *policy)
    assert made.code == 0, made.printed
    proven = run(folder, "verify", str(tmp_path / "new" / "report.pdf"), *TRUST)
    assert "proved      sidecars" in proven.printed
    assert (tmp_path / "new" / "evidence.json").read_bytes() == evidence.canonical()


def test_disk_that_fills_while_the_report_is_made(place: tuple[Path, Authority]) -> None:
    """Nothing half made is left, and the command that the line names makes the report whole."""
    folder, authority = place
    authority.broken.clear()
    archive = folder / "small"
    archive.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o"]
    # Room for the evidence and not for the report.
    subprocess.run([*mount, "size=200k", "none", str(archive)], check=True)
    try:
        audit = run(folder, "audit", "policy.yaml", "--out", "small", **DOCKER)

        assert audit.code == 3, audit.printed
        told = audit.messages[-1]
        assert "No space left on device" in told
        (evidence,) = archive.glob("*/evidence.json")
        left = {path.name for path in evidence.parent.iterdir()}
        assert not left & report_folder.MADE
        subprocess.run([*mount, "remount,size=20m", "none", str(archive)], check=True)
        made = run(folder, *told.partition("then: restoreproof ")[2].split())
        assert made.code == 0, made.printed
        proven = run(folder, "verify", str(evidence.with_name("report.pdf")), *TRUST)
        assert proven.code == 0, proven.printed
        assert "proved      sidecars" in proven.printed
    finally:
        subprocess.run(["umount", str(archive)], check=True)


def test_report_made_later_of_other_evidence_is_found_out(place: tuple[Path, Authority]) -> None:
    """A ledger whose run left other evidence than the report carries denies it."""
    folder, _ = place
    (path,) = (folder / "archive").glob("*/report.pdf")
    identity = load_identity(folder / "identity" / "signer.pem", b"", now=NOW)
    found = verify(path.read_bytes(), identity.trust, now=datetime.now(UTC),
                   timestamp_trust=identity.trust)  # fmt: skip
    (good,) = check_ledger(path, None, found)
    (bad,) = check_ledger(path, None, replace(found, attached=b"{}"))

    assert (good.outcome, bad.outcome) == (Outcome.PROVED, Outcome.FAILED)
    assert "its evidence is not the attached one" in bad.told
