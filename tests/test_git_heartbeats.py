"""The branch to which something commits all the time: by its newest commit a loss is measured."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from restoreproof import engines
from restoreproof.clock import system_clock
from restoreproof.demo import repository
from restoreproof.engines.contract import SourceContext
from restoreproof.engines.git_place import GitSource
from restoreproof.errors import SourceUnavailable
from restoreproof.resources import folder
from restoreproof.sandbox import Sandboxes

BEAT = datetime(2026, 11, 22, 16, 10, 5, tzinfo=UTC)


@pytest.fixture
def playbooks(tmp_path: Path) -> Path:
    """A repository with commits, and without a heartbeat."""
    path = tmp_path / "playbooks.git"
    repository.make(path, folder("fixtures") / "agama" / "ansible")
    return path


def _context(playbooks: Path, branch: str | None) -> SourceContext:
    heartbeat = {"branch": branch} if branch else None
    return SourceContext(
        component="playbooks",
        source=GitSource.model_validate({"repository": str(playbooks), "heartbeat": heartbeat}),
        image=None,
        folder=playbooks.parent,
        sandboxes=Sandboxes("test"),
        clock=system_clock,
    )


def test_the_newest_commit_of_the_branch_is_the_heartbeat(playbooks: Path) -> None:
    """Commits are added to it, and the last one's time is told, in UTC."""
    for minutes in (1, 0):
        newest = BEAT - timedelta(minutes=minutes)
        repository.beat(playbooks, (newest - timedelta(minutes=10), newest))
        told = engines.load("git").newest_heartbeat(_context(playbooks, "heartbeat"))

        assert told == newest


def test_a_policy_without_a_heartbeat_has_none(playbooks: Path) -> None:
    """Commits of others tell of no loss."""
    repository.beat(playbooks, (BEAT,))

    assert engines.load("git").newest_heartbeat(_context(playbooks, None)) is None


def test_a_source_that_cannot_be_asked_says_so(playbooks: Path) -> None:
    """A branch that is not there gives no instant to measure by, and no wrong one."""
    with pytest.raises(SourceUnavailable, match="heartbeat"):
        engines.load("git").newest_heartbeat(_context(playbooks, "heartbeat"))
