"""``restoreproof schedule``: text that asks in every minute in which something is due."""

from datetime import timedelta
from pathlib import Path

import pytest
from audits import policy_document
from cronsim import CronSim
from histories import DAY, MONDAY
from ruamel.yaml import YAML

from restoreproof.policy import PolicyDocument
from restoreproof.schedule import due_between
from restoreproof.schedule_text import minutes_between, schedule_text

POLICY = """\
estate: Harbour
objectives: {rpo: 1h, rto: 4h, restore_test_every: %s}
vault: {location: vault}
components:
  wiki:
    engine: git
    source: {repository: x}
    coverage: [data]
"""


def document(folder: Path, *crons: str, every: str = "31d", zone: str = "UTC") -> PolicyDocument:
    """A policy with these schedules, of full backups and of increments."""
    text = POLICY % every
    if crons:
        names = dict(zip(("full", "incremental"), crons, strict=False))
        quoted = ", ".join(f'{kind}: "{cron}"' for kind, cron in names.items())
        text += f"    schedule: {{{quoted}"
        text += f", time_zone: {zone}}}\n"
    return policy_document(folder, text)


@pytest.mark.parametrize(
    ("crons", "zone", "step"),
    [
        (("10 16 * * 1", "10 16 * * 2-7"), "UTC", 10),
        (("0 2 * * *",), "Europe/Paris", 30),
        (("0 2 * * *",), "Asia/Kathmandu", 15),
        (("0 2 * * 0", "*/20 * * * *"), "UTC", 10),
        (("7 2 * * *",), "UTC", 1),
        (("5 2 * * *", "35 * * * *"), "UTC", 5),
        ((), "UTC", 30),
    ],
)
def test_machine_asks_when_something_is_due(
    tmp_path: Path, crons: tuple[str, ...], zone: str, step: int
) -> None:
    """The step is as long as it can be, and each due minute of a month is one of its minutes."""
    policy = document(tmp_path, *crons, zone=zone)
    assert minutes_between(policy, MONDAY) == step
    line = next(
        line
        for line in schedule_text(policy, "cron", MONDAY).splitlines()
        if line.endswith("--due >/dev/null")
    )
    tick = " ".join(line.split()[:5])
    ticks = CronSim(tick, MONDAY - timedelta(minutes=1))
    asked = {next(ticks) for _ in range(32 * 24 * 60 // step)}
    for cron in crons:
        assert set(due_between(cron, zone, MONDAY, MONDAY + 31 * DAY)) <= asked


def test_texts_are_whole(tmp_path: Path) -> None:
    """Each names policy and commands, and the CI workflow is YAML with both triggers."""
    folder = tmp_path / "50% of it"
    folder.mkdir()
    policy = document(folder, "10 16 * * 1")
    cron, systemd, ci = (schedule_text(policy, one, MONDAY) for one in ("cron", "systemd", "ci"))

    assert r"50\% of it/policy.yaml' --due" in cron
    for line in cron.splitlines():
        assert line.startswith("#") or line.split()[5] == "root"
    assert "OnCalendar=*-*-* *:00/10:00" in systemd
    assert systemd.count("ExecStart=") == 2
    workflow = YAML(typ="safe").load(ci)
    assert [one["cron"] for one in workflow["on"]["schedule"]] == ["*/10 * * * *", "23 5 * * 6"]
    assert workflow["jobs"]["due"]["steps"][0]["run"].endswith("--due")
    assert "Next: full backup at 2026-07-13 16:10:00 UTC." in cron


def test_restore_tests_are_often_enough(tmp_path: Path) -> None:
    """Once a week, or once a day where the policy wants more."""
    for every, at in (("31d", "23 5 * * 6"), ("8d", "23 5 * * 6"), ("7d", "23 5 * * *")):
        text = schedule_text(document(tmp_path, every=every), "cron", MONDAY)
        assert any(line.startswith(f"{at} root") for line in text.splitlines()), every
        assert "nothing will ever be due" in text
