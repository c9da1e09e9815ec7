"""An engine whose backups are made, kept and restored by the organisation's own commands.

The component's engine still looks at the source, gives the sandbox and proves what came back.
Nobody can look at the source in the instant of somebody else's dump, so it is looked at before and
after: what stood still has to come back as it was.
"""

import shutil
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from copy import copy
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from restoreproof import engines, foreign_store
from restoreproof.command_runs import Runner
from restoreproof.engines.contract import (
    BackupContent,
    BackupContext,
    BackupToRestore,
    Engine,
    Restored,
    SourceContext,
    Until,
)
from restoreproof.fingerprint import Comparison, Fingerprint
from restoreproof.found_points import Point, list_points
from restoreproof.images import Image
from restoreproof.manifest import ForeignFile, ForeignStore
from restoreproof.outcomes import BackupFailed, RestoreFailed
from restoreproof.own_commands import named_in
from restoreproof.own_processes import Ran
from restoreproof.policy import Component
from restoreproof.references import SourceModel
from restoreproof.sandbox import Sandboxes
from restoreproof.wording import plural

OUTPUT = "output.log"
POINT, TIME = "point", "restore_time"
EXIT, SECONDS, STORE, PROOF = "exit_status", "command_seconds", "store", "proof"
METHOD = (
    "looked at before and after the organisation's own command ran: what stood still in between"
    " has to come back exactly, of the rest what stood still inside it"
)
ASKED = {
    Comparison.EQUAL: "exactly",
    Comparison.PARTS: "in the rows that stood still",
    Comparison.AT_LEAST: "by number",
    Comparison.OPTIONAL: "if it was there already",
    Comparison.UNDECIDED: "not at all",
}


class OwnCommands(Engine[SourceModel]):
    """A component's engine, with commands in the place of its own backups."""

    restores_instants = False
    finds_chains = True

    def __init__(
        self,
        component: str,
        described: Component,
        folder: Path,
        staging: Path,
        tell: Callable[[str], None],
    ) -> None:
        assert described.commands is not None
        self.commands = described.commands
        self.inner: Engine[SourceModel] = engines.load(described.engine)
        self.runner = Runner(component, self.commands, folder, tell)
        self.staging = staging
        self.name = self.inner.name
        self.method = f"{self.inner.method}; {METHOD}"
        self.needs_image = self.inner.needs_image
        self.covers = self.inner.covers & {"data", "playbook", "inventory"}
        self.source_model = self.inner.source_model
        self.writes_out = self.inner.writes_out
        increments = self.commands.incremental is not None or not self.makes_backups
        self.kinds = frozenset({"full", "incremental"} if increments else {"full"})

    def on_store(self, store: Path) -> "OwnCommands":
        """The same commands, given another folder for the store."""
        other = copy(self)
        elsewhere = self.commands.model_copy(update={"store": str(store)})
        other.runner = replace(self.runner, commands=elsewhere)
        return other

    @property
    def makes_backups(self) -> bool:
        """Whether the policy gives a command for it; else they are made elsewhere and found."""
        return self.commands.full is not None

    @property
    def finds_backups(self) -> bool:
        """Whether backups that were made elsewhere can be found."""
        return self.commands.listing is not None or self.commands.backups is not None

    def gap(self, source: SourceModel, kind: str) -> str:
        if kind in self.inner.covers and kind not in self.covers:
            return f"nothing proves {kind} that the organisation's own commands back up"
        return self.inner.gap(source, kind)

    def exclusions(self, source: SourceModel) -> tuple[str, ...]:
        found = [
            *self.inner.exclusions(source),
            "a change that was undone again while a command ran",
            f"the store {self.commands.store} itself: read and hashed, neither kept nor pruned",
        ]
        if self.commands.rewritten:
            found.append(f"integrity of {', '.join(self.commands.rewritten)} in that store")
        if self.commands.moving:
            found.append(f"content of {', '.join(self.commands.moving)}, which the policy expects")
        return tuple(found)

    def probe(self, context: SourceContext) -> None:
        self.runner.probe()
        if self.makes_backups:
            self.inner.probe(replace(context, increments=False, coverage=self.covers))

    def points(self, now: datetime) -> tuple[Point, ...]:
        """The recovery points of the store, the oldest first. Raise BackupFailed."""
        return list_points(self.runner, now)

    def back_up(self, context: BackupContext) -> BackupContent:
        kind = "incremental" if context.base else "full"
        with context.of.sandboxes.folder() as private:
            variables = {**self.inner.reach(context.of, private), "staging": str(self.staging)}
            before, done = self._inventory(context.elsewhere), list[Ran]()
            listed, staged = self._listed(context.of.clock()), 0

            def command() -> None:
                nonlocal staged
                done.append(self._run_job(kind, variables, context))
                staged = foreign_store.used_bytes(self.staging)

            try:
                self._empty_staging()
                looked = self.inner.around(context.of, command, frozenset(self.commands.moving))
            finally:
                shutil.rmtree(self.staging, ignore_errors=True)
        (ran,) = done
        now = context.of.clock()
        after = self._inventory({**context.elsewhere, **(before or {})})
        elsewhere = self._elsewhere(context.elsewhere, before, after, staged)
        point = self._newest(now, listed, before or {}, after or {})
        if self.commands.verify is not None:
            self.verify(now)
        facts = {
            **looked.facts,
            EXIT: str(ran.exit_status),
            SECONDS: f"{ran.duration.total_seconds():.3f}",
            STORE: self.runner.store,
            TIME: now.replace(microsecond=0).isoformat(),
            PROOF: proof_of(looked.fingerprint),
            **point,
            **({"base_position": context.base.position} if context.base else {}),
        }
        return replace(
            looked,
            # Its increments are found by the tool that made them, by no position of the server's.
            position=f"{kind} {now.isoformat()}",
            facts=facts,
            elsewhere=elsewhere,
        )

    def verify(self, now: datetime) -> None:
        """Have the organisation's own tool verify its store. Raise BackupFailed with its words."""
        if problem := self.runner.run("verify", {}, now).problem:
            raise BackupFailed(f"verify: {problem}")

    def newest_heartbeat(self, context: SourceContext) -> datetime | None:
        return self.inner.newest_heartbeat(context)

    def beat(self, context: SourceContext) -> None:
        self.inner.beat(context)

    def clear_heartbeats(self, context: SourceContext) -> int:
        return self.inner.clear_heartbeats(context)

    def provision(
        self,
        source: SourceModel,
        image: Image | None,
        sandboxes: Sandboxes,
        full: BackupToRestore | None = None,
    ) -> AbstractContextManager[Restored]:
        # What it is restored from lies elsewhere, so the server need not wait for it.
        self._folder = sandboxes.folder
        return self.inner.provision(source, image, sandboxes)

    def load(self, restored: Restored, backup: BackupToRestore) -> None:
        restored.take(backup)
        if problem := self._restore(restored, backup):
            # Whoever restores by hand would see to that, and begin again.
            if not (helped := restored.help_with(problem)):
                raise RestoreFailed(f"restore: {problem}")
            self.runner.tell(f"{helped}; once more")
            if problem := self._restore(restored, backup):
                raise RestoreFailed(f"restore: {problem}")
        restored.settle(backup)

    def replay(
        self, restored: Restored, increment: BackupToRestore, until: Until | None = None
    ) -> None:
        raise AssertionError("the tool that made an increment finds what it stands on")

    def _restore(self, restored: Restored, backup: BackupToRestore) -> str:
        """Run the restore once; return what went wrong with it."""
        with self._folder() as private:
            home, target = private / "home", private / "target"
            home.mkdir()
            target.mkdir()
            variables = {**restored.reach(private), "target": str(target)}
            if "defaults_file" in variables:
                # A plain `mysql app` must reach the sandbox and not what the user's own file names.
                shutil.copy(variables["defaults_file"], home / ".my.cnf")
            if backup.facts.get(POINT):
                variables["name"] = backup.facts[POINT]
            time = datetime.fromisoformat(backup.facts[TIME])
            ran = self.runner.run("restore", variables, time, fills=(target,), home=home)
            empty = not any(target.iterdir())
            if not ran.problem and empty and "target" in named_in(self.commands.restore):
                return "it ended without an error and restored nothing into {target}"
            return ran.problem

    def _run_job(self, kind: str, variables: Mapping[str, str], context: BackupContext) -> Ran:
        store = self.runner.store_folder
        there = foreign_store.signatures(store) if store else {}
        ran = self.runner.run(kind, variables, context.of.clock(), fills=(self.staging,))
        with context.artifact(OUTPUT) as sink:
            sink.write("\n".join((*ran.lines, *ran.complaints, "")).encode())
        if ran.problem:
            raise BackupFailed(f"{kind}: {ran.problem}")
        if store is not None and not foreign_store.written_bytes(store, there):
            raise BackupFailed(
                f"{kind}: it ended without an error and produced nothing: no file of {store} is"
                " new or other than before, or all of them are empty"
            )
        staged = "staging" in named_in(self.commands.all[kind])
        if store is None and staged and not foreign_store.used_bytes(self.staging):
            raise BackupFailed(
                f"{kind}: it ended without an error and put nothing into {{staging}}"
            )
        return ran

    def _empty_staging(self) -> None:
        shutil.rmtree(self.staging, ignore_errors=True)
        self.staging.mkdir(parents=True, mode=0o700)

    def _inventory(self, known: Mapping[str, ForeignFile]) -> dict[str, ForeignFile] | None:
        store = self.runner.store_folder
        if store is None:
            return None
        return foreign_store.inventory(store, known, self.commands.rewritten)

    def _elsewhere(
        self,
        known: Mapping[str, ForeignFile],
        before: Mapping[str, ForeignFile] | None,
        after: Mapping[str, ForeignFile] | None,
        staged: int,
    ) -> ForeignStore | None:
        if before is None or after is None:
            return None
        done = foreign_store.changes(before, after)
        own = foreign_store.changes(known, after).new
        return ForeignStore(
            root=self.runner.store,
            files=own,
            superseded=tuple(sorted(done.gone & known.keys())),
            content_bytes=staged or sum(file.stored_bytes for file in done.new),
        )

    def _listed(self, now: datetime) -> frozenset[str]:
        """The points that are listed before a job."""
        if self.commands.listing is None:
            return frozenset()
        try:
            return frozenset(point.name for point in self.points(now))
        except BackupFailed:
            # The job may be the one that makes the store.
            return frozenset()

    def _newest(
        self,
        now: datetime,
        listed: frozenset[str],
        before: Mapping[str, ForeignFile],
        after: Mapping[str, ForeignFile],
    ) -> dict[str, str]:
        """What tells the point that was just made from others. Raise BackupFailed if none was."""
        if not self.finds_backups:
            return {}
        points = self.points(now)
        if self.commands.listing is not None:
            fresh = [point for point in points if point.name not in listed]
        else:
            names = {file.name for file in foreign_store.changes(before, after).new}
            fresh = [one for one in points if foreign_store.name_of(Path(one.name)) in names]
        if not fresh:
            raise BackupFailed(
                "it ended without an error, and among the recovery points of the store none is new"
            )
        return {POINT: fresh[-1].name, TIME: fresh[-1].time.isoformat()}


def proof_of(fingerprint: Fingerprint) -> str:
    """Which proof a fingerprint makes possible, in words."""
    counts = Counter(item.comparison for item in fingerprint.items)
    told = [f"{counts[one]} {words}" for one, words in ASKED.items() if counts[one]]
    return f"of {plural(len(fingerprint.items), 'item')} {', '.join(told)}"


def engine_of(
    component: str,
    described: Component,
    folder: Path = Path(),
    staging: Path = Path(),
    tell: Callable[[str], None] = lambda _: None,
) -> Engine[SourceModel]:
    """The engine that backs a component up: its own, or the organisation's commands around it."""
    if described.commands is None:
        return engines.load(described.engine)
    return OwnCommands(component, described, folder, staging, tell)
