"""For every check of the suites: a fault on which it fails, and what else fails with it."""

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path

from runs import Finished
from vault_faults import (
    GIT,
    INFLUXDB,
    MYSQL,
    add_spoiled_tag,
    age_heartbeats,
    backdate,
    flip_byte,
    lose_object_at_source,
    lose_tag,
    note_failed_run,
    note_schedule_of_earlier,
    nothing,
    one_more,
    prune_one,
    rewrite,
    spoil_statement,
    stretch,
    three_of_long_ago,
    two_more,
)

from restoreproof import damage_content, damage_git, damage_influxdb
from restoreproof.damage import VaultCopy
from restoreproof.vault import StoredBackup

JOINING = ("at_least: 100", "at_least: 100\n      join_as_replica: true")
"""What has a policy ask that the restored server joins its source."""


@dataclass(frozen=True)
class Scenario:
    """A fault, the check that has to fail on it, and in which words.

    ``source`` damages the source itself, for which a job is run; ``policy`` and ``policy_too``
    each replace a text of the policy; ``tampering`` names what the plugin ``tampering`` does to
    the restored copy. Ansible, which takes seconds, is asked only where ``asks_ansible``.
    """

    check: str
    component: str
    title: str
    seen: str
    damage: Callable[[VaultCopy], None] = nothing
    also: frozenset[str] = frozenset()
    policy: tuple[str, str] = ("", "")
    policy_too: tuple[str, str] = ("", "")
    tampering: str = ""
    source: Callable[[Path, Path], Mapping[str, str]] | None = None
    asks_ansible: bool = False

    def __str__(self) -> str:
        return f"{self.check} {self.title}"


@dataclass(frozen=True)
class Case:
    """A scenario that was played: the backup that was damaged, and the audit after it."""

    backup: StoredBackup
    finished: Finished


CRITERIA = {"CRT-001", "CRT-002", "CRT-003"}
"""The checks of what is played; only their own scenarios play it."""
RETENTION = "    retention:\n      until: deleted-by-hand"
SCHEDULED = (
    RETENTION,
    "    schedule: {full: 0 2 * * 1-5}\n    retention: {days: 2}",
)
"""What gives the repository a schedule, and a retention that does not fit it."""

EXPECTED = (
    "    description: Ansible repository\n",
    "    description: Ansible repository\n    expected_size: 1.2MB\n",
)
"""What gives the repository a size that is larger than what is restored."""

ANOTHER_VERSION = frozenset({"RST-002", "GIT-002"})
"""A version that nobody recorded is seen by whoever compares."""

SCENARIOS = (
    Scenario(
        "JOB-001",
        GIT,
        "source has lost a file",
        "unable to read",
        source=lose_object_at_source,
    ),
    Scenario(
        "VLT-001",
        MYSQL,
        "one byte of a stored dump flipped",
        "dump.sql.zst: SHA-256 differs",
        damage=flip_byte(MYSQL),
        also=frozenset({"RST-001"}),
    ),
    Scenario(
        "VLT-001",
        GIT,
        "manifest removed",
        "manifest.json: is missing",
        damage=lambda copy: copy.remove(copy.newest(GIT)),
        also=frozenset({"RST-001", "RET-001"}),
    ),
    Scenario(
        "RST-001",
        MYSQL,
        "one byte of a stored dump flipped",
        "failed in 'check artifacts'",
        damage=flip_byte(MYSQL),
        also=frozenset({"VLT-001"}),
    ),
    Scenario(
        "RST-001",
        MYSQL,
        "stored dump that no server takes",
        "failed in 'load': mysql, loading dump.sql: ERROR 1064",
        damage=rewrite(MYSQL, spoil_statement),
    ),
    Scenario(
        "RST-002",
        MYSQL,
        "row deleted from a restored table",
        "table agama.logins: another count",
        tampering="delete_row",
    ),
    Scenario(
        "RST-002",
        INFLUXDB,
        "stored backup lacked a shard",
        "another count",
        damage=rewrite(INFLUXDB, damage_influxdb.drop_shard()),
    ),
    Scenario(
        "RST-002",
        GIT,
        "stored bundle lacked a tag",
        "reference refs/tags/v1.0: is missing",
        damage=rewrite(GIT, damage_git.drop_reference("refs/tags/v1.0")),
    ),
    Scenario(
        "RST-003",
        GIT,
        "source taken for a restored copy",
        "the source's own identity",
        tampering="pass_for_source",
    ),
    Scenario(
        "RTO-001",
        MYSQL,
        "objective of one second",
        "at most 1 s",
        policy=("rto: 4h", "rto: 1s"),
    ),
    Scenario(
        "RTO-002",
        GIT,
        "repository that is to be ninety times as large",
        "an estimate for",
        policy=("rto: 4h", "rto: 1s"),
        policy_too=EXPECTED,
    ),
    Scenario(
        "RPO-001",
        INFLUXDB,
        "schedule of Agama's own policy",
        "24 h may be lost: longest gap of the schedule",
    ),
    Scenario(
        "RPO-002",
        GIT,
        "newest backup of two hours ago",
        "2 h",
        damage=backdate(GIT, timedelta(hours=2)),
    ),
    Scenario(
        "RPO-003",
        MYSQL,
        "stored heartbeats of another year",
        "lost: newest restored heartbeat 2020-",
        damage=age_heartbeats,
        also=frozenset({"RST-002"}),
    ),
    Scenario(
        "RPO-002",
        GIT,
        "two hours between two recovery points",
        "2 h",
        damage=lambda copy: one_more(copy, timedelta(hours=2)),
    ),
    Scenario(
        "RPO-004",
        GIT,
        "newest backup of tomorrow",
        "is dated in the future",
        damage=backdate(GIT, -timedelta(days=1)),
        also=frozenset({"RPO-002"}),
    ),
    Scenario(
        "RPO-004",
        GIT,
        "clock set back by two hours between two jobs",
        "and began before it",
        damage=lambda copy: copy.add_earlier(
            copy.newest(GIT), timedelta(hours=2), entered_late=False
        ),
        also=frozenset({"RPO-002"}),
    ),
    Scenario(
        "JOB-002",
        GIT,
        "failed run before the newest backup",
        "disk full",
        damage=note_failed_run,
    ),
    Scenario(
        "SCH-003",
        INFLUXDB,
        "schedule of three days without its runs",
        "runs missed: ",
        damage=note_schedule_of_earlier,
    ),
    Scenario(
        "SCH-001",
        INFLUXDB,
        "newest full backup of last week",
        "the newest began",
        damage=backdate(INFLUXDB, timedelta(days=8)),
        also=frozenset({"SCH-002", "RPO-002"}),
    ),
    Scenario(
        "SCH-002",
        MYSQL,
        "newest backup of last week",
        "the newest began",
        damage=backdate(MYSQL, timedelta(days=8)),
        also=frozenset({"SCH-001", "RPO-002"}),
    ),
    Scenario(
        "VLT-002",
        GIT,
        "backup deleted by hand",
        "was deleted by hand",
        damage=lambda copy: shutil.rmtree(copy.newest(GIT).folder),
        also=frozenset({"VLT-001", "RST-001", "RET-001"}),
    ),
    Scenario(
        "VLT-002",
        GIT,
        "backup that the catalog does not tell of",
        "no line of the catalog tells of it",
        damage=lambda copy: shutil.copytree(
            copy.newest(GIT).folder, copy.newest(GIT).folder.with_name("ansible-unknown")
        ),
    ),
    Scenario(
        "RET-001",
        GIT,
        "backup pruned that is kept for good",
        "pruned too early",
        damage=prune_one,
    ),
    Scenario(
        "RET-002",
        GIT,
        "two backups more than are kept",
        "still there: ",
        damage=two_more,
        policy=("until: deleted-by-hand", "count: 1"),
        also=frozenset({"RPO-002"}),
    ),
    Scenario(
        "RET-002",
        GIT,
        "prune killed after its line in the catalog",
        "still there: ",
        damage=partial(prune_one, killed=True),
        policy=("until: deleted-by-hand", "count: 1"),
    ),
    Scenario(
        "VLT-003",
        GIT,
        "backup that was not checked for two days",
        "longest time without a check: 2 d",
        damage=backdate(GIT, timedelta(days=2)),
        policy=("integrity_checks: every-audit", "integrity_checks: 1d"),
        also=frozenset({"RPO-002"}),
    ),
    Scenario(
        "CAD-001",
        GIT,
        "no restore test since the first backup",
        "since the first backup, with no restore test since",
        damage=backdate(GIT, timedelta(hours=2)),
        policy=("restore_test_every: 31d", "restore_test_every: 1h"),
        also=frozenset({"RPO-002"}),
    ),
    Scenario(
        "CAD-003",
        GIT,
        "three backups of the month before last",
        "never restored: ansible-",
        damage=three_of_long_ago,
        policy=("restore: all ", "restore: newest "),
        also=frozenset({"RPO-002", "CAD-001"}),
    ),
    Scenario(
        "POL-001",
        INFLUXDB,
        "backup job of a day and an hour",
        "takes 25 h",
        damage=stretch(INFLUXDB, timedelta(hours=25)),
        also=frozenset({"RPO-004"}),
    ),
    Scenario(
        "POL-002",
        MYSQL,
        "full backup on leap days",
        "full backups are up to 1461 d apart",
        policy=("full: 10 16 * * 1 ", "full: 10 16 29 2 * "),
    ),
    Scenario(
        "POL-003",
        GIT,
        "retention of two days over weekends",
        "kept for 2 days, and a full one gets 3 d",
        policy=SCHEDULED,
        also=frozenset({"RPO-001"}),
    ),
    Scenario(
        "POL-004",
        GIT,
        "retention of two days and for good",
        "backups are kept for 2 days, and for good",
        policy=(RETENTION, SCHEDULED[1].replace("days: 2", "days: 2, until: deleted-by-hand")),
        also=frozenset({"RPO-001"}),
    ),
    Scenario(
        "POL-005",
        GIT,
        "audits every other month",
        "audits are up to 62 d apart",
        policy=("restore: all ", "schedule: 0 4 1 */2 *\n  restore: all "),
    ),
    Scenario(
        "CRT-001",
        GIT,
        "copy's backup without the branch that is overwritten",
        "reference refs/heads/main: is missing",
        tampering="lack_main",
    ),
    Scenario(
        "CRT-002",
        GIT,
        "copy's backup without the branch that is deleted",
        "couldn't find remote ref refs/heads/heartbeat",
        tampering="lack_branch",
        also=frozenset({"CRT-001"}),
    ),
    Scenario(
        "CRT-003",
        GIT,
        "copy's last backup with one byte flipped",
        "failed in 'check artifacts'",
        tampering="flip_last",
    ),
    Scenario(
        "MYS-001",
        MYSQL,
        "stored dump names another GTID set",
        ":1-",
        damage=rewrite(MYSQL, damage_content.change_gtid),
    ),
    Scenario(
        "MYS-002",
        MYSQL,
        "table of the restored server cut off",
        "mysql.frail: Size of indexfile is: 512",
        tampering="corrupt_table",
    ),
    Scenario(
        "MYS-003",
        MYSQL,
        "restored MySQL server cannot write",
        "the restored server refuses the application's probe: The MySQL server is running with",
        tampering="refuse_rows",
    ),
    Scenario(
        "MYS-003",
        MYSQL,
        "probe of the application reads too little",
        "the application's probe wrote 1 rows and read ",
        policy=("at_least: 100", "at_least: 1000000"),
    ),
    Scenario(
        "MYS-004",
        MYSQL,
        "stored option file that no server takes",
        "unknown variable 'no_such_option=…'",
        damage=rewrite(
            MYSQL,
            damage_content.replace_in_file(
                "files/etc/mysql/conf.d/agama.cnf", b"log_bin", b"no_such_option"
            ),
            "configuration.tar.zst",
        ),
        also=frozenset({"RST-002"}),
    ),
    Scenario(
        "MYS-005",
        MYSQL,
        "stored error log without its end",
        "log error-log.jsonl: another count",
        damage=rewrite(MYSQL, damage_content.drop_last_lines(5), "error-log.jsonl.zst"),
        also=frozenset({"RST-002"}),
    ),
    Scenario(
        "MYS-006",
        MYSQL,
        "stored dump names transactions that its source never had",
        "never had all of that",
        damage=rewrite(MYSQL, partial(damage_content.change_gtid, by=1_000_000)),
        policy=JOINING,
        also=frozenset({"MYS-001"}),
    ),
    Scenario(
        "INF-001",
        INFLUXDB,
        "restored server cannot write",
        "the restored server takes no writes",
        tampering="refuse_writes",
    ),
    Scenario(
        "INF-002",
        INFLUXDB,
        "stored user may write who may only read",
        "privilege dashboards on telegraf: other content",
        damage=rewrite(
            INFLUXDB, damage_content.replace_text(b'"READ"', b'"WRITE"'), "metadata.json.zst"
        ),
        also=frozenset({"RST-002"}),
    ),
    Scenario(
        "INF-003",
        INFLUXDB,
        "stored influxdb.conf that no server takes",
        "/etc/influxdb/influxdb.conf: config: parse config",
        damage=rewrite(
            INFLUXDB,
            damage_content.replace_in_file(
                "files/etc/influxdb/influxdb.conf", b"store-enabled = false", b"store-enabled = no"
            ),
            "configuration.tar.zst",
        ),
        also=frozenset({"RST-002"}),
    ),
    Scenario(
        "GIT-001",
        GIT,
        "stored version with two files of one name",
        "duplicateEntries",
        damage=rewrite(GIT, damage_git.name_a_file_twice),
        also=ANOTHER_VERSION,
    ),
    Scenario(
        "GIT-002",
        GIT,
        "restored repository lost an old file",
        "is missing",
        tampering="lose_old_file",
        also=frozenset({"GIT-001"}),
    ),
    *(
        Scenario(
            check,
            GIT,
            f"stored repository lacked {path}",
            f"no {path}",
            damage=rewrite(GIT, damage_git.drop_path(path)),
            also=ANOTHER_VERSION,
        )
        for check, path in (
            ("GIT-003", "site.yml"),
            ("GIT-004", "inventory"),
            ("GIT-005", "ansible.cfg"),
        )
    ),
    Scenario(
        "GIT-006",
        GIT,
        "stored repository lacked its roles",
        "role missing: common is not in the repository",
        damage=rewrite(GIT, damage_git.drop_path("roles")),
        also=ANOTHER_VERSION,
        asks_ansible=True,
    ),
    Scenario(
        "GIT-007",
        GIT,
        "stored inventory with a mistake",
        "inventory/hosts.yml is no inventory: Syntax Error",
        damage=rewrite(GIT, damage_git.write_path("inventory/hosts.yml", b"all:\n  hosts: [\n")),
        also=ANOTHER_VERSION,
        asks_ansible=True,
    ),
    Scenario(
        "GIT-008",
        GIT,
        "stored configuration with a value that is none",
        "DEFAULT_FORKS",
        damage=rewrite(GIT, damage_git.write_path("ansible.cfg", b"[defaults]\nforks = several\n")),
        # No command of Ansible's begins with a configuration that it cannot read.
        also=ANOTHER_VERSION | {"GIT-006", "GIT-007"},
        asks_ansible=True,
    ),
    Scenario(
        "GIT-009",
        GIT,
        "tag that the backup before has",
        "refs/tags/v1.1 was deleted: it named ",
        damage=lose_tag,
        also=frozenset({"RST-002"}),
    ),
    Scenario(
        "GIT-010",
        GIT,
        "stored variables with a password in plain text",
        "group_vars/all/users.yml:2: app_password = [redacted]",
        damage=rewrite(
            GIT,
            damage_git.write_path("group_vars/all/users.yml", b"---\napp_password: hunter2!\n"),
        ),
        also=ANOTHER_VERSION,
    ),
    Scenario(
        "GIT-011",
        GIT,
        "tag that was changed after it was signed",
        "broken: tag fault",
        damage=add_spoiled_tag,
        policy=(
            "      paths:                #",
            "      signers: ${AGAMA_VAULT}/../signers\n      paths:                #",
        ),
        also=frozenset({"RST-002"}),
    ),
)
