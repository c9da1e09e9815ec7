"""InfluxDB 2.x through the command line: mistakes in one line with exit 2."""

import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from influxdb2_server import IMAGE
from influxdb2_source import POWERLESS, InfluxDB2Torture, source
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


def _run(
    folder: Path, command: str, token: str, limit: int = 0
) -> "subprocess.CompletedProcess[str]":
    def bounded() -> None:
        if limit:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    done = subprocess.run(
        [sys.executable, "-m", "restoreproof.cli", command, "policy.yaml"],
        cwd=folder,
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "PASSPHRASE": "passphrase",
            "INFLUX_TOKEN": token,
        },
        preexec_fn=bounded,  # this process has no other threads that matter then
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
    policy.write_text(text.replace("[torture]", "[torture, never made]"))
    assert "no bucket never made in organization home" in _mistake(estate)
    policy.write_text(text.replace("organization: home", "organization: nobody's"))
    assert "no organization nobody's at the source" in _mistake(estate)


def test_configuration_that_is_not_there(torture: InfluxDB2Torture, estate: Path) -> None:
    """A container or a file that is not there is found before the job; so is a .conf."""
    policy = _policy(estate, torture.url)
    text = policy.read_text().replace("[data]", "[data, configuration]")
    (estate / "server/etc/influxdb").mkdir(parents=True)
    (estate / "server/etc/influxdb/influxd.conf").write_text('log-level = "warn"\n')
    for place, words in (
        ("{container: not-there-at-all}", "no container not-there-at-all"),
        ("{folder: server}", "no config.toml (/etc/influxdb2/config.json or "),
        ("{folder: server, files: [/etc/influxdb/influxd.conf]}", "no config.toml -- name"),
    ):
        line = f"      lateness: 1s\n      configuration: {place}\n"
        policy.write_text(text.replace("      lateness: 1s\n", line))
        assert words in _mistake(estate)


def test_full_disk_under_the_vault(torture: InfluxDB2Torture, estate: Path) -> None:
    """A backup that does not fit is a job that failed: nothing of it is in the vault."""
    _policy(estate, torture.url)
    done = _run(estate, "backup", SECRET, limit=1024)
    assert done.returncode in (1, 2, 3), done.stdout + done.stderr
    assert "too large" in done.stdout + done.stderr
    held = {path.name for path in estate.joinpath("vault").rglob("*") if "metrics" in str(path)}
    assert held <= {".metrics.lock"}


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
