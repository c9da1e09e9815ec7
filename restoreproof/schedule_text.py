"""``restoreproof schedule``: ready text that has a machine run what is due.

One timer does for all components and time zones: it asks every few minutes, and ``backup --due``
knows what is due. It asks in every minute in which something can be.
"""

import os
import shlex
import shutil
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from math import gcd
from pathlib import Path
from typing import Literal

from cronsim import CronSim

from restoreproof.due import next_due
from restoreproof.errors import UserError
from restoreproof.policy import Audit, PolicyDocument
from restoreproof.schedule import HORIZON, due_between
from restoreproof.wording import instant

Format = Literal["cron", "systemd", "ci"]
MOST_MINUTES = 30
"""What was missed while the machine was off is caught up within this time."""
LEAST_MINUTES_IN_CI = 5
DAILY, WEEKLY = "23 5 * * *", "23 5 * * 6"
A_WEEK_AND_A_DAY = timedelta(days=8)

CRON = """\
# Backups of {estate}: asks every {minutes} min what is due. Goes into /etc/cron.d/restoreproof.
# {coming}
# Secrets that the policy names as ${{NAME}} have to be set here too, or be given as file:PATH.
{tick} {user} {backup} >/dev/null
# The restore test, with its signed report{by_zone}.
{audit_lines}
"""
SYSTEMD = """\
# Backups of {estate}: asks every {minutes} min what is due.
# {coming}

# /etc/systemd/system/restoreproof-backup.service
[Unit]
Description=RestoreProof: backups of {estate} that are due
[Service]
Type=oneshot
# Secrets that the policy names as ${{NAME}}, one NAME=value a line:
EnvironmentFile=-/etc/restoreproof.env
ExecStart={backup}

# /etc/systemd/system/restoreproof-backup.timer
[Unit]
Description=RestoreProof: ask what is due
[Timer]
OnCalendar=*-*-* *:00/{minutes}:00
AccuracySec=1s
Persistent=true
[Install]
WantedBy=timers.target

# /etc/systemd/system/restoreproof-audit.service
[Unit]
Description=RestoreProof: restore test of {estate}
[Service]
Type=oneshot
EnvironmentFile=-/etc/restoreproof.env
ExecStart={audit}

# /etc/systemd/system/restoreproof-audit.timer
[Unit]
Description=RestoreProof: restore test
[Timer]
{audit_on_calendar}
Persistent=true
[Install]
WantedBy=timers.target
"""
CI = """\
# .github/workflows/backups.yaml: backups of {estate}, asked for every {minutes} min (UTC).
# {coming}
name: backups
on:
  schedule:
    - cron: '{tick}'
    # The restore test{by_zone}.
{audit_lines}
concurrency: restoreproof
jobs:
  due:
    if: {is_no_audit}
    runs-on: self-hosted
    steps:
      - run: {backup}
  audit:
    if: {is_audit}
    runs-on: self-hosted
    steps:
      - run: {audit}
"""
AUDIT_LINES = {"cron": "{at} root {audit} >/dev/null", "systemd": "", "ci": "    - cron: '{at}'"}
EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
MONTHS, MOST_DAYS, DAYS = 12, 31, 7
WEEKDAYS = ("Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat")
TEXTS = {"cron": CRON, "systemd": SYSTEMD, "ci": CI}


def schedule_text(document: PolicyDocument, wanted: Format, now: datetime) -> str:
    """The text for a policy: a crontab, systemd units, or a CI workflow."""
    minutes = minutes_between(document, now)
    if wanted == "ci":
        minutes = max(minutes, LEAST_MINUTES_IN_CI)
    policy = shlex.quote(str(document.path.resolve()))
    daily = document.policy.objectives.restore_test_every < A_WEEK_AND_A_DAY
    due = document.policy.audit.schedule or ((DAILY if daily else WEEKLY),)
    schedules = [one.schedule for one in document.policy.components.values() if one.schedule]
    coming = [next_due(schedule, now) for schedule in schedules]
    first = min(coming, key=lambda run: run.due_at, default=None)
    backup, audit = f"{_launcher()} backup {policy} --due", f"{_launcher()} audit {policy}"
    if wanted == "cron":
        # To cron a percent sign ends the command.
        backup, audit = backup.replace("%", "\\%"), audit.replace("%", "\\%")
    return TEXTS[wanted].format(
        estate=" ".join(document.policy.estate.split()),
        minutes=minutes,
        tick="* * * * *" if minutes == 1 else f"*/{minutes} * * * *",
        user="root",
        coming=f"Next: {first.kind} backup at {instant(first.due_at)}."
        if first
        else "No component of the policy has a schedule: nothing will ever be due.",
        backup=backup,
        audit=audit,
        by_zone=_by_zone(wanted, document.policy.audit),
        audit_lines="\n".join(AUDIT_LINES[wanted].format(at=at, audit=audit) for at in due),
        audit_on_calendar="\n".join(
            f"OnCalendar={at}" for at in on_calendar(due, document.policy.audit)
        ),
        is_audit=" || ".join(f"github.event.schedule == '{at}'" for at in due),
        is_no_audit=" && ".join(f"github.event.schedule != '{at}'" for at in due),
    )


def on_calendar(due: Sequence[str], audits: Audit) -> Iterator[str]:
    """Cron expressions as systemd writes them, in the policy's time zone where it has audits due.

    Cron runs a job on a day that one of two restricted fields names, so that makes two of them.
    Raise UserError for what systemd has no words for.
    """
    zone = f" {audits.time_zone}" if audits.schedule else ""
    for expression in due:
        parsed = CronSim(expression, EPOCH)
        *_, day, _, weekday = expression.split()
        weekdays = {one % DAYS for one in parsed.weekdays if isinstance(one, int)}
        if min(parsed.days) < 1 or not weekdays:
            mend = "write the days of the month or of the week as numbers"
            what = f"audit.schedule {expression}: no timer of systemd says the same"
            raise UserError(what, mend=mend)
        time = f"{_listed(parsed.hours)}:{_listed(parsed.minutes)}:00{zone}"
        month = "*" if len(parsed.months) == MONTHS else _listed(parsed.months)
        days = "*" if len(parsed.days) == MOST_DAYS else _listed(parsed.days)
        on_days = f"*-{month}-{days} {time}"
        if len(weekdays) == DAYS:
            yield on_days
            continue
        names = ",".join(WEEKDAYS[one] for one in sorted(weekdays))
        if day.startswith("*") or weekday.startswith("*"):
            yield f"{names} {on_days}"
        else:
            yield on_days
            yield f"{names} *-{month}-* {time}"


def _listed(numbers: Iterable[int]) -> str:
    return ",".join(f"{number:02}" for number in sorted(numbers))


def _by_zone(wanted: Format, audits: Audit) -> str:
    """What to know where the text cannot name the policy's time zone."""
    zone = audits.time_zone
    if not audits.schedule or wanted == "systemd" or (wanted == "ci" and zone == "UTC"):
        return ""
    clock = "UTC" if wanted == "ci" else "the machine's clock"
    return f" (by {clock}; the policy goes by {zone})"


def minutes_between(document: PolicyDocument, now: datetime) -> int:
    """The longest step in minutes, counted from the full hour, that meets every due minute."""
    step = MOST_MINUTES
    for component in document.policy.components.values():
        if component.schedule is None:
            continue
        for expressions in component.schedule.kinds.values():
            zone = component.schedule.time_zone
            for due in due_between(expressions, zone, now, now + HORIZON):
                step = gcd(step, due.minute) if due.minute else step
    return step


def _launcher() -> str:
    name = os.environ.get("RESTOREPROOF_LAUNCHER") or "restoreproof"
    found = shutil.which(name)
    return shlex.quote(str(Path(found).resolve())) if found else name
