"""The negative control over backups of files: what is special to an archive of files is noticed."""

import os
import tempfile
from datetime import timedelta
from pathlib import Path

import pytest
from audits import one_component, restored
from test_negative_control import run_control

from restoreproof import damage_trees
from restoreproof.component_audit import ComponentAudit
from restoreproof.evidence_negative_control import Outcome
from restoreproof.sandbox import PREFIX

POLICY = """\
estate: Harbour
objectives: {{rpo: 1h, rto: 4h, restore_test_every: 31d}}
vault: {{location: vault}}
components:
  server:
    engine: files
    source: {{paths: ['{folder}']}}
    coverage: [data]
    schedule: {{full: 0 3 1 1 *, incremental: 0 * * * *}}
"""


@pytest.fixture
def audited(tmp_path: Path) -> ComponentAudit:
    """A folder with a full backup and an increment, both of which came back."""
    folder = tmp_path / "server"
    folder.mkdir()
    for number in range(3):
        (folder / f"file {number}").write_text(f"content {number}\n")
    (folder / os.fsdecode(b"\xff")).touch()
    (folder / "link").symlink_to("file 1")
    found, vault = one_component(tmp_path, POLICY.format(folder=folder))
    found.run_job(vault, "Harbour", full=True)
    (folder / "file 2").unlink()
    (folder / "link").unlink()
    (folder / "link").symlink_to("file 0")
    (folder / "newer").write_text("newer\n")
    assert found.run_job(vault, "Harbour").kind == "incremental"
    return restored(found, vault)


def test_every_damage_to_files_is_noticed(audited: ComponentAudit) -> None:
    """All of the full backup's and all of the increment's, and undamaged copies are clean."""
    found = run_control(audited, timedelta(minutes=10))

    assert found.unproven == ""
    assert {one.outcome for one in found.controls} == {Outcome.CLEAN}
    assert len(found.controls) == 2
    special = {one.name for one in damage_trees.DAMAGES}
    by = {one.damage: one for one in found.tried if one.damage in special}
    assert by.keys() == special
    for one in by.values():
        assert one.detected_by == ("RST-002",), one
    assert list(Path(tempfile.gettempdir()).glob(f"{PREFIX}*")) == []
