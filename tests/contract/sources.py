"""Real sources for the contract tests: a provider an engine by its name, and ``FURTHER`` ones.

A provider starts a server or makes a repository, fills it with what is hard to bring back, and
removes it in the end. An engine without a provider fails the suite.
"""

import os
import secrets
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from restoreproof.clock import system_clock
from restoreproof.damage import Change
from restoreproof.engines.contract import Restored, SourceContext
from restoreproof.images import Image
from restoreproof.references import SourceModel
from restoreproof.sandbox import Sandboxes

FURTHER = ("mariadb", "mariadb_newer")
"""Sources of other servers that an engine backs up too."""
PASSWORD = "CONTRACT_PASSWORD"
WRONG_PASSWORD = "CONTRACT_WRONG_PASSWORD"
SECRET = f"planted-{secrets.token_hex(8)}"
"""The secret of every source; nothing that a backup leaves may hold it."""


@dataclass(frozen=True)
class Fault:
    """Faults that are done to a backup's content together, and the items that each changes.

    ``refused`` is part of the server's words where the content cannot be restored at all.
    """

    name: str
    changes: tuple[Change, ...]
    differences: tuple[str, ...] = ()
    refused: str = ""


class Source(ABC):
    """A living source of one engine."""

    engine: str
    image: Image | None = None
    artifact: str
    faults: tuple[Fault, ...]
    has_socket = True
    """Whether its server can be reached through a Unix socket; a repository has no server."""
    keeps_secrets: frozenset[str] = frozenset()
    """Artifacts in which the server itself keeps the secrets that it knows."""

    @property
    @abstractmethod
    def good(self) -> SourceModel:
        """The source as a policy names it."""

    @property
    @abstractmethod
    def refused(self) -> Mapping[str, SourceModel]:
        """What a probe has to refuse: nobody there, wrong credentials and the like."""

    @property
    @abstractmethod
    def empty(self) -> SourceModel:
        """A source that holds nothing, and rightly so."""

    @property
    def lossy(self) -> tuple[SourceModel, str] | None:
        """A source of which the backup tool is known to lose something, and the item's name."""
        return None

    @abstractmethod
    def state(self) -> object:
        """All that a backup might have changed at the source."""

    @abstractmethod
    def work(self, number: int) -> None:
        """Change the source, as an application does all the time."""

    @abstractmethod
    def tamper(self, restored: Restored) -> str:
        """Change one thing in a restored copy, and return how its item is named."""

    def context(self, sandboxes: Sandboxes, source: SourceModel | None = None) -> SourceContext:
        """What an engine is handed to back this source up."""
        return SourceContext(
            component="torture",
            source=source or self.good,
            image=self.image,
            folder=Path(tempfile.gettempdir()),
            sandboxes=sandboxes,
            clock=system_clock,
        )


Provider = Callable[[Path], AbstractContextManager[Source]]


def provider(name: str) -> Provider:
    """The provider of this name: ``source`` in a module of its own beside this one."""
    os.environ[PASSWORD], os.environ[WRONG_PASSWORD] = SECRET, f"wrong-{SECRET}"
    module: Any = import_module(f"{name}_source")
    found: Provider = module.source
    return found
