"""Where repositories lie: local, SSH and HTTPS; what is refused, in one line and beforehand."""

import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from git_bench import Repository
from git_servers import make_certificate, make_key, over_https, over_ssh

from restoreproof import engines
from restoreproof.engines.git_place import Authority, GitSource, SecureShell
from restoreproof.engines.git_restored import RestoredGit
from restoreproof.errors import SourceUnavailable
from restoreproof.signing import create_identity

POLICY = """\
estate: Playbooks
objectives: {rpo: 1h, rto: 4h, restore_test_every: 31d}
vault: {location: vault}
signing: {identity: identity/signer.p12, passphrase: "${PASSPHRASE}"}
components:
  playbooks: {engine: git, source: {repository: PLACE}, coverage: [data]}
"""


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    """A repository with two commits and a tag."""
    made = Repository(tmp_path_factory.mktemp("git"))
    made.commit({"site.yml": "- hosts: a\n"})
    made.commit({"site.yml": "- hosts: b\n"})
    made.git("tag", "v1")
    return made


def _refusal(repository: Repository, source: GitSource) -> str:
    with pytest.raises(SourceUnavailable) as caught:
        engines.load("git").probe(repository.context(source))
    text = str(caught.value)
    assert text.startswith("component playbooks: ") and " -- " in text and "\n" not in text
    return text


def _comes_back(repository: Repository, source: GitSource) -> None:
    """A full backup and an increment on it come back as they were."""
    engines.load("git").probe(repository.context(source))
    full = repository.store(source=source)
    repository.git("tag", f"t{full.id[-40:-5]}")
    for backup in (full, repository.store(full, source)):
        with repository.attempt(backup) as done:
            assert isinstance(done.restored, RestoredGit), done.failure
            assert done.comparison.equal


def test_local_places(repository: Repository) -> None:
    """A work tree, its .git, a path relative to the policy and a file URL are all the same."""
    for place in (repository.path / ".git", "work", f"file://{repository.path}"):
        _comes_back(repository, GitSource(repository=str(place)))


def test_over_ssh(repository: Repository, tmp_path: Path) -> None:
    """With its key and a known host it is backed up; any other host or key is refused."""
    host, other, mine, foreign = (
        make_key(tmp_path / name) for name in ("host", "other", "mine", "foreign")
    )
    with over_ssh(host, mine) as port:
        url = f"ssh://git@127.0.0.1:{port}{repository.path}"

        def source(known: str, key: str = "mine") -> GitSource:
            (tmp_path / "known").write_text(known)
            files = SecureShell(key=str(tmp_path / key), known_hosts=str(tmp_path / "known"))
            return GitSource(repository=url, ssh=files)

        line = f"[127.0.0.1]:{port} ssh-ed25519 "
        known = f"{line}{host.get_base64()}\n"
        _comes_back(repository, source(known))
        assert "nobody on this machine has vouched" in _refusal(repository, source(""))
        changed = source(f"{line}{other.get_base64()}\n")
        assert "another host key than known_hosts says" in _refusal(repository, changed)
        assert "the server refuses the key" in _refusal(repository, source(known, "foreign"))
        gone = source(known).model_copy(update={"repository": f"{url}-gone"})
        assert "there is no Git repository" in _refusal(repository, gone)
    assert foreign.get_base64() != mine.get_base64()


def test_over_https(repository: Repository, tmp_path: Path) -> None:
    """With the authority that is named it is backed up; without, the certificate is refused."""
    certificate = make_certificate(tmp_path)
    with over_https(repository.place, certificate) as port:
        url = f"https://127.0.0.1:{port}/work"
        _comes_back(repository, GitSource(repository=url, tls=Authority(ca=str(certificate))))
        text = _refusal(repository, GitSource(repository=url))
        assert "certificate is not one that this machine trusts" in text
        gone = GitSource(repository=f"{url}-gone", tls=Authority(ca=str(certificate)))
        assert "not found" in _refusal(repository, gone)


def test_an_increment_fetches_what_is_new(tmp_path: Path) -> None:
    """Over a network what the vault holds is not sent again, also where history was rewritten."""
    made, sent = Repository(tmp_path), list[int]()
    made.commit({"large": os.urandom(2_000_000)})
    made.commit({"gone": os.urandom(50_000)})
    certificate = make_certificate(tmp_path)
    with over_https(made.place, certificate, sent) as port:
        url = f"https://127.0.0.1:{port}/work"
        source = GitSource(repository=url, tls=Authority(ca=str(certificate)))
        backups = [made.store(source=source)]
        full = sum(sent)
        sent.clear()
        for files in ({"small": "x"}, {"other": "x"}):
            made.git("reset", "--quiet", "--hard", "HEAD~1")
            made.commit(files)
            backups.append(made.store(backups[-1], source))
    assert full > 2_000_000
    assert sum(sent) < 20_000
    for backup in backups:
        with made.restored(backup) as restored:
            assert restored.fsck() == ""
            assert restored.differing(restored.view(restored.commits())) == ()


def test_a_damaged_vault_keeps_no_increment_from_coming(tmp_path: Path) -> None:
    """What cannot be put together from the vault is fetched from the source, all of it."""
    made = Repository(tmp_path)
    made.commit({"one": "x"})
    certificate = make_certificate(tmp_path)
    with over_https(made.place, certificate) as port:
        url = f"https://127.0.0.1:{port}/work"
        source = GitSource(repository=url, tls=Authority(ca=str(certificate)))
        full = made.store(source=source)
        (full.folder / "repository.bundle.zst").write_bytes(b"spoiled")
        made.commit({"two": "x"})
        increment = made.store(full, source)
    assert increment.manifest().base == full.id


def test_what_is_no_whole_repository(repository: Repository, tmp_path: Path) -> None:
    """No folder, no repository, a shallow or a partial clone, a file that is not there."""
    url = f"file://{repository.path}"
    repository.git("clone", "--quiet", "--depth=1", url, str(tmp_path / "shallow"))
    setting = ("-c", "uploadpack.allowFilter=true")
    partial = ["clone", "--quiet", "--filter=blob:none", "--no-checkout", url]
    repository.git(*setting, *partial, str(tmp_path / "partial"))
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    for place, words in (
        ("nowhere", "No such file or directory"),
        ("folder", "there is no Git repository"),
        ("file", "there is no Git repository"),
        ("shallow", "git fetch --unshallow"),
        ("partial", "a partial clone"),
    ):
        source = GitSource(repository=str(tmp_path / place))
        assert words in _refusal(repository, source), place
    job = repository.job(source=GitSource(repository=f"file://{tmp_path / 'shallow'}"))
    assert job.backup is None
    assert "git fetch --unshallow" in job.problem
    source = GitSource(repository=str(repository.path), signers="nowhere")
    assert "correct source.signers" in _refusal(repository, source)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_what_this_user_may_not_read(repository: Repository, tmp_path: Path) -> None:
    """A folder that only another user can enter is told in one line."""
    closed = repository.place / "closed.git"
    repository.git("clone", "--quiet", "--mirror", str(repository.path), str(closed))
    closed.chmod(0o700)
    child = os.fork()
    if not child:
        os.seteuid(65534)
        try:
            text = _refusal(repository, GitSource(repository=str(closed)))
        finally:
            os._exit(0 if "this user may not" in locals().get("text", "") else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_mistake_ends_in_one_line_and_leaves_nothing(tmp_path: Path) -> None:
    """The command line says it once, exits with 2, and has written neither backup nor report."""
    create_identity(tmp_path / "identity", b"passphrase", now=datetime.now(UTC))
    (tmp_path / "policy.yaml").write_text(POLICY.replace("PLACE", "nowhere"))
    command = [sys.executable, "-m", "restoreproof.cli", "audit", "policy.yaml", "--out", "archive"]
    variables = {**os.environ, "PASSPHRASE": "passphrase"}
    done = subprocess.run(
        command, cwd=tmp_path, env=variables, capture_output=True, text=True, check=False
    )
    said = [line for line in (done.stdout + done.stderr).splitlines() if line[:1] != "["]

    assert done.returncode == 2
    assert len(said) == 1 and "No such file or directory" in said[0]
    assert not (tmp_path / "vault").exists()
    assert not list((tmp_path / "archive").iterdir()) if (tmp_path / "archive").exists() else True
