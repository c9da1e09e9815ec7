"""``restoreproof schedule``: text that asks in every minute in which something is due."""

from datetime import timedelta
from pathlib import Path

import pytest
from audits import policy_document
from cronsim import CronSim
from histories import DAY, MONDAY
from ruamel.yaml import YAML

from restoreproof.errors import UserError
from restoreproof.policy import Audit, PolicyDocument
from restoreproof.schedule import due_between
from restoreproof.schedule_text import minutes_between, on_calendar, schedule_text

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


def audited(folder: Path, at: str, zone: str = "UTC") -> PolicyDocument:
    """A policy that says when audits run."""
    audit = f"audit: {{schedule: {at}, time_zone: {zone}}}\nvault:"
    return policy_document(folder, (POLICY % "31d").replace("vault:", audit))


def test_audits_run_when_the_policy_says(tmp_path: Path) -> None:
    """Every expression of ``audit.schedule`` is in all three texts, and no other time."""
    policy = audited(tmp_path, '["0 4 1 * *", "30 5 * * 1-5"]')
    cron, systemd, ci = (schedule_text(policy, one, MONDAY) for one in ("cron", "systemd", "ci"))

    lines = [line for line in cron.splitlines() if " audit " in line]
    assert [line.split(" root ")[0] for line in lines] == ["0 4 1 * *", "30 5 * * 1-5"]
    assert "OnCalendar=*-*-01 04:00:00 UTC\n" in systemd
    assert "OnCalendar=Mon,Tue,Wed,Thu,Fri *-*-* 05:30:00 UTC\n" in systemd
    workflow = YAML(typ="safe").load(ci)
    wanted = ["*/30 * * * *", "0 4 1 * *", "30 5 * * 1-5"]
    assert [one["cron"] for one in workflow["on"]["schedule"]] == wanted
    asked = "github.event.schedule == '0 4 1 * *' || github.event.schedule == '30 5 * * 1-5'"
    assert workflow["jobs"]["audit"]["if"] == asked
    assert all("23 5" not in text for text in (cron, ci))


def test_time_zone_is_told_where_it_cannot_be_given(tmp_path: Path) -> None:
    """Cron goes by the machine's clock and CI servers by UTC; systemd is given the zone."""
    policy = audited(tmp_path, "0 4 1 * *", "Europe/Paris")

    assert "by the machine's clock; the policy goes by Europe/Paris" in schedule_text(
        policy, "cron", MONDAY
    )
    assert "by UTC; the policy goes by Europe/Paris" in schedule_text(policy, "ci", MONDAY)
    assert "OnCalendar=*-*-01 04:00:00 Europe/Paris" in schedule_text(policy, "systemd", MONDAY)


@pytest.mark.parametrize(
    ("cron", "calendar"),
    [
        ("*/20 4-6 * * *", ["*-*-* 04,05,06:00,20,40:00 UTC"]),
        ("0 4 1,15 * 1", ["*-*-01,15 04:00:00 UTC", "Mon *-*-* 04:00:00 UTC"]),
        ("0 4 */10 * 0,7", ["Sun *-*-01,11,21,31 04:00:00 UTC"]),
        ("0 4 1 1,7 *", ["*-01,07-01 04:00:00 UTC"]),
    ],
)
def test_cron_in_the_words_of_systemd(cron: str, calendar: list[str]) -> None:
    """Where both days are restricted, cron runs on either, unless one begins with a star."""
    assert list(on_calendar((cron,), Audit(schedule=(cron,)))) == calendar


def test_what_systemd_cannot_say_is_refused() -> None:
    """The last day of a month, the second Friday: no list of numbers."""
    for cron in ("0 4 L * *", "0 4 * * 5#2"):
        with pytest.raises(UserError, match="no timer of systemd says the same"):
            list(on_calendar((cron,), Audit(schedule=(cron,))))
