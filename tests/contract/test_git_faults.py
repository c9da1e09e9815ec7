"""Faults of repositories, each seen and named; and what is none, without an alarm."""

import subprocess
from pathlib import Path

import pytest
from git_bench import Repository

from restoreproof import damage_git
from restoreproof.engines.git_backup import OUTSIDE
from restoreproof.engines.git_losses import Losses
from restoreproof.engines.git_place import GitSource
from restoreproof.engines.git_restored import RestoredGit
from restoreproof.engines.git_stored import BUNDLE
from restoreproof.outcomes import RestoreFailed
from restoreproof.vault import StoredBackup

PASSWORD = "s3cr3t-Of-The-Estate"
# Made by ansible-vault 2.14 with the password "correct horse".
VAULT_FILE = """\
$ANSIBLE_VAULT;1.1;AES256
30623566343632613061633330313831333063306335323464636638353761626462393337633436
3531346434646432656431633834376332396638313338360a333335626563393430653833323063
31393365346161383662303539316432613035383530613962373035363665366534356461663335
6635386130616131320a326336663231633131633334383863313232616635616262336361663666
3530
"""
VAULT_VALUE = """\
user: app
key: !vault |
          $ANSIBLE_VAULT;1.2;AES256;dev
          38643266616537623566323338316564336563366535326431316534303266623038346538373763
          6462643534316131366536666661303362646330616462320a613231343366613164633266306236
          36666533376362356131363463643365323336323265616438333637383934316235656166346462
          3162396339613634360a336333386139386634376236336633393631366561323239613863383762
          3739
other: plain
"""
VAULTED = "$ANSIBLE_VAULT;1.1;AES256\n61626364\n"


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    """A repository with two branches, a tag and a note."""
    made = Repository(tmp_path)
    for number in range(3):
        made.commit({"site.yml": f"- hosts: h{number}\n"})
    made.git("branch", "side")
    made.git("tag", "v1")
    made.git("notes", "add", "-m", "note", "HEAD")
    return made


def _lost(repository: Repository, *earlier: StoredBackup, by_hand: tuple[str, ...] = ()) -> Losses:
    source = GitSource(repository=str(repository.path), changed_by_hand=by_hand)
    with repository.restored(repository.store()) as restored:
        return restored.losses(repository.earlier(*earlier), source)


def test_what_goes_on_is_no_loss(repository: Repository) -> None:
    """Commits, branches that went after their merge, new tags and notes are no alarm."""
    first = repository.store()
    repository.git("checkout", "--quiet", "side")
    repository.commit({"side": "x"})
    second = repository.store()
    repository.git("checkout", "--quiet", "main")
    repository.git("merge", "--quiet", "--no-ff", "-m", "merge", "side")
    repository.git("branch", "-D", "side")
    repository.git("tag", "v2")
    repository.git("notes", "add", "-m", "note", "HEAD")

    found = _lost(repository, first, second)

    assert found.lost == ()
    assert found.merged == ("refs/heads/side",)
    assert found.examined == 5


def test_each_loss_names_commits(repository: Repository) -> None:
    """A branch rewritten, one deleted, a tag moved and one deleted are findings until named."""
    gone = repository.commit({"later": "x"})
    repository.git("checkout", "--quiet", "side")
    aside = repository.commit({"side": "x"})
    repository.git("tag", "v2")
    first = repository.store()
    repository.git("checkout", "--quiet", "main")
    repository.git("reset", "--quiet", "--hard", "HEAD~1")
    repository.commit({"other": "x"})
    repository.git("branch", "-D", "side")
    repository.git("tag", "-d", "v2")
    repository.git("tag", "-f", "v1", "HEAD")
    everything = ("refs/heads/*", "refs/tags/*")

    found = _lost(repository, first)

    assert len(found.lost) == 4
    for name, what, commit in (
        ("refs/heads/main", "was rewritten", gone),
        ("refs/heads/side", "was deleted", aside),
        ("refs/tags/v1", "was moved", ""),
        ("refs/tags/v2", "was deleted", aside),
    ):
        (line,) = (one for one in found.lost if one.startswith(name))
        assert what in line and commit[:12] in line
    named = _lost(repository, first, by_hand=everything)
    assert named.lost == () and len(named.by_hand) == 4


def test_a_loss_long_ago_is_still_one(repository: Repository) -> None:
    """What an old backup has and the newest has not is told, also if nothing went since."""
    first = repository.store()
    repository.git("tag", "-d", "v1")
    second = repository.store(first)

    assert len(_lost(repository, first, second).lost) == 1


def test_a_version_of_another_tree_is_seen(repository: Repository) -> None:
    """A version is held against the tree that was recorded, not only against itself."""
    stored = repository.store()
    copy = repository.copy()
    (one,) = copy.vault.backups("playbooks")

    def other_tree(content: bytes) -> bytes:
        commit, _, tree = content.split(b"\n")[0].partition(b" ")
        return content.replace(tree, commit)

    copy.rewrite(one, "versions.txt.zst", other_tree)
    with repository.attempt(stored, copy) as done:
        assert isinstance(done.restored, RestoredGit)
        viewed = done.restored.view(done.restored.commits())
        assert len(done.restored.differing(viewed)) == 1


def test_a_file_that_is_missing_is_named(repository: Repository) -> None:
    """A version whose file is gone cannot be viewed."""
    with repository.restored(repository.store()) as restored:
        blob = restored.git("rev-parse", "HEAD:site.yml").strip()
        (pack,) = restored.repository.glob("objects/pack/*.pack")
        outside = pack.replace(restored.folder / pack.name)
        pack.with_suffix(".idx").unlink()
        command = ["git", "-C", str(restored.repository), "unpack-objects", "-q"]
        with outside.open("rb") as stream:
            subprocess.run(command, stdin=stream, check=True)
        (restored.repository / "objects" / blob[:2] / blob[2:]).unlink()

        examined = restored.examined(restored.commits())
        assert blob in examined.complaints
        with pytest.raises(RestoreFailed, match=f"blob {blob} is missing"):
            assert examined.versions


def test_an_object_of_other_content_is_seen(repository: Repository) -> None:
    """A bundle whose file was another comes back as another version."""
    stored = repository.store()
    copy = repository.copy()
    (one,) = copy.vault.backups("playbooks")
    copy.rewrite(one, f"{BUNDLE}.zst", damage_git.write_path("site.yml", b"- hosts: evil\n"))

    with repository.attempt(stored, copy) as done:
        texts = [str(one) for one in done.comparison.differences]
    assert [text for text in texts if text.startswith("reference refs/heads/")]


def test_what_lies_elsewhere_is_recorded(repository: Repository) -> None:
    """Submodules and files of Git LFS are named, by the backup and by what came back."""
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 9\n"
    repository.commit({"image.iso": pointer, "text": "version 1\n"})
    commit = repository.git("rev-parse", "HEAD")
    repository.git("update-index", "--add", "--cacheinfo", f"160000,{commit},roles/elsewhere")
    repository.git("commit", "--quiet", "-m", "submodule")
    backup = repository.store()

    assert "roles/elsewhere" in backup.manifest().facts[OUTSIDE]
    with repository.restored(backup) as restored:
        assert "1 submodules (roles/elsewhere)" in restored.limits
        assert "1 large files of Git LFS (image.iso)" in restored.limits
        assert restored.fsck() == ""
        assert restored.differing(restored.view(restored.commits())) == ()


def _key(folder: Path, name: str, passphrase: str = "") -> Path:
    path = folder / name
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", passphrase, "-C", "t", "-f", str(path)]
    subprocess.run(command, check=True)
    return path


def test_secrets_in_plain_text(repository: Repository, tmp_path: Path) -> None:
    """Keys and passwords in plain text are named without their value; what is none is not."""
    openssl = ("-----BEGIN RSA PRIVATE KEY-----", "Proc-Type: 4,ENCRYPTED", "ab" * 32, "-----END")
    repository.commit(
        {
            "files/id": _key(tmp_path, "plain").read_text(),
            "files/locked": _key(tmp_path, "locked", "passphrase").read_text(),
            "files/old": "\n".join(openssl),
            "files/notes.md": "Look for `-----BEGIN PRIVATE KEY-----` in it.",
            "group_vars/all/main.yml": (
                f"db_password: {PASSWORD}\n"
                f'    smtp_passphrase: "{PASSWORD}"  # of the relay\n'
                "admin_password: '{{ vault_admin_password }}'\n"
                "api_key: !vault |\n  $ANSIBLE_VAULT;1.1;AES256\n  61\n"
                "password_minimum_length: 12\nroot_password: $6$salt$hash\n"
                "tls_private_key: /etc/ssl/private/key.pem\nupdate_password: always\n"
                "empty_password: ''\n# old_password: x1234567\n"
            ),
            "group_vars/all/vault.yml": VAULTED,
            "hosts": f"[db]\ndb1 ansible_host=10.0.0.1 ansible_password={PASSWORD}\n",
            "roles/a/tasks/main.yml": "- user: {name: a, password: 'in-no-variable'}\n",
            "tests/group_vars/all.yml": f"test_password: {PASSWORD}\n",
        }
    )
    source = GitSource(repository=str(repository.path), plaintext_allowed=("tests/*",))
    with repository.restored(repository.store()) as restored:
        found = restored.secrets(source)

    assert {str(one) for one in found.plaintext} == {
        "files/id:1: a private key (openssh)",
        "group_vars/all/main.yml:1: db_password = [redacted]",
        "group_vars/all/main.yml:2: smtp_passphrase = [redacted]",
        "hosts:2: ansible_password = [redacted]",
    }
    assert PASSWORD not in str(found)
    assert found.encrypted == 2


def test_secrets_of_older_versions_are_told_apart(repository: Repository, tmp_path: Path) -> None:
    """What only history or another branch holds is told with its commit, once, without its value.

    What the newest version holds is told there, and what it holds under vault now is not.
    """
    variables = "group_vars/all.yml"
    first = repository.commit(
        {
            variables: f"old_password: {PASSWORD}\nkept_password: {PASSWORD}1\n",
            "files/id": _key(tmp_path, "plain").read_text(),
            "tests/vars/all.yml": f"test_password: {PASSWORD}\n",
            "large.pem": _key(tmp_path, "large").read_text() + "x" * 2_000_000,
        }
    )
    again = repository.commit({variables: f"# \nold_password: {PASSWORD}\nkept_password: y2k\n"})
    repository.git("rm", "--quiet", "files/id", "large.pem")
    repository.commit({variables: VAULTED, "group_vars/b.yml": f"kept_password: {PASSWORD}\n"})
    repository.git("checkout", "--quiet", "side")
    aside = repository.commit({"host_vars/a": f"api_key: {PASSWORD}\n"})
    repository.git("checkout", "--quiet", "main")
    source = GitSource(repository=str(repository.path), plaintext_allowed=("tests/*",))
    with repository.restored(repository.store()) as restored:
        newest = restored.secrets(source)
        found = restored.past_secrets(source, newest)

    assert [str(one) for one in newest.plaintext] == [
        "group_vars/b.yml:1: kept_password = [redacted]"
    ]
    assert {str(one): commit for one, commit in found.plaintext.items()} == {
        f"{variables}:2: old_password = [redacted]": again,
        f"{variables}:3: kept_password = [redacted]": again,
        "files/id:1: a private key (openssh)": first,
        "host_vars/a:1: api_key = [redacted]": aside,
    }
    assert PASSWORD not in str(found)
    assert not found.whole, "the large file is left out, and that is said"


def test_what_is_encrypted_opens_with_its_password(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files and values that Ansible itself encrypted; with another password, or damaged, none."""
    monkeypatch.setenv("ESCROWED", "correct horse\n")
    monkeypatch.setenv("OLDER", "another password")
    damaged = VAULT_FILE.replace("3530\n", "3531\n")
    repository.commit({"group_vars/a/vault.yml": VAULT_FILE, "group_vars/a/main.yml": VAULT_VALUE})
    where = GitSource(repository=str(repository.path))
    with repository.restored(repository.store()) as restored:

        def closed(*names: str) -> tuple[str, ...]:
            source = where.model_copy(update={"vault_passwords": names})
            found = restored.vaulted(repository.context(source))
            assert found.examined == 2
            return found.closed

        assert closed("${OLDER}", "${ESCROWED}") == ()
        assert closed("${OLDER}") == ("group_vars/a/vault.yml:1", "group_vars/a/main.yml:2")[::-1]
    repository.commit({"group_vars/a/vault.yml": damaged, "group_vars/b.yml": "a: b\n"})
    named = where.model_copy(update={"encrypted": ("group_vars/a/vault.yml", "group_vars/b*")})
    with repository.restored(repository.store()) as restored:
        assert closed("${ESCROWED}") == ("group_vars/a/vault.yml:1",)
        (plain,) = restored.secrets(named).plaintext
    assert str(plain).startswith("group_vars/b.yml:1: not under ansible-vault")


def _openpgp(folder: Path) -> tuple[dict[str, str], str]:
    """A key of OpenPGP in a keyring of its own: the variables that name it, and its public part."""
    home = folder / "gnupg"
    home.mkdir(mode=0o700)
    variables = {"GNUPGHOME": str(home)}
    gpg = ["gpg", "--homedir", str(home), "--batch", "--quiet", "--pinentry-mode", "loopback"]
    made = [*gpg, "--passphrase", "", "--quick-generate-key", "ada@torture.example", "ed25519"]
    subprocess.run(made, check=True, capture_output=True)
    shown = [*gpg, "--armor", "--export", "ada@torture.example"]
    return variables, subprocess.run(shown, check=True, capture_output=True, text=True).stdout


def test_signatures_of_ssh(repository: Repository, tmp_path: Path) -> None:
    """Good, broken and foreign signatures are told apart, of tags and of commits."""
    key, foreign = _key(tmp_path, "key"), _key(tmp_path, "foreign")
    public = key.with_suffix(".pub").read_text()
    (tmp_path / "signers").write_text(f"ada@torture.example {public}")

    def by(one: Path) -> tuple[str, ...]:
        return ("-c", "gpg.format=ssh", "-c", f"user.signingKey={one}")

    repository.git(*by(key), "tag", "-s", "-m", "text", "good")
    repository.git(*by(foreign), "tag", "-s", "-m", "text", "foreign")
    repository.git(*by(key), "commit", "--quiet", "--allow-empty", "-S", "-m", "signed")
    stored = repository.store()
    copy = repository.copy()
    (one,) = copy.vault.backups("playbooks")
    copy.rewrite(one, f"{BUNDLE}.zst", damage_git.add_spoiled_tag(key))
    context = repository.context(GitSource(repository=str(repository.path), signers="signers"))

    with repository.attempt(stored, copy) as done:
        assert isinstance(done.restored, RestoredGit)
        found = done.restored.signatures(context, done.restored.sample(1, 3))

    assert found.examined == 4
    assert found.broken == ("tag fault",)
    assert found.unknown == ("tag foreign",)


@pytest.mark.usefixtures("no_agent_left")
def test_signatures_of_openpgp(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With armoured keys signatures are OpenPGP's; no keyring of this user takes part."""
    variables, public = _openpgp(tmp_path)
    (tmp_path / "signers").write_text(public)
    with monkeypatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        by = ("-c", "user.signingKey=ada@torture.example")
        repository.git(*by, "tag", "-s", "-m", "text", "good")
    tag = repository.git("cat-file", "tag", "good") + "\n"
    (tmp_path / "spoiled").write_text(tag.replace("\ntext\n", "\nother\n"))
    made = repository.git("hash-object", "-t", "tag", "-w", str(tmp_path / "spoiled"))
    repository.git("update-ref", "refs/tags/spoiled", made)
    context = repository.context(GitSource(repository=str(repository.path), signers="signers"))

    with repository.restored(repository.store()) as restored:
        found = restored.signatures(context, ())

    assert (found.examined, found.broken, found.unknown) == (2, ("tag spoiled",), ())
