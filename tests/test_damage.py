"""Faults are done to copies alone, they are what their names say, and they can be repeated."""

import hashlib
from datetime import timedelta
from pathlib import Path

import pytest
from vaults import NOW, open_vault, store

from restoreproof.damage import MARK, VaultCopy
from restoreproof.errors import UserError
from restoreproof.vault import StoredBackup, Vault

DUMP, USERS, MANIFEST = "dump.sql.zst", "users.sql.zst", "manifest.json"


@pytest.fixture
def original(tmp_path: Path) -> Vault:
    """A vault with two backups of one component and one of another."""
    vault = open_vault(tmp_path / "vault")
    store(vault, "stars-1", {"dump.sql": b"one" * 50, "users.sql": b"u"})
    later = NOW + timedelta(hours=1)
    store(vault, "stars-2", {"dump.sql": b"two" * 70, "users.sql": b"u"}, recovery_point=later)
    store(vault, "moons-1")
    return vault


@pytest.fixture
def copy(original: Vault, tmp_path: Path) -> VaultCopy:
    """A copy that may be damaged."""
    return VaultCopy.of(original.root, tmp_path / "copy")


def _everything(root: Path) -> dict[str, str]:
    files = (path for path in root.rglob("*") if path.is_file())
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def _problems(backup: StoredBackup) -> list[tuple[str, str]]:
    return [(Path(one.path).name, one.problem) for one in backup.damage()[1]]


def test_a_copy_is_whole(copy: VaultCopy, original: Vault) -> None:
    """A fresh copy holds what the vault holds, undamaged."""
    assert copy.vault.catalog.entries() == original.catalog.entries()
    for backup in (*copy.vault.backups("stars"), *copy.vault.backups("moons")):
        assert _problems(backup) == []


def test_the_original_is_never_written_to(copy: VaultCopy, original: Vault) -> None:
    """Whatever is done to a copy, no byte of the vault that was copied changes."""
    before = _everything(original.root)
    one, other = copy.vault.backups("stars")

    copy.swap(one, other, DUMP)
    copy.flip_byte(one, DUMP)
    copy.remove(other, USERS)
    copy.rewrite(copy.newest("moons"), DUMP, lambda content: content + b"more")
    copy.backdate(copy.newest("moons"), timedelta(days=1))

    assert _everything(original.root) == before
    assert _everything(copy.root) != before


def test_what_is_no_copy_is_refused(original: Vault, tmp_path: Path) -> None:
    """A vault, a copy made by other means, and a folder that is no vault are left alone."""
    with pytest.raises(UserError, match="not a copy"):
        VaultCopy(original.root)
    with pytest.raises(UserError, match="no catalog"):
        VaultCopy.of(tmp_path, tmp_path / "copy")
    with pytest.raises(FileExistsError):
        VaultCopy.of(original.root, original.root)
    assert not (original.root / MARK).exists()


def test_a_backup_of_another_vault_is_refused(copy: VaultCopy, original: Vault) -> None:
    """A backup of the original, handed to the copy by mistake, is left alone."""
    before = _everything(original.root)
    backup = original.backups("stars")[0]
    for fault in (
        lambda: copy.flip_byte(backup, DUMP),
        lambda: copy.remove(backup),
        lambda: copy.rewrite(backup, DUMP, lambda content: content + b"more"),
        lambda: copy.backdate(backup, timedelta(days=1)),
    ):
        with pytest.raises(UserError, match="not in the copy"):
            fault()
    assert _everything(original.root) == before


def test_a_flipped_byte_is_one_byte(copy: VaultCopy) -> None:
    """One byte differs, where it was asked for; without a place the seed decides alone."""
    backup = copy.newest("stars")
    path = backup.folder / DUMP
    before = path.read_bytes()

    copy.flip_byte(backup, DUMP, 7)
    after = path.read_bytes()
    copy.flip_byte(backup, DUMP, 7)
    copy.flip_byte(backup, DUMP, seed=3)
    drawn = path.read_bytes()
    copy.flip_byte(backup, DUMP, seed=3)

    assert [at for at in range(len(before)) if before[at] != after[at]] == [7]
    assert sum(a != b for a, b in zip(before, drawn, strict=True)) == 1
    assert path.read_bytes() == before


def test_crude_faults_are_seen_by_hashes(copy: VaultCopy) -> None:
    """Each crude fault is damage to just the file that it names."""
    one, other = copy.vault.backups("stars")

    copy.truncate(one, DUMP, 5)
    assert _problems(one) == [(DUMP, "SHA-256 differs")]
    copy.remove(one, USERS)
    assert _problems(one) == [(DUMP, "SHA-256 differs"), (USERS, "is missing")]
    copy.alter_manifest(one, "Harbour", "Harbor")
    assert _problems(one) == [(MANIFEST, "SHA-256 differs")]
    copy.remove(one)
    assert _problems(one) == [(MANIFEST, "is missing")]
    assert _problems(other) == []


def test_swapped_artifacts_are_each_others(copy: VaultCopy) -> None:
    """After a swap each backup holds the other's artifact, whole but not its own."""
    one, other = copy.vault.backups("stars")
    before = (one.folder / DUMP).read_bytes(), (other.folder / DUMP).read_bytes()

    copy.swap(one, other, DUMP)

    after = (other.folder / DUMP).read_bytes(), (one.folder / DUMP).read_bytes()
    assert after == before
    assert _problems(one) == _problems(other) == [(DUMP, "SHA-256 differs")]


def test_consistent_faults_are_seen_by_no_hash(copy: VaultCopy) -> None:
    """Rewritten content and another date leave every hash and the catalog's chain right."""
    copy.rewrite(copy.vault.backups("stars")[0], DUMP, lambda content: content[:-1] + b"!")
    copy.backdate(copy.newest("stars"), timedelta(days=2))

    first, second = copy.vault.backups("stars")
    assert [first.id, second.id] == ["stars-2", "stars-1"]
    assert first.entry.recovery_point == first.manifest().recovery_point
    assert first.entry.recovery_point == NOW + timedelta(hours=1) - timedelta(days=2)
    artifact = second.manifest().artifacts[0]
    assert b"".join(second.read(artifact)) == b"one" * 49 + b"on!"
    for backup in (first, second, copy.newest("moons")):
        assert _problems(backup) == []


def test_a_fault_that_changes_nothing_is_a_mistake(copy: VaultCopy) -> None:
    """A fault that leaves the content as it was would show a check passing for no reason."""
    with pytest.raises(AssertionError, match="changed nothing"):
        copy.rewrite(copy.newest("stars"), DUMP, lambda content: content)
