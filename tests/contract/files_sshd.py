"""A real SSH server of a user of its own, on a port of this machine, with SFTP and nothing else."""

import os
import pwd
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PLACES = (Path("/usr/sbin/sshd"), ROOT / ".tox" / "sshd" / "usr" / "sbin" / "sshd")
"""Where Debian installs it, and where ``./run test`` unpacks it without installing it."""
USER = "nobody"
START_SECONDS = 60
# Accounts of this machine are not touched: the server alone sees others in their place.
WITH_ACCOUNTS = """
mount --bind "$1/passwd" /etc/passwd && mount --bind "$1/shadow" /etc/shadow &&
mount -t tmpfs -o mode=755 none /run && mkdir /run/sshd && shift && exec "$@"
"""


@dataclass(frozen=True)
class Server:
    """A running server. ``key`` is locked with the passphrase, ``known_hosts`` names it."""

    folder: Path
    port: int
    key: Path
    known_hosts: Path


@contextmanager
def sshd(folder: Path, passphrase: str, password: str = "") -> Iterator[Server]:
    """Start it in a folder; skip the test where there is no sshd.

    With a password it lets in whoever knows it, and no key; that takes root.
    """
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
        f"UsePAM {'no' if password else 'yes'}",
        f"PasswordAuthentication {'yes' if password else 'no'}",
        f"PubkeyAuthentication {'no' if password else 'yes'}",
        f"AllowUsers {USER}",
        "Subsystem sftp internal-sftp",
        "ForceCommand internal-sftp",
    )
    (folder / "sshd_config").write_text("\n".join(settings) + "\n")
    public = host_key.with_suffix(".pub").read_text()
    (folder / "known_hosts").write_text(f"[127.0.0.1]:{port} {public}")
    command = [str(program), "-D", "-e", "-f", str(folder / "sshd_config")]
    becomes = os.geteuid() == 0 and not password
    if password:
        command = _with_accounts(folder, password, command)
    elif becomes:
        for path in (folder, host_key):
            os.chown(path, account.pw_uid, account.pw_gid)
    process = subprocess.Popen(
        command,
        user=account.pw_uid if becomes else None,
        group=account.pw_gid if becomes else None,
        extra_groups=[] if becomes else None,
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


def _with_accounts(folder: Path, password: str, command: Sequence[str]) -> list[str]:
    """A command that finds the user with this password, in a namespace of its own."""
    alone = ["unshare", "--mount"]
    if os.geteuid() != 0 or subprocess.run([*alone, "true"], check=False).returncode:
        pytest.skip("only root can start an SSH server that knows a password")
    hashing = ["openssl", "passwd", "-6", "-stdin"]
    made = subprocess.run(hashing, input=password, capture_output=True, text=True, check=True)
    nologin = "/nonexistent:/usr/sbin/nologin"
    accounts = f"root:x:0:0::{nologin}\nsshd:x:65533:65534::{nologin}\n"
    user = pwd.getpwnam(USER)
    (folder / "passwd").write_text(f"{accounts}{USER}:x:{user.pw_uid}:{user.pw_gid}::{nologin}\n")
    (folder / "shadow").write_text(f"{USER}:{made.stdout.strip()}:19000:0:99999:7:::\n")
    return [*alone, "sh", "-c", WITH_ACCOUNTS, "sh", str(folder), *command]


def _answers(port: int) -> bool:
    with closing(socket.socket()) as trying:
        return trying.connect_ex(("127.0.0.1", port)) == 0
