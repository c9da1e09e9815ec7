"""One audit run from policy to signed report; pytest only asks its questions.

``prepare`` finds the user's mistakes before anything is done; ``back_up`` runs the jobs;
``lose`` plays the disaster; the suites answer; ``finish`` writes evidence and report.
"""

import secrets
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from restoreproof import (
    cleanup,
    environment,
    records,
    report_folder,
    resources,
    sidecars,
    signing_policy,
    time_stamping,
)
from restoreproof.archive import RunFolder, new_run_id
from restoreproof.asking import Ask
from restoreproof.chain_walk import ChainWalk
from restoreproof.checks import Answer, Question, questions, record
from restoreproof.clock import system_clock
from restoreproof.component_audit import ComponentAudit
from restoreproof.earlier_runs import read_earlier_runs
from restoreproof.engines.contract import Clock
from restoreproof.errors import (
    InfrastructureError,
    LedgerCorrupt,
    OutputUnwritable,
    RestoreProofError,
)
from restoreproof.estate import (
    find_backups,
    open_components,
    open_vault,
    prepare_vault,
    probe,
    probe_commands,
    run_job,
    seal_stream,
)
from restoreproof.evidence import CheckRecord, Evidence
from restoreproof.evidence_circumstances import Environment
from restoreproof.evidence_negative_control import NegativeControlRecord, Outcome
from restoreproof.exercises import Exercises
from restoreproof.ledger import Ledger, earlier_runs, position_after
from restoreproof.negative_control import NegativeControl
from restoreproof.policy import Policy, PolicyDocument
from restoreproof.policy_file import read_policy
from restoreproof.progress import Progress
from restoreproof.run_history import RunHistory
from restoreproof.sandbox import Sandboxes
from restoreproof.submodules import covered
from restoreproof.suite_index import SuiteIndex, read_suites
from restoreproof.verdicts import Verdict
from restoreproof.wording import ATTACHMENT

SILENT = "the check did not run: it was deselected or not collected"


@dataclass(frozen=True)
class AuditOptions:
    """What a user asked for.

    ``until_disaster`` is called once the jobs are done, and ``disaster`` when the estate is to be
    lost. ``clock`` is the estate's own, by which its backups are dated, where its time is
    simulated, as ``simulated`` says in words; the run itself is dated by this machine's.
    """

    policy: Path
    archive: Path
    components: tuple[str, ...] = ()
    backups: bool = True
    report: bool = True
    """Whether a report is made and signed of the evidence at once."""
    command: str = ""
    seed: int | None = None
    until_disaster: Callable[[], None] = lambda: None
    disaster: Callable[[], None] = lambda: None
    clock: Clock | None = None
    simulated: str = ""


class AuditRun:
    """The state of one run."""

    def __init__(
        self, options: AuditOptions, progress: Progress, clock: Clock = system_clock
    ) -> None:
        self.options = options
        self.progress = progress
        self.clock = clock
        self.estate_clock = options.clock or clock
        self.started_at = clock()
        self.id = new_run_id(self.started_at)
        self.seed = secrets.randbelow(2**32) if options.seed is None else options.seed
        self.document: PolicyDocument = read_policy(options.policy)
        self.index: SuiteIndex = read_suites(resources.folder("suites"))
        self.vault = open_vault(self.document)
        self.identity = signing_policy.open_identity(self.document, self.started_at)
        self.means = signing_policy.means_of(self.document)
        self.components: list[ComponentAudit] = []
        self.answers: dict[Question, Answer] = {}
        self.broken_suites: dict[str, str] = {}
        self.walk = ChainWalk()
        self.exercises = Exercises()
        self.ledger = Ledger(options.archive)
        self._observed: Environment | None = None
        self._folder: RunFolder | None = None
        self._held = ExitStack()

    @property
    def policy(self) -> Policy:
        """The policy under audit."""
        return self.document.policy

    def prepare(self) -> None:
        """Make sure of everything a run needs. Raise every UserError found, at once."""
        self._folder = RunFolder(self.options.archive, self.id, self.policy.estate)
        self.progress.open_log(self._folder.path / "run.log")
        self.progress(f"run {self.id} of policy {self.document.path.name}, seed {self.seed}")
        unknown = signing_policy.check_revocation(self.identity, self.means, self.started_at)
        if unknown:
            self.progress(f"whether the signer was revoked could not be asked: {unknown}")
        self.components = open_components(
            self.document,
            self.options.components,
            Sandboxes(self.id, self.policy.audit.limits.of_each()),
            self.estate_clock,
            self.progress,
        )
        if self.options.backups:
            probe(self.components)
            prepare_vault(self.vault)
        else:
            probe_commands(self.components)
        # What catalog and ledger hold must be known before anything is added to them.
        self.vault.catalog.events()
        self.ledger.entries()
        # Nothing may be pruned that is about to be restored.
        self._held.enter_context(self.vault.reading("auditing", self.started_at))
        images = [audited.image for audited in self.components if audited.image]
        self._observed = environment.observe(images, self.index.sha256, self.started_at)

    def begin(self) -> None:
        """Run the jobs, if they are wanted, and then play the disaster."""
        if self.options.backups:
            self.back_up()
        self.options.until_disaster()
        for audited in self.components:
            if not (self.options.backups and audited.makes_backups):
                find_backups(audited, self.vault, self.policy.estate, self.progress)
        self.lose()

    def back_up(self) -> None:
        """Run every component's job. A job that fails is a result."""
        for audited in self.components:
            if audited.makes_backups:
                run_job(audited, self.vault, self.policy.estate, self.progress)

    def lose(self) -> None:
        """Play the disaster: from here on there is nothing but the vault."""
        at = self.estate_clock()
        for audited in self.components:
            audited.lose(at, ask_source=self.options.backups)
        self.options.disaster()
        for audited in self.components:
            seal_stream(audited, self.vault, self.policy.estate, self.progress)
        events = self.vault.catalog.events()
        within = self.policy.integrity_checks or timedelta()
        wanted = self.policy.negative_control
        period = max(2 * self.policy.objectives.restore_test_every, within)
        earlier = read_earlier_runs(self.options.archive, self.policy.estate, at - period)
        for audited in self.components:
            known = self.vault.backups(audited.name)
            audited.earlier, audited.check_within = earlier, within
            if wanted != "off":
                audited.control_budget = wanted.budget
            history = RunHistory.of(events, audited.name)
            audited.lying = self.vault.folders(audited.name)
            audited.choose(known, self.policy.audit.restore, self.seed, history)
        held = {name: self.vault.backups(name) for name in self.policy.components}
        for audited in self.components:
            audited.submodules = covered(audited.name, held)

    def control_negatively(self, audited: ComponentAudit, ask: Ask) -> NegativeControlRecord:
        """Damage copies of a component's backups and see whether the checks notice."""
        wanted = self.policy.negative_control
        assert wanted != "off"
        seed = self.seed if wanted.seed is None else wanted.seed
        budget = audited.control_budget
        seconds = budget.total_seconds()
        self.progress(f"damaging copies of {audited.name}'s backups, {seconds:g} s at the most")
        declarations = self.index.declarations
        control = NegativeControl(audited, declarations, ask, budget, seed, self.progress)
        done = audited.negative_control = control.run()
        detected, tried = len(done.with_outcome(Outcome.DETECTED)), len(done.tried)
        self.progress(f"{audited.name}: {detected} of {tried} damages detected, seed {seed}")
        return done

    def component(self, name: str) -> ComponentAudit:
        """The component of this name."""
        return next(audited for audited in self.components if audited.name == name)

    def order_of_questions(self) -> dict[Question, tuple[list[bool], int, int, bool, str]]:
        """Component by component, backup by backup, restores first: as one would ask.

        The negative control and the criteria come last, when the restores that are measured are
        done.
        """
        names = [audited.name for audited in self.components]
        backups = {t.backup.id: n for one in self.components for n, t in enumerate(one.targets)}
        return {
            question: (
                [question.check.startswith(last) for last in ("CRT", "NEG")],
                names.index(question.component),
                backups.get(question.backup, len(backups)),
                not question.check.startswith("RST"),
                question.check,
            )
            for _, question in questions(self.index.declarations, self.components)
        }

    def answer(self, question: Question, answer: Answer) -> None:
        """Take an answer; of several to one question the worst counts."""
        known = self.answers.get(question)
        if known is None or answer.judged()[0].rank >= known.judged()[0].rank:
            self.answers[question] = answer

    def checks(self) -> tuple[CheckRecord, ...]:
        """The record of every question, answered or not."""
        found = []
        for declaration, question in questions(self.index.declarations, self.components):
            answer = self.answers.get(question)
            if answer is None:
                broken = self.broken_suites.get(declaration.file)
                verdict = Verdict.ERROR if broken else Verdict.UNPROVEN
                silent = not question.backup and declaration.scope == "target"
                reason = broken or ("there is no backup to restore" if silent else SILENT)
                answer = Answer(verdict, reason)
            found.append(record(declaration, question, answer))
        return tuple(sorted(found, key=lambda c: (c.component or "", c.id, c.backup or "")))

    def finish(self) -> tuple[Evidence, Path]:
        """Seal the evidence, make, sign and verify the report, and put all in its place.

        Evidence is kept even if no report can be made of it; then raise InfrastructureError.
        """
        assert self._folder is not None
        assert self._observed is not None
        self.walk.close()
        with ExitStack() as stack:
            with suppress(OSError):
                stack.enter_context(self.ledger.held())
            evidence = self._evidence(self._observed)
            self.progress(f"writing evidence{' and report' * self.options.report}")
            try:
                evidence.write(self._folder.path / ATTACHMENT)
            except OSError as error:
                raise unwritable(self._folder.path, error) from None
            problem = ""
            try:
                if self.options.report:
                    sidecars.write_oscal(evidence, self._folder.path)
                    with report_folder.all_or_nothing(self._folder.path):
                        self._write_report(evidence, self._folder)
            except RestoreProofError as error:
                problem = f"no report could be made: {error.where}: {error.what}"
            except Exception as error:  # noqa: BLE001  # the evidence must not be lost
                problem = f"no report could be made: {type(error).__name__}: {error}"
            self.progress.close_log()
            self.exercises.stop()
            self._held.close()
            folder = self._folder.publish()
            mend = (
                f"mend the cause, then: restoreproof report {folder / ATTACHMENT}"
                f" --policy {self.document.path} --to {folder}"
            )
            try:
                entry = self.ledger.enter(evidence, folder)
                if self.means.timestamps:
                    time_stamping.stamp(entry, self.options.archive, self.means.timestamps)
            except (LedgerCorrupt, OSError) as error:
                problem = problem or f"the run could not be entered in the ledger: {error}"
            except InfrastructureError as error:
                problem = problem or f"{error.where}: {error.what}"
        if problem:
            raise InfrastructureError(problem, where=str(folder), mend=mend)
        return evidence, folder

    def _write_report(self, evidence: Evidence, folder: RunFolder) -> None:
        report_folder.write_report(evidence, folder.path, self.identity, self.means, self.clock)
        self.progress("report signed, and verified as a reader would")
        self.progress.close_log()
        sidecars.bind(evidence, folder.path, folder.files(), self.identity)

    def _evidence(self, observed: Environment) -> Evidence:
        left = cleanup.servers_left(self.id)
        evidence = records.evidence(self, observed.model_copy(update={"servers_left": left}))
        try:
            entries = self.ledger.entries()
        except LedgerCorrupt:
            # It was sound when the run began. The run's own evidence is kept all the same.
            return evidence.sealed()
        place = {
            "ledger": position_after(entries),
            "earlier_runs": earlier_runs(entries, evidence.policy.estate),
        }
        return evidence.model_copy(update=place).sealed()

    @property
    def trust_file(self) -> Path | None:
        """The authority's certificate, where it lies beside the identity."""
        path = Path(self.identity.source).with_name("ca.pem")
        return path if path.exists() else None

    @property
    def folder(self) -> Path:
        """Where files of this run are written while it goes on."""
        assert self._folder is not None
        return self._folder.path

    @contextmanager
    def discarding(self) -> Iterator[None]:
        """Leave nothing behind if the block ends with an exception."""
        try:
            yield
        except BaseException:
            self.discard()
            raise

    def discard(self) -> None:
        """Leave nothing of an unfinished run behind."""
        self.walk.close()
        self.exercises.stop()
        self._held.close()
        self.progress.close_log()
        if self._folder is not None:
            self._folder.discard()


def unwritable(folder: Path, error: OSError) -> OutputUnwritable:
    """A disk that took no more of a run, as one line."""
    mend = "make room, or give another folder with --out, and run again"
    what = f"the evidence cannot be written: {error.strerror}"
    return OutputUnwritable(what, where=str(folder), mend=mend)
