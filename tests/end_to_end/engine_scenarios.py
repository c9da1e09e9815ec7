"""For every check about what an engine holds, or plays: a fault on which it fails."""

from functools import partial

from scenario import ANOTHER_VERSION, JOINING, Scenario
from vault_faults import (
    GIT,
    INFLUXDB,
    MYSQL,
    add_spoiled_tag,
    lose_tag,
    rewrite,
)

from restoreproof import damage_content, damage_git

OF_ENGINES = (
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
    Scenario(
        "GIT-012",
        GIT,
        "password that opens nothing under vault",
        "opened by none: group_vars/databases/vault.yml:1",
        policy=(
            "      paths:                #",
            "      vault_passwords: ['${AGAMA_MYSQL_PASSWORD}']\n      paths:                #",
        ),
    ),
)
