"""An estate as its policy names it: its vault, its components, their sources and their jobs."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

from restoreproof import criteria
from restoreproof.archive import new_run_id
from restoreproof.clock import system_clock
from restoreproof.command_engine import OwnCommands, engine_of
from restoreproof.component_audit import ComponentAudit
from restoreproof.due import note_schedule
from restoreproof.engines.contract import Base, Clock, SourceContext
from restoreproof.errors import (
    InfrastructureError,
    RestoreProofError,
    SeveralProblems,
    UserError,
    VaultBusy,
)
from restoreproof.found_backups import note_gone, take_stock
from restoreproof.images import Image, ensure
from restoreproof.jobs import JobResult, base_of, moved, note_failure
from restoreproof.outcomes import BackupFailed
from restoreproof.policy import PolicyDocument
from restoreproof.policy_file import read_policy
from restoreproof.progress import Progress
from restoreproof.references import expand
from restoreproof.sandbox import Sandboxes
from restoreproof.vault import Vault

POLL_SECONDS = 1.0
STAGING = ".staging"
NOT_BEGUN = "not begun"
"""The kind of a job that another process kept from beginning."""


def open_vault(document: PolicyDocument) -> Vault:
    """The vault that a policy names."""
    location = expand(document.policy.vault.location, where="vault.location")
    if "://" not in location:
        location = str((document.folder / location).resolve())
    return Vault(location)


def chosen_components(document: PolicyDocument, chosen: Sequence[str]) -> tuple[str, ...]:
    """The names of the components to work on; all if none is chosen. Raise UserError."""
    names = document.policy.components.keys()
    unknown = sorted(set(chosen) - names)
    if unknown:
        raise UserError(
            f"no component {', '.join(unknown)} in the policy",
            where=str(document.path),
            mend=f"choose from: {', '.join(names)}",
        )
    return tuple(name for name in names if not chosen or name in chosen)


def sandboxes_of(document: PolicyDocument, now: datetime) -> Sandboxes:
    """Sandboxes of a new run, each with what the policy lets it use."""
    return Sandboxes(new_run_id(now), document.policy.audit.limits.of_each())


def open_components(
    document: PolicyDocument,
    chosen: Sequence[str],
    sandboxes: Sandboxes,
    clock: Clock,
    progress: Progress,
) -> list[ComponentAudit]:
    """The components to work on, with their images made sure of. Raise UserError."""
    policy = document.policy
    names = chosen_components(document, chosen)
    images = find_images(document, chosen, progress)
    components = []
    for name in names:
        component = policy.components[name]
        context = SourceContext(
            component=name,
            source=component.source,
            image=images.get(name),
            folder=document.folder,
            sandboxes=sandboxes,
            clock=clock,
            increments=bool(
                component.schedule
                and (component.schedule.incremental or component.schedule.continuous)
            ),
            coverage=frozenset(component.coverage),
        )
        staging = open_vault(document).root / STAGING / name
        engine = engine_of(name, component, document.folder, staging, progress)
        components.append(
            ComponentAudit(
                name,
                component,
                policy.objectives,
                engine,
                context,
                clock,
                policy.audit,
                criteria=criteria.played(policy, name),
            )
        )
    return components


def probe(components: Sequence[ComponentAudit]) -> None:
    """Ask every source whether it can be backed up. Raise all refusals at once."""
    _probe([partial(audited.engine.probe, audited.context) for audited in components])


def probe_commands(components: Sequence[ComponentAudit]) -> None:
    """Make sure that commands of the organisation's can be run. Raise all mistakes at once."""
    own = [one.engine for one in components if isinstance(one.engine, OwnCommands)]
    _probe([engine.runner.probe for engine in own])


def _probe(probes: Sequence[Callable[[], None]]) -> None:
    problems = []
    for one in probes:
        try:
            one()
        except UserError as problem:
            problems.append(problem)
    if problems:
        raise SeveralProblems(problems)


def run_job(
    audited: ComponentAudit, vault: Vault, estate: str, progress: Progress, *, full: bool = False
) -> JobResult:
    """Run one component's job and tell of it, while no other process works on the component."""
    now = audited.clock()
    try:
        with vault.working_on(audited.name, "backing up", now):
            note_schedule(vault, audited.name, audited.schedule, now)
            return run_job_alone(audited, vault, estate, progress, full=full)
    except VaultBusy as busy:
        return _not_begun(audited, busy, progress)


def find_backups(audited: ComponentAudit, vault: Vault, estate: str, progress: Progress) -> None:
    """Enter what others made in a store that is not ours, while nobody else works on it."""
    if not isinstance(audited.engine, OwnCommands):
        return
    try:
        with vault.working_on(audited.name, "looking for backups of", audited.clock()):
            take_stock(audited, vault, estate, progress)
    except VaultBusy as busy:
        _not_begun(audited, busy, progress)


def seal_stream(audited: ComponentAudit, vault: Vault, estate: str, progress: Progress) -> None:
    """Make a backup of what was streamed, if anything, while no other process works on it."""
    if not audited.streams:
        return
    try:
        with vault.working_on(audited.name, "sealing the stream of", audited.clock()):
            if sealed := audited.seal(vault, estate):
                tell_of(sealed, progress)
    except VaultBusy as busy:
        _not_begun(audited, busy, progress)


def _not_begun(audited: ComponentAudit, busy: VaultBusy, progress: Progress) -> JobResult:
    now = audited.clock()
    result = JobResult(audited.name, NOT_BEGUN, now, timedelta(), None, str(busy), busy)
    audited.jobs.append(result)
    tell_of(result, progress)
    return result


def run_job_alone(
    audited: ComponentAudit, vault: Vault, estate: str, progress: Progress, *, full: bool
) -> JobResult:
    """Run a job under the component's lock, which the caller holds."""
    progress(f"backing up {audited.name}")
    take_stock(audited, vault, estate, progress)
    # What was streamed belongs to the chain that a full backup is about to end.
    if sealed := audited.seal(vault, estate):
        tell_of(sealed, progress)
    before = vault.backups(audited.name)[-1:]
    result = audited.run_job(vault, estate, full=full)
    tell_of(result, progress)
    note_gone(audited, vault, progress)
    for note in moved((*before, result.backup)) if result.backup else ():
        progress(f"note: {note}")
    return result


def prepare_vault(vault: Vault) -> None:
    """Make ready for jobs, with a line in the catalog for every job whose process died.

    Raise CatalogCorrupt rather than add anything to a catalog that is not whole.
    """
    vault.catalog.events()
    for job in vault.abandoned():
        what = "its process died in the midst of it"
        # Nobody knows when it died.
        note_failure(vault, job.component, job.kind, job.started_at, job.started_at, what)
    vault.prepare()


def tell_of(result: JobResult, progress: Progress) -> None:
    """Say what came of a job."""
    if result.backup is None:
        progress(f"backup of {result.component} failed: {result.problem}")
        return
    manifest = result.backup.manifest()
    stored = sum(artifact.stored_bytes for artifact in manifest.artifacts)
    items = len(manifest.fingerprint.items)
    seconds = result.duration.total_seconds()
    progress(f"stored {result.backup.id}: {stored:,} bytes, {items} items, {seconds:.1f} s")


def stream(policy: Path, chosen: Sequence[str], progress: Progress) -> None:
    """Store the changes of an estate as they happen, until interrupted.

    Raise UserError if nothing is to be streamed, and what ended a stream.
    """
    with streaming(policy, chosen, progress) as ends:
        while not all(ended.wait(POLL_SECONDS) for ended in ends):
            pass


@contextmanager
def streaming(
    policy: Path, chosen: Sequence[str], progress: Progress, clock: Clock = system_clock
) -> Iterator[Sequence[threading.Event]]:
    """Store the changes of an estate as they happen, until the block ends.

    It is given an event for every stream, set when that has ended. Raise UserError if nothing is
    to be streamed, and what ended a stream.
    """
    document = read_policy(policy)
    vault = open_vault(document)
    sandboxes = sandboxes_of(document, system_clock())
    components = open_components(document, chosen, sandboxes, clock, progress)
    streamed = [audited for audited in components if audited.streams]
    if not streamed:
        raise UserError(
            "no component of the policy is streamed",
            where=str(document.path),
            mend="set 'continuous: true' in the schedule of a component whose engine can do it",
        )
    probe(streamed)
    vault.prepare()
    stop, problems = threading.Event(), list[RestoreProofError]()
    with ExitStack() as stack:
        stack.callback(stop.set)
        yield [
            stack.enter_context(_following(audited, vault, stop, progress, problems))
            for audited in streamed
        ]
    if problems:
        raise problems[0]


@contextmanager
def _following(
    audited: ComponentAudit,
    vault: Vault,
    stop: threading.Event,
    progress: Progress,
    problems: list[RestoreProofError],
) -> Iterator[threading.Event]:
    def newest() -> Base:
        known = vault.backups(audited.name)
        if not known:
            mend = f"take a full backup first: restoreproof backup POLICY {audited.name}"
            raise UserError("the vault holds no backup to continue", where=audited.name, mend=mend)
        return base_of(known[-1])

    def follow() -> None:
        try:
            audited.engine.follow(audited.context, newest, store, stop, progress)
        except BackupFailed as failure:
            problems.append(InfrastructureError(str(failure), where=audited.name))
        except RestoreProofError as error:
            problems.append(error)
        finally:
            stop.set()
            ended.set()

    ended = threading.Event()
    store = vault.stream(audited.name, newest().source_identity)
    with store.locked():
        threading.Thread(target=follow, name=f"stream {audited.name}").start()
        try:
            yield ended
        finally:
            stop.set()
            # Python does not join a thread any more once joining it was interrupted.
            ended.wait()


def find_images(
    document: PolicyDocument, chosen: Sequence[str], progress: Callable[[str], None]
) -> dict[str, Image]:
    """The image of every component that names one. Raise ImageUnavailable."""
    found: dict[str, Image] = {}
    images = {}
    for name, component in document.policy.components.items():
        if component.image is None or (chosen and name not in chosen):
            continue
        reference = expand(component.image, where=f"component {name}")
        if reference not in found:
            image = found[reference] = ensure(reference, progress)
            progress(f"image {reference} ({image.origin}) {image.identifier[:19]}")
        images[name] = found[reference]
    return images


def run_jobs(policy: Path, chosen: Sequence[str], progress: Progress, *, full: bool) -> bool:
    """Back up an estate, or some of its components. Return whether all jobs stored a backup.

    Raise RestoreProofError, at the end, for trouble that says nothing about a backup.
    """
    document = read_policy(policy)
    vault = open_vault(document)
    sandboxes = sandboxes_of(document, system_clock())
    components = open_components(document, chosen, sandboxes, system_clock, progress)
    probe(components)
    prepare_vault(vault)
    estate = document.policy.estate
    results = [
        run_job(audited, vault, estate, progress, full=full)
        for audited in components
        if audited.makes_backups
    ]
    for result in results:
        result.require_answer()
    return all(result.backup for result in results)
