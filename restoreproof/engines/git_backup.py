"""What a backup job stores of a repository: references, the commits with their trees, a bundle.

The source is only read. It is looked at through a repository of our own that has the source's
references as they were in one instant, so a source that moves on is no matter.
"""

import json
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from itertools import chain
from pathlib import Path

from git.exc import GitCommandError

from restoreproof.engines.contract import BackupContent, BackupContext, Base
from restoreproof.engines.git_command import CHUNK_BYTES, output_of, run_git, words
from restoreproof.engines.git_fingerprint import fingerprint
from restoreproof.engines.git_place import SHALLOW, Place, locate
from restoreproof.engines.git_references import TAGS, References, recorded
from restoreproof.engines.git_stored import BUNDLE, REFERENCES, VERSIONS, put_back
from restoreproof.engines.git_submodules import SUBMODULES, submodules
from restoreproof.engines.git_versions import SUBMODULES as SUBMODULE_KIND
from restoreproof.engines.git_versions import listed, outside
from restoreproof.fingerprint import Fingerprint
from restoreproof.outcomes import BackupFailed, RestoreFailed

OUTSIDE, DELETED, REWRITTEN = "outside", "deleted", "rewritten"
PINNED = "submodules"
"""Facts: what lies outside the repository, by kind, which references were deleted since the base,
or lead to another history, and of submodules commit and place. Each is JSON."""
EMPTY = "Refusing to create empty bundle"


def back_up(context: BackupContext) -> BackupContent:
    """Store all, or with a base what came since. Raise BackupFailed with git's own words."""
    place = locate(context.of)
    with context.of.sandboxes.folder() as folder:
        try:
            known = _known_beforehand(context.base, folder / "known.git", place)
            return _store(context, _mirror(place, folder / "mirror.git", known), place)
        except GitCommandError as error:
            said = words(error)
            if "is shallow" in said:
                said = f"{SHALLOW[0]}; {SHALLOW[1]}"
            raise BackupFailed(said) from None
        except RestoreFailed as error:
            raise BackupFailed(f"the source is damaged: {error}") from None


def _known_beforehand(base: Base | None, repository: Path, place: Place) -> Path | None:
    """What the vault holds of a source that lies across a network; None if that is of no use."""
    if base is None or place.folder is not None:
        return None
    try:
        for number, backup in enumerate(base.chain()):
            put_back(backup, repository, increment=number > 0)
    except RestoreFailed:
        # What is damaged in the vault is told elsewhere; the source has all of it.
        return None
    return repository


def _mirror(place: Place, mirror: Path, known: Path | None) -> Path:
    """A repository with all references of the source.

    Of one on this machine it shares the objects, which never change; of another those that are
    known, and only the rest comes over the network.
    """
    how = ["--shared" if place.folder else "--no-local"]
    how += [f"--reference={known}"] if known is not None else []
    clone = ["clone", "--quiet", "--mirror", "--reject-shallow", *how, "--", place.location]
    run_git([*clone, str(mirror)], environment=place.variables)
    return mirror


def _store(context: BackupContext, mirror: Path, place: Place) -> BackupContent:
    recovery_point, references = context.of.clock(), References.of(mirror)
    known: tuple[str, ...] = ()
    facts: dict[str, str] = {}
    if context.base is not None:
        known = _known(context.base, mirror)
        facts["base_position"] = context.base.position
        facts |= _lost(context.base, references, mirror)
    # The mirror stands still, so it is looked at while it is bundled.
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="fingerprint") as beside:
        versions = beside.submit(list, listed(mirror, known))
        looking = beside.submit(_look, mirror, references, place, recovery_point)
        with context.artifact(REFERENCES) as sink:
            sink.write(references.content)
        if (bundle := _bundle(mirror, known)) is not None:
            with context.artifact(BUNDLE) as sink:
                for chunk in bundle:
                    sink.write(chunk)
        with context.artifact(VERSIONS) as sink:
            for chunk in versions.result():
                sink.write(chunk)
        seen, lying = looking.result()
    return BackupContent(
        recovery_point=recovery_point,
        fingerprint=seen,
        source_version=run_git(["version"]).strip(),
        source_identity=place.location,
        position=references.position,
        facts=facts | lying,
    )


def _look(
    mirror: Path, references: References, place: Place, taken_at: datetime
) -> tuple[Fingerprint, dict[str, str]]:
    """The fingerprint, and the facts about what lies elsewhere."""
    facts: dict[str, str] = {}
    if elsewhere := outside(mirror, references.object_format):
        facts[OUTSIDE] = json.dumps(elsewhere)
    if elsewhere.get(SUBMODULE_KIND):
        found = submodules(mirror, place.location)
        facts[PINNED] = SUBMODULES.dump_json(found).decode()
    return fingerprint(mirror, taken_at), facts


def _bundle(mirror: Path, known: tuple[str, ...]) -> Iterator[bytes] | None:
    """A bundle of what the references reach and known objects do not; None if that is nothing."""
    # What is packed at the source stays as it is. To look for deltas among the rest would take as
    # long again as all else, for objects that the source packs by itself sooner or later; and what
    # git leaves uncompressed the vault compresses better, since it looks beyond one object.
    quick = ["-c", "pack.window=0", "-c", "pack.compression=0"]
    command = [*quick, "bundle", "create", "--quiet", "-", "--all", "--stdin"]
    bundle = output_of(command, mirror, (f"^{one}" for one in known))
    try:
        # With nothing to store it refuses after a few lines.
        first = next(bundle)
        rest = bundle if len(first) == CHUNK_BYTES else list(bundle)
        return chain([first], rest)
    except GitCommandError as error:
        if EMPTY in words(error):
            return None
        raise


def _known(base: Base, mirror: Path) -> tuple[str, ...]:
    """What the base holds for certain: the commits and tags that it named and that are here."""
    assert base.fingerprint is not None
    tips = sorted(set(recorded(base.fingerprint).values()))
    told = b"".join(output_of(["cat-file", "--batch-check"], mirror, tips)).decode()
    found = [line.split() for line in told.splitlines()]
    return tuple(one[0] for one in found if one[1] in ("commit", "tag"))


def _lost(base: Base, references: References, mirror: Path) -> Mapping[str, str]:
    """Which references of the base were deleted, and which lead to another history now."""
    assert base.fingerprint is not None
    before, now = recorded(base.fingerprint), references.names
    deleted = [name for name in before if name not in now]
    rewritten = []
    for name, old in before.items():
        if name in now and now[name] != old:
            try:
                gone = run_git(["rev-list", "-n1", old, "--not", now[name]], mirror)
            except GitCommandError:
                gone = old
            if gone.strip() or name.startswith(TAGS):
                rewritten.append(name)
    found = {DELETED: deleted, REWRITTEN: rewritten}
    return {fact: json.dumps(names) for fact, names in found.items() if names}
