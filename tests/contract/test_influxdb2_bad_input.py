"""InfluxDB 2.x through the command line: a whole audit, and mistakes in one line with exit 2."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from influxdb2_source import IMAGE, POWERLESS, InfluxDB2Torture, source
from sources import SECRET, provider
from testcontainers.core.container import DockerContainer

from restoreproof import images
from restoreproof.demo.servers import address, publish, wait_until
from restoreproof.engines.influxdb2_client import Influx2Client
from restoreproof.sandbox import Sandboxes
from restoreproof.signing import create_identity

ROOT = Path(__file__).parents[2]
SECONDS = 180
POLICY = """\
estate: Weather
objectives: {rpo: 1h, rto: 4h, restore_test_every: 31d}
vault: {location: vault}
signing: {identity: identity/signer.p12, passphrase: "${PASSPHRASE}"}
components:
  metrics:
    engine: influxdb2
    image: IMAGE
    source:
      url: URL
      token: ${INFLUX_TOKEN}
      organization: home
      buckets: [torture]
      lateness: 1s
      heartbeat: {bucket: torture, measurement: heartbeat}
    coverage: [data]
    schedule: {full: 10 16 * * 1, incremental: "*/30 * * * *"}
"""
ASKED = {"VLT-001", "RST-001", "RST-002", "RST-003", "RPO-003", "INC-001", "INF-001"}


@pytest.fixture(scope="module")
def torture(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InfluxDB2Torture]:
    """The server."""
    provider("influxdb2")
    with source(tmp_path_factory.mktemp("source")) as made:
        yield made


@pytest.fixture
def estate(tmp_path: Path) -> Path:
    """A folder with an identity that signs."""
    create_identity(tmp_path / "identity", b"passphrase", now=datetime.now(UTC))
    return tmp_path


def _policy(folder: Path, url: str, image: str = IMAGE) -> Path:
    policy = folder / "policy.yaml"
    policy.write_text(POLICY.replace("IMAGE", image).replace("URL", url))
    return policy


def _run(folder: Path, command: str, token: str) -> "subprocess.CompletedProcess[str]":
    done = subprocess.run(
        [sys.executable, "-m", "restoreproof.cli", command, "policy.yaml"],
        cwd=folder,
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "PASSPHRASE": "passphrase",
            "INFLUX_TOKEN": token,
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS,
    )
    assert "Traceback" not in done.stdout + done.stderr, done.stderr
    assert SECRET not in done.stdout + done.stderr
    return done


def _mistake(folder: Path, token: str = SECRET, command: str = "backup") -> str:
    """The one line of a command that has to fail and to leave every file as it was."""
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    done = _run(folder, command, token)
    assert done.returncode == 2, done.stdout + done.stderr
    (line,) = done.stderr.splitlines()
    assert " -- " in line
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
    return line


def test_an_audit_proves_a_chain(torture: InfluxDB2Torture, estate: Path) -> None:
    """A full backup, an increment and the audit of both: content, writes and loss are proven."""
    _policy(estate, torture.url)

    def beat() -> None:
        at = int(datetime.now(UTC).timestamp() * 1000) * 10**6
        torture.write("torture", f"heartbeat beat=1i {at}")

    beat()
    made = _run(estate, "backup", SECRET)
    assert made.returncode == 0, made.stderr
    beat()
    _run(estate, "audit", SECRET)
    (found,) = estate.glob("reports/archive/*/evidence.json")
    evidence = json.loads(found.read_text())
    checks = {one["id"]: one["verdict"] for one in evidence["checks"]}
    assert {name: checks.get(name) for name in ASKED} == dict.fromkeys(ASKED, "passed")
    assert "failed" not in checks.values()
    assert SECRET not in found.read_text()


def test_nobody_at_the_address(torture: InfluxDB2Torture, estate: Path) -> None:
    """A port at which nothing listens."""
    _policy(estate, "http://127.0.0.1:1")
    assert "InfluxDB at http://127.0.0.1:1 cannot be reached" in _mistake(estate)


def test_a_refused_token(torture: InfluxDB2Torture, estate: Path) -> None:
    """A token that the server does not know, and one without an operator's rights."""
    _policy(estate, torture.url)
    for token in ("never-made", os.environ[POWERLESS]):
        line = _mistake(estate, token)
        assert "refused the token: " in line
        assert "give an operator token in source.token" in line


def test_names_that_do_not_exist(torture: InfluxDB2Torture, estate: Path) -> None:
    """A bucket and an organization that the server does not have."""
    policy = _policy(estate, torture.url)
    text = policy.read_text()
    policy.write_text(text.replace("[torture]", "[never made]"))
    assert "no bucket never made in organization home" in _mistake(estate)
    policy.write_text(text.replace("organization: home", "organization: nobody's"))
    assert "no organization nobody's at the source" in _mistake(estate)


def test_a_server_of_the_first_generation(torture: InfluxDB2Torture, estate: Path) -> None:
    """An InfluxDB 1.x server is told by its version, with the engine that it needs."""
    image = images.ensure("restoreproof/influxdb:1.6", lambda _: None)
    container = DockerContainer(image.reference)
    publish(container, (8086,), Sandboxes("contract").labels("source"))
    with container:
        host, port = address(container, 8086)
        url = f"http://{host}:{port}"
        with closing(Influx2Client(url)) as client:

            def answers() -> bool:
                try:
                    return bool(client.version())
                except httpx.HTTPError:
                    return False

            wait_until(answers, container, what="the InfluxDB server")
        _policy(estate, url)
        line = _mistake(estate)
    assert "the source is InfluxDB 1.6" in line
    assert "write engine: influxdb" in line


def test_an_image_that_cannot_be_had(estate: Path) -> None:
    """Without the image an audit ends in one line that names it, and is no pass."""
    _policy(estate, "http://127.0.0.1:1", image="influxdb:0.0-never-made")
    for command in ("backup", "audit"):
        line = _mistake(estate, command=command)
        assert "influxdb:0.0-never-made: not on this machine" in line
