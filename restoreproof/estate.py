"""An estate as its policy names it: its vault, its components, their sources and their jobs."""

from collections.abc import Callable, Sequence
from pathlib import Path

from restoreproof import engines
from restoreproof.archive import new_run_id
from restoreproof.clock import system_clock
from restoreproof.component_audit import ComponentAudit
from restoreproof.engines.contract import Clock, SourceContext
from restoreproof.errors import SeveralProblems, UserError
from restoreproof.images import Image, ensure
from restoreproof.jobs import JobResult
from restoreproof.policy import PolicyDocument
from restoreproof.policy_file import read_policy
from restoreproof.progress import Progress
from restoreproof.references import expand
from restoreproof.sandbox import Sandboxes
from restoreproof.vault import Vault


def open_vault(document: PolicyDocument) -> Vault:
    """The vault that a policy names."""
    location = expand(document.policy.vault.location, where="vault.location")
    if "://" not in location:
        location = str((document.folder / location).resolve())
    return Vault(location)


def open_components(
    document: PolicyDocument,
    chosen: Sequence[str],
    sandboxes: Sandboxes,
    clock: Clock,
    progress: Progress,
) -> list[ComponentAudit]:
    """The components to work on, with their images made sure of. Raise UserError."""
    policy = document.policy
    unknown = sorted(set(chosen) - policy.components.keys())
    if unknown:
        raise UserError(
            f"no component {', '.join(unknown)} in the policy",
            where=str(document.path),
            mend=f"choose from: {', '.join(policy.components)}",
        )
    images = find_images(document, chosen, progress)
    components = []
    for name, component in policy.components.items():
        if chosen and name not in chosen:
            continue
        context = SourceContext(
            component=name,
            source=component.source,
            image=images.get(name),
            folder=document.folder,
            sandboxes=sandboxes,
            clock=clock,
            increments=bool(component.schedule and component.schedule.incremental),
            coverage=frozenset(component.coverage),
        )
        engine = engines.load(component.engine)
        components.append(
            ComponentAudit(
                name,
                component,
                policy.objectives,
                engine,
                context,
                clock,
                show_values=policy.audit.show_values,
            )
        )
    return components


def probe(components: Sequence[ComponentAudit]) -> None:
    """Ask every source whether it can be backed up. Raise all refusals at once."""
    problems = []
    for audited in components:
        try:
            audited.engine.probe(audited.context)
        except UserError as problem:
            problems.append(problem)
    if problems:
        raise SeveralProblems(problems)


def run_job(
    audited: ComponentAudit, vault: Vault, estate: str, progress: Progress, *, full: bool = False
) -> JobResult:
    """Run one component's job and tell of it."""
    progress(f"backing up {audited.name}")
    result = audited.run_job(vault, estate, full=full)
    if result.backup is None:
        progress(f"backup of {audited.name} failed: {result.problem}")
        return result
    manifest = result.backup.manifest()
    stored = sum(artifact.stored_bytes for artifact in manifest.artifacts)
    items = len(manifest.fingerprint.items)
    seconds = result.duration.total_seconds()
    progress(f"stored {result.backup.id}: {stored:,} bytes, {items} items, {seconds:.1f} s")
    return result


def find_images(
    document: PolicyDocument, chosen: Sequence[str], progress: Callable[[str], None]
) -> dict[str, Image]:
    """The image of every component that needs one. Raise ImageUnavailable."""
    found: dict[str, Image] = {}
    images = {}
    for name, component in document.policy.components.items():
        needed = engines.load(component.engine).needs_image and (not chosen or name in chosen)
        if not needed or component.image is None:
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
    sandboxes = Sandboxes(new_run_id(system_clock()))
    components = open_components(document, chosen, sandboxes, system_clock, progress)
    probe(components)
    vault.prepare()
    vault.catalog.entries()
    estate = document.policy.estate
    results = [run_job(audited, vault, estate, progress, full=full) for audited in components]
    for result in results:
        result.require_answer()
    return all(result.backup for result in results)
