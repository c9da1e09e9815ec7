"""A time-stamping authority over HTTP whose answers openssl makes, and its certificates."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

CONFIGURATION = """\
[tsa]
serial = serial
signer_cert = stamper.pem
signer_key = stamper.key
certs = authority.pem
signer_digest = sha256
default_policy = 1.2.3.4
digests = sha256
accuracy = secs:1
ess_cert_id_alg = sha256
[stamper]
keyUsage = critical, digitalSignature
extendedKeyUsage = critical, timeStamping
"""


@dataclass(frozen=True)
class TimeStamps:
    """Where the authority answers, and the file of the certificate that vouches for it."""

    url: str
    trust: Path


def create(folder: Path) -> Path:
    """Make an authority in a folder; return its certificate."""
    folder.mkdir()
    (folder / "tsa.cnf").write_text(CONFIGURATION)
    (folder / "serial").write_text("01")
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    run(folder, "req", "-x509", *key, "-keyout", "authority.key", "-out", "authority.pem",
        "-subj", "/CN=Authority for time stamps", "-days", "30",
        "-addext", "keyUsage=critical,keyCertSign")  # fmt: skip
    run(folder, "req", *key, "-keyout", "stamper.key", "-out", "stamper.csr",
        "-subj", "/CN=Time stamps")  # fmt: skip
    run(folder, "x509", "-req", "-in", "stamper.csr", "-CA", "authority.pem",
        "-CAkey", "authority.key", "-CAcreateserial", "-days", "20", "-out", "stamper.pem",
        "-extfile", "tsa.cnf", "-extensions", "stamper")  # fmt: skip
    return folder / "authority.pem"


def run(folder: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)


@contextmanager
def serving(folder: Path) -> Iterator[TimeStamps]:
    """An authority of its own that answers on this machine."""
    trust = create(folder)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            (folder / "query").write_bytes(self.rfile.read(int(self.headers["Content-Length"])))
            run(folder, "ts", "-reply", "-config", "tsa.cnf", "-section", "tsa",
                "-queryfile", "query", "-out", "reply")  # fmt: skip
            content = (folder / "reply").read_bytes()
            self.send_response(200)
            self.send_header("Content-Type", "application/timestamp-reply")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield TimeStamps(f"http://127.0.0.1:{server.server_port}", trust)
    finally:
        server.shutdown()
        server.server_close()
