"""Damages to files of a server that are stored beside its content: configuration and logs."""

import io
import tarfile
from collections.abc import Callable

from restoreproof import damage_content
from restoreproof.damage import NotApplicable
from restoreproof.damage_kinds import Subject

CONFIGURATION = "configuration.tar"
FOLDER = "files"
"""Where in that archive the files of the server are, below what it takes for /."""


def spoil_file(subject: Subject) -> str:
    """Turn over one bit of a configuration file."""
    names = set(subject.equal("configuration file"))

    def change(tar: bytes) -> bytes:
        drawn = _drawn(tar, subject, _stored_as(names))
        told.append(drawn.removeprefix(FOLDER))

        def flip(content: bytes) -> bytes:
            at = subject.chance.randrange(len(content))
            return content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]

        return damage_content.in_file(drawn, flip)(tar)

    told: list[str] = []
    subject.rewrite(CONFIGURATION, change)
    return f"configuration file {told[0]}: one bit turned over"


def lose_file(subject: Subject, artifact: str, fits: Callable[[str], bool]) -> str:
    """Leave a file out of a stored tar."""

    def change(tar: bytes) -> bytes:
        drawn = _drawn(tar, subject, fits)
        told.append(drawn)
        return damage_content.drop_file(drawn)(tar)

    told: list[str] = []
    subject.rewrite(artifact, change)
    return f"{told[0]} left out of {artifact}"


def lose_last_line(subject: Subject) -> str:
    """Leave out the last line of a stored log."""
    names = {one.name.removesuffix(".zst") for one in subject.manifest.artifacts}
    logs = [name for name in subject.equal("log") if name in names]
    if not logs:
        raise NotApplicable("the backup holds no log that is an artifact of its own")
    subject.rewrite(logs[0], damage_content.drop_last_lines(1))
    return f"last line of {logs[0]} left out"


def _stored_as(names: set[str]) -> Callable[[str], bool]:
    return lambda name: name.startswith(f"{FOLDER}/") and name.removeprefix(FOLDER) in names


def _drawn(tar: bytes, subject: Subject, fits: Callable[[str], bool]) -> str:
    """The name of one file in a tar that holds something."""
    with tarfile.open(fileobj=io.BytesIO(tar)) as archive:
        names = sorted(one.name for one in archive if one.isfile() and one.size and fits(one.name))
    if not names:
        raise NotApplicable("no file for it")
    return subject.chance.choice(names)
