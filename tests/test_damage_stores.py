"""A store that is not ours: a copy of it is damaged, or the report says why none was."""

from datetime import timedelta
from pathlib import Path

import pytest
from audits import one_component, restored
from test_negative_control import run_control

from restoreproof import damage_stores
from restoreproof.command_engine import OwnCommands
from restoreproof.component_audit import ComponentAudit
from restoreproof.engines.git_command import run_git
from restoreproof.evidence_negative_control import NegativeControlRecord, Outcome

POLICY = """\
estate: Harbour
objectives: {rpo: 1h, rto: 4h, restore_test_every: 31d}
vault: {location: vault}
components:
  wiki:
    engine: git
    source: {repository: source}
    coverage: [data]
    commands:
      full: git -C source bundle create --quiet {store}/all.bundle --all
      restore: git clone --quiet --mirror {store}/all.bundle {restored}
      store: store
"""


def _audited(place: Path, policy: str = POLICY) -> ComponentAudit:
    """A repository that its owner's own command backed up, and that came back."""
    source, author = place / "source", ("-c", "user.name=t", "-c", "user.email=t@t.example")
    run_git(["init", "--quiet", "--initial-branch=main", str(source)])
    run_git([*author, "commit", "--quiet", "--allow-empty", "-m", "first"], source)
    (place / "store").mkdir()
    found, vault = one_component(place, policy)
    assert found.run_job(vault, "Harbour").problem == ""
    return restored(found, vault)


def _run(audited: ComponentAudit) -> NegativeControlRecord:
    return run_control(audited, timedelta(minutes=5))


def test_damage_to_a_copy_of_the_store_is_noticed(tmp_path: Path) -> None:
    """By hash, and by the restore where hashes were put right; the store itself is as it was."""
    audited = _audited(tmp_path)
    stored = tmp_path / "store" / "all.bundle"
    before = stored.read_bytes(), stored.stat().st_mtime_ns

    found = _run(audited)

    assert found.unproven == ""
    assert found.with_outcome(Outcome.MISSED, Outcome.ERROR, Outcome.NOT_TRIED) == ()
    by = {one.damage: one.detected_by for one in found.tried}
    for name in ("store-byte-flipped", "store-cut-short", "store-file-removed"):
        assert "VLT-001" in by[name]
    for name in ("store-halved", "store-emptied"):
        assert by[name] == ("RST-001",)
    assert (stored.read_bytes(), stored.stat().st_mtime_ns) == before


def test_store_that_cannot_be_copied_leaves_it_unproven(tmp_path: Path) -> None:
    """A restore that goes to the store itself would go there after any damage to a copy."""
    literal = POLICY.replace("--mirror {store}", f"--mirror {tmp_path}/store")

    found = _run(_audited(tmp_path, literal))

    assert "no damage to the content was tried" in found.unproven
    assert "does not name {store}" in found.unproven
    assert {one.damage for one in found.with_outcome(Outcome.NOT_TRIED)} == {
        one.name for one in damage_stores.DAMAGES
    }


def test_what_keeps_a_store_from_being_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is told in words: another machine, its size, links that lead out of it."""
    audited = _audited(tmp_path)
    engine, chain = audited.engine, audited.backups
    assert isinstance(engine, OwnCommands)
    assert damage_stores.obstacle(engine, chain) == ""

    link = tmp_path / "store" / "latest"
    for target in ("/nowhere", "../source", str(tmp_path / "store" / "all.bundle")):
        link.symlink_to(target)
        assert "leads out" in damage_stores.obstacle(engine, chain)
        link.unlink()
    link.symlink_to("all.bundle")
    assert damage_stores.obstacle(engine, chain) == ""
    monkeypatch.setattr(damage_stores, "MOST_STORE_BYTES", 10)
    assert "more than" in damage_stores.obstacle(engine, chain)
    far = audited.component.commands
    assert far is not None
    engine.commands = far.model_copy(update={"store": "sftp://backup.example/wiki"})
    moved = engine.on_store(Path("/x"))
    moved.runner = type(moved.runner)("wiki", engine.commands, tmp_path)
    assert "not on this machine" in damage_stores.obstacle(moved, chain)
