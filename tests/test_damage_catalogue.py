"""The catalogue of damages: each is named once, and does what it says to a stored backup."""

import io
import random
import tarfile
from datetime import timedelta
from pathlib import Path

import pytest
from vaults import NOW, open_vault, store

from restoreproof import damage_kinds, damage_stores
from restoreproof.damage import NotApplicable, VaultCopy
from restoreproof.damage_catalogue import DAMAGES, damages_for
from restoreproof.damage_kinds import Damage, Layer, Subject, TooLarge
from restoreproof.fingerprint import Fingerprint, Item
from restoreproof.vault import StoredBackup

BY_NAME = {one.name: one for one in DAMAGES}
TABLE = b"""\
DROP TABLE IF EXISTS `%(name)s`;
CREATE TABLE `%(name)s` (
  `id` int NOT NULL,
  `name` varchar(9) DEFAULT NULL,
  KEY `by_name` (`name`),
  PRIMARY KEY (`id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_0900_ai_ci;
/*!40000 ALTER TABLE `%(name)s` DISABLE KEYS */;
INSERT INTO `%(name)s` VALUES (1,'Ve;ga'),(2,'(a),(b)'),(3,NULL);
/*!40000 ALTER TABLE `%(name)s` ENABLE KEYS */;
"""
DUMP = TABLE % {b"name": b"tags"} + TABLE % {b"name": b"orders"} + b"-- Dump completed on 2026\n"
ACCOUNTS = b"CREATE USER `clerk`@`%` IDENTIFIED BY 'x';\nCREATE USER `root`@`%`;\n"
PRIVILEGES = b"GRANT USAGE ON *.* TO `clerk`@`%`;\nGRANT SELECT ON `shop`.* TO `clerk`@`%`;\n"
IN_BOOKS = {"folder-deleted", "catalog-line-lost", "catalog-misdated", "dated-ahead", "out-of-date"}


def _tar(**files: bytes) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        for name, content in files.items():
            described = tarfile.TarInfo(f"files/etc/{name}")
            described.size = len(content)
            archive.addfile(described, io.BytesIO(content))
    return made.getvalue()


@pytest.fixture
def subject(tmp_path: Path) -> Subject:
    """A full backup of MySQL in a copy of its own."""
    vault = open_vault(tmp_path / "vault")
    tables = ("tags", "orders")
    items = [
        *(Item(kind="table", name=f"shop.{table}", count=3, digest="0f") for table in tables),
        Item(kind="account", name="`clerk`@`%`", digest="0f"),
        Item(kind="configuration file", name="/etc/my.cnf", count=3, digest="0f"),
        Item(kind="log", name="error-log.jsonl", count=2, digest="0f"),
    ]
    stored = store(
        vault,
        "shop-1",
        {
            "dump.sql": DUMP,
            "accounts.sql": ACCOUNTS,
            "privileges.sql": PRIVILEGES,
            "configuration.tar": _tar(**{"my.cnf": b"a=1"}),
            "error-log.jsonl": b"{}\n{}\n",
        },
        fingerprint=Fingerprint.of("counts", NOW, items),
    )
    return _subject(stored, tmp_path / "copy")


def _subject(stored: StoredBackup, place: Path) -> Subject:
    copy = VaultCopy.of_chain([stored], place)
    chance = random.Random(1)
    return Subject(copy, copy.same(stored), chance, NOW + timedelta(hours=1))


def test_names_are_unique_and_there_are_enough() -> None:
    """Each name stands once; across engines there are more than twenty of every kind of use."""
    assert len(BY_NAME) == len(DAMAGES)
    assert not BY_NAME.keys() & {one.name for one in damage_stores.DAMAGES}
    assert len(DAMAGES) >= 50
    for engine in ("mysql", "influxdb", "influxdb2", "git", "files"):
        assert len(damages_for(engine, "full")) >= 20
        assert {one.layer for one in damages_for(engine, "full")} == set(Layer)
    assert len(damages_for("mysql", "incremental")) >= 20
    assert damages_for("an engine of tomorrow", "full")


@pytest.mark.parametrize(
    "damage", [one for one in DAMAGES if one.layer is Layer.BYTES and not one.increments],
    ids=lambda one: one.name,
)  # fmt: skip
def test_damage_to_bytes_is_seen_by_hashes(subject: Subject, damage: Damage) -> None:
    """The damage says what it did, and hashes see it."""
    assert damage.inflict(subject)

    assert subject.backup.damage()[1]


@pytest.mark.parametrize(
    "name",
    [
        "row-lost", "row-doubled", "value-changed", "null-emptied", "table-lost", "dump-cut",
        "index-lost", "collation-changed", "statement-spoilt",
        "account-lost", "privilege-lost", "configuration-changed", "log-cut",
        "content-halved", "content-empty", "stream-breaks-off",
    ],
)  # fmt: skip
def test_damage_to_content_is_seen_by_no_hash(subject: Subject, name: str) -> None:
    """The damage says what it did, the manifest is another, and every hash is right."""
    before = subject.manifest

    assert BY_NAME[name].inflict(subject)

    damaged = subject.copy.same(subject.backup)
    assert damaged.manifest().artifacts != before.artifacts
    assert damaged.damage()[1] == ()


@pytest.mark.parametrize("name", sorted(IN_BOOKS))
def test_damage_to_the_books_leaves_a_readable_catalog(subject: Subject, name: str) -> None:
    """Its chain of hashes is right, so that checks are asked and no reader refuses it."""
    before = subject.copy.vault.catalog.events()

    assert BY_NAME[name].inflict(subject)

    assert subject.copy.vault.catalog.events() != before or not subject.backup.folder.exists()


def test_what_a_backup_lacks_is_not_damaged(tmp_path: Path) -> None:
    """Damage that needs what is not there does not apply, and says what it missed."""
    stored = store(open_vault(tmp_path / "vault"), "shop-1", {"other": b"x"})
    subject = _subject(stored, tmp_path / "copy")
    for name in ("row-lost", "account-lost", "reference-lost", "shard-lost", "log-emptied"):
        with pytest.raises(NotApplicable, match=r"."):
            BY_NAME[name].inflict(subject)


def test_what_is_too_large_is_left_alone(subject: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing larger than the limit is read into memory."""
    monkeypatch.setattr(damage_kinds, "MOST_BYTES", 10)
    with pytest.raises(TooLarge, match="is damaged in memory"):
        BY_NAME["content-halved"].inflict(subject)


def _everything(folder: Path) -> dict[Path, tuple[bytes, int]]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in files}


def test_links_are_replaced_and_never_written_through(subject: Subject, tmp_path: Path) -> None:
    """Whatever is done to a copy that is made of links, the vault stays as it was."""
    before = _everything(tmp_path / "vault")
    for number, damage in enumerate(DAMAGES):
        copy = VaultCopy.of_chain([subject.backup], tmp_path / f"copy-{number}")
        one = Subject(copy, copy.same(subject.backup), random.Random(number), subject.lost_at)
        try:
            damage.inflict(one)
        except AssertionError:
            continue  # it does not apply to this one
    assert _everything(tmp_path / "vault") == before
