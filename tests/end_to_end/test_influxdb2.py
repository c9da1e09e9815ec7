"""InfluxDB 2.x through the real command line: a whole audit to a signed report, and a damaged one.

The image is of a registry, or loaded: without it these tests are skipped with its name.
"""

import os
import secrets
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from time import time_ns

import pytest
from influxdb2_server import CONFIGURED, serving
from runs import COMMAND, Finished, audit_command, run

from restoreproof import signing
from restoreproof.clock import system_clock
from restoreproof.damage import VaultCopy
from restoreproof.damage_content import replace_in_file
from restoreproof.damage_influxdb import drop_points
from restoreproof.verdicts import Verdict

NAME, ORGANIZATION, BUCKET = "metrics", "home", "telegraf"
HEALTHY, DAMAGED = "healthy", "damaged"
CONFIGURATION = b'log-level = "error"\nquery-concurrency = 10\n'
POLICY = """\
estate: Weather
objectives: {{rpo: 1h, rto: 1h, restore_test_every: 31d}}
integrity_checks: every-audit
negative_control: off
vault: {{location: "${{WEATHER_VAULT}}"}}
signing: {{identity: id/signer.p12, passphrase: "file:passphrase"}}
components:
  metrics:
    engine: influxdb2
    image: influxdb:2.7
    source:
      url: {url}
      token: ${{INFLUX_TOKEN}}
      organization: home
      buckets: [telegraf]
      lateness: 1s
      heartbeat:
        {{bucket: telegraf, measurement: heartbeat, writer: {{token: "${{INFLUX_TOKEN}}"}}}}
      configuration: {{container: {container}}}
    coverage: [data, configuration]
    schedule: {{full: 0 3 * * 0, incremental: "*/30 * * * *"}}
"""
OLD = "\n".join(f"cpu,host=h{n % 5} used={n}.5 {1_600_000_000 + n}000000000" for n in range(1000))
TASK = 'option task = {name: "made between", every: 1h}\nfrom(bucket: "x") |> range(start: -1h)'
FAULTS = {
    "RST-002": "points home/telegraf.cpu: is missing",
    "INF-002": "task home/made between",
    "INF-003": f"{CONFIGURED}: query-concurrency is no number, and taken for 0",
}
"""Check to the words of its finding."""


@dataclass(frozen=True)
class Weather:
    """The audits of the estate by their names, its secret, and whom to trust for its reports."""

    audits: Mapping[str, Finished]
    token: str
    trust: Path


@pytest.fixture(scope="module")
def weather(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Weather]:
    """A full backup and an increment, audited as they are and damaged."""
    place, token = tmp_path_factory.mktemp("influxdb2"), secrets.token_urlsafe(24)
    identity = signing.create_identity(place / "id", b"for trying out", now=system_clock())
    (place / "passphrase").write_text("for trying out")
    policy, vault = place / "policy.yaml", place / "vault"
    known = {"WEATHER_VAULT": str(vault), "INFLUX_TOKEN": token}

    def command(*words: str) -> None:
        done = run((*COMMAND, *words, policy), known, place)
        assert done.code == 0, done.output

    with serving(token, ORGANIZATION, BUCKET, CONFIGURATION) as server:
        client = server.client
        policy.write_text(POLICY.format(url=server.url, container=server.container))
        client.write(ORGANIZATION, BUCKET, [OLD.encode()], key="org")
        command("heartbeat")
        command("backup")
        client.write(ORGANIZATION, BUCKET, [b"cpu,host=late used=1 1600000000000000000"], key="org")
        client.post("/api/v2/tasks", {"orgID": server.organization, "flux": TASK})
        client.write(ORGANIZATION, BUCKET, [f"now v=1i {time_ns()}".encode()], key="org")
        command("heartbeat")
        command("backup")

        def audit(name: str) -> Finished:
            copy = VaultCopy.of(vault, place / f"vault-{name}")
            if name == DAMAGED:
                _damage(copy)
            archive = place / f"archive-{name}"
            asked = audit_command(archive, "--no-backup", policy=policy)
            return run(asked, {**known, "WEATHER_VAULT": str(copy.root)}, archive)

        with ThreadPoolExecutor(2) as pool:
            names = (HEALTHY, DAMAGED)
            audits = dict(zip(names, pool.map(audit, names), strict=True))
        yield Weather(audits, token, identity.signer.with_name("ca.pem"))


def _damage(copy: VaultCopy) -> None:
    """A shard without points, a task that was lost, and a value that the server cannot take."""
    full, increment = copy.vault.backups(NAME)
    assert increment.entry.kind == "incremental"
    (known,) = (one for one in full.manifest().artifacts if one.name == "metadata.bolt.zst")
    before = b"".join(full.read(known))
    copy.rewrite(full, "shard-1.tar.zst", drop_points)
    copy.rewrite(copy.same(increment), "metadata.bolt.zst", lambda _: before)
    spoil = replace_in_file(f"files{CONFIGURED}", b"= 10", b"= 'ten'")
    copy.rewrite(copy.same(increment), "configuration.tar.zst", spoil)


def test_healthy_backups_end_in_a_signed_report(weather: Weather) -> None:
    """Full and increment: every promise of content, configuration and loss is kept, and signed."""
    finished = weather.audits[HEALTHY]
    passed = {check for check, _ in finished.with_verdict(Verdict.PASSED)}

    assert not finished.with_verdict(Verdict.FAILED), finished.output
    assert not finished.with_verdict(Verdict.ERROR), finished.output
    wanted = {"INF-001", "RST-001", "RST-003", "INC-001", "VLT-001", "RPO-001", "RPO-003"}
    assert {*FAULTS, *wanted} <= passed
    assert [one.kind for one in finished.evidence.backups] == ["full", "incremental"]
    kept = {one.id: one.verdict for one in finished.evidence.promises}
    for promise in ("data", "configuration", "full", "incremental", "rpo", "rto"):
        assert kept[f"{NAME}.{promise}"] is Verdict.PASSED, promise
    pdf = finished.folder / "report.pdf"
    verified = run([*COMMAND, "verify", pdf, "--trust", weather.trust], {}, pdf.parent)
    assert verified.code == 0, verified.output


def test_what_would_be_lost_is_measured_by_heartbeats(weather: Weather) -> None:
    """The newest heartbeat of the restored copy says what is lost: moments, of an hour allowed."""
    (record,) = weather.audits[HEALTHY].checks("RPO-003", NAME)

    assert record.verdict is Verdict.PASSED, record.seen
    assert "newest restored heartbeat" in record.seen


def test_no_token_leaves_the_vault(weather: Weather) -> None:
    """Neither evidence nor report nor log nor what was said holds the operator token."""
    for finished in weather.audits.values():
        assert weather.token not in finished.output
        for folder, _, names in os.walk(finished.archive):
            for name in names:
                assert weather.token.encode() not in Path(folder, name).read_bytes(), name


@pytest.mark.parametrize("check", FAULTS)
def test_check_fails_on_its_fault(check: str, weather: Weather) -> None:
    """The check fails and says why, and no other is troubled."""
    finished, words = weather.audits[DAMAGED], FAULTS[check]

    assert {one for one, _ in finished.with_verdict(Verdict.FAILED)} == {*FAULTS}, finished.output
    assert not finished.with_verdict(Verdict.ERROR)
    assert finished.code == 1
    records = [one for one in finished.checks(check, NAME) if one.verdict is Verdict.FAILED]
    said = " ".join(f"{one.seen} {one.reason}" for one in records)
    assert words in said
    assert all(one.remedy for one in records)
