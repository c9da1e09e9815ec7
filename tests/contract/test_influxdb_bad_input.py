"""Bad input of InfluxDB as a user meets it: one line, exit 2 or 3, nothing half-written."""

import os
import resource
import subprocess
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest
from influxdb_bench import Server, server

from restoreproof.signing import create_identity

ROOT = Path(__file__).parents[2]
SECONDS = 180
PASSWORD = "planted-secret"
POLICY = """\
estate: Metrics
objectives: {rpo: 1h, rto: 4h, restore_test_every: 31d}
vault: {location: vault}
signing: {identity: identity/signer.p12, passphrase: "${PASSPHRASE}"}
components:
  metrics:
    engine: influxdb
    image: restoreproof/influxdb:1.6
    source: {url: URL, backup: PORT, lateness: 1s, user: backup, password: "${METRICS}"MORE}
    coverage: [data, configuration]
    schedule: {full: 10 16 * * 1, incremental: 10 16 * * 2-7}
"""


@pytest.fixture(scope="module")
def source() -> Iterator[Server]:
    """A server with one database."""
    with server() as made:
        made.run("CREATE DATABASE metrics")
        made.write("metrics", *(f'v,n={n} v="{"x" * 400}{n}" {n}' for n in range(1000)))
        yield made


@pytest.fixture
def estate(source: Server, tmp_path: Path) -> Path:
    """A folder with a policy and an identity that signs."""
    create_identity(tmp_path / "identity", b"passphrase", now=datetime.now(UTC))
    _write_policy(tmp_path, source)
    return tmp_path


def _write_policy(folder: Path, source: Server, more: str = "", **other: str) -> None:
    text = POLICY.replace("MORE", more)
    text = text.replace("URL", other.get("url", source.url))
    (folder / "policy.yaml").write_text(text.replace("PORT", other.get("port", source.backup)))


def _restoreproof(folder: Path, *words: str, limit: int = 0) -> "subprocess.CompletedProcess[str]":
    def bounded() -> None:
        if limit:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    known = {"PYTHONPATH": str(ROOT), "PASSPHRASE": "passphrase", "METRICS": PASSWORD}
    done = subprocess.run(
        [sys.executable, "-m", "restoreproof.cli", *words],
        cwd=folder,
        env={**os.environ, **known},
        preexec_fn=bounded,  # this process has no other threads that matter then
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS,
    )
    assert "Traceback" not in done.stdout + done.stderr, done.stderr
    assert PASSWORD not in done.stdout + done.stderr
    return done


def _mistake(folder: Path, *words: str, code: int = 2) -> str:
    """The one line of a command that has to fail and to leave every file as it was."""
    before = _files(folder)
    done = _restoreproof(folder, *words)
    assert done.returncode == code, done.stdout + done.stderr
    lines = done.stderr.splitlines()
    assert len(lines) == 1, done.stderr
    assert " -- " in lines[0]
    assert _files(folder) == before
    return lines[0]


def _files(folder: Path) -> Mapping[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_nobody_at_the_address(estate: Path, source: Server) -> None:
    """A server that cannot be reached is named with what to mend."""
    _write_policy(estate, source, url="http://127.0.0.1:1")
    line = _mistake(estate, "backup", "policy.yaml")
    assert "component metrics: InfluxDB at http://127.0.0.1:1 cannot be reached" in line


def test_closed_backup_port(estate: Path, source: Server) -> None:
    """HTTP alone is not enough: backups come through another port."""
    _write_policy(estate, source, port="127.0.0.1:1")
    line = _mistake(estate, "backup", "policy.yaml")
    assert "the backup port 127.0.0.1:1 does not answer" in line
    assert "bind-address" in line


def test_database_that_is_not_there(estate: Path, source: Server) -> None:
    """A name of the policy that the server does not know."""
    _write_policy(estate, source, ", databases: [metrics, metricks]")
    line = _mistake(estate, "audit", "policy.yaml")
    assert "no database metricks at the source" in line


def test_configuration_that_is_not_there(estate: Path, source: Server) -> None:
    """A container or a file that is not there is found before the job."""
    _write_policy(estate, source, ", configuration: {container: not-there-at-all}")
    assert "no container not-there-at-all" in _mistake(estate, "backup", "policy.yaml")
    (estate / "empty").mkdir()
    _write_policy(estate, source, ", configuration: {folder: empty}")
    assert "no influxdb.conf (/etc/influxdb/influxdb.conf or" in _mistake(
        estate, "backup", "policy.yaml"
    )


@pytest.mark.parametrize(
    ("version", "status", "expected"),
    [
        ("v2.7.12", 204, "the source is InfluxDB v2.7.12"),
        ("", 204, "the source is InfluxDB of an unknown version"),
        ("1.8.10", 401, "InfluxDB refused the user: unable to parse authentication"),
    ],
)
def test_server_that_is_no_source(
    estate: Path, source: Server, version: str, status: int, expected: str
) -> None:
    """Another version, another product and a refused password, each in one line."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(204)
            if version:
                self.send_header("X-Influxdb-Version", version)
            self.end_headers()

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(status)
            self.end_headers()
            self.wfile.write(b'{"error":"unable to parse authentication credentials"}')

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    listening = HTTPServer(("127.0.0.1", 0), Answer)
    Thread(target=listening.serve_forever, daemon=True).start()
    try:
        _write_policy(estate, source, url=f"http://127.0.0.1:{listening.server_port}")
        line = _mistake(estate, "backup", "policy.yaml")
    finally:
        listening.shutdown()
        listening.server_close()
    assert expected in line


def test_full_disk_under_the_vault(estate: Path, source: Server) -> None:
    """A backup that does not fit is a job that failed: nothing of it is in the vault."""
    done = _restoreproof(estate, "backup", "policy.yaml", limit=1024)

    assert done.returncode in (1, 2, 3), done.stdout + done.stderr
    assert "too large" in done.stdout + done.stderr
    left = {path.rpartition("/")[2] for path in _files(estate / "vault") if "metrics" in path}
    assert left <= {".metrics.lock"}


def test_chain_through_the_command_line(estate: Path, source: Server) -> None:
    """A full backup, then the increment that is due, restored and proven; promises are kept."""
    name = source.container.get_wrapped_container().name
    _write_policy(estate, source, f", configuration: {{container: {name}}}")
    for kind in ("full", "incremental"):
        source.write("metrics", f'v,n={kind} v="{kind}" 5')
        done = _restoreproof(estate, "backup", "policy.yaml")
        assert done.returncode == 0, done.stdout + done.stderr

    done = _restoreproof(estate, "audit", "policy.yaml", "--no-backup", "--out", "reports")

    told = (done.stdout + done.stderr).splitlines()
    failed = {line.split()[1] for line in told if line.startswith("  failed  ")}
    assert failed == {"RPO-001"}, told
    catalog = (estate / "vault" / "catalog.jsonl").read_text(encoding="utf-8")
    assert catalog.count('"kind":"incremental"') == 1
    (evidence,) = (estate / "reports").rglob("evidence.json")
    text = evidence.read_text(encoding="utf-8")
    for promise in ("metrics.data", "metrics.configuration", "metrics.incremental"):
        after = text[text.index(f'"{promise}"') :]
        assert after[after.index('"verdict"') :].split('"')[3] == "passed", promise
