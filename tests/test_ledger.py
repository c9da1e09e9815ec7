"""The ledger tells of every run that was edited, dropped, swapped, cut off, replayed or missed."""

import io
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import rfc8785
import samples
from commands import run
from rich.console import Console

from restoreproof import history, ledger_audit
from restoreproof.errors import LedgerCorrupt, UserError
from restoreproof.ledger import BEGINNING, Anchor, Ledger, LedgerEntry, earlier_runs, position_after
from restoreproof.ledger_audit import against_anchors, against_archive, missing_tests
from restoreproof.progress import Progress
from restoreproof.verdicts import Verdict

FIRST = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
RUNS = 5


def enter_run(archive: Path, number: int, estate: str = "Agama") -> LedgerEntry:
    """A month's run with its folder, entered as an audit does it."""
    ledger = Ledger(archive)
    evidence = samples.agama()
    finished = FIRST + timedelta(days=30 * number)
    evidence = samples.seal(
        evidence,
        run=evidence.run.model_copy(
            update={
                "id": f"run-{estate.lower()}-{number}",
                "started_at": finished - timedelta(seconds=40),
                "finished_at": finished,
            }
        ),
        policy=evidence.policy.model_copy(update={"estate": estate}),
        verdict=Verdict.PASSED if number % 2 else Verdict.FAILED,
        ledger=position_after(ledger.entries()),
        earlier_runs=earlier_runs(ledger.entries(), estate),
    )
    folder = archive / evidence.run.id
    folder.mkdir()
    evidence.write(folder / "evidence.json")
    (folder / "report.pdf").write_bytes(f"report {number} of {estate}".encode())
    with ledger.held():
        return ledger.enter(evidence, folder)


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """An archive with a run a month."""
    for number in range(RUNS):
        enter_run(tmp_path, number)
    return tmp_path


def findings(archive: Path, *anchors: Anchor) -> list[str]:
    """What an auditor is told, short of the months that passed since."""
    entries = Ledger(archive).entries()
    return [*against_anchors(entries, anchors), *against_archive(entries, archive)]


def lines(archive: Path) -> list[bytes]:
    return (archive / "ledger.jsonl").read_bytes().splitlines()


def write(archive: Path, content: list[bytes]) -> None:
    (archive / "ledger.jsonl").write_bytes(b"".join(line + b"\n" for line in content))


def remade(content: list[bytes], change: Callable[[int, dict[str, object]], None]) -> list[bytes]:
    """What a forger writes who knows how hashes are made: a chain whole in itself."""
    made, previous = [], BEGINNING
    for number, line in enumerate(content, start=1):
        raw = json.loads(line)
        change(number, raw)
        raw |= {"sequence": number, "previous": previous, "hash": ""}
        entry = LedgerEntry.model_validate(raw)
        entry = entry.model_copy(update={"hash": entry.digest})
        previous = entry.hash
        made.append(entry.line)
    return made


def test_a_sound_ledger_has_no_findings(archive: Path) -> None:
    """Every run is there, in order, with the files it wrote, and the anchor is in it."""
    entries = Ledger(archive).entries()

    assert [entry.sequence for entry in entries] == list(range(1, RUNS + 1))
    assert entries[0].previous == BEGINNING
    assert findings(archive, entries[2].anchor, entries[-1].anchor) == []
    assert list(missing_tests(entries, entries[-1].finished_at + timedelta(days=30))) == []


def test_an_entry_can_be_hashed_without_us(archive: Path) -> None:
    """SHA-256 over the line without its hash, as `jq -cjS 'del(.hash)' | sha256sum` does it."""
    raw = json.loads(lines(archive)[1])
    claimed = raw.pop("hash")

    assert Anchor(2, claimed) == Ledger(archive).entries()[1].anchor
    assert json.loads(lines(archive)[2])["previous"] == claimed
    assert rfc8785.dumps(raw) == json.dumps(
        raw, sort_keys=True, separators=(",", ":"), ensure_ascii=False
    ).encode()  # fmt: skip


def test_one_report_knows_the_runs_before_it(archive: Path) -> None:
    """An audit is given the runs of its own estate, the oldest first."""
    enter_run(archive, 1, "Other")
    entries = Ledger(archive).entries()

    known = earlier_runs(entries, "Agama")
    assert [run.run for run in known] == [f"run-agama-{number}" for number in range(RUNS)]
    assert known[0].results[0].rpo == timedelta(hours=24, seconds=12)
    assert position_after(entries).previous == entries[-1].hash


@pytest.mark.parametrize(
    ("attack", "words"),
    [
        (lambda old: [old[0].replace(b'"failed"', b'"passed"', 1), *old[1:]], "was changed"),
        (lambda old: [old[0].replace(b"{", b"{ ", 1), *old[1:]], "was changed"),
        (lambda old: [*old[:2], *old[3:]], "does not follow"),
        (lambda old: old[1:], "does not follow"),
        (lambda old: [old[0], old[2], old[1], *old[3:]], "does not follow"),
        (lambda old: [*old, old[-1]], "does not follow"),
        (lambda old: [*old[:2], b"", *old[2:]], "not an entry"),
        (lambda old: [*old, b"\xff\x00"], "not an entry"),
        (lambda old: [*old, b"[" * 100_000], "not an entry"),
    ],
    ids=["edit", "white space", "drop", "drop first", "swap", "twice", "blank", "noise", "nested"],
)
def test_a_broken_chain_is_refused(
    archive: Path, attack: Callable[[list[bytes]], list[bytes]], words: str
) -> None:
    """Whatever is done to lines by hand, the chain says where."""
    write(archive, attack(lines(archive)))

    with pytest.raises(LedgerCorrupt, match=words) as caught:
        Ledger(archive).entries()
    assert "ledger.jsonl:" in caught.value.where


def test_a_line_that_breaks_off_is_refused(archive: Path) -> None:
    """A crash while the last line was written is not taken for a shorter ledger."""
    path = archive / "ledger.jsonl"
    path.write_bytes(path.read_bytes()[:-20])

    with pytest.raises(LedgerCorrupt, match="breaks off"):
        Ledger(archive).entries()


def test_a_ledger_cut_short_is_caught_by_an_anchor_and_by_the_archive(archive: Path) -> None:
    """A shorter chain is whole in itself: what is kept elsewhere tells."""
    anchor = Ledger(archive).entries()[-1].anchor
    write(archive, lines(archive)[:-1])

    found = findings(archive, anchor)
    assert "the ledger was cut short: it has no entry 5, the anchor has" in found
    assert "run run-agama-4: it is in the archive, and not in ledger.jsonl" in found


def test_a_ledger_made_anew_is_caught(archive: Path) -> None:
    """By an anchor; and without one by the place that signed evidence names."""
    anchor = Ledger(archive).entries()[2].anchor

    def better(number: int, raw: dict[str, object]) -> None:
        raw["verdict"] = "passed"

    write(archive, remade(lines(archive), better))
    found = findings(archive, anchor)

    assert "entry 3 is not the one of the anchor: the ledger was made anew" in found
    assert "run run-agama-2: its evidence names another place in the ledger" in found
    assert "run run-agama-2: its evidence has another verdict or time than its entry" in found


def test_a_run_taken_out_of_ledger_and_archive_is_caught(archive: Path) -> None:
    """Later evidence names the entry that is gone."""
    for file in (archive / "run-agama-2").iterdir():
        file.unlink()
    (archive / "run-agama-2").rmdir()
    content = lines(archive)
    write(archive, remade([*content[:2], *content[3:]], lambda *_: None))

    assert "run run-agama-3: its evidence names another place in the ledger" in findings(archive)


def test_an_old_report_in_a_new_run_is_caught(archive: Path) -> None:
    """Last month's good report, offered as this month's, is not the file that the run wrote."""
    for name in ("report.pdf", "evidence.json"):
        old = (archive / "run-agama-3" / name).read_bytes()
        (archive / "run-agama-4" / name).unlink()
        (archive / "run-agama-4" / name).write_bytes(old)

    found = findings(archive)
    assert "run run-agama-4: report.pdf is not the file that the run wrote" in found
    assert "run run-agama-4: its evidence is that of run run-agama-3" in found


def test_files_that_are_gone_are_findings(archive: Path) -> None:
    """A report or a whole run that vanished is told."""
    (archive / "run-agama-1" / "report.pdf").unlink()
    (archive / "run-agama-2").rename(archive / "elsewhere")

    assert set(findings(archive)) == {
        "run run-agama-1: report.pdf is gone",
        "run run-agama-2: it is in the ledger, and its folder is gone",
        "run elsewhere: it is in the archive, and not in ledger.jsonl",
    }


def test_a_missing_month_is_a_finding(tmp_path: Path) -> None:
    """Between two runs, and since the newest; of each estate by itself."""
    for number in (0, 1, 3):
        enter_run(tmp_path, number)
        enter_run(tmp_path, 2, "Other") if number == 1 else None
    entries = Ledger(tmp_path).entries()

    soon = entries[-1].finished_at + timedelta(days=2)
    (between, other) = missing_tests(entries, soon)
    assert between == (
        "Agama: no restore was tested for 60 d before run run-agama-3, promised is every 31 d"
    )
    assert other.startswith("Other: no restore was tested for 32 d")
    assert len(list(missing_tests(entries, soon + timedelta(days=40)))) == 3


def test_a_clock_set_back_is_a_finding(tmp_path: Path) -> None:
    """A run is not dated before the one that it follows."""
    for number in (3, 2):
        enter_run(tmp_path, number)
    entries = Ledger(tmp_path).entries()

    assert "run run-agama-2: it is dated before run run-agama-3, which it follows" in list(
        missing_tests(entries, entries[0].finished_at)
    )


def test_nothing_half_is_written(archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that is full leaves the ledger as it was."""
    before = (archive / "ledger.jsonl").read_bytes()

    def full(path: Path, line: bytes) -> None:
        path.write_bytes(before + line[:10])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("restoreproof.ledger.append_line", full)
    with pytest.raises(OSError, match="No space"):
        enter_run(archive, 9)
    assert (archive / "ledger.jsonl").read_bytes() == before


def test_verify_says_what_it_proved(archive: Path) -> None:
    """A line a finding, the anchor to keep, and what was not proved."""
    told: list[str] = []

    assert not ledger_audit.verify_ledger(archive, (), told.append)
    anchor = str(Ledger(archive).entries()[-1].anchor)
    assert any(line.startswith("FINDING: Agama: no restore was tested for") for line in told)
    assert any(anchor in line for line in told)
    assert any("not proved" in line for line in told)
    with pytest.raises(UserError, match="not an anchor"):
        ledger_audit.verify_ledger(archive, ("5-abc",), told.append)


def test_command_ends_as_it_found(archive: Path) -> None:
    """Exit 1 with a finding or a broken chain, 2 without a ledger."""
    path = archive / "ledger.jsonl"
    assert run(archive, "ledger", "verify", "--archive", "none").code == 2
    path.write_bytes(path.read_bytes()[200:])
    broken = run(archive, "ledger", "verify", "--archive", ".")
    assert (broken.code, broken.printed.split(":")[0]) == (1, "BROKEN")


def test_history_shows_trends(archive: Path) -> None:
    """In the terminal by component with bars, as a page with charts; both without a server."""
    output = io.StringIO()
    progress = Progress(Console(file=output, width=160))
    history.show(archive, None, progress)
    words = output.getvalue()

    assert "Agama: 5 runs" in words
    assert "mysql     RPO ▁▁▁▁▁ 24 h ✗ (target 1 h)  RTO ▁▁▁▁▁ 6.5 s (target 4 h)" in words
    page = archive / "history.html"
    history.show(archive, page, progress)
    assert "Trend over 5 runs from 2026-01-05 to 2026-05-05" in page.read_text()
    assert "http" not in page.read_text().replace("http://www.w3.org/2000/svg", "").replace(
        'http-equiv="Content-Security-Policy"', ""
    )
    with pytest.raises(UserError, match="no run is known"):
        history.show(archive / "none", None, progress)
