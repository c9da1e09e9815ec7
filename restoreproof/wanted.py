"""What the policy wants of one component, in the words in which checks say when they apply."""

from datetime import timedelta

from restoreproof.command_engine import OwnCommands
from restoreproof.engines.contract import STREAMED, Engine
from restoreproof.engines.contract_exercise import Criterion
from restoreproof.policy import Audit, Component, Retention, Schedule
from restoreproof.references import SourceModel


class Wanted:
    """The policy's wishes; who derives from it says for which component."""

    component: Component
    engine: Engine[SourceModel]
    audits: Audit
    criteria: tuple[Criterion, ...]
    check_within: timedelta
    control_budget: timedelta

    @property
    def plays_corruption(self) -> bool:
        """Whether it is played that content is corrupted."""
        return "corruption" in self.criteria

    @property
    def plays_deletion(self) -> bool:
        """Whether it is played that a part is deleted."""
        return "deletion" in self.criteria

    @property
    def plays_failure(self) -> bool:
        """Whether it is played that server and disk are gone."""
        return "failure" in self.criteria

    @property
    def makes_backups(self) -> bool:
        """Whether jobs of ours make its backups; else they are made elsewhere and found."""
        return not isinstance(self.engine, OwnCommands) or self.engine.makes_backups

    @property
    def schedule(self) -> Schedule | None:
        """When the policy wants backups made."""
        return self.component.schedule

    @property
    def has_heartbeat(self) -> bool:
        """Whether the policy names a heartbeat of this component."""
        return getattr(self.component.source, "heartbeat", None) is not None

    @property
    def joins_source(self) -> bool:
        """Whether the policy wants the restored server to join its source."""
        return bool(getattr(self.component.source, "join_as_replica", False))

    @property
    def names_signers(self) -> bool:
        """Whether the policy names keys that tags and commits are signed with."""
        return bool(getattr(self.component.source, "signers", ""))

    @property
    def keeps_vault_passwords(self) -> bool:
        """Whether the policy names passwords that are kept for what Ansible encrypted."""
        return bool(getattr(self.component.source, "vault_passwords", ()))

    @property
    def plans_audits(self) -> bool:
        """Whether the policy says when audits run."""
        return self.audits.schedule is not None

    @property
    def retention(self) -> Retention | None:
        """How long the policy has backups kept."""
        return self.component.retention

    @property
    def controls_negatively(self) -> bool:
        """Whether the policy wants to see that the checks can fail."""
        return self.control_budget > timedelta()

    @property
    def lets_go(self) -> bool:
        """Whether the policy has backups removed by and by."""
        return self.retention is not None and self.retention.until is None

    @property
    def checks_by_turns(self) -> bool:
        """Whether the policy has stored bytes checked by turns, and not all in every run."""
        return self.check_within > timedelta()

    @property
    def streams(self) -> bool:
        """Whether the policy wants changes stored as they happen and the engine does it."""
        planned = self.schedule is not None and self.schedule.continuous
        return planned and STREAMED in self.engine.kinds

    @property
    def wants_increments(self) -> bool:
        """Whether the policy wants increments and the engine makes them."""
        planned = self.schedule is not None and self.schedule.incremental is not None
        return planned and "incremental" in self.engine.kinds
