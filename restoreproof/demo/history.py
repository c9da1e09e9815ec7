"""How the sample estate's Ansible repository came to be: its commits, branches, tags and note.

The newest version is ``fixtures/agama/ansible``, file by file. A change may give a file as it
was earlier, so that there are old versions worth viewing.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

START = datetime(2026, 9, 1, 7, 30, tzinfo=UTC)
KADRI, OLGA = "Kadri Tamm <kadri@agama.example>", "Ольга Щукина <olga@agama.example>"
MAIN, SIDE, MONITORING = "main", "larger-pool", "monitor-backups"

OLD_INVENTORY = """\
[databases]
agama-db-1 ansible_host=10.20.0.21

[metrics]
agama-metrics-1 ansible_host=10.20.0.31
"""
MONITORING_TASKS = """\
---
- name: Tell of a backup that did not run
  ansible.builtin.cron:
    name: backup age
    minute: "20"
    job: find /var/backups/agama -mmin -1500 | grep -q . || logger -p user.err "no backup today"
"""


@dataclass(frozen=True)
class Change:
    """One commit: ``files`` are files or folders as they are now.

    ``earlier`` holds, for a path among them, a text of today and what it was at that time;
    ``written`` whole files that are no more; ``merged`` the branch that comes in.
    """

    after: timedelta
    author: str
    message: str
    files: tuple[str, ...] = ()
    earlier: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    written: Mapping[str, str] = field(default_factory=dict)
    removed: tuple[str, ...] = ()
    branch: str = MAIN
    merged: str = ""

    @property
    def at(self) -> datetime:
        """When it was committed."""
        return START + self.after


@dataclass(frozen=True)
class Tag:
    """A name for the commit with a message; annotated if it has a text of its own."""

    name: str
    change: str
    text: str = ""


def _days(days: int, hours: float = 0) -> timedelta:
    return timedelta(days=days, hours=hours)


MAKE_SCHEDULE = "backup: run when the backup document says"
INSTALL_INFLUXDB = "influxdb: install and configure"
MERGE = f"Merge branch '{SIDE}'"
CHANGES = (
    Change(
        _days(0),
        KADRI,
        "Begin with an inventory",
        files=("README.md", "ansible.cfg", ".gitignore"),
        earlier={"ansible.cfg": ("inventory = inventory/hosts.yml", "inventory = hosts.ini")},
        written={"hosts.ini": OLD_INVENTORY},
    ),
    Change(_days(1, 2.5), KADRI, "common: time, packages", files=("roles/common",)),
    Change(
        _days(3, 5),
        OLGA,
        "mysql: install and configure\n\nБинарные журналы хранятся трое суток.",
        files=("roles/mysql",),
        earlier={
            "roles/mysql/defaults/main.yml": (
                "mysql_binlog_expire_days: 8",
                "mysql_binlog_expire_days: 3",
            )
        },
    ),
    Change(
        _days(6, 1),
        KADRI,
        "inventory: YAML instead of INI, and all servers",
        files=("inventory", "ansible.cfg"),
        removed=("hosts.ini",),
    ),
    Change(_days(9), OLGA, INSTALL_INFLUXDB, files=("roles/influxdb",)),
    Change(
        _days(13, 4),
        KADRI,
        "telegraf: write to InfluxDB",
        files=("roles/telegraf", "group_vars/all"),
    ),
    Change(_days(16, 3), KADRI, "site: say which role runs where", files=("site.yml",)),
    Change(
        _days(20, 6),
        OLGA,
        "backup: duplicity, once a week",
        files=("roles/backup",),
        earlier={
            "roles/backup/defaults/main.yml": (
                'backup_full: "10 16 * * 1"\nbackup_incremental: "10 16 * * 2-7"',
                'backup_full: "0 3 * * 0"\nbackup_incremental: "0 3 31 2 *"',
            )
        },
    ),
    Change(
        _days(21, 1),
        OLGA,
        "databases: passwords under ansible-vault",
        files=("group_vars/databases",),
    ),
    Change(
        _days(27),
        KADRI,
        "mysql: a larger buffer pool where there is memory",
        files=("host_vars",),
        branch=SIDE,
    ),
    Change(_days(30, 2), KADRI, "restore: a playbook for the bad day", files=("restore.yml",)),
    Change(
        _days(34, 8),
        OLGA,
        MAKE_SCHEDULE,
        files=("roles/backup/defaults/main.yml", "roles/mysql/defaults/main.yml"),
    ),
    Change(_days(36, 1), KADRI, MERGE, files=("host_vars",), merged=SIDE),
    Change(
        _days(41, 3),
        OLGA,
        "backup: tell of a backup that did not run",
        written={"roles/backup/tasks/monitoring.yml": MONITORING_TASKS},
        branch=MONITORING,
    ),
)
TAGS = (
    Tag("v1.0", INSTALL_INFLUXDB),
    Tag("v1.1", MERGE, "All servers can be built from here\n\nПроверено на резервном сервере.\n"),
)
NOTED, NOTE = MAKE_SCHEDULE, "Agreed with the owner of the backup document on 2026-10-05.\n"
