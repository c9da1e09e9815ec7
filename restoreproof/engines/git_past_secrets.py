"""Secrets in plain text that older versions and other branches hold and the newest version has not.

Whether they were replaced since nobody can tell from a repository, and its history is kept for
good: so they are told with their commits, apart from those of the newest version.
"""

from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from restoreproof.engines.git_command import output_of
from restoreproof.engines.git_layout import INVENTORIES
from restoreproof.engines.git_secrets import Plaintext, is_looked_at, plaintext_in
from restoreproof.engines.git_versions import File, Objects

MOST_CONTENTS, LARGEST_BYTES, MOST_BYTES = 20_000, 1024**2, 512 * 1024**2
# A few objects can name more changes than any history has.
MOST_CHANGES = 1_000_000
COMMIT = "commit "
HISTORY = (
    "log", "--all", "--raw", "-z", "--no-renames", "--no-abbrev", "--diff-merges=first-parent",
    f"--format={COMMIT}%H",
)  # fmt: skip


@dataclass(frozen=True)
class PastSecrets:
    """How many contents of older versions were looked at, and what is in plain text in them.

    ``plaintext`` maps each to the newest commit that brought it. ``whole`` says whether these were
    all contents: of a long history the newest are looked at, and none above a mebibyte.
    """

    contents: int
    whole: bool
    plaintext: Mapping[Plaintext, str]


def look_back(
    repository: Path,
    objects: Objects,
    newest: Mapping[str, File],
    inventories: Sequence[str],
    allowed: Sequence[str],
    known: Sequence[Plaintext],
) -> PastSecrets:
    """Look through what all references reach, the newest commits first.

    ``known`` are those of the newest version, which are not told again. Raise RestoreFailed, and
    GitCommandError.
    """
    places = (*inventories, *INVENTORIES)
    told = {(one.path, one.what) for one in known}
    found: dict[Plaintext, str] = {}
    candidates: dict[tuple[str, str], str] = {}
    whole = True
    with closing(_brought(repository)) as brought:
        for number, (commit, file) in enumerate(brought):
            if number == MOST_CHANGES or len(candidates) == MOST_CONTENTS:
                whole = False
                break
            path = file.path.decode(errors="surrogateescape")
            same = path in newest and newest[path].identifier == file.identifier
            gone = not file.identifier.strip("0")
            if not same and not gone and is_looked_at(file, path, allowed):
                candidates.setdefault((file.identifier, path), commit)
    looked_at, left = 0, MOST_BYTES
    sizes = _sizes(repository, [identifier for identifier, _ in candidates])
    for ((identifier, path), commit), size in zip(candidates.items(), sizes, strict=True):
        if size is None or size > min(LARGEST_BYTES, left):
            whole = False
            continue
        left -= size
        looked_at += 1
        for one in plaintext_in(objects.content(identifier), path, places):
            if (one.path, one.what) not in told:
                told.add((one.path, one.what))
                found[one] = commit
    return PastSecrets(looked_at, whole, found)


def _brought(repository: Path) -> Generator[tuple[str, File]]:
    """Every content that a commit brought, with the commit, the newest first.

    What it took away has a name of zeros.
    """
    commit, about = "", ""
    for word in _words(repository):
        if about:
            _, mode, _, identifier, _ = about.split(" ")
            about = ""
            yield commit, File(word, mode, identifier)
        elif word.startswith((b":", b"\n:")):
            about = word.decode()
        else:
            commit = word.decode().removeprefix(COMMIT)


def _words(repository: Path) -> Iterator[bytes]:
    rest = b""
    for chunk in output_of(HISTORY, repository):
        *words, rest = (rest + chunk).split(b"\0")
        yield from words
    if rest:
        yield rest


def _sizes(repository: Path, identifiers: Sequence[str]) -> Iterator[int | None]:
    """The size of each object in bytes; None of one that is not there, as others tell."""
    form = "--batch-check=%(objectsize)"
    told = b"".join(output_of(["cat-file", form], repository, identifiers)).decode()
    for line in told.splitlines():
        yield int(line) if line.isdigit() else None
