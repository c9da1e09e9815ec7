"""``restoreproof schedule``: ready text that has a machine run what is due.

One timer does for all components and time zones: it asks every few minutes, and ``backup --due``
knows what is due. It asks in every minute in which something can be.
"""

import os
import shlex
import shutil
from datetime import datetime, timedelta
from math import gcd
from pathlib import Path
from typing import Literal

from restoreproof.due import next_due
from restoreproof.policy import PolicyDocument
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
# The restore test, with its signed report.
{audit_at} {user} {audit} >/dev/null
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
OnCalendar={audit_on_calendar}
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
    - cron: '{audit_at}'
concurrency: restoreproof
jobs:
  due:
    if: github.event.schedule != '{audit_at}'
    runs-on: self-hosted
    steps:
      - run: {backup}
  audit:
    if: github.event.schedule == '{audit_at}'
    runs-on: self-hosted
    steps:
      - run: {audit}
"""
TEXTS = {"cron": CRON, "systemd": SYSTEMD, "ci": CI}


def schedule_text(document: PolicyDocument, wanted: Format, now: datetime) -> str:
    """The text for a policy: a crontab, systemd units, or a CI workflow."""
    minutes = minutes_between(document, now)
    if wanted == "ci":
        minutes = max(minutes, LEAST_MINUTES_IN_CI)
    policy = shlex.quote(str(document.path.resolve()))
    daily = document.policy.objectives.restore_test_every < A_WEEK_AND_A_DAY
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
        audit_at=DAILY if daily else WEEKLY,
        audit_on_calendar="*-*-* 05:23:00" if daily else "Sat *-*-* 05:23:00",
    )


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
