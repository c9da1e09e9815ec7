"""``restoreproof restore`` of a repository, which needs no engine, and a user's mistakes."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from commands import NO_DOCKER, mistakes, run
from vaults import flipped, replace

POLICY = """\
estate: Harbour
objectives: {rpo: 1h, rto: 4h, restore_test_every: 31d}
vault: {location: vault}
components:
  playbooks:
    engine: git
    source: {repository: playbooks}
    coverage: [playbook]
"""
RESTORE = ("restore", "policy.yaml", "playbooks")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A policy and a backup of its repository, which is gone since."""
    folder = tmp_path_factory.mktemp("estate")
    (folder / "policy.yaml").write_text(POLICY)
    repository = folder / "playbooks"
    git = ("git", "-C", str(repository), "-c", "user.name=n", "-c", "user.email=n@example.org")
    subprocess.run(["git", "init", "--quiet", repository], check=True)
    (repository / "site.yaml").write_text("- hosts: all\n")
    subprocess.run([*git, "add", "."], check=True)
    subprocess.run([*git, "commit", "--quiet", "-m", "first"], check=True)
    assert run(folder, "backup", "policy.yaml").code == 0
    repository.rename(folder / "gone")
    return folder


def test_repository_is_written_out_and_nothing_left(made: Path, tmp_path: Path) -> None:
    """Equal to the backup, in a folder of the user's choice, though there is no source any more."""
    outcome = run(made, *RESTORE, "--output", str(tmp_path / "out"))

    assert outcome.code == 0, outcome.printed
    for words in ("restoring playbooks to ", "min ago: playbooks-", "restored in ", "EQUAL: all"):
        assert words in outcome.printed
    target = tmp_path / "out" / "repository.git"
    shown = subprocess.run(
        ["git", "-C", target, "show", "HEAD:site.yaml"], capture_output=True, check=True
    )
    assert shown.stdout == b"- hosts: all\n"


def test_without_a_word_more_it_stays_until_ctrl_c(made: Path) -> None:
    """It can be worked with until then, and is gone afterwards."""
    with subprocess.Popen(
        [sys.executable, "-m", "restoreproof.cli", *RESTORE],
        cwd=made,
        stdout=subprocess.PIPE,
        text=True,
    ) as running:
        assert running.stdout is not None
        place = None
        for line in running.stdout:
            if "git clone" in line:
                place = Path(line.split()[-1])
            if "until Ctrl-C" in line:
                break
        assert place is not None
        assert (place / "HEAD").exists()
        running.send_signal(signal.SIGTERM)
        assert running.wait(60) == 0
    assert not place.exists()


def test_mistakes_are_told_before_anything_is_done(made: Path, tmp_path: Path) -> None:
    """One line each, with the mend."""
    out = str(tmp_path / "out")
    said = {
        ("--to", "2026-11-23T03:00"): "names no time zone -- write 2026-11-23T03:00Z for UTC",
        ("--to", "2001-01-01T00:00:00Z"): "the oldest recovery point is later",
        ("--to", "yesterday"): "yesterday names no recovery point -- give a backup's name",
        ("--table", "a.b"): "say what is written -- give --output FOLDER too",
        ("--table", "a.b", "--output", out): "the git engine writes no parts -- leave out",
        ("--output", str(made)): "the folder for the output is not empty",
        ("--output", str(made / "policy.yaml")): "the output cannot be written",
    }
    for line, words in zip(mistakes(made, *((*RESTORE, *one) for one in said)), said, strict=True):
        assert said[words] in line
    assert not (tmp_path / "out").exists()
    unknown = ("restore", "policy.yaml", "wiki")
    for line in mistakes(made, unknown, (*unknown, "--list")):
        assert "no component wiki" in line


def test_damaged_backup_is_not_restored(made: Path) -> None:
    """A hash that is wrong is a failed restore: exit 1, and no folder is left."""
    (bundle,) = (made / "vault" / "playbooks").glob("*/repository.bundle.zst")
    content = bundle.read_bytes()
    replace(bundle, flipped(content, len(content) // 2))
    try:
        outcome = run(made, *RESTORE, "--keep", **NO_DOCKER)
    finally:
        replace(bundle, content)

    assert outcome.code == 1
    assert "FAILED in 'check artifacts'" in outcome.printed
    assert "SHA-256 differs" in outcome.printed
