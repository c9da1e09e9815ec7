"""Run by ``tox -e wheel``: the installed wheel audits a small estate, far from the checkout."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import restoreproof
from restoreproof.resources import folder
from restoreproof.suite_index import read_suites

CHECKOUT = Path(__file__).resolve().parents[1]
POLICY = """\
estate: Harbour
objectives: {rpo: 1h, rto: 1h, restore_test_every: 31d}
integrity_checks: every-audit
vault: {location: vault}
signing: {identity: identity/signer.p12, passphrase: "${RESTOREPROOF_PASSPHRASE}"}
components:
  playbooks:
    engine: git
    source:
      repository: playbooks
      paths: {playbook: site.yml}
    coverage: [playbook]
    retention: {until: deleted-by-hand}
"""
PROVEN = {"JOB-001", "VLT-001", "RST-001", "RST-002", "RTO-001", "GIT-001", "GIT-002", "GIT-003"}


def main() -> None:
    """Check what is installed, then audit, then verify. Any failure ends with a traceback."""
    package = Path(restoreproof.__file__).resolve().parent
    expect("site-packages" in package.parts, f"{package} is not installed")
    expect(package.parent != CHECKOUT, f"{package} is the checkout")
    for name in ("suites", "fixtures", "reports"):
        found = folder(name)
        expect(found.parent == package, f"{name} comes from {found}")
    expect(len(read_suites(folder("suites")).declarations) > 10, "the suites are not whole")
    expect((folder("fixtures") / "agama" / "policy.yaml").is_file(), "no policy of Agama")
    expect(not (folder("reports") / "archive").exists(), "the wheel carries reports of others")
    with tempfile.TemporaryDirectory() as place:
        audit(Path(place))
    say(f"the wheel of restoreproof {restoreproof.__version__} works outside the checkout")


def audit(place: Path) -> None:
    """An estate without a server: backed up, restored, reported, verified."""
    (place / "policy.yaml").write_text(POLICY, encoding="utf-8")
    repository = place / "playbooks"
    run(place, "git", "init", "--quiet", str(repository))
    (repository / "site.yml").write_text("- hosts: all\n", encoding="utf-8")
    author = ("-c", "user.name=Ada", "-c", "user.email=ada@harbour.example")
    run(repository, "git", "add", ".")
    run(repository, "git", *author, "commit", "--quiet", "-m", "Begin")
    run(place, "restoreproof", "keygen", "identity")
    # Unproven, not failed: the policy of a repository has no schedule and no heartbeat.
    run(place, "restoreproof", "audit", "policy.yaml", "--out", "archive", code=3)
    (report,) = place.glob("archive/*/report.pdf")
    run(place, "restoreproof", "verify", str(report), "--trust", "identity/ca.pem")
    evidence = json.loads(report.with_name("evidence.json").read_bytes())
    passed = {check["id"] for check in evidence["checks"] if check["verdict"] == "passed"}
    expect(passed >= PROVEN, f"not passed: {PROVEN - passed}")
    suites = read_suites(folder("suites"))
    expect(evidence["environment"]["suites_sha256"] == suites.sha256, "other suites were asked")


def run(place: Path, command: str, *arguments: str, code: int = 0) -> None:
    """Run a command, ours from beside this Python, without the surroundings' Python path."""
    beside = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    program = shutil.which(command, path=beside)
    expect(program is not None, f"no {command} on the path")
    inherited = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    environment = {**inherited, "PATH": beside, "RESTOREPROOF_PASSPHRASE": "for trying out"}
    done = subprocess.run(
        [str(program), *arguments],
        cwd=place,
        env=environment,
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    expect(done.returncode == code, f"{command} ended with {done.returncode}:\n{done.stdout}")


def expect(condition: bool, complaint: str) -> None:
    """Stop with a complaint unless a condition holds; unlike assert also under ``python -O``."""
    if not condition:
        raise SystemExit(f"wheel check: {complaint}")


def say(text: str) -> None:
    """Print a line."""
    sys.stdout.write(f"{text}\n")


if __name__ == "__main__":
    main()
