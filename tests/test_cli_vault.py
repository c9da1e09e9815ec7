"""The commands that keep a vault, by the real command line: exit codes and what is said."""

from pathlib import Path

from commands import mistakes, run
from git import Repo

POLICY = """\
estate: Harbour
objectives: {rpo: 1h, rto: 4h, restore_test_every: 31d}
vault: {location: vault}
components:
  playbooks:
    engine: git
    source: {repository: playbooks}
    coverage: [playbook]
    schedule: {full: 10 16 * * *}
    retention: {days: 7}
"""


def test_vault_is_kept_by_commands(tmp_path: Path) -> None:
    """What is due is made once; nothing is to prune or to repair; a failure has its own stream."""
    (tmp_path / "policy.yaml").write_text(POLICY)
    repository = tmp_path / "playbooks"
    with Repo.init(repository) as made:
        made.index.commit("begin")

    first, second = (run(tmp_path, "backup", "policy.yaml", "--due") for _ in range(2))
    assert (first.code, second.code) == (0, 0)
    assert not first.messages and not second.messages
    assert "stored playbooks-" in first.printed
    assert "nothing is due; next full at " in second.printed
    for words, said in (
        (("prune", "policy.yaml"), "0 backups to remove"),
        (("prune", "policy.yaml", "--apply"), "0 backups removed"),
        (("catalog", "repair", "policy.yaml"), "nothing to repair"),
        (("schedule", "policy.yaml", "--format", "systemd"), "OnCalendar=*-*-* *:00/10:00"),
    ):
        done = run(tmp_path, *words)
        assert done.code == 0, done.printed
        assert said in done.printed

    (backup,) = (tmp_path / "vault" / "playbooks").iterdir()
    backup.rename(tmp_path / "elsewhere")
    assert "noted as gone" in run(tmp_path, "catalog", "repair", "policy.yaml").printed
    repository.rename(tmp_path / "away")
    failed = run(tmp_path, "backup", "policy.yaml", "--due")
    assert failed.code == 2
    assert len(failed.messages) == 1
    assert "playbooks" in failed.messages[0]
    again = run(tmp_path, "backup", "policy.yaml", "--due")
    assert (again.code, again.messages) == (0, ())


def test_mistakes_are_one_line(tmp_path: Path) -> None:
    """Options that contradict each other, and a heartbeat that nobody writes."""
    (tmp_path / "policy.yaml").write_text(POLICY)
    both, none, never = mistakes(
        tmp_path,
        ("backup", "policy.yaml", "--due", "--full"),
        ("heartbeat", "policy.yaml"),
        ("heartbeat", "policy.yaml", "--every", "often"),
    )
    assert "contradict each other" in both
    assert "nobody who writes heartbeats" in none
    assert "not a duration" in never
