"""Heartbeats of a repository: the newest commit of a branch that is committed to all the time."""

from datetime import UTC, datetime
from pathlib import Path

from git.exc import GitCommandError

from restoreproof.engines.contract import SourceContext
from restoreproof.engines.git_command import run_git, words
from restoreproof.engines.git_place import GitSource, HeartbeatBranch, locate
from restoreproof.errors import SourceUnavailable
from restoreproof.references import SourceModel


def newest_at_source(context: SourceContext) -> datetime | None:
    """The newest heartbeat at the source; None where it names none. Raise SourceUnavailable."""
    assert isinstance(context.source, GitSource)
    heartbeat = context.source.heartbeat
    if heartbeat is None:
        return None
    place = locate(context)
    with context.sandboxes.folder() as folder:
        branch = f"+refs/heads/{heartbeat.branch}:refs/heads/{heartbeat.branch}"
        fetch = ["fetch", "--quiet", "--depth=1", "--no-tags", "--", place.location, branch]
        repository = folder / "heartbeat.git"
        try:
            run_git(["init", "--quiet", "--bare", str(repository)])
            run_git(fetch, repository, environment=place.variables)
        except GitCommandError as error:
            raise SourceUnavailable(words(error)) from None
        return _newest(repository, heartbeat)


def newest_restored(repository: Path, source: SourceModel) -> datetime | None:
    """The newest heartbeat in a restored repository; None if there is none."""
    assert isinstance(source, GitSource)
    return _newest(repository, source.heartbeat) if source.heartbeat else None


def _newest(repository: Path, heartbeat: HeartbeatBranch) -> datetime | None:
    branch = f"refs/heads/{heartbeat.branch}"
    told = run_git(["for-each-ref", "--format=%(committerdate:iso-strict)", branch], repository)
    return datetime.fromisoformat(told.strip()).astimezone(UTC) if told.strip() else None
