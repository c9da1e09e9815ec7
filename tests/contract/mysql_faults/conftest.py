"""One shop, one vault and one sandbox for every fault, however many modules they stand in."""

import random
from collections.abc import Iterator

import pytest
from mysql_bench import Bench, Server, Verdict, image, seed, tell
from mysql_shop import shop

from restoreproof.engines.mysql_empty_server import empty_server
from restoreproof.sandbox import Sandboxes
from restoreproof.vault import StoredBackup


@pytest.fixture(scope="module")
def drawn() -> random.Random:
    """All draws of this module."""
    tell(f"FAULT_SEED={seed()}")
    return random.Random(seed())


@pytest.fixture(scope="module")
def matrix() -> Iterator[dict[str, Verdict]]:
    """What was found on each fault, printed in the end."""
    found: dict[str, Verdict] = {}
    yield found
    tell(f"\nfault -> finding (FAULT_SEED={seed()})")
    for name, verdict in found.items():
        tell(f"  {name} -> {verdict}")


@pytest.fixture(scope="package")
def source() -> Iterator[Server]:
    """The shop."""
    with shop() as made:
        yield made


@pytest.fixture(scope="package")
def bench(source: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """The shop's vault, and one sandbox for all restores."""
    with empty_server(image(), Sandboxes("bench")) as restored:
        yield Bench(source, tmp_path_factory.mktemp("bench"), restored)


@pytest.fixture(scope="package")
def full(bench: Bench) -> StoredBackup:
    """A full backup, which comes back equal: without that no fault would prove anything."""
    backup = bench.store()
    assert str(bench.verdict(bench.vault, backup)) == "equal"
    return backup


@pytest.fixture(scope="package")
def chain(bench: Bench, full: StoredBackup) -> tuple[StoredBackup, ...]:
    """Two increments on the full backup, the second one of three logs."""
    run = bench.server.run
    run("INSERT INTO shop.sent VALUES (10, 'ten')", "UPDATE shop.sent SET id = id + 1")
    first = bench.store(full)
    run("FLUSH BINARY LOGS", "INSERT INTO shop.customers (name) VALUES ('Margaret')")
    run("UPDATE shop.customers SET note = 'early' WHERE id = 1")
    run("FLUSH BINARY LOGS", "UPDATE shop.customers SET note = 'middle' WHERE id = 1")
    run("INSERT INTO shop.tags VALUES (3, 'green')")
    run("FLUSH BINARY LOGS", "UPDATE shop.customers SET note = 'late' WHERE id = 1")
    run("INSERT INTO shop.tags VALUES (4, 'violet')", "DELETE FROM shop.files WHERE id = 1")
    second = bench.store(first)
    for link in (first, second):
        assert str(bench.verdict(bench.vault, link)) == "equal"
    assert len(second.manifest().facts["logs"].split(" ")) >= 4
    return first, second
