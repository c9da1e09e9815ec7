"""The catalog is append-only, and shows where it was damaged or edited."""

import json
import multiprocessing
from pathlib import Path

import pytest
from vaults import interrupted, manifest, open_vault, store

from restoreproof import catalog as catalog_module
from restoreproof import storage
from restoreproof.catalog import BEGINNING, Catalog
from restoreproof.errors import CatalogCorrupt
from restoreproof.incoming import IncomingBackup
from restoreproof.vault import Vault

SHA256 = "ab" * 32


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    """A catalog of four backups."""
    vault = open_vault(tmp_path)
    for number in range(4):
        store(vault, f"mysql-{number}")
    return vault.catalog


def lines(catalog: Catalog) -> list[bytes]:
    """The lines of a catalog, each with its end."""
    return catalog.path.read_bytes().splitlines(keepends=True)


def refusal(catalog: Catalog) -> CatalogCorrupt:
    """The refusal of a catalog that is not as it was written."""
    with pytest.raises(CatalogCorrupt) as caught:
        catalog.entries()
    assert caught.value.exit_code == 3
    assert caught.value.mend
    assert "\n" not in str(caught.value)
    return caught.value


def append(folder: str, name: str, count: int) -> None:
    """Append so many entries, as another process does it."""
    vault = Vault(folder)
    incoming = IncomingBackup(Path(folder), vault._files)
    for number in range(count):
        vault.catalog.append(manifest(f"{name}-{number}", incoming), SHA256)


def test_empty_vault_has_no_entries(tmp_path: Path) -> None:
    """Before the first backup there is nothing, and no file."""
    vault = open_vault(tmp_path)

    assert vault.catalog.entries() == ()
    assert not vault.catalog.path.exists()


def test_entries_follow_from_each_other(catalog: Catalog) -> None:
    """Entries are numbered from 1, and each names the digest of the line before it."""
    entries = catalog.entries()

    assert [entry.sequence for entry in entries] == [1, 2, 3, 4]
    assert entries[0].previous_sha256 == BEGINNING
    assert len({entry.previous_sha256 for entry in entries}) == 4
    assert [entry.backup for entry in entries] == [f"mysql-{number}" for number in range(4)]


def test_every_edited_byte_of_a_line_is_found(catalog: Catalog) -> None:
    """Whatever is changed in a line that has another after it, the catalog is refused."""
    content = catalog.path.read_bytes()
    begin = len(lines(catalog)[0])
    end = begin + len(lines(catalog)[1])

    for position in range(begin, end):
        catalog.path.write_bytes(
            content[:position] + bytes([content[position] ^ 1]) + content[position + 1 :]
        )
        where = refusal(catalog).where
        assert where.startswith(f"{catalog.path}:")
        assert int(where.rpartition(":")[2]) in (2, 3)


@pytest.mark.parametrize(
    ("order", "line"),
    [
        ((1, 2, 3), 1),
        ((0, 2, 3), 2),
        ((0, 1, 3), 3),
        ((1, 0, 2, 3), 1),
        ((0, 1, 3, 2), 3),
        ((0, 1, 1, 2, 3), 3),
        ((3, 2, 1, 0), 1),
    ],
)
def test_dropped_swapped_and_repeated_lines_are_found(
    catalog: Catalog, order: tuple[int, ...], line: int
) -> None:
    """The first line that does not follow from the one before it is named."""
    before = lines(catalog)
    catalog.path.write_bytes(b"".join(before[index] for index in order))

    problem = refusal(catalog)

    assert problem.where == f"{catalog.path}:{line}"
    assert "does not follow" in problem.what


def test_renumbered_lines_are_found(catalog: Catalog) -> None:
    """Dropping a line and numbering the rest anew does not mend the chain."""
    kept = [json.loads(line) for line in lines(catalog)]
    del kept[1]
    for number, entry in enumerate(kept, start=1):
        entry["sequence"] = number
    catalog.path.write_text("".join(json.dumps(entry) + "\n" for entry in kept))

    assert refusal(catalog).where == f"{catalog.path}:2"


def test_torn_last_line_is_found(catalog: Catalog) -> None:
    """At whatever byte the last line breaks off, its number is named."""
    content = catalog.path.read_bytes()
    last = len(lines(catalog)[3])

    for cut in range(1, last):
        catalog.path.write_bytes(content[:-cut])
        problem = refusal(catalog)
        assert problem.where == f"{catalog.path}:4"
        assert "breaks off" in problem.what


@pytest.mark.parametrize(
    ("line", "what"),
    [(b"\n", "not an entry"), (b"{}\n", "not an entry"), (b"\xff\xfe\n", "not an entry"),
     (b"[]\n", "not an entry"), (b"x", "breaks off"), (b"\0" * 64, "breaks off")],
)  # fmt: skip
def test_line_that_is_no_entry_is_found(catalog: Catalog, line: bytes, what: str) -> None:
    """Something else at the end, such as zeros after a crash, is no entry."""
    catalog.path.write_bytes(catalog.path.read_bytes() + line)

    problem = refusal(catalog)

    assert problem.where == f"{catalog.path}:5"
    assert what in problem.what


def test_unknown_key_is_found(catalog: Catalog) -> None:
    """An entry with more in it than we write is not ours."""
    catalog.path.write_bytes(catalog.path.read_bytes().replace(b'"event"', b'"x":1,"event"'))

    assert refusal(catalog).where == f"{catalog.path}:1"


def test_folder_in_its_place_is_found(tmp_path: Path) -> None:
    """A catalog that cannot be read at all is corrupt, and no crash."""
    vault = open_vault(tmp_path)
    vault.catalog.path.mkdir()

    assert "cannot be read" in refusal(vault.catalog).what


def test_damaged_catalog_is_not_appended_to(catalog: Catalog) -> None:
    """Nothing is added to what cannot be trusted."""
    damaged = catalog.path.read_bytes()[:-5]
    catalog.path.write_bytes(damaged)

    with pytest.raises(CatalogCorrupt):
        append(str(catalog.path.parent), "other", 1)

    assert catalog.path.read_bytes() == damaged


@pytest.mark.parametrize("error", [KeyboardInterrupt("stop"), OSError(28, "No space left")])
def test_interrupted_append_leaves_an_entry_or_none(catalog: Catalog, error: BaseException) -> None:
    """Wherever an append ends early, the catalog reads on, and what was in it stays."""
    files = {catalog_module.__file__, storage.__file__}
    folder = str(catalog.path.parent)
    step, going, lengths = 0, True, set()
    while going:
        step += 1
        before = catalog.path.read_bytes()
        going = interrupted(lambda: append(folder, "next", 1), files, step, error)
        after = catalog.path.read_bytes()
        assert after.startswith(before)
        lengths.add(len(catalog.entries()))
        catalog.path.write_bytes(before)

    assert step > 30
    assert lengths == {4, 5}


def test_concurrent_appends_give_one_chain(tmp_path: Path) -> None:
    """Processes that append at the same time wait for each other."""
    vault = open_vault(tmp_path)
    context = multiprocessing.get_context("spawn")
    writers = [
        context.Process(target=append, args=(str(tmp_path), f"writer{number}", 30))
        for number in range(3)
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)

    assert [writer.exitcode for writer in writers] == [0, 0, 0]
    entries = vault.catalog.entries()
    assert [entry.sequence for entry in entries] == list(range(1, 91))
    expected = {f"writer{writer}-{number}" for writer in range(3) for number in range(30)}
    assert {entry.backup for entry in entries} == expected
