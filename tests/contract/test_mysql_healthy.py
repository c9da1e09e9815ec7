"""Healthy backups of a MySQL server that is written to (30 with --thorough): no false alarm."""

import random
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from background import meanwhile
from mysql_bench import Bench, Server, Verdict, image, seed, server, tell
from pymysql.connections import Connection

from restoreproof.engines.mysql_connection import rows
from restoreproof.engines.mysql_empty_server import empty_server
from restoreproof.sandbox import Sandboxes
from restoreproof.vault import StoredBackup

WRITERS = 2
LONGEST_CHAIN = 4
KEYS = 200
PAUSE_SECONDS = 0.02
LONGEST_LOCK_SECONDS = 0.5

SCHEMA = """
CREATE DATABASE busy;
CREATE TABLE busy.accounts (id INT PRIMARY KEY, balance DECIMAL(12,2), touched TIMESTAMP(6)
  DEFAULT CURRENT_TIMESTAMP(6) ON UPDATE CURRENT_TIMESTAMP(6));
CREATE TABLE busy.transfers (id BIGINT AUTO_INCREMENT PRIMARY KEY, source INT, target INT,
  amount DOUBLE, at DATETIME(3), KEY (at));
CREATE TABLE busy.documents (id INT PRIMARY KEY, j JSON, size INT AS (JSON_LENGTH(j)) STORED);
CREATE TABLE busy.files (id INT PRIMARY KEY, body LONGBLOB);
CREATE TABLE busy.journal (what VARCHAR(20), id BIGINT);
CREATE TABLE busy.ticks (at DATETIME(6));
CREATE TABLE busy.families (id INT PRIMARY KEY);
CREATE TABLE busy.members (id INT AUTO_INCREMENT PRIMARY KEY, family INT, name VARCHAR(40),
  FOREIGN KEY (family) REFERENCES families (id) ON DELETE CASCADE);
CREATE TRIGGER busy.noted AFTER INSERT ON busy.transfers
  FOR EACH ROW INSERT INTO busy.journal VALUES ('transfer', NEW.id);
CREATE EVENT busy.tick ON SCHEDULE EVERY 1 SECOND DO INSERT INTO busy.ticks VALUES (NOW(6))
"""


def _transfer(connection: "Connection[Any]", drawn: random.Random) -> None:
    """Two tables and a trigger in one transaction, which one time in four is taken back."""
    one, other, amount = drawn.randrange(KEYS), drawn.randrange(KEYS), drawn.random() * 100
    rows(connection, "START TRANSACTION")
    for key, change in sorted(((one, -amount), (other, amount))):
        rows(
            connection,
            "INSERT INTO busy.accounts (id, balance) VALUES (%s, %s)"
            " ON DUPLICATE KEY UPDATE balance = balance + VALUES(balance)",
            (key, round(change, 2)),
        )
    insert = "INSERT INTO busy.transfers (source, target, amount, at) VALUES (%s, %s, %s, NOW(3))"
    rows(connection, insert, (one, other, amount))
    rows(connection, "ROLLBACK" if drawn.random() < 0.25 else "COMMIT")


def _document(connection: "Connection[Any]", drawn: random.Random) -> None:
    """JSON replaced, and changed in place."""
    key = drawn.randrange(KEYS)
    text = '{"n": %d, "t": "щ \\"%d\\"", "l": [1.5, null, %d]}'
    numbers = tuple(drawn.randrange(10**6) for _ in range(3))
    rows(connection, "REPLACE INTO busy.documents (id, j) VALUES (%s, %s)", (key, text % numbers))
    update = "UPDATE busy.documents SET j = JSON_SET(j, '$.n', %s) WHERE id BETWEEN %s AND %s"
    rows(connection, update, (numbers[0], key - 3, key + 3))


def _file(connection: "Connection[Any]", drawn: random.Random) -> None:
    """Bytes of every value and length."""
    body = drawn.randbytes(drawn.randrange(20_000))
    rows(
        connection,
        "REPLACE INTO busy.files VALUES (%s, %s)",
        (drawn.randrange(KEYS // 4), body),
    )


def _family(connection: "Connection[Any]", drawn: random.Random) -> None:
    """Rows that go when their parent goes."""
    key = drawn.randrange(KEYS // 10)
    rows(connection, "INSERT IGNORE INTO busy.families VALUES (%s)", (key,))
    for _ in range(drawn.randrange(4)):
        name = f"имя-{drawn.randrange(1000)}"
        rows(connection, "INSERT INTO busy.members (family, name) SELECT id, %s FROM busy.families"
             " WHERE id = %s", (name, key))  # fmt: skip
    if drawn.random() < 0.2:
        rows(connection, "DELETE FROM busy.families WHERE id = %s", (drawn.randrange(KEYS // 10),))


def _clearance(connection: "Connection[Any]", drawn: random.Random) -> None:
    """Old rows are deleted, and a counter stays where it is."""
    rows(connection, "DELETE FROM busy.transfers ORDER BY id LIMIT 20")
    rows(connection, "DELETE FROM busy.journal LIMIT 20")


ACTIONS: tuple[Callable[["Connection[Any]", random.Random], None], ...] = (
    *((_transfer,) * 5), _document, _document, _file, _family, _clearance,
)  # fmt: skip


@contextmanager
def _load(source: Server) -> Iterator[list[int]]:
    """Write all the while; yields how often each writer has written."""
    worked = [0] * WRITERS

    def write(number: int, stop: threading.Event) -> None:
        drawn = random.Random(f"{seed()}-{number}")
        with closing(source.connect()) as connection:
            while not stop.is_set():
                drawn.choice(ACTIONS)(connection, drawn)
                worked[number] += 1
                stop.wait(PAUSE_SECONDS)

    with meanwhile(*(partial(write, number) for number in range(WRITERS))):
        yield worked


def test_rounds_under_load(tmp_path: Path, rounds: int) -> None:
    """Every backup comes back equal, full or increment, whatever was written meanwhile."""
    tell(f"FAULT_SEED={seed()}")
    drawn = random.Random(seed())
    seen: list[tuple[str, Verdict]] = []
    # Nobody needs this source after a crash.
    quick = ("--innodb-flush-log-at-trx-commit=0", "--sync-binlog=0")
    with server(*quick) as source, empty_server(image(), Sandboxes("healthy")) as restored:
        source.run(*(line.strip() for line in SCHEMA.split(";\n")))
        bench = Bench(source, tmp_path, restored)
        chain: list[StoredBackup] = []
        with _load(source) as worked:
            for _ in range(rounds):
                before = list(worked)
                if drawn.random() < 0.2:
                    source.run("FLUSH BINARY LOGS")
                if len(chain) in (0, LONGEST_CHAIN) or drawn.random() < 0.3:
                    chain = []
                chain.append(bench.store(chain[-1] if chain else None))
                seen.append((chain[-1].id, bench.verdict(bench.vault, chain[-1])))
                assert all(now > then for now, then in zip(worked, before, strict=True))

    assert [(name, str(verdict)) for name, verdict in seen if verdict.found] == []
    kinds = [name.rpartition("-")[2] for name, _ in seen]
    tell(f"{kinds.count('full')} full, {kinds.count('incremental')} increments, {worked} actions")
    assert len(seen) == rounds
    full = [one for one in bench.vault.backups("mysql") if one.entry.kind == "full"]
    locked = sorted(float(one.manifest().facts["lock_seconds"]) for one in full)
    tell(f"writers were kept waiting {locked} s")
    # What else the machine does is in every lock but the shortest.
    assert 0 < locked[0] < LONGEST_LOCK_SECONDS
    assert min(kinds.count("full"), kinds.count("incremental")) > rounds // 10
