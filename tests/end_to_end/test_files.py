"""Files through the real command line: each of their checks is seen to pass and to fail."""

import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from runs import COMMAND, Finished, audit_command, run

from restoreproof import signing
from restoreproof.clock import system_clock
from restoreproof.damage import VaultCopy
from restoreproof.damage_content import replace_in_file
from restoreproof.verdicts import Verdict

NAME = "server-files"
HEALTHY, DAMAGED = "healthy", "damaged"
POLICY = """\
estate: Harbour
objectives: {{rpo: 25h, rto: 1h, restore_test_every: 31d}}
integrity_checks: every-audit
vault: {{location: "${{HARBOUR_VAULT}}"}}
signing: {{identity: id/signer.p12, passphrase: "file:passphrase"}}
components:
  server-files:
    engine: files
    image: restoreproof/mysql:9.7
    source:
      paths: [{folder}]
      logs: {{paths: ["{folder}/app.log*"], largest_gap: 30m}}
      validate: [{{mysqld: {folder}/my.cnf}}]
    coverage: [data, configuration, logs]
    schedule: {{full: 0 3 * * 0, incremental: 0 3 * * *}}
"""
FAULTS = {
    "FIL-001": "could not be read: /srv/closed: Permission denied",
    "FIL-002": "unknown variable 'max_connectoins=77'",
    "FIL-003": "app.log: nothing between",
}
"""Check to the words of its finding."""


@pytest.fixture(scope="module")
def audits(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Finished]:
    """An audit of healthy backups, and one of damaged ones."""
    place = tmp_path_factory.mktemp("files")
    signing.create_identity(place / "id", b"for trying out", now=system_clock())
    (place / "passphrase").write_text("for trying out")
    folder = place / "source"
    folder.mkdir()
    (folder / "my.cnf").write_text("[mysqld]\nmax_connections = 77\n")
    now = datetime.now(UTC)
    times = [now - timedelta(minutes=minute) for minute in range(120, -1, -5)]
    (folder / "app.log").write_text("".join(f"{at:%Y-%m-%dT%H:%M:%SZ} beat\n" for at in times))
    policy = place / "policy.yaml"
    policy.write_text(POLICY.format(folder=folder))
    vault = place / "vault"
    for number in range(2):
        (folder / "changed").write_text(f"{number}\n")
        done = run((*COMMAND, "backup", policy), {"HARBOUR_VAULT": str(vault)}, place)
        assert done.code == 0, done.output
    hour = [f"{at:%Y-%m-%dT%H:%M:%SZ} beat\n".encode() for at in times][4:14]
    changes = (
        replace_in_file(f"files{folder}/my.cnf", b"tions", b"toins"),
        replace_in_file(f"files{folder}/app.log", b"".join(hour), b"x" * 21 * len(hour)),
    )

    def audit(name: str) -> Finished:
        copy = VaultCopy.of(vault, place / f"vault-{name}")
        if name == DAMAGED:
            for change in changes:
                copy.rewrite(copy.vault.backups(NAME)[0], "files.tar.zst", change)
            _could_not_read(copy)
        archive = place / f"archive-{name}"
        command = audit_command(archive, "--no-backup", policy=policy)
        return run(command, {"HARBOUR_VAULT": str(copy.root)}, archive)

    with ThreadPoolExecutor(2) as pool:
        names = (HEALTHY, DAMAGED)
        return dict(zip(names, pool.map(audit, names), strict=True))


def _could_not_read(copy: VaultCopy) -> None:
    newest = copy.newest(NAME)
    unread = json.dumps(["/srv/closed: Permission denied"])
    copy.restate(newest, facts={**newest.manifest().facts, "unreadable": unread})


def test_healthy_files_pass_every_check(audits: Mapping[str, Finished]) -> None:
    """A full backup and an increment: nothing fails, and every promise but the loss is kept."""
    finished = audits[HEALTHY]
    passed = {check for check, _ in finished.with_verdict(Verdict.PASSED)}

    assert not finished.with_verdict(Verdict.FAILED), finished.output
    assert not finished.with_verdict(Verdict.ERROR), finished.output
    assert {*FAULTS, "RST-001", "RST-002", "RST-003", "INC-001", "VLT-001"} <= passed
    kinds = [one.kind for one in finished.evidence.backups]
    assert kinds == ["full", "incremental"]
    kept = {one.id: one.verdict for one in finished.evidence.promises}
    for promise in ("data", "configuration", "logs", "full", "incremental"):
        assert kept[f"{NAME}.{promise}"] is Verdict.PASSED, promise
    (isolation,) = {one.isolation for one in finished.evidence.attempts}
    assert "no network" in isolation


@pytest.mark.parametrize("check", FAULTS)
def test_check_fails_on_its_fault(check: str, audits: Mapping[str, Finished]) -> None:
    """The check fails and says why, and no other is troubled but the comparison."""
    finished, words = audits[DAMAGED], FAULTS[check]

    failed = {one for one, _ in finished.with_verdict(Verdict.FAILED)}
    assert failed == {*FAULTS, "RST-002"}, finished.output
    assert not finished.with_verdict(Verdict.ERROR)
    assert finished.code == 1
    records = [one for one in finished.checks(check, NAME) if one.verdict is Verdict.FAILED]
    assert all(words in f"{one.seen} {one.reason}" and one.remedy for one in records), records
