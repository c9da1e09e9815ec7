"""A component whose backups are made by commands, with a vault and a store of its own."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from restoreproof.clock import system_clock
from restoreproof.command_engine import OwnCommands
from restoreproof.component_audit import ComponentAudit
from restoreproof.engines.contract import SourceContext
from restoreproof.found_backups import note_gone, take_stock
from restoreproof.jobs import JobResult, run_job
from restoreproof.own_commands import Commands
from restoreproof.policy import Audit, Component, Objectives
from restoreproof.progress import Progress
from restoreproof.references import SourceModel
from restoreproof.restore import RestoreAttempt, Target, restoring
from restoreproof.vault import StoredBackup, Vault

OBJECTIVES = Objectives.model_validate({"rpo": "1h", "rto": "4h", "restore_test_every": "31d"})


@dataclass
class Estate:
    """One component, its commands, and what they said."""

    context: SourceContext
    place: Path
    commands: Commands
    engine_name: str = "mysql"
    said: list[str] = field(default_factory=list)

    @property
    def store(self) -> Path:
        """Where the organisation keeps its backups."""
        return self.place / "store"

    @property
    def vault(self) -> Vault:
        """Where ours are told of."""
        return Vault(str(self.place / "vault"))

    @property
    def engine(self) -> OwnCommands:
        """The engine around the commands."""
        described = Component.model_construct(
            engine=self.engine_name, commands=self.commands, source=self.context.source
        )
        staging = self.place / "vault" / ".staging" / self.context.component
        return OwnCommands(self.context.component, described, self.place, staging, self.said.append)

    @property
    def audited(self) -> ComponentAudit:
        """The component as a run knows it."""
        described = Component.model_construct(
            engine=self.engine_name,
            commands=self.commands,
            source=self.context.source,
            schedule=None,
            retention=None,
            coverage=("data",),
            expected_size=None,
        )
        return ComponentAudit(
            self.context.component,
            described,
            OBJECTIVES,
            self.engine,
            self.context,
            system_clock,
            Audit(),
        )

    def described(self, **changes: object) -> "Estate":
        """The same estate with other commands."""
        known = self.commands.model_dump(exclude_unset=True) | changes
        return replace(self, commands=Commands.model_validate(known), said=[])

    def back_up(self, base: StoredBackup | None = None) -> JobResult:
        """Run the job, full or incremental."""
        self.store.mkdir(exist_ok=True)
        self.vault.prepare()
        result = run_job(self.engine, self.context, self.vault, "test", base)
        note_gone(self.audited, self.vault, Progress())
        return result

    def stored(self, base: StoredBackup | None = None) -> StoredBackup:
        """A backup that was made and recorded."""
        result = self.back_up(base)
        assert result.backup is not None, result.problem
        return result.backup

    def refused(self, base: StoredBackup | None = None) -> str:
        """The words of a job that failed."""
        result = self.back_up(base)
        assert result.backup is None
        assert result.trouble is None, result.trouble
        return result.problem

    def take_stock(self) -> list[JobResult]:
        """Look for backups that others made; return what went wrong."""
        audited = self.audited
        take_stock(audited, self.vault, "test", Progress())
        return audited.jobs

    def backups(self) -> tuple[StoredBackup, ...]:
        """What the vault knows."""
        return self.vault.backups(self.context.component)

    @contextmanager
    def restored(self, backup: StoredBackup) -> Iterator[RestoreAttempt]:
        """One recovery point, restored by the organisation's own command."""
        population = self.backups()
        target = Target(self.context.component, backup, newest=False, population=population)
        with restoring(
            target,
            self.engine,
            self.context.source,
            self.context.image,
            self.context.sandboxes,
            system_clock,
        ) as attempt:
            yield attempt

    @contextmanager
    def equal(self, backup: StoredBackup) -> Iterator[RestoreAttempt]:
        """A recovery point that came back as far as could be asked."""
        with self.restored(backup) as attempt:
            assert attempt.restored is not None, attempt.failure
            differences = [str(one) for one in attempt.comparison.differences]
            assert not differences, differences
            yield attempt


def estate(
    context: SourceContext, place: Path, engine_name: str = "mysql", **commands: Any
) -> Estate:
    """A component with these commands, and a store beside its vault."""
    given = Commands.model_validate({"store": str(place / "store"), **commands})
    return Estate(replace(context, folder=place), place, given, engine_name)


def without_accounts(source: SourceModel) -> SourceModel:
    """The source, of whose accounts no backup is promised."""
    return source.model_copy(update={"accounts": False, "databases": ("app",)})
