"""A time stamp over the ledger's head says when it was there, by somebody else's clock."""

import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import samples
import time_stamps
from commands import run
from test_ledger import lines, remade, write
from time_stamps import TimeStamps

from restoreproof import ledger_audit, time_stamping
from restoreproof.errors import InfrastructureError
from restoreproof.ledger import Ledger, position_after
from restoreproof.ledger_tokens import against_tokens, path_of
from restoreproof.signing import TimestampAuthority
from restoreproof.verification import load_trust


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TimeStamps]:
    """The authority that the policy names."""
    with time_stamps.serving(tmp_path_factory.mktemp("tsa") / "authority") as one:
        yield one


def enter(archive: Path, number: int, age: timedelta = timedelta()) -> None:
    """A run that ended just now, or as long ago as it claims."""
    ledger, evidence = Ledger(archive), samples.agama()
    finished = datetime.now(UTC) - age
    ran = {"id": f"run-{number}", "started_at": finished, "finished_at": finished}
    evidence = samples.seal(
        evidence,
        run=evidence.run.model_copy(update=ran),
        ledger=position_after(ledger.entries()),
    )
    folder = archive / evidence.run.id
    folder.mkdir()
    evidence.write(folder / "evidence.json")
    ledger.enter(evidence, folder)


def stamp(archive: Path, by: TimeStamps) -> None:
    entry = Ledger(archive).entries()[-1]
    time_stamping.stamp(entry, archive, TimestampAuthority(by.url, load_trust(by.trust)))


@pytest.fixture
def archive(tmp_path: Path, authority: TimeStamps) -> Path:
    """Three runs, of which the first had no authority yet."""
    archive = tmp_path / "archive"
    archive.mkdir()
    enter(archive, 1)
    for number in (2, 3):
        enter(archive, number)
        stamp(archive, authority)
    return archive


def findings(archive: Path, by: TimeStamps, now: datetime | None = None) -> list[str]:
    entries, trust = Ledger(archive).entries(), load_trust(by.trust)
    return list(against_tokens(entries, archive, trust, now or datetime.now(UTC)))


def test_tokens_vouch_for_the_ledger(archive: Path, authority: TimeStamps) -> None:
    """They count, for us and for openssl, and `ledger verify` tells of the run without one."""
    told: list[str] = []
    entry = Ledger(archive).entries()[-1]

    assert findings(archive, authority) == []
    assert ledger_audit.verify_ledger(archive, (), told.append, authority.trust)
    assert told[-1].endswith("made: 1 run without a time stamp, the newest is entry 1")
    command = ["openssl", "ts", "-verify", "-digest", entry.hash, "-in", "ledger.3.tsr",
               "-CAfile", str(authority.trust)]  # fmt: skip
    assert subprocess.run(command, cwd=archive, check=False, capture_output=True).returncode == 0


def test_a_ledger_made_anew_is_caught(archive: Path, authority: TimeStamps) -> None:
    """Without an anchor: who makes entries anew gets no token of last month for them."""

    def better(number: int, raw: dict[str, object]) -> None:
        raw["verdict"] = "passed"

    write(archive, remade(lines(archive), better))

    assert findings(archive, authority) == [
        f"run run-{number}: the time stamp over entry {number} does not count:"
        " it is over something else"
        for number in (2, 3)
    ]


def test_a_ledger_cut_short_is_caught(archive: Path, authority: TimeStamps) -> None:
    """A token that is left over tells of the entry that is gone."""
    write(archive, lines(archive)[:-1])

    assert findings(archive, authority) == [
        "there is a time stamp over entry 3: the ledger was cut short"
    ]


def test_a_run_that_is_dated_back_is_caught(archive: Path, authority: TimeStamps) -> None:
    """A month that was missed cannot be made up for: the stamp tells when it was entered."""
    enter(archive, 4, age=timedelta(days=40))
    stamp(archive, authority)

    (found,) = findings(archive, authority)
    assert found.startswith("run run-4: it is dated ")
    assert "and its entry was stamped at" in found


def test_a_run_from_the_future_is_caught(archive: Path, authority: TimeStamps) -> None:
    """An old report entered under a new date that has not come yet."""
    enter(archive, 4, age=timedelta(minutes=-30))
    stamp(archive, authority)

    assert len(findings(archive, authority)) == 1


@pytest.mark.parametrize(
    "content",
    [b"", b"\x30\x80" * 5_000, bytes.fromhex("30053003020102")],
    ids=["empty", "nested", "rejection"],
)
def test_what_is_no_token_does_not_count(
    archive: Path, authority: TimeStamps, content: bytes
) -> None:
    """Whatever lies there in its place."""
    path = path_of(archive, 3)
    path.unlink()
    path.write_bytes(content)

    (found,) = findings(archive, authority)
    assert "it cannot be read" in found


def test_a_changed_token_does_not_count(archive: Path, authority: TimeStamps) -> None:
    """Its last byte is of the signature."""
    path = path_of(archive, 3)
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))

    assert len(findings(archive, authority)) == 1


def test_a_strange_authority_does_not_count(
    archive: Path, authority: TimeStamps, tmp_path: Path
) -> None:
    """Neither when the auditor checks nor when a run asks for its token."""
    with time_stamps.serving(tmp_path / "stranger") as stranger:
        assert len(findings(archive, stranger)) == len(findings(archive, stranger)) == 2
        enter(archive, 4)
        with pytest.raises(InfrastructureError, match="no trusted authority"):
            stamp(archive, TimeStamps(stranger.url, authority.trust))
    assert not path_of(archive, 4).exists()


def test_only_the_newest_has_to_be_trusted_today(archive: Path, authority: TimeStamps) -> None:
    """It covers the others, whose authority's certificate may have expired since."""
    later = datetime.now(UTC) + timedelta(days=25)

    (found,) = findings(archive, authority, now=later)
    assert found.startswith("run run-3: the time stamp over entry 3 does not count")


def test_no_answer_is_trouble_and_the_entry_stays(archive: Path, authority: TimeStamps) -> None:
    """The level is not lowered in silence, and the next token covers this entry too."""
    enter(archive, 4)
    with pytest.raises(InfrastructureError, match="was not time-stamped") as caught:
        stamp(archive, TimeStamps("http://127.0.0.1:9", authority.trust))

    assert "the next run covers" in (caught.value.mend or "")
    enter(archive, 5)
    stamp(archive, authority)
    assert findings(archive, authority) == []


def test_command_takes_who_is_trusted(archive: Path, authority: TimeStamps) -> None:
    """Exit 0 when everything counts; 2 where the file holds no certificate."""
    verify = ("ledger", "verify", "--archive", str(archive), "--trust-timestamps")

    assert run(archive, *verify, str(authority.trust)).code == 0
    assert run(archive, *verify, str(archive / "ledger.jsonl")).code == 2
