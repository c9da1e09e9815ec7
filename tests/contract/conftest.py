"""Fixtures of several modules: the image, the environment, and a vault that may be damaged."""

import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from mysql_chains import Source

from restoreproof.damage import VaultCopy
from restoreproof.images import Image, ensure
from restoreproof.vault import StoredBackup


@pytest.fixture(scope="session")
def image() -> Image:
    """MySQL as Debian packages it."""
    return ensure("restoreproof/mysql:9.7", print)


@pytest.fixture(scope="module")
def monkeymodule() -> Iterator[pytest.MonkeyPatch]:
    """Environment of a module."""
    with pytest.MonkeyPatch.context() as patch:
        yield patch


@pytest.fixture
def copy(source: Source, chain: Sequence[StoredBackup], tmp_path: Path) -> VaultCopy:
    """A copy of the vault in which the module's chain lies."""
    assert chain
    return VaultCopy.of(source.vault.root, tmp_path / "copy")


@pytest.fixture
def no_agent_left(tmp_path: Path) -> Iterator[None]:
    """The agents that gpg starts for keyrings of a test end with it."""
    yield
    for keys in tmp_path.rglob("private-keys-v1.d"):
        subprocess.run(["gpgconf", "--homedir", keys.parent, "--kill", "gpg-agent"], check=True)
