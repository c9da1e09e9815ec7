"""The references of a repository at one instant: read, stored, and put in place exactly."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, ValidationError

from restoreproof.engines.git_command import lines_of, meant, output_of, run_git, shown
from restoreproof.fingerprint import Fingerprint, Item
from restoreproof.outcomes import RestoreFailed

KIND = "reference"
DEFAULT_BRANCH = "default branch"
TAGS = "refs/tags/"


class References(BaseModel):
    """All references by full name, as it is shown, with the objects that they name.

    ``head`` is the name that HEAD stands for, also if no commit is there yet, or the commit at
    which it is detached. ``object_format`` is sha1 or sha256.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    object_format: str
    head: str
    names: Mapping[str, str]

    @classmethod
    def of(cls, repository: Path) -> Self:
        """Read them. Raise GitCommandError."""
        object_format = run_git(["rev-parse", "--show-object-format"], repository).strip()
        head = (
            (repository / "HEAD").read_text(encoding="utf-8", errors="surrogateescape").rstrip("\n")
        )
        listed = run_git(["for-each-ref", "--format=%(objectname) %(refname)"], repository)
        pairs = (shown(line).split(" ", 1) for line in lines_of(listed))
        return cls(
            object_format=object_format,
            head=shown(head.removeprefix("ref: ")),
            names={name: target for target, name in pairs},
        )

    @classmethod
    def parse(cls, content: bytes) -> Self:
        """Read what was stored. Raise RestoreFailed."""
        try:
            return cls.model_validate_json(content)
        except ValidationError as error:
            raise RestoreFailed(f"the stored references cannot be read: {error}") from None

    @property
    def content(self) -> bytes:
        """As they are stored."""
        return self.model_dump_json(indent=1).encode()

    @property
    def position(self) -> str:
        """What names this state of the repository, and no other."""
        ordered = self.model_copy(update={"names": dict(sorted(self.names.items()))})
        return hashlib.sha256(ordered.content).hexdigest()

    @property
    def tips(self) -> frozenset[str]:
        """Every object that a reference names, or HEAD where it is detached."""
        detached = () if self.head.startswith("refs/") else (self.head,)
        return frozenset((*self.names.values(), *detached))

    def put(self, repository: Path) -> None:
        """Make them the repository's references, and no others. Raise GitCommandError."""
        there = References.of(repository).names
        lines = [f"delete {meant(name)}" for name in there if name not in self.names]
        lines += [
            f"update {meant(name)} {target}"
            for name, target in self.names.items()
            if there.get(name) != target
        ]
        for _ in output_of(["update-ref", "--no-deref", "--stdin"], repository, lines):
            pass
        if self.head.startswith("refs/"):
            run_git(["symbolic-ref", "HEAD", meant(self.head)], repository)
        else:
            run_git(["update-ref", "--no-deref", "HEAD", self.head], repository)


def reference_items(repository: Path, head: str) -> list[Item]:
    """Every reference with its target, and what HEAD stands for."""
    listed = run_git(
        ["for-each-ref", "--format=%(objectname) %(objecttype) %(refname)"], repository
    )
    items = [Item(kind=DEFAULT_BRANCH, name="HEAD", digest=head)]
    for line in lines_of(listed):
        target, kind, name = shown(line).split(" ", 2)
        items.append(Item(kind=KIND, name=name, digest=f"{kind}:{target}"))
    return items


def recorded(fingerprint: Fingerprint) -> Mapping[str, str]:
    """The references that a fingerprint holds, by full name, with the objects they named."""
    return {
        item.name: item.digest.partition(":")[2] for item in fingerprint.items if item.kind == KIND
    }
