"""`policy check` and `policy explain`: exit codes, warnings, the week, and what a user reads."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from audits import policy_document
from commands import run
from small_policies import CONTRADICTIONS, SOUND, Small
from vaults import open_vault, store

from restoreproof import engines
from restoreproof.evidence_week import PlannedRecord, SpanRecord, WeekRecord
from restoreproof.policy_check import PolicyCheck, check
from restoreproof.policy_explain import explain
from restoreproof.week import Span, joined, week_of
from restoreproof.week_picture import days, in_words

NOW = datetime(2026, 7, 3, 9, 4, tzinfo=UTC)
HOUR = timedelta(hours=1)
FULLY_SAID = """\
estate: Harbour
owner: Platform team
next_review: 2027-01-31
objectives: {rpo: 25h, rto: 4h, restore_test_every: 31d}
vault: {location: vault, host: nas, off_site_copy: in Lyon, encryption: LUKS}
components:
  it:
    engine: git
    source: {repository: playbooks.git}
    coverage: [playbook]
    schedule: {full: 10 16 * * *}
"""


def checked(folder: Path, text: str, now: datetime = NOW) -> PolicyCheck:
    """The check of a policy in a folder."""
    return check(policy_document(folder, text).path, now)


def warnings(folder: Path, *changes: tuple[str, str], now: datetime = NOW) -> list[str]:
    """What the fully said policy is warned of when it says something else."""
    text = FULLY_SAID
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return [f"{one.about}: {one.what}" for one in checked(folder, text, now).warnings]


@pytest.mark.parametrize(
    ("small", "code", "words"),
    [
        (SOUND["daily against 25 hours"], 0, "sound, "),
        (CONTRADICTIONS["daily against an hour"], 1, "1 contradiction, "),
        (Small("", "full: daily"), 2, "not a cron expression"),
    ],
)
def test_exit_code_says_what_was_found(small: Small, code: int, words: str, tmp_path: Path) -> None:
    """0 for a sound policy, 1 for one that contradicts itself, 2 for one that is not valid."""
    (tmp_path / "policy.yaml").write_text(small.text)
    outcome = run(tmp_path, "policy", "check", "policy.yaml")

    assert outcome.code == code, outcome
    assert words in "\n".join([outcome.printed, *outcome.messages])


def test_contradiction_is_told_with_numbers_and_mend(tmp_path: Path) -> None:
    """Rule, component, what contradicts what, from which numbers, and what mends it."""
    small = CONTRADICTIONS["daily against an hour"]
    lines = list(checked(tmp_path, small.text).lines())
    told = lines.index(
        "contradiction RPO-001 it: full backups every 24 h allow 24 h of loss against an RPO of 1 h"
    )

    assert lines[told + 1].startswith("    computed from  longest gap of the schedule (24 h, ")
    assert lines[told + 2].startswith("    to do          stream the changes")


def test_jobs_of_the_vault_count(tmp_path: Path) -> None:
    """How long jobs take is known from the catalog: what was sound without them is not with."""
    text = FULLY_SAID.replace("25h", "24h30m")
    assert checked(tmp_path, text).contradictions == ()
    began = NOW - timedelta(days=1)
    store(open_vault(tmp_path / "vault"), "it-1", recovery_point=began, started_at=began,
          finished_at=began + HOUR)  # fmt: skip

    (found,) = checked(tmp_path, text).contradictions
    assert "the longest full job known (1 h)" in found.basis
    assert "allow 25 h of loss" in found.seen


def test_vault_that_cannot_be_named_is_no_mistake(tmp_path: Path) -> None:
    """A policy is checked where the variables of its vault are not set."""
    text = FULLY_SAID.replace("location: vault", "location: '${NO_SUCH_VARIABLE}'")

    assert checked(tmp_path, text).contradictions == ()


def test_policy_that_says_everything_is_not_warned_of(tmp_path: Path) -> None:
    """Each warning can be mended."""
    assert warnings(tmp_path) == []


@pytest.mark.parametrize(
    ("old", "new", "warned"),
    [
        (", off_site_copy: in Lyon", "", ": no copy of the vault off the site"),
        (", encryption: LUKS", "", ": nothing encrypts the vault"),
        ("owner: Platform team\n", "", ": nobody answers for the policy"),
        ("next_review: 2027-01-31\n", "", ": no date at which the policy is reviewed"),
        ("2027-01-31", "2026-07-02", ": the policy was to be reviewed by 2026-07-02"),
        (" host: nas,", "", "it: backups lie on the host of their source: this machine"),
        ("repository: playbooks.git", "repository: git@nas:playbooks.git",
         "it: backups lie on the host of their source: nas"),
        ("repository: playbooks.git", "repository: 'ssh://git@nas/playbooks.git'",
         "it: backups lie on the host of their source: nas"),
        ("    schedule: {full: 10 16 * * *}\n", "",
         "it: playbook promised without a job: nothing says when it is backed up"),
        ("[playbook]", "[logs]", "it: logs promised without a job"),
        ("full: 10 16 * * *", "full: 10 16 * * *, continuous: true",
         "it: changes promised as they happen, and the git engine stores none"),
    ],
)  # fmt: skip
def test_what_is_left_to_be_desired_is_warned_of(
    old: str, new: str, warned: str, tmp_path: Path
) -> None:
    """Each of these alone is told, and nothing else."""
    assert warnings(tmp_path, (old, new)) == [warned]


def test_increments_that_no_engine_makes_are_warned_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the engine makes full backups alone, promised increments are told."""
    monkeypatch.setattr(type(engines.load("git")), "kinds", frozenset({"full"}))
    change = ("full: 10 16 * * *", "full: 10 16 * * *, incremental: 10 4 * * *")
    told = "it: increments promised, and the git engine makes full backups instead"

    assert warnings(tmp_path, change) == [told]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
def test_server_of_this_machine_is_known(host: str, tmp_path: Path) -> None:
    """A loopback address is this machine, whichever way it is written; another host is not."""
    source = "source: {repository: playbooks.git}"
    server = f"image: it:1\n    source: {{host: '{host}', user: b, password: 'file:x'}}"
    changes = [(source, server), ("engine: git", "engine: mysql"), ("[playbook]", "[data]")]
    said = "it: backups lie on the host of their source: this machine"

    assert warnings(tmp_path, *changes) == []
    assert warnings(tmp_path, *changes, (" host: nas,", "")) == [said]
    elsewhere = [*changes, (" host: nas,", ""), (f"'{host}'", "db.example")]
    assert warnings(tmp_path, *elsewhere) == []
    unknown = [*changes, (" host: nas,", ""), (f"'{host}'", "'${NO_SUCH_VARIABLE}'")]
    assert warnings(tmp_path, *unknown) == []


def test_explanation_says_promises_worst_case_and_next_runs(tmp_path: Path) -> None:
    """In plain words, with ten runs in order, and the week as a picture."""
    small = Small("", "full: 0 3 * * 0, incremental: 0 9 * * *, time_zone: Europe/Paris", "1h")
    lines = list(explain(checked(tmp_path, small.text), NOW))
    text = "\n".join(lines)

    assert "No more than 1 h of changes may be lost (RPO)." in text
    assert "promises  full backup at 03:00 on Sunday (Europe/Paris)" in text
    assert "BROKEN    RPO-001 increments up to 24 h apart allow 24 h of loss" in text
    assert "at worst  24 h are lost: until Sat 04 Jul 09:00 Europe/Paris, when the" in text
    runs = lines[lines.index("Next 10 runs") + 1 :]
    assert len(runs) == 10
    assert runs[0] == (
        "  Sat 2026-07-04 07:00 UTC  it, incremental, in 21 h 56 min"
        " (Sat 04 Jul 09:00 Europe/Paris)"
    )
    assert "it, full, " in runs[1]
    sunday = next(line for line in lines if line.startswith("  Sun 05 Jul"))
    assert sunday == f"  Sun 05 Jul  {'!' * 6}F·{'!' * 10}i·{'!' * 28}"


def test_explanation_without_a_schedule_knows_no_worst_case(tmp_path: Path) -> None:
    """Nobody can say what is lost, and no run is due; a stream loses seconds."""
    text = "\n".join(explain(checked(tmp_path, SOUND["no schedule"].text), NOW))
    assert "at worst  nobody can say" in text
    assert "none: no component has a schedule" in text

    stream = SOUND["a stream and weekly full backups"]
    text = "\n".join(explain(checked(tmp_path, stream.text), NOW))
    assert "at worst  what the stream had not stored yet" in text
    assert "!" not in text.replace("! a failure", "")


def test_explain_is_a_command(tmp_path: Path) -> None:
    """Explaining is no judgement: the exit code is 0 whatever the policy promises."""
    (tmp_path / "policy.yaml").write_text(CONTRADICTIONS["daily against an hour"].text)
    outcome = run(tmp_path, "policy", "explain", "policy.yaml")

    assert outcome.code == 0
    assert "BROKEN    RPO-001" in outcome.printed


@pytest.mark.parametrize(
    ("today", "sunday"),
    [
        ((2026, 3, 27), f"Sun 29 Mar  FFFF··{'F' * 42}"),
        ((2026, 10, 23), f"Sun 25 Oct  {'F' * 48}"),
    ],
)
def test_picture_has_48_signs_on_every_day(
    today: tuple[int, int, int], sunday: str, tmp_path: Path
) -> None:
    """Where clocks change a day has 23 or 25 hours, and is as wide as any other."""
    small = Small("", "full: '*/30 * * * *', time_zone: Europe/Paris", "1h")
    (planned,) = checked(tmp_path, small.text).planned
    week = week_of(planned, datetime(*today, tzinfo=UTC))
    assert week is not None
    _, *lines, _ = week.picture()

    assert [len(line) for line in lines] == [12 + 48] * 7
    assert lines[-1] == sunday


def test_spans_that_touch_are_one() -> None:
    """Shading is not cut where one exposed time follows another."""
    first, second = Span(NOW, NOW + HOUR), Span(NOW + HOUR, NOW + 2 * HOUR)
    apart = Span(NOW + 3 * HOUR, NOW + 4 * HOUR)

    assert joined([first, second, apart]) == (Span(NOW, NOW + 2 * HOUR), apart)


def test_week_of_the_report_is_said_in_words() -> None:
    """Those who do not see the picture are told the same: jobs, and how long is exposed."""
    monday = datetime(2026, 6, 28, 22, tzinfo=UTC)
    jobs = [monday + timedelta(days=number, hours=16) for number in range(7)]
    week = WeekRecord(
        begin=monday,
        end=monday + timedelta(days=7),
        time_zone="Europe/Paris",
        continuous=False,
        planned=(
            *(PlannedRecord(at=at, kind="full", jobs=1) for at in jobs[:6]),
            PlannedRecord(at=jobs[6], kind="incremental", jobs=9),
        ),
        exposed=(SpanRecord(begin=monday + 12 * HOUR, end=monday + 36 * HOUR),),
    )
    said = in_words(week, HOUR)

    assert "Mon 29 Jun: full 16:00; " in said
    assert said.endswith("A failure would lose more than 1 h during 24 h of 7 d.")
    assert "Sun 05 Jul: 9 jobs." in said
    first, second, third, *_ = days(week)
    assert first.jobs == ((16 / 24, "full"),)
    assert (first.exposed, second.exposed, third.exposed) == (((0.5, 1.0),), ((0.0, 0.5),), ())
    assert first.label == "Mon 29 Jun"
