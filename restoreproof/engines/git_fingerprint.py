"""What a repository held at an instant: references, all commits, and the tree of each."""

import hashlib
from datetime import datetime
from pathlib import Path

from restoreproof.engines.git_references import References, reference_items
from restoreproof.engines.git_versions import listed
from restoreproof.fingerprint import Fingerprint, Item

METHOD = "git-references-sha256-v2"


def fingerprint(repository: Path, taken_at: datetime) -> Fingerprint:
    """Every reference with its target, what HEAD stands for, and all commits with their trees.

    Raise GitCommandError.
    """
    commits = sorted(b"".join(listed(repository)).splitlines())
    digest = hashlib.sha256(b"\n".join(commits)).hexdigest()
    items = reference_items(repository, References.of(repository).head)
    items.append(Item(kind="history", name="all commits", count=len(commits), digest=digest))
    return Fingerprint.of(METHOD, taken_at, items)
