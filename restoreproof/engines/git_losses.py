"""What earlier backups of a repository had and the newest has no more: commits, branches, tags.

A branch that went after it was merged lost nothing; its commits are there. A tag is a version's
name, so one that went or that names something else is a loss even if every commit is there.
"""

from collections.abc import Sequence, Set
from dataclasses import dataclass
from fnmatch import fnmatchcase

from restoreproof.engines.contract import BackupToRestore
from restoreproof.engines.git_references import TAGS, References, recorded
from restoreproof.engines.git_stored import VERSIONS

BRANCHES, NOTES = "refs/heads/", "refs/notes/"
NAMED_COMMITS = 5


@dataclass(frozen=True)
class Losses:
    """How many references of earlier backups were looked at, and what became of those that differ.

    ``merged`` are branches that went without a loss, ``by_hand`` what the policy lets people do.
    """

    examined: int
    lost: tuple[str, ...]
    merged: tuple[str, ...]
    by_hand: tuple[str, ...]


def losses(
    now: References,
    commits: Set[str],
    earlier: Sequence[BackupToRestore],
    changed_by_hand: Sequence[str],
) -> Losses:
    """Compare the newest state with every earlier backup, the oldest first.

    Raise RestoreFailed if what an earlier backup recorded cannot be read.
    """
    before: dict[tuple[str, str], None] = {}
    for backup in earlier:
        before |= dict.fromkeys(recorded(backup.fingerprint).items())
    kept = [pair for pair in before if pair[0].startswith((BRANCHES, TAGS, NOTES))]
    lost, merged, by_hand = [], [], []
    gone: list[str] | None = None
    for name, old in kept:
        if now.names.get(name) == old:
            continue
        if old in commits and not name.startswith(TAGS):
            if name not in now.names:
                merged.append(name)
            continue
        if any(fnmatchcase(name, pattern) for pattern in changed_by_hand):
            by_hand.append(name)
            continue
        if name.startswith(TAGS):
            what = "was moved" if name in now.names else "was deleted"
            lost.append(f"{name} {what}: it named {old[:12]}")
            continue
        if gone is None:
            gone = _gone(earlier, commits)
        what = "was rewritten" if name in now.names else "was deleted"
        lost.append(f"{name} {what}: {_commits(old, gone)}")
    return Losses(len(kept), tuple(lost), tuple(dict.fromkeys(merged)), tuple(by_hand))


def _gone(earlier: Sequence[BackupToRestore], commits: Set[str]) -> list[str]:
    """Commits that earlier backups recorded, the newest first, and that are reachable no more."""
    found: dict[str, None] = {}
    for backup in reversed(earlier):
        lines = b"".join(backup.read(VERSIONS)).decode().splitlines()
        found |= dict.fromkeys(line.partition(" ")[0] for line in lines)
    return [commit for commit in found if commit not in commits]


def _commits(tip: str, gone: Sequence[str]) -> str:
    named = [tip, *(commit for commit in gone if commit != tip)][:NAMED_COMMITS]
    more = len(set(gone) | {tip}) - len(named)
    words = ", ".join(commit[:12] for commit in named)
    return f"commits {words}{f' and {more} more' if more else ''} can be viewed no more"
