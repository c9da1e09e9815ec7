"""A repository behind HTTP and a password, with names and history that are hard to bring back."""

import base64
import functools
import hashlib
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from sources import PASSWORD, SECRET, WRONG_PASSWORD, Fault, Source

from restoreproof import damage_git as faults
from restoreproof.engines.contract import Restored
from restoreproof.engines.git_command import run_git
from restoreproof.engines.git_place import GitSource
from restoreproof.engines.git_restored import RestoredGit

AUTHOR = ("-c", "user.name=Ада", "-c", "user.email=ada@torture.example")
ACCEPTED = "Basic " + base64.b64encode(f"backup:{SECRET}".encode()).decode()


class Door(SimpleHTTPRequestHandler):
    """Hands out the files of a folder to whoever knows the password."""

    def do_GET(self) -> None:  # the library's name
        """Serve a file, or ask for the password."""
        if self.headers.get("Authorization") == ACCEPTED:
            super().do_GET()
            return
        self.send_response(HTTPStatus.UNAUTHORIZED)
        self.send_header("WWW-Authenticate", 'Basic realm="torture"')
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


class GitTorture(Source):
    """The repository and the server in front of it."""

    engine = "git"
    artifact = "repository.bundle.zst"
    faults = (
        Fault(
            "a branch and a tag are not there",
            (
                faults.drop_reference("refs/heads/side/ветка"),
                faults.drop_reference("refs/tags/annotated"),
            ),
            (
                "reference refs/heads/side/ветка: is missing",
                "reference refs/tags/annotated: is missing",
            ),
        ),
        Fault(
            "a file is not in the newest version",
            (faults.drop_path("plain"),),
            ("reference refs/heads/main: other content", "history all commits: another count"),
        ),
        Fault("cut short", (lambda bundle: bundle[: len(bundle) - 40],), refused="pack"),
    )

    def __init__(self, place: Path, port: int) -> None:
        self.place, self.port = place, port
        self.repository = place / "torture.git"

    def fill(self) -> None:
        """Make the repository, and one with a single empty commit."""
        work = self.place / "work"
        run_git(["init", "--quiet", "--initial-branch=main", str(work)])
        (work / "plain").write_text("plain\n")
        (work / 'ünï "quoted"\tname').write_bytes(b"\0\xff\r\n")
        (work / "folder with space").mkdir()
        (work / "folder with space" / "-dash").write_text("x" * 300_000)
        (work / "link").symlink_to("/etc/passwd")
        (work / "tool.sh").write_text("#!/bin/sh\n")
        (work / "tool.sh").chmod(0o755)
        self._commit(work, "Начало\n\nтекст")
        run_git(["branch", "side/ветка"], work)
        for number in range(5):
            (work / "plain").write_text(f"{number}\n")
            self._commit(work, f"change {number}")
        run_git([*AUTHOR, "tag", "-a", "annotated", "-m", "текст", "HEAD~2"], work)
        run_git(["tag", "light", "HEAD~1"], work)
        run_git(["checkout", "--quiet", "side/ветка"], work)
        (work / "other").write_text("other\n")
        self._commit(work, "on the side")
        run_git(["checkout", "--quiet", "main"], work)
        run_git([*AUTHOR, "merge", "--quiet", "--no-ff", "-m", "merge", "side/ветка"], work)
        run_git([*AUTHOR, "notes", "add", "-m", "note", "HEAD"], work)
        run_git(["clone", "--quiet", "--mirror", str(work), str(self.repository)])
        empty = self.place / "empty"
        run_git(["init", "--quiet", "--initial-branch=main", str(empty)])
        run_git([*AUTHOR, "commit", "--quiet", "--allow-empty", "-m", "empty"], empty)
        run_git(["clone", "--quiet", "--mirror", str(empty), str(self.place / "empty.git")])
        for repository in (self.repository, self.place / "empty.git"):
            run_git(["update-server-info"], repository)

    @property
    def good(self) -> GitSource:
        return self._source("torture.git")

    @property
    def empty(self) -> GitSource:
        return self._source("empty.git")

    @property
    def refused(self) -> Mapping[str, GitSource]:
        return {
            "nobody at the port": GitSource(
                repository=f"http://backup:${{{PASSWORD}}}@127.0.0.1:1/torture.git"
            ),
            "wrong password": self._source("torture.git", WRONG_PASSWORD),
            "no such repository": self._source("never-made.git"),
            "no such folder": GitSource(repository="/nowhere/never-made.git"),
        }

    def state(self) -> object:
        return {
            str(path): (path.stat().st_mode, path.stat().st_mtime_ns, _digest(path))
            for path in sorted(self.repository.rglob("*"))
        }

    def work(self, number: int) -> None:
        tree = run_git(["rev-parse", "main^{tree}"], self.repository).strip()
        commit = ("commit-tree", "-p", "main", "-m", f"work {number}", tree)
        made = run_git([*AUTHOR, *commit], self.repository).strip()
        run_git(["update-ref", "refs/heads/main", made], self.repository)
        run_git(["update-ref", f"refs/heads/new-{number}", made], self.repository)
        run_git(["update-server-info"], self.repository)

    def tamper(self, restored: Restored) -> str:
        assert isinstance(restored, RestoredGit)
        restored.git("update-ref", "refs/tags/light", "refs/heads/main")
        return "reference refs/tags/light: other content"

    def _source(self, name: str, password: str = PASSWORD) -> GitSource:
        url = f"http://backup:${{{password}}}@127.0.0.1:{self.port}/{name}"
        return GitSource(repository=url)

    @staticmethod
    def _commit(work: Path, message: str) -> None:
        run_git(["add", "--all"], work)
        run_git([*AUTHOR, "commit", "--quiet", "-m", message], work)


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""


@contextmanager
def source(place: Path) -> Iterator[Source]:
    """Make the repository and open the door."""
    door = functools.partial(Door, directory=str(place))
    with ThreadingHTTPServer(("127.0.0.1", 0), door) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        torture = GitTorture(place, server.server_port)
        torture.fill()
        yield torture
        server.shutdown()
