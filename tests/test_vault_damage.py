"""Every damage to a stored backup is found: no byte of it is used that is not as it was."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from vaults import CONTENT, flipped, open_vault, replace, store

from restoreproof.artifact_damage import ArtifactDamage
from restoreproof.manifest import Artifact
from restoreproof.outcomes import RestoreFailed
from restoreproof.vault import StoredBackup, Vault


@pytest.fixture
def opened(tmp_path: Path) -> Vault:
    """An empty vault."""
    return open_vault(tmp_path / "vault")


@pytest.fixture
def backup(opened: Vault) -> StoredBackup:
    """A backup of two artifacts, of which one is empty."""
    return store(opened, "mysql-1")


def only_damage(backup: StoredBackup) -> ArtifactDamage:
    """The one damage of a backup, told on one line that names the backup."""
    _, (damage,) = backup.damage()
    assert "\n" not in str(damage)
    assert str(damage).startswith(f"{backup.folder.name}/")
    return damage


@pytest.mark.parametrize("number", range(len(CONTENT)))
def test_every_flipped_byte_of_an_artifact_is_found(backup: StoredBackup, number: int) -> None:
    """A bit flipped at any place is damage, and the artifact's check refuses it."""
    artifact = backup.manifest().artifacts[number]
    path = backup.folder / artifact.name
    content = path.read_bytes()

    for position in range(len(content)):
        replace(path, flipped(content, position))
        damage = only_damage(backup)
        assert damage.path.endswith(artifact.name)
        assert damage.problem == "SHA-256 differs"
        with pytest.raises(RestoreFailed, match="SHA-256 differs"):
            backup.check(artifact)


def test_every_flipped_byte_of_the_manifest_is_found(backup: StoredBackup) -> None:
    """An altered manifest is no manifest, wherever it was altered."""
    path = backup.folder / "manifest.json"
    content = path.read_bytes()

    for position in range(len(content)):
        replace(path, flipped(content, position))
        assert only_damage(backup).problem == "SHA-256 differs"
        with pytest.raises(RestoreFailed, match=r"manifest\.json: SHA-256 differs"):
            backup.manifest()


@pytest.mark.parametrize("name", ["dump.sql.zst", "users.sql.zst", "manifest.json"])
@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (lambda path: replace(path, path.read_bytes()[:-1]), "SHA-256 differs"),
        (lambda path: replace(path, b""), "SHA-256 differs"),
        (lambda path: replace(path, path.read_bytes() + b"\n"), "SHA-256 differs"),
        (lambda path: path.unlink(), "is missing"),
        (lambda path: (path.unlink(), path.symlink_to("nowhere")), "is missing"),
        (lambda path: (path.unlink(), path.mkdir()), "cannot be read"),
    ],
    ids=["truncated", "emptied", "longer", "gone", "dangling", "folder"],
)
def test_damaged_file_is_found(
    backup: StoredBackup, name: str, damage: Callable[[Path], None], problem: str
) -> None:
    """Whatever happened to a file, it is named with what happened."""
    damage(backup.folder / name)

    found = only_damage(backup)

    assert found.path == f"mysql-1/{name}"
    assert found.problem == problem


def test_all_damages_are_counted(backup: StoredBackup) -> None:
    """One damaged file does not hide another, and every file was examined."""
    for artifact in backup.manifest().artifacts:
        (backup.folder / artifact.name).unlink()

    examined, damages = backup.damage()

    assert examined == 3
    assert len(damages) == 2


def test_lost_folder_is_found(opened: Vault, backup: StoredBackup) -> None:
    """A backup that the catalog names and that is not there is still listed, and damaged."""
    shutil.rmtree(backup.folder)

    (listed,) = opened.backups("mysql")

    assert only_damage(listed).problem == "is missing"


def test_swapped_artifacts_are_found(opened: Vault, backup: StoredBackup) -> None:
    """An intact artifact of another backup is not the one that belongs here."""
    other = store(opened, "mysql-2", {"dump.sql": b"other", "users.sql": b""})
    one, two = (each.folder / "dump.sql.zst" for each in (backup, other))
    first, second = one.read_bytes(), two.read_bytes()
    replace(one, second)
    replace(two, first)

    assert only_damage(backup).path == "mysql-1/dump.sql.zst"
    assert only_damage(other).path == "mysql-2/dump.sql.zst"


def test_swapped_backups_are_found(opened: Vault, backup: StoredBackup) -> None:
    """Two whole backups, each intact in itself, in each other's place."""
    other = store(opened, "mysql-2", {"dump.sql": b"other"})
    backup.folder.rename(opened.root / "aside")
    other.folder.rename(backup.folder)
    (opened.root / "aside").rename(other.folder)

    assert only_damage(backup).problem == "SHA-256 differs"
    assert only_damage(other).problem == "SHA-256 differs"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("backup", "mysql-9"),
        ("component", "mysql2"),
        ("engine", "influxdb"),
        ("kind", "incremental"),
        ("started_at", "2026-07-06T16:09:00Z"),
        ("finished_at", "2026-07-06T16:11:00Z"),
        ("recovery_point", "2027-01-01T00:00:00Z"),
        ("manifest_sha256", "0" * 64),
    ],
)
def test_edited_last_line_of_the_catalog_is_found(
    opened: Vault, backup: StoredBackup, key: str, value: str
) -> None:
    """Nothing follows the last line, so it is the manifest that tells that it was edited."""
    line = json.loads(opened.catalog.path.read_bytes())
    assert line[key] != value
    opened.catalog.path.write_text(json.dumps(line | {key: value}) + "\n")

    (entry,) = opened.catalog.entries()
    edited = StoredBackup(entry, backup.folder)

    assert only_damage(edited).path == "mysql-1/manifest.json"
    with pytest.raises(RestoreFailed):
        edited.manifest()


def test_truncated_stream_is_refused_under_any_hash(backup: StoredBackup) -> None:
    """A stream that breaks off is not content, even if digest and sizes were made to fit."""
    artifact = backup.manifest().artifacts[0]
    path = backup.folder / artifact.name
    content = path.read_bytes()

    for length in range(len(content)):
        replace(path, content[:length])
        for claimed in (artifact.content_bytes, 0, *range(0, artifact.content_bytes, 38)):
            forged = artifact.model_copy(update={"content_bytes": claimed})
            with pytest.raises(RestoreFailed, match=r"dump\.sql\.zst: "):
                list(backup.read(forged))


def test_flipped_stream_is_refused_under_any_hash(backup: StoredBackup) -> None:
    """Where every digest was made to fit, the frame's own checksum still finds other content."""
    artifact = backup.manifest().artifacts[0]
    path = backup.folder / artifact.name
    content = path.read_bytes()
    refused = 0

    for position in range(len(content)):
        for bit in range(8):
            changed = bytes([content[position] ^ (1 << bit)])
            replace(path, content[:position] + changed + content[position + 1 :])
            try:
                read = b"".join(backup.read(artifact))
            except RestoreFailed:
                refused += 1
            else:
                assert read == CONTENT["dump.sql"], (position, bit)

    assert refused > len(content) * 7


@pytest.mark.parametrize("tail", [b"\n", b"\0" * 9000, b"again"])
def test_stream_with_more_after_its_end_is_refused(backup: StoredBackup, tail: bytes) -> None:
    """What follows the frame, be it noise or another frame, is not passed over in silence."""
    artifact = backup.manifest().artifacts[0]
    path = backup.folder / artifact.name
    content = path.read_bytes()
    replace(path, content + (content if tail == b"again" else tail))

    with pytest.raises(RestoreFailed, match=r"dump\.sql\.zst: "):
        list(backup.read(artifact))


def test_stream_of_another_length_is_refused(backup: StoredBackup) -> None:
    """A whole frame of other content than the manifest says is refused."""
    artifact: Artifact = backup.manifest().artifacts[0]
    forged = artifact.model_copy(update={"content_bytes": artifact.content_bytes + 1})

    with pytest.raises(RestoreFailed, match="breaks off"):
        list(backup.read(forged))
