"""`restoreproof demo`, as a newcomer types it: a week, a failure, and a report that verifies."""

import json
import re
import shlex
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import pytest
from runs import COMMAND, Finished, left_by, run

from restoreproof.verdicts import Verdict

MYSQL, INFLUXDB, ANSIBLE = "mysql", "influxdb", "ansible"
DAYS = 7
SECOND = timedelta(seconds=1)
LONGEST_SECONDS = 1200
"""Two demos and other tests share the machine; alone and quiet each takes two minutes or less."""


@pytest.fixture(scope="module")
def played(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Finished]]:
    """The demos that are wanted, each in an empty folder, side by side."""

    def play(name: str, *arguments: str) -> Finished:
        place = tmp_path_factory.mktemp(name)
        archive = place / "reports" / "archive"
        return run((*COMMAND, "demo", *arguments), {}, archive, place, LONGEST_SECONDS)

    # The mended one takes long: it is played with --thorough.
    wanted = {"week": (), "mended": ("--mended",)}
    if not request.config.getoption("--thorough"):
        del wanted["mended"]
    with ThreadPoolExecutor(max_workers=2) as pool:
        begun = {name: pool.submit(play, name, *more) for name, more in wanted.items()}
        yield {name: one.result() for name, one in begun.items()}


@pytest.fixture(scope="module")
def week(played: dict[str, Finished]) -> Finished:
    """Agama's own policy."""
    return played["week"]


@pytest.fixture(scope="module")
def mended(played: dict[str, Finished]) -> Finished:
    """The mended policy."""
    return played["mended"]


def _line(finished: Finished, word: str) -> str:
    return next(line for line in finished.output.splitlines() if line.startswith(word))


def _open(finished: Finished) -> set[tuple[str, str]]:
    """What is unproven, but for what a busy machine leaves no time for: seconds are its budget."""
    return {one for one in finished.with_verdict(Verdict.UNPROVEN) if one[0] != "NEG-001"}


BOTH = ["week", pytest.param("mended", marks=pytest.mark.thorough)]


# Agama's own policy


def test_the_week_ends_well_and_says_what_it_found(week: Finished) -> None:
    """Exit code 0 whatever the verdict, and then report, verdict, findings and the command."""
    assert week.code == 0, week.output
    assert _line(week, "Report ").split()[1].endswith("report.pdf")
    assert "NOT COMPLIANT" in _line(week, "Verdict ")
    found = set(product(("RPO-001", "RPO-002", "RPO-003"), (MYSQL, INFLUXDB)))
    # The document gives the repository no schedule, so none of its own is broken.
    found |= {("RPO-002", ANSIBLE), ("RPO-003", ANSIBLE)}
    assert week.with_verdict(Verdict.FAILED) == found
    assert _line(week, "Findings ").split()[1] == str(len(found))
    assert _open(week) == {("RPO-001", ANSIBLE)}
    assert week.with_verdict(Verdict.ERROR) == set()


def test_every_day_of_the_week_came_back_equal(week: Finished) -> None:
    """Seven backups of each component are restored and equal, and one instant in between."""
    for component in (MYSQL, INFLUXDB, ANSIBLE):
        equal = week.checks("RST-002", component)
        assert [check.verdict for check in equal] == [Verdict.PASSED] * DAYS
        backups = [one for one in week.evidence.backups if one.component == component]
        assert len({one.recovery_point.date() for one in backups}) == len(backups) == DAYS
    (instant,) = week.checks("RST-004", MYSQL)
    assert instant.verdict is Verdict.PASSED, f"{instant.expected}: {instant.seen}"
    (until,) = (one.until for one in week.evidence.attempts if one.until)
    monday = min(one.recovery_point for one in week.evidence.backups)
    assert monday < datetime.fromisoformat(until) < monday + DAYS * timedelta(days=1)


def test_the_recovery_time_is_kept_with_room(week: Finished) -> None:
    """Every restore ends in a small part of the objective."""
    rto = week.evidence.policy.objectives.rto
    for component in week.evidence.components:
        assert component.rto_measured.value is not None
        assert component.rto_measured.value < rto / 10


# The mended policy


@pytest.mark.thorough
def test_the_mended_policy_is_compliant(mended: Finished) -> None:
    """Every check passes, every promise is proven, and nothing is left open."""
    assert mended.code == 0, mended.output
    assert mended.with_verdict(Verdict.FAILED) == mended.with_verdict(Verdict.ERROR) == set()
    assert _open(mended) == set()
    if not mended.with_verdict(Verdict.UNPROVEN):
        assert _line(mended, "Verdict ").split()[1] == "COMPLIANT:"
        assert {promise.verdict for promise in mended.evidence.promises} == {Verdict.PASSED}


@pytest.mark.thorough
def test_streamed_changes_come_back(mended: Finished) -> None:
    """Of MySQL seconds are lost, from what was streamed up to the failure."""
    (mysql,) = (one for one in mended.evidence.components if one.name == MYSQL)
    kinds = [one.kind for one in mended.evidence.backups if one.component == MYSQL]

    assert kinds == ["full", "streamed", "incremental", "streamed"]
    assert mysql.rpo_measured.value is not None
    assert mysql.rpo_measured.value < 5 * SECOND
    assert mysql.rpo is not None
    assert mysql.rpo < timedelta(minutes=1)


# Both


@pytest.mark.parametrize("name", BOTH)
def test_simulated_time_is_said_on_page_one(name: str, played: dict[str, Finished]) -> None:
    """The evidence and the first page say what is simulated; the run itself is dated for real."""
    finished = played[name]
    evidence = finished.evidence
    pdf = finished.folder / "report.pdf"
    words = subprocess.run(
        ["pdftotext", "-l", "1", str(pdf), "-"], capture_output=True, text=True, check=True
    ).stdout

    assert "is simulated" in evidence.run.simulated
    assert "Simulated time." in words
    failure = max(one.recovery_point for one in evidence.backups)
    assert failure + timedelta(hours=1) <= evidence.run.started_at
    assert datetime.now(UTC) - evidence.run.started_at < timedelta(hours=2)


@pytest.mark.parametrize("name", BOTH)
def test_rpo_can_be_recomputed_by_hand(name: str, played: dict[str, Finished]) -> None:
    """An auditor gets all three figures from the evidence's JSON alone."""
    evidence = json.loads((played[name].folder / "evidence.json").read_bytes())
    for component in evidence["components"]:
        by_hand = {
            "promised": _promised(evidence, component),
            "kept": _kept(evidence, component),
            "measured": _measured(component),
        }
        for key, value in by_hand.items():
            told = component[f"rpo_{key}"]["value_seconds"]
            if value is None:
                assert told is None, key
            else:
                assert told == pytest.approx(value, abs=1.0), (component["name"], key)


def _promised(evidence: Any, component: Any) -> float | None:
    """The longest time between two planned jobs, across the week's end too, and the longest job."""
    week = component["week"]
    if week is None:
        return None
    if week["continuous"]:
        # So long may a change be on its way into the vault; the basis says so.
        return 10.0
    runs = sorted((_at(run["at"]), run["kind"], run["jobs"]) for run in week["planned"])
    runs.append((runs[0][0] + DAYS * timedelta(days=1), *runs[0][1:]))
    longest: dict[str, float] = {}
    for backup in _of(evidence["backups"], component):
        took = (_at(backup["finished_at"]) - _at(backup["started_at"])).total_seconds()
        longest[backup["kind"]] = max(took, longest.get(backup["kind"], 0.0))
    return max(
        (later[0] - earlier[0]).total_seconds() + longest.get(later[1], 0.0)
        for earlier, later in pairwise(runs)
    )


def _kept(evidence: Any, component: Any) -> float:
    """The longest time between two recovery points of the catalog, or the newest one's age."""
    points = sorted(
        (_at(line["recovery_point"]), line["kind"])
        for line in _of(evidence["history"], component)
        if line["recovery_point"]
    )
    # Where a stream covers the time between two there is no gap.
    gaps = [b[0] - a[0] for a, b in pairwise(points) if b[1] != "streamed"]
    decided = min(_at(one["decided_at"]) for one in _of(evidence["attempts"], component))
    told = re.search(r"was decided at (\S+?);?( |$)", component["rpo_kept"]["basis"])
    ages = [_at(told[1]) - points[-1][0]] if told else []
    assert all(points[-1][0] + age <= decided for age in ages)
    return max([*gaps, *ages]).total_seconds()


def _measured(component: Any) -> float:
    """What the basis names: the newest heartbeat that came back, against the last written."""
    restored, last = re.findall(r"\d{4}-[-\d]+T[:\d]+Z", component["rpo_measured"]["basis"])
    return max(timedelta(), _at(last) - _at(restored)).total_seconds()


def _of(records: Any, component: Any) -> list[Any]:
    return [one for one in records if one["component"] == component["name"]]


def _at(text: str) -> datetime:
    return datetime.fromisoformat(text)


@pytest.mark.parametrize("name", BOTH)
def test_printed_command_verifies_the_report(name: str, played: dict[str, Finished]) -> None:
    """The command that the demo prints, typed as it is, finds the report authentic."""
    finished = played[name]
    _, launcher, *arguments = shlex.split(_line(finished, "Verify "))
    place = finished.archive.parents[1]

    verified = run((*COMMAND, *arguments), {}, finished.archive, place)

    assert launcher == "restoreproof"
    assert arguments[0] == "verify"
    assert verified.code == 0, verified.output


def test_a_changed_report_is_refused(week: Finished, tmp_path: Path) -> None:
    """One byte changed or one appended, and the printed command refuses the report."""
    _, _, *arguments = shlex.split(_line(week, "Verify "))
    place = week.archive.parents[1]
    whole = (place / arguments[1]).read_bytes()
    changed = bytearray(whole)
    changed[len(whole) // 2] ^= 1
    for number, content in enumerate((bytes(changed), whole + b"\n")):
        copy = tmp_path / f"{number}.pdf"
        copy.write_bytes(content)
        verified = run((*COMMAND, "verify", copy, *arguments[2:]), {}, week.archive, place)
        assert verified.code == 1, verified.output


@pytest.mark.parametrize("name", BOTH)
def test_demo_leaves_nothing_but_its_archive(name: str, played: dict[str, Finished]) -> None:
    """The estate and every sandbox are gone; in the folder there is the archive alone."""
    finished = played[name]
    assert left_by(finished.process) == []
    assert [path.name for path in finished.archive.parents[1].iterdir()] == ["reports"]
