"""Damages that any backup can have: in the vault, in stored bytes, and in whatever it holds."""

from datetime import timedelta

from restoreproof.damage import MANIFEST, NotApplicable
from restoreproof.damage_kinds import Damage, Layer, Subject
from restoreproof.fingerprint import Comparison
from restoreproof.manifest import Artifact

BLOCK = 512
LONG = timedelta(days=400)
MAIN = (
    "dump.sql.zst",
    "data-directory.tar.zst",
    "binary-logs.tar.zst",
    "portable.tar.zst",
    "repository.bundle.zst",
)
"""The artifacts without which nothing comes back; of others it is the largest."""


# In the vault


def delete_folder(subject: Subject) -> str:
    subject.copy.remove_backup(subject.backup)
    return "folder of the backup deleted"


def forget(subject: Subject) -> str:
    subject.copy.forget(subject.backup)
    return "line of the backup left out of the catalog, its chain of hashes made anew"


def misdate_in_catalog(subject: Subject) -> str:
    subject.copy.misdate_in_catalog(subject.backup, timedelta(hours=1))
    return "recovery point in the catalog an hour later, its chain of hashes made anew"


def date_ahead(subject: Subject) -> str:
    age = subject.lost_at - subject.manifest.started_at
    subject.copy.backdate(subject.backup, -(age + LONG))
    return f"every date of the backup at least {LONG.days} days ahead"


def backdate(subject: Subject) -> str:
    subject.copy.backdate(subject.backup, LONG)
    return f"every date of the backup {LONG.days} days earlier"


def lose_base(subject: Subject) -> str:
    for one in subject.copy.vault.backups(subject.backup.entry.component):
        if one.id == subject.backup.entry.base:
            subject.copy.remove_backup(one)
            subject.copy.forget(one)
    return "backup that the increment stands on gone, and its line in the catalog"


def begin_elsewhere(subject: Subject) -> str:
    facts = {**subject.manifest.facts, "base_position": "elsewhere"}
    subject.copy.restate(subject.backup, facts=facts)
    return "increment begins at another position than where its base ends"


# In stored bytes


def flip_byte(subject: Subject) -> str:
    one = _any(subject)
    at = subject.chance.randrange(one.stored_bytes)
    subject.copy.flip_byte(subject.backup, one.name, at)
    return f"byte {at} of {one.name} turned over"


def cut_short(subject: Subject) -> str:
    one = _any(subject)
    keep = subject.chance.randrange(one.stored_bytes)
    subject.copy.truncate(subject.backup, one.name, keep)
    return f"{keep} of {one.stored_bytes} bytes of {one.name} kept"


def empty(subject: Subject) -> str:
    one = _any(subject)
    subject.copy.truncate(subject.backup, one.name, 0)
    return f"nothing of {one.name} kept"


def lengthen(subject: Subject) -> str:
    one = _any(subject)
    subject.copy.change_stored(subject.backup, one.name, lambda stored: stored + b"\0")
    return f"one byte more at the end of {one.name}"


def zero_block(subject: Subject) -> str:
    one = _any(subject)
    size = min(BLOCK, one.stored_bytes)
    at = subject.chance.randrange(one.stored_bytes - size + 1)
    subject.copy.change_stored(
        subject.backup, one.name, lambda stored: stored[:at] + bytes(size) + stored[at + size :]
    )
    return f"{size} bytes of {one.name} from byte {at} on are zero"


def swap_blocks(subject: Subject) -> str:
    one = _any(subject)
    half = one.stored_bytes // 2
    if not half:
        raise NotApplicable(f"{one.name} has no two halves")
    subject.copy.change_stored(
        subject.backup, one.name, lambda stored: stored[half:] + stored[:half]
    )
    return f"halves of {one.name} in the wrong order"


def swap_artifacts(subject: Subject) -> str:
    names = [artifact.name for artifact in subject.manifest.artifacts]
    if len(names) < 2:
        raise NotApplicable("the backup has one artifact alone")
    one, other = subject.chance.sample(names, 2)
    for name in (one, other):
        subject.artifact(name)
    folder = subject.backup.folder
    contents = (folder / one).read_bytes(), (folder / other).read_bytes()
    subject.copy.change_stored(subject.backup, one, lambda _: contents[1])
    subject.copy.change_stored(subject.backup, other, lambda _: contents[0])
    return f"{one} and {other} have each other's bytes"


def remove_artifact(subject: Subject) -> str:
    one = subject.chance.choice(subject.manifest.artifacts)
    subject.copy.remove(subject.backup, one.name)
    return f"{one.name} removed"


def remove_manifest(subject: Subject) -> str:
    subject.copy.remove(subject.backup)
    return f"{MANIFEST} removed"


def alter_manifest(subject: Subject) -> str:
    position = subject.manifest.recovery_point
    subject.copy.change_stored(
        subject.backup,
        MANIFEST,
        lambda stored: stored.replace(
            f'"finished_at": "{position.year}'.encode(),
            f'"finished_at": "{position.year + 1}'.encode(),
        ),
    )
    return f"{MANIFEST} names another year"


# In whatever a backup holds


def break_off_stream(subject: Subject) -> str:
    one = _main(subject)
    keep = one.stored_bytes - 1 - subject.chance.randrange(max(one.stored_bytes // 2, 1))
    subject.copy.break_off(subject.backup, one.name, max(keep, 1))
    return f"compressed stream of {one.name} breaks off, with right hashes"


def halve_content(subject: Subject) -> str:
    one = _main(subject)
    subject.rewrite(one.name, lambda content: content[: len(content) // 2])
    return f"first half of {one.name} stored as if it were all of it"


def empty_content(subject: Subject) -> str:
    one = _main(subject)
    subject.rewrite(one.name, lambda _: b"")
    return f"nothing stored as {one.name}: the tool ended without an error"


def stale_content(subject: Subject) -> str:
    if subject.earlier is None:
        raise NotApplicable("there is no earlier full backup")
    # Only what both name says for certain that they hold different things.
    before = {item.key: item for item in subject.earlier.manifest().fingerprint.items}
    if not any(
        (item.count, item.digest) != (before[item.key].count, before[item.key].digest)
        for item in subject.fingerprint.items
        if item.comparison is Comparison.EQUAL and item.key in before
    ):
        raise NotApplicable("the full backup before it is not known to hold something else")
    subject.copy.take_content_of(subject.backup, subject.earlier)
    return f"content of {subject.earlier.id} stored under this backup's name and date"


def _any(subject: Subject) -> Artifact:
    """Any artifact that holds something and is not too large."""
    names = [one.name for one in subject.manifest.artifacts if one.stored_bytes]
    if not names:
        raise NotApplicable("the backup has no artifact")
    return subject.artifact(subject.chance.choice(names))


def _main(subject: Subject) -> Artifact:
    """The artifact that holds the content itself."""
    known = {one.name: one for one in subject.manifest.artifacts}
    name = next((one for one in MAIN if one in known), None)
    if name is None:
        largest = max(known.values(), key=lambda one: one.content_bytes, default=None)
        name = largest.name if largest else ""
    return subject.artifact(name)


DAMAGES = (
    Damage("folder-deleted", "backup deleted by hand", Layer.VAULT, delete_folder),
    Damage("catalog-line-lost", "catalog does not name the backup", Layer.VAULT, forget),
    Damage("catalog-misdated", "catalog names another date", Layer.VAULT, misdate_in_catalog),
    Damage(
        "dated-ahead", "backup dated in the future", Layer.VAULT, date_ahead,
        only=frozenset({"RPO-004"}),
    ),
    Damage(
        "out-of-date", "newest backup of last year", Layer.VAULT, backdate, increments=False,
        only=frozenset({"RPO-002", "SCH-001"}),
    ),
    Damage("base-lost", "increment without its base", Layer.BYTES, lose_base, increments=True),
    Damage(
        "gap-in-chain", "gap between base and increment", Layer.VAULT, begin_elsewhere,
        increments=True, only=frozenset({"INC-001"}),
    ),
    Damage("byte-flipped", "one stored byte turned over", Layer.BYTES, flip_byte),
    Damage("cut-short", "stored file cut short", Layer.BYTES, cut_short),
    Damage("emptied", "stored file emptied", Layer.BYTES, empty),
    Damage("lengthened", "stored file one byte longer", Layer.BYTES, lengthen),
    Damage("block-zeroed", "stored block filled with zeros", Layer.BYTES, zero_block),
    Damage("blocks-swapped", "stored blocks swapped", Layer.BYTES, swap_blocks),
    Damage("files-swapped", "two stored files swapped", Layer.BYTES, swap_artifacts),
    Damage("file-removed", "stored file removed", Layer.BYTES, remove_artifact),
    Damage("manifest-removed", "manifest removed", Layer.BYTES, remove_manifest),
    Damage("manifest-altered", "manifest altered", Layer.BYTES, alter_manifest),
    Damage("stream-breaks-off", "compressed stream breaks off", Layer.CONTENT, break_off_stream),
    Damage("content-halved", "half of the content stored", Layer.CONTENT, halve_content),
    Damage("content-empty", "empty content stored", Layer.CONTENT, empty_content),
    Damage(
        "content-stale", "content of an earlier backup", Layer.CONTENT, stale_content,
        increments=False,
    ),
)  # fmt: skip
