"""Whether a stored file is what was recorded of it: ours in the vault, or one in another store."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import fsspec

from restoreproof import foreign_store
from restoreproof.manifest import Artifact, ForeignFile


@dataclass(frozen=True)
class ArtifactDamage:
    """A stored file that is not what the manifest or the catalog says."""

    path: str
    problem: str
    expected: str
    seen: str

    def __str__(self) -> str:
        return f"{self.path}: {self.problem} (expected {self.expected}, saw {self.seen})"


def artifact_damage(folder: Path, artifact: Artifact) -> ArtifactDamage | None:
    """How an artifact in a backup's folder differs from its manifest; None if it does not."""
    path = folder / artifact.name
    name = f"{folder.name}/{artifact.name}"
    if not path.exists():
        return ArtifactDamage(name, "is missing", artifact.sha256, "nothing")
    try:
        with fsspec.open(str(path), "rb") as file:
            seen = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        return ArtifactDamage(name, "cannot be read", artifact.sha256, str(error.strerror))
    if seen != artifact.sha256:
        return ArtifactDamage(name, "SHA-256 differs", artifact.sha256, seen)
    return None


def foreign_damage(root: str, file: ForeignFile) -> ArtifactDamage | None:
    """How a file in a store that is not ours differs from what was recorded."""
    path = foreign_store.path_of(root, file.name)
    try:
        seen = foreign_store.digest(path)
    except FileNotFoundError:
        return ArtifactDamage(str(path), "is missing", file.sha256, "nothing")
    except OSError as error:
        return ArtifactDamage(str(path), "cannot be read", file.sha256, str(error.strerror))
    if seen != file.sha256:
        return ArtifactDamage(str(path), "SHA-256 differs", file.sha256, seen)
    return None
