"""Chains of a real MariaDB server: binary logs by file and position, every boundary restored."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from mariadb_source import IMAGE
from mysql_chains import Source, flip, is_refused, restored, restored_exactly, server

from restoreproof import engines
from restoreproof.damage import Change, VaultCopy
from restoreproof.damage_binlog import drop_last_transaction, drop_log, in_log
from restoreproof.engines.mysql_connection import rows
from restoreproof.engines.mysql_dump import OPTIONS_FILE
from restoreproof.engines.mysql_replay import ledger, position_at
from restoreproof.engines.mysql_restored import RestoredMySQL
from restoreproof.engines.mysql_source import Encryption, place_source_options
from restoreproof.images import ensure
from restoreproof.restore import to_restore
from restoreproof.vault import StoredBackup

CIPHER = "SHOW STATUS LIKE 'Ssl_cipher'"
BEGINNING = (
    "CREATE DATABASE app",
    "CREATE TABLE app.t (a INT PRIMARY KEY, b INT)",
    "CREATE TABLE app.past (a INT PRIMARY KEY, b INT) WITH SYSTEM VERSIONING",
    "INSERT INTO app.past VALUES (1, 1), (2, 2)",
    "CREATE SEQUENCE app.s CACHE 2",
    "CREATE ROLE r",
)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Source]:
    """A server that is reached by TLS alone, whose chain the tests share."""
    image, place = ensure(IMAGE, print), tmp_path_factory.mktemp("source")
    _certify(place)
    options = "--log-bin=binlog --log-bin-compress=ON --require-secure-transport=ON"
    options += " --ssl-cert=/server/certificate.pem --ssl-key=/server/key.pem"
    tls = Encryption(ca="server/certificate.pem")
    with (
        pytest.MonkeyPatch.context() as patch,
        server(image, place, patch, options, tls=tls) as made,
    ):
        made.run(*BEGINNING)
        yield made


@pytest.fixture(scope="module")
def chain(source: Source) -> list[StoredBackup]:
    """A full backup and three increments, the last of which begins inside a log."""
    engines.load("mysql").probe(source.context)
    links = [source.stored()]
    for number in range(1, 4):
        _work(source, number)
        links.append(source.stored(links[-1]))
    return links


def _certify(place: Path) -> None:
    """Put a key of the server, and a certificate that it signs itself, where the server looks."""
    (place / "server").mkdir()
    key, name = generate_private_key(SECP256R1()), x509.Name([])
    address, now = x509.IPAddress(IPv4Address("127.0.0.1")), datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=True)
        .sign(key, SHA256())
    )
    (place / "server" / "certificate.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
    (place / "server" / "key.pem").write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )


def _work(source: Source, number: int) -> None:
    """Change something of every kind."""
    source.run(
        f"INSERT INTO app.t VALUES ({number}, 1), ({number + 100}, 2)",
        f"UPDATE app.t SET b = b + {number}",
        # Long enough for a compressed event.
        f"UPDATE app.past SET b = b + {number} WHERE a = 1 /* {'x' * 999} */",
        f"INSERT INTO app.past VALUES ({number + 10}, NEXTVAL(app.s))",
        "DELETE FROM app.past WHERE a = 2",
        f"CREATE TABLE app.t{number} (a INT AUTO_INCREMENT PRIMARY KEY)",
        f"CREATE PROCEDURE app.p{number}() BEGIN /* kept */ SELECT {number}; END",
        f"CREATE EVENT app.e{number} ON SCHEDULE EVERY 1 DAY DO DELETE FROM app.t",
        f"CREATE USER u{number} IDENTIFIED BY 'x'",
        f"GRANT SELECT ON app.t{number} TO r",
        # Who made it may give it on.
        f"CREATE ROLE r{number}",
        f"GRANT r{number} TO r WITH ADMIN OPTION",
        f"GRANT r TO u{number}",
        *(["FLUSH BINARY LOGS", "DO SLEEP(1.1)"] if number == 2 else []),
        f"UPDATE app.t SET b = -{number} WHERE a = {number}",
    )


@pytest.mark.parametrize("link", range(4))
def test_every_boundary_comes_back_exactly(
    source: Source, chain: list[StoredBackup], link: int
) -> None:
    """Rows, past rows, sequences, routines, accounts and position are equal at each boundary."""
    manifest = chain[link].manifest()
    file, offset = manifest.facts["log_file"], manifest.facts["log_position"]
    assert manifest.position == f"{file}:{offset}"
    with restored_exactly(source, chain[link]) as attempt:
        assert ("replayed by mariadb-binlog" in attempt.limits) == (link > 0)


def test_an_instant_inside_comes_back(source: Source, chain: list[StoredBackup]) -> None:
    """What was committed up to the end of a second is in it, and nothing beyond."""
    increment = to_restore(chain[2], chain[2].manifest())
    commits = [commit for _, commit in ledger(increment)]
    *earlier, last = [one.at for one in commits]
    assert last is not None
    begin, end = (datetime.fromisoformat(one.manifest().facts["source_time"]) for one in chain[1:3])
    assert all(begin <= at < last for at in earlier if at is not None)
    assert last.replace(microsecond=0) <= end
    until = max(at for at in earlier if at is not None)
    with restored(source, source.vault, chain[2].id, until) as attempt:
        assert attempt.failure == ""
        assert isinstance(attempt.restored, RestoredMySQL)
        assert attempt.restored.position == position_at(increment, until)
        found = rows(attempt.restored.connection, "SELECT a, b FROM app.t WHERE a < 100")
        assert found == [(1, 1), (2, 3)]


@pytest.mark.parametrize(("host", "wanted"), [("127.0.0.1", 0), ("localhost", 1)])
def test_tools_ask_the_server_who_it_is(
    source: Source, monkeypatch: pytest.MonkeyPatch, host: str, wanted: int
) -> None:
    """By its own name it is trusted, by another it is not."""
    context = replace(
        source.context, source=source.context.source.model_copy(update={"host": host})
    )
    image = context.image
    assert image is not None
    with context.sandboxes.tools(image) as tools:
        place_source_options(tools, context)
        asked = tools.run(
            ["mariadb", f"--defaults-extra-file={OPTIONS_FILE}", "--protocol=tcp", "-e", CIPHER]
        )
    assert asked.exit_code == wanted, asked.complaint
    assert ("TLS_" in asked.output) == (wanted == 0)
    assert ("TLS/SSL error" in asked.messages) == (wanted == 1)


FAULTS: dict[str, tuple[Change, str]] = {
    "cut in an event": (in_log(-1, lambda log: log[: len(log) * 3 // 4]), "binary log"),
    "bit flipped": (in_log(-1, lambda log: flip(log, 1)), "binary log"),
    "last transaction lost": (drop_last_transaction, "missing or too many"),
    "log lost": (drop_log(0), "does not begin at"),
}
"""Each with words of the finding."""


@pytest.mark.parametrize("fault", FAULTS)
def test_damaged_logs_are_noticed(
    source: Source, chain: list[StoredBackup], copy: VaultCopy, fault: str
) -> None:
    """Under hashes made after the fault the logs are refused before any is replayed."""
    is_refused(source, copy, chain[2], *FAULTS[fault])


def test_what_no_increment_can_stand_on_fails_the_job(
    source: Source, chain: list[StoredBackup], copy: VaultCopy
) -> None:
    """Another server, another log, purged logs and a reset history are named, with the mend."""
    last = copy.newest("mysql")
    facts = last.manifest().facts
    copy.restate(last, facts={**facts, "log_identity": "another"})
    assert "history no longer holds" in source.back_up(copy.newest("mysql")).problem

    copy.restate(copy.newest("mysql"), source_identity="another-server")
    assert "another server" in source.back_up(copy.newest("mysql")).problem

    source.purge_logs()
    assert "were purged; take a full backup" in source.back_up(chain[-1]).problem

    source.run("RESET MASTER", *(["DO SLEEP(1)", "FLUSH BINARY LOGS"] * 3))
    assert "history no longer holds" in source.back_up(chain[-1]).problem
    assert [one.id for one in source.vault.backups("mysql")] == [one.id for one in chain]
