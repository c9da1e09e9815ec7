"""The stream of binary logs: nothing lost and nothing twice, whoever is interrupted."""

import signal
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from mariadb_source import IMAGE as MARIADB
from mysql_chains import Source, begin_again, free_port, restored, server
from mysql_streams import (
    ENGINE,
    base_in,
    catch_up,
    lose_connections,
    seal,
    seal_now,
    stands_at,
    store_in,
    streaming,
    streaming_elsewhere,
    until,
    vault_of,
)

from restoreproof.engines.contract import STREAMED
from restoreproof.errors import UserError
from restoreproof.fingerprint import Fingerprint
from restoreproof.images import ensure
from restoreproof.outcomes import BackupFailed
from restoreproof.vault import Vault

MYSQL, WITHOUT_GTIDS = "restoreproof/mysql:9.7", "--gtid-mode=OFF --enforce-gtid-consistency=OFF"
FAMILIES = {
    "MySQL": (MYSQL, ""),
    "MySQL without GTIDs": (MYSQL, WITHOUT_GTIDS),
    "MariaDB": (MARIADB, "--log-bin=binlog"),
}


@pytest.fixture(
    scope="module",
    params=[
        "MySQL",
        pytest.param("MySQL without GTIDs", marks=pytest.mark.thorough),
        "MariaDB",
    ],
)
def source(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Source]:
    """A server that the tests share, and that comes back at the same port."""
    image, options = FAMILIES[request.param]
    place = tmp_path_factory.mktemp("source")
    with (
        pytest.MonkeyPatch.context() as patch,
        server(ensure(image, print), place, patch, options, port=free_port()) as made,
    ):
        made.run("CREATE DATABASE app", "CREATE TABLE app.t (a INT AUTO_INCREMENT PRIMARY KEY)")
        yield made


@pytest.fixture
def vault(source: Source, tmp_path: Path) -> Vault:
    """A vault with one full backup."""
    return vault_of(source, tmp_path)


def test_a_stream_comes_back_to_its_last_transaction(source: Source, vault: Vault) -> None:
    """Interrupted on either side and continued, it holds every transaction, and each once."""
    with streaming(source, vault) as told:
        until(lambda: told)
        source.run("INSERT INTO app.t VALUES ()", "FLUSH BINARY LOGS")
        source.run("INSERT INTO app.t VALUES (), ()")
        until(lambda: len(store_in(vault).segments()) > 1)
        lose_connections(source)
        source.run("INSERT INTO app.t VALUES ()")
        until(lambda: any("trying again" in line for line in told))
    source.run("INSERT INTO app.t VALUES ()", "CREATE USER streamed IDENTIFIED BY 'x'")
    with streaming(source, vault):
        source.run("INSERT INTO app.t VALUES ()")
        expected = stands_at(source)
        catch_up(source, vault)

    _comes_back(source, vault, expected)


@pytest.mark.parametrize("how", [pytest.param("restarted", marks=pytest.mark.thorough), "killed"])
def test_a_source_that_comes_back_is_followed_on(source: Source, vault: Vault, how: str) -> None:
    """Whether a source goes away in order or not, the stream goes on where it was."""
    with streaming(source, vault) as told:
        until(lambda: told)
        source.run("INSERT INTO app.t VALUES ()", "INSERT INTO app.t VALUES (), ()")
        begin_again(source, killed=how == "killed")
        source.run("INSERT INTO app.t VALUES ()", f"CREATE TABLE app.after_{how} (a INT)")
        until(lambda: any("trying again" in line for line in told))
        catch_up(source, vault)
        source.run("INSERT INTO app.t VALUES (), ()")
        expected = stands_at(source)
        catch_up(source, vault)
    assert len(store_in(vault).segments()) > 1

    _comes_back(source, vault, expected)


@pytest.mark.thorough
def test_a_stream_that_was_killed_goes_on(source: Source, vault: Vault) -> None:
    """Killed in the midst of storing, it is continued by the next: no gap and no duplicate."""
    with (
        streaming_elsewhere(source, vault) as process,
        source.writing("INSERT INTO app.t VALUES ()"),
    ):
        until(store_in(vault).segments)
        before = store_in(vault).segments()[-1].stored_bytes
        until(lambda: store_in(vault).segments()[-1].stored_bytes > before)
        process.kill()
        process.join()
    assert process.exitcode == -signal.SIGKILL
    source.run("INSERT INTO app.t VALUES ()")
    with streaming(source, vault):
        expected = stands_at(source)
        catch_up(source, vault)

    _comes_back(source, vault, expected)


def _comes_back(source: Source, vault: Vault, expected: str) -> None:
    """Seal the stream; its end is where the source stood, and holds what the source holds."""
    sealed = seal_now(source, vault)

    assert sealed.entry.kind == STREAMED
    assert sealed.manifest().position == expected
    assert seal(source, vault) is None
    following = Source(source.context, vault, source.port).stored(sealed)
    for backup in (sealed, following):
        with restored(source, vault, backup.id) as attempt:
            assert attempt.failure == ""
            fingerprint = following.manifest().fingerprint
            assert attempt.restored is not None
            assert attempt.restored.position == expected  # type: ignore[attr-defined]
            assert _digests(attempt.restored.fingerprint(fingerprint)) == _digests(fingerprint)


def _digests(fingerprint: Fingerprint) -> dict[tuple[str, str], str]:
    # An image of ours gives root its password anew at every start, and logs nothing of it.
    digests = {item.key: item.digest for item in fingerprint.items}
    return {key: digest for key, digest in digests.items() if not key[1].startswith("`root`@")}


def test_a_second_stream_is_refused(vault: Vault) -> None:
    """Two processes never append to the same logs."""
    with store_in(vault).locked(), pytest.raises(UserError, match="by another process"):
        store_in(vault).locked().__enter__()


def test_a_gap_ends_the_stream(source: Source, vault: Vault) -> None:
    """Logs that were purged while nobody streamed are named, with the mend."""
    source.run("INSERT INTO app.t VALUES ()")
    source.purge_logs()

    with pytest.raises(BackupFailed, match="were purged before they were stored; take a full"):
        ENGINE.follow(
            source.context, lambda: base_in(vault), store_in(vault), threading.Event(), print
        )


def test_a_stream_needs_a_position(source: Source, vault: Vault) -> None:
    """A base that names no position, or no log, is refused and not tried for ever."""
    known = base_in(vault)
    facts = {name: fact for name, fact in known.facts.items() if name != "log_identity"}
    for base, words in (
        (replace(known, position=""), "writes no binary log"),
        (replace(known, position="binlog.000001:4", facts=facts), "not made to be followed"),
    ):
        with pytest.raises(BackupFailed, match=words):
            ENGINE.follow(
                source.context, lambda known=base: known, store_in(vault), threading.Event(), print
            )


def test_what_is_stored_is_read_with_care(source: Source, vault: Vault) -> None:
    """The end of a log under way may be missing; a damaged or missing one is named."""
    with streaming(source, vault):
        source.run("INSERT INTO app.t VALUES ()", "INSERT INTO app.t VALUES ()")
        before = stands_at(source)
        source.run("INSERT INTO app.t VALUES ()")
        catch_up(source, vault)
    path = store_in(vault).segments()[-1].path
    content = path.read_bytes()
    path.write_bytes(content[:-10])
    assert seal_now(source, vault).manifest().position == before

    path.write_bytes(content[:-40] + bytes([content[-40] ^ 1]) + content[-39:])
    damaged = seal(source, vault)
    assert damaged is not None
    assert damaged.backup is None
    assert "checksum" in damaged.problem

    path.rename(path.with_suffix(".999998"))
    gap = seal(source, vault)
    assert gap is not None
    assert "after the end of" in gap.problem
