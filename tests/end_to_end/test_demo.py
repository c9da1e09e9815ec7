"""`restoreproof demo`, as a newcomer types it: from nothing to a report that verifies."""

import shlex
from pathlib import Path

import pytest
from runs import COMMAND, Finished, left_by, run

from restoreproof.verdicts import Verdict


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """The demo in an empty folder."""
    place = tmp_path_factory.mktemp("demo")
    archive = place / "reports" / "archive"
    return run((*COMMAND, "demo"), {}, archive, place)


def _line(finished: Finished, word: str) -> str:
    return next(line for line in finished.output.splitlines() if line.startswith(word))


def test_demo_ends_well_and_says_what_it_found(demo: Finished) -> None:
    """Exit code 0 whatever the verdict, and then report, verdict, findings and the command."""
    assert demo.code == 0, demo.output
    assert _line(demo, "Report ").split()[1].endswith("report.pdf")
    assert "NOT COMPLIANT" in _line(demo, "Verdict ")
    assert _line(demo, "Findings ").split()[1] == "2"
    assert demo.with_verdict(Verdict.FAILED) == {("RPO-001", "mysql"), ("RPO-001", "influxdb")}


def test_printed_command_verifies_the_report(demo: Finished) -> None:
    """The command that the demo prints, typed as it is, finds the report authentic."""
    _, launcher, *arguments = shlex.split(_line(demo, "Verify "))
    place = demo.archive.parents[1]

    verified = run((*COMMAND, *arguments), {}, demo.archive, place)

    assert launcher == "restoreproof"
    assert arguments[0] == "verify"
    assert verified.code == 0, verified.output


def test_a_changed_report_is_refused(demo: Finished, tmp_path: Path) -> None:
    """One byte changed or one appended, and the printed command refuses the report."""
    _, _, *arguments = shlex.split(_line(demo, "Verify "))
    place = demo.archive.parents[1]
    whole = (place / arguments[1]).read_bytes()
    changed = bytearray(whole)
    changed[len(whole) // 2] ^= 1
    for number, content in enumerate((bytes(changed), whole + b"\n")):
        copy = tmp_path / f"{number}.pdf"
        copy.write_bytes(content)
        verified = run((*COMMAND, "verify", copy, *arguments[2:]), {}, demo.archive, place)
        assert verified.code == 1, verified.output


def test_demo_leaves_nothing_but_its_archive(demo: Finished) -> None:
    """The estate and every sandbox are gone; in the folder there is the archive alone."""
    assert left_by(demo.process) == []
    assert [path.name for path in demo.archive.parents[1].iterdir()] == ["reports"]
