"""A real SSH server of a user of its own, on a port of this machine, with SFTP and nothing else."""

import os
import pwd
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PLACES = (Path("/usr/sbin/sshd"), ROOT / ".tox" / "sshd" / "usr" / "sbin" / "sshd")
"""Where Debian installs it, and where ``./run test`` unpacks it without installing it."""
USER = "nobody"
START_SECONDS = 20


@dataclass(frozen=True)
class Server:
    """A running server. ``key`` is locked with the passphrase, ``known_hosts`` names it."""

    folder: Path
    port: int
    key: Path
    known_hosts: Path


@contextmanager
def sshd(folder: Path, passphrase: str) -> Iterator[Server]:
    """Start it in a folder; skip the test where there is no sshd."""
    program = next((place for place in PLACES if place.exists()), None)
    if program is None:
        pytest.skip("no sshd: install openssh-server, or type ./run test")
    account = pwd.getpwnam(USER)
    key, host_key = folder / "key", folder / "host_key"
    for path, secret in ((key, passphrase), (host_key, "")):
        generate = ["ssh-keygen", "-q", "-t", "ed25519", "-N", secret, "-f", str(path)]
        subprocess.run(generate, check=True)
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (folder / "authorized_keys").write_text(key.with_suffix(".pub").read_text())
    settings = (
        f"Port {port}",
        "ListenAddress 127.0.0.1",
        f"HostKey {host_key}",
        f"AuthorizedKeysFile {folder}/authorized_keys",
        f"PidFile {folder}/pid",
        "StrictModes no",
        "UsePAM yes",
        "PasswordAuthentication no",
        f"AllowUsers {USER}",
        "Subsystem sftp internal-sftp",
        "ForceCommand internal-sftp",
    )
    (folder / "sshd_config").write_text("\n".join(settings) + "\n")
    public = host_key.with_suffix(".pub").read_text()
    (folder / "known_hosts").write_text(f"[127.0.0.1]:{port} {public}")
    if os.geteuid() == 0:
        for path in (folder, host_key):
            os.chown(path, account.pw_uid, account.pw_gid)
    process = subprocess.Popen(
        [program, "-D", "-e", "-f", folder / "sshd_config"],
        user=account.pw_uid if os.geteuid() == 0 else None,
        group=account.pw_gid if os.geteuid() == 0 else None,
        extra_groups=[] if os.geteuid() == 0 else None,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=(folder / "sshd.log").open("wb"),
    )
    try:
        deadline = time.monotonic() + START_SECONDS
        while not _answers(port):
            words = (folder / "sshd.log").read_text()
            assert process.poll() is None and time.monotonic() < deadline, words
            time.sleep(0.05)
        yield Server(folder, port, key, folder / "known_hosts")
    finally:
        process.terminate()
        process.wait()


def _answers(port: int) -> bool:
    with closing(socket.socket()) as trying:
        return trying.connect_ex(("127.0.0.1", port)) == 0
