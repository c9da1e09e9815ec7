"""Vaults to try out on: real ones, in a folder, with small backups whose content is known."""

import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import FrameType
from typing import Any

from restoreproof.fingerprint import Fingerprint, Item
from restoreproof.incoming import IncomingBackup
from restoreproof.manifest import Manifest
from restoreproof.vault import StoredBackup, Vault

NOW = datetime(2026, 7, 6, 16, 10, tzinfo=UTC)
CONTENT = {"dump.sql": b"INSERT INTO stars VALUES (1, 'Vega');\n" * 3, "users.sql": b""}


def open_vault(folder: Path) -> Vault:
    """A vault that is ready to take backups."""
    vault = Vault(str(folder))
    vault.prepare()
    return vault


def manifest(identifier: str, incoming: IncomingBackup, **changes: Any) -> Manifest:
    """A manifest of what was written so far."""
    component = identifier.partition("-")[0]
    facts = {
        "id": identifier,
        "estate": "Harbour",
        "component": component,
        "engine": "mysql",
        "kind": "full",
        "started_at": NOW,
        "finished_at": NOW + timedelta(seconds=3),
        "recovery_point": NOW + timedelta(seconds=1),
        "position": "",
        "source_version": "9.7.0",
        "source_identity": "server",
        "facts": {},
        "artifacts": tuple(incoming.artifacts),
        "fingerprint": Fingerprint.of(
            "counts", NOW, [Item(kind="table", name="stars", count=1, digest="0f")]
        ),
    }
    return Manifest.model_validate(facts | changes)


def store(
    vault: Vault, identifier: str, content: Mapping[str, bytes] = CONTENT, **changes: Any
) -> StoredBackup:
    """A stored backup that holds this content."""
    with vault.incoming(identifier) as incoming:
        for name, one in content.items():
            with incoming.artifact(name) as writer:
                writer.write(one)
        return vault.publish(incoming, manifest(identifier, incoming, **changes))


def replace(path: Path, content: bytes) -> None:
    """Change a write-once file behind the vault's back."""
    path.unlink()
    path.write_bytes(content)


def flipped(content: bytes, position: int) -> bytes:
    """The content with one bit changed."""
    return content[:position] + bytes([content[position] ^ 1]) + content[position + 1 :]


def interrupted(
    action: Callable[[], object], files: set[str], step: int, error: BaseException
) -> bool:
    """Do something, with an error raised at the so-many-th line of these source files.

    Return False if the action ended before that line: then every line has been tried.
    """
    seen = 0

    def trace(frame: FrameType, event: str, _: object) -> Any:
        nonlocal seen
        if frame.f_code.co_filename not in files:
            return None
        if event == "line":
            seen += 1
            if seen == step:
                raise error
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        action()
    except BaseException as raised:
        if seen < step:
            raise
        # The traceback would keep files open that nobody else knows of.
        raised.__traceback__ = error.__traceback__ = None
    finally:
        sys.settrace(before)
    return seen >= step
