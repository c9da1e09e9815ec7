"""Files over SFTP, from a real sshd: all of them, from the right machine, no secret told."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from files_place import Place, differences
from files_sshd import USER, Server, sshd
from sources import PASSWORD, SECRET

from restoreproof.engines.files_restored import RestoredFiles
from restoreproof.engines.files_source import FilesSource
from restoreproof.errors import SourceUnavailable


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    """A folder that everybody can enter, and a file in it that the server's user may not read."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    try:
        made = Place(folder / "place")
        (made.files / "deep" / "er").mkdir(parents=True)
        (made.files / "large").write_bytes(os.urandom(2_500_000))
        (made.files / "deep" / "my.cnf").write_text("[mysqld]\n")
        (made.files / "deep" / "link").symlink_to("my.cnf")
        (made.files / "line\nfeed").touch()
        Path(os.fsdecode(os.fsencode(made.files) + b"/latin-\xe9")).write_text("latin")
        (made.files / "private").write_text("private")
        (made.files / "private").chmod(0o600)
        yield made
    finally:
        shutil.rmtree(folder)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The server, its key locked with the secret that may show nowhere."""
    folder = Path(tempfile.mkdtemp())
    os.environ[PASSWORD] = SECRET
    try:
        with sshd(folder, SECRET) as running:
            yield running
    finally:
        shutil.rmtree(folder)


def source(place: Place, server: Server, **more: Any) -> FilesSource:
    """The files as a policy names them."""
    sftp = {
        "host": "127.0.0.1",
        "port": server.port,
        "user": USER,
        "key_file": str(server.key),
        "passphrase": f"${{{PASSWORD}}}",
        "known_hosts": str(server.known_hosts),
        **more,
    }
    named = {name: value for name, value in sftp.items() if value is not None}
    return place.source(sftp=named)


def test_files_come_back_over_sftp(place: Place, server: Server) -> None:
    """Full and increment: all names, modes, owners and contents; what is refused is named."""
    of = source(place, server)
    place.engine.probe(place.context(of))
    full = place.back_up(of)
    (place.files / "deep" / "my.cnf").write_text("[mysqld]\nport = 3307\n")
    (place.files / "line\nfeed").unlink()
    increment = place.back_up(of, full)

    for backup in (full, increment):
        with place.restored(backup) as attempt:
            assert differences(attempt) == []
            assert attempt.comparison.equal
            assert isinstance(attempt.restored, RestoredFiles)
            assert attempt.restored.unread() == (f"{place.files}/private: Permission denied",)
    seen = increment.manifest()
    assert seen.source_version.startswith("SSH-2.0-OpenSSH")
    assert "ssh-ed25519 SHA256:" in seen.source_identity
    assert SECRET not in (increment.folder / "manifest.json").read_text()
    assert sum(artifact.content_bytes for artifact in seen.artifacts) < 20_000


def test_a_password_lets_in(place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files come back by a password alone, which shows nowhere; with another one we are refused."""
    monkeypatch.setenv(PASSWORD, SECRET)
    monkeypatch.setenv("OTHER_PASSWORD", f"{SECRET}-not")
    tmp_path.chmod(0o755)
    with sshd(tmp_path, "", SECRET) as server:
        by = {"key_file": None, "passphrase": None}
        of = source(place, server, **by, password=f"${{{PASSWORD}}}")
        place.engine.probe(place.context(of))
        backup = place.back_up(of)
        with place.restored(backup) as attempt:
            assert differences(attempt) == []
            assert attempt.comparison.equal
        for path in backup.folder.iterdir():
            assert SECRET.encode() not in path.read_bytes()

        wrong = source(place, server, **by, password="${OTHER_PASSWORD}")
        with pytest.raises(SourceUnavailable) as caught:
            place.engine.probe(place.context(wrong))
    assert f"{USER} is refused by 127.0.0.1" in str(caught.value)
    assert "password in source.sftp" in caught.value.mend
    assert SECRET not in str(caught.value)


def test_a_machine_that_is_not_known_or_refuses_is_told(
    place: Place, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Host key unknown or another one, wrong user, key or passphrase: one line with its mend."""
    monkeypatch.setenv("OTHER_PASSWORD", "another-passphrase")
    unknown, other = server.folder / "nobody", server.folder / "other"
    unknown.write_text("")
    host, kind, _ = server.known_hosts.read_text().split(" ", 2)
    key = server.key.with_suffix(".pub").read_text().split()[1]
    other.write_text(f"{host} {kind} {key}\n")
    for more, words, mend in (
        ({"known_hosts": str(unknown)}, "the host key of 127.0.0.1 is not known", "ssh-keyscan"),
        ({"known_hosts": str(other)}, "shows another host key", "find out why"),
        ({"known_hosts": "/nowhere/at-all"}, "/nowhere/at-all cannot be read", "known_hosts"),
        ({"user": "root"}, "root is refused by 127.0.0.1", "correct user"),
        ({"passphrase": None}, "is locked", "give source.sftp.passphrase"),
        ({"passphrase": "${OTHER_PASSWORD}"}, "passphrase", "source.sftp.passphrase"),
        ({"key_file": "/nowhere/key"}, "/nowhere/key: No such file", "key_file"),
        ({"port": 1}, "port 1 does not answer", "correct host and port"),
    ):
        with pytest.raises(SourceUnavailable) as caught:
            place.engine.probe(place.context(source(place, server, **more)))
        assert words in str(caught.value)
        assert mend in caught.value.mend
        assert SECRET not in str(caught.value)


def test_a_path_that_is_not_there_or_refused_is_told(place: Place, server: Server) -> None:
    """Asked before a job begins."""
    of = source(place, server)
    for path, words in (
        ("/nowhere/at-all", "no /nowhere/at-all"),
        (f"{place.files}/private", "private cannot be read: Permission denied"),
    ):
        with pytest.raises(SourceUnavailable) as caught:
            place.engine.probe(place.context(of.model_copy(update={"paths": (path,)})))
        assert words in str(caught.value)
