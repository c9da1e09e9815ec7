"""Damages to backups of MySQL and MariaDB, each at a place that is drawn."""

import random
import re
from collections.abc import Callable, Iterator

from restoreproof import damage_binlog, damage_content
from restoreproof.damage import Change, NotApplicable
from restoreproof.damage_content import drop_object, in_first_insert
from restoreproof.damage_files import lose_file, lose_last_line, spoil_file
from restoreproof.damage_kinds import Damage, Layer, Subject, first_possible
from restoreproof.engines.mysql_gtids import GtidSet

ENGINE = frozenset({"mysql"})
DUMP, ACCOUNTS, PRIVILEGES = "dump.sql", "accounts.sql", "privileges.sql"
LOGS, ARCHIVE = "binary-logs.tar", "data-directory.tar"
TABLE_MADE = re.compile(rb"^CREATE TABLE `((?:[^`]|``)+)` \(", re.MULTILINE)
WHOLE_NUMBER = re.compile(rb"-?(\d)\d*")
KEY = re.compile(rb"^  KEY [^\n]*,\n", re.MULTILINE)
COLLATION = b"COLLATE=utf8mb4_0900_ai_ci"
GTIDS = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}:")


# Rows


def lose_row(subject: Subject) -> str:
    return _in_a_table(subject, damage_content.drop_row, "last row of the first INSERT lost")


def double_row(subject: Subject) -> str:
    return _in_a_table(subject, damage_content.double_row, "a row stored twice")


def empty_for_null(subject: Subject) -> str:
    return _in_a_table(subject, damage_content.null_to_empty, "an empty text stored for NULL")


def change_value(subject: Subject) -> str:
    def change(table: str) -> Change:
        return in_first_insert(table, lambda rows: _one_value_else(rows, subject.chance))

    return _in_a_table(subject, change, "one value stored as another")


def lose_table(subject: Subject) -> str:
    return _in_a_table(subject, damage_content.drop_table, "left out, definition and rows")


# Schema


def lose_index(subject: Subject) -> str:
    def change(table: str) -> Change:
        def drop(dump: bytes) -> bytes:
            definition = _definition(dump, table)
            key = KEY.search(definition)
            # A foreign key would have the server make it again.
            if key is None or b"FOREIGN KEY" in definition:
                raise NotApplicable(f"{table} has no index to lose")
            return dump.replace(definition, definition.replace(key[0], b"", 1), 1)

        return drop

    return _in_a_table(subject, change, "index left out of the definition")


def lose_collation(subject: Subject) -> str:
    def change(table: str) -> Change:
        return damage_content.replace_in_definition(table, COLLATION, b"COLLATE=utf8mb4_general_ci")

    return _in_a_table(subject, change, "another collation")


def _lose_object(kind: str) -> Callable[[Subject], str]:
    def lose(subject: Subject) -> str:
        def attempt(name: str) -> None:
            plain = name.partition(".")[2]
            if sum(one.partition(".")[2] == plain for one in names) > 1:
                raise NotApplicable("two of this name")
            if kind == "view":
                subject.rewrite(DUMP, damage_content.drop_view(plain))
            else:
                subject.rewrite(DUMP, drop_object(kind.upper(), plain))

        names = subject.equal(kind)
        subject.artifact(DUMP)
        found = first_possible(names, attempt, f"the dump holds no {kind} that can be left out")
        return f"{kind} {found} left out"

    return lose


# The dump as a whole


def cut_at_statement(subject: Subject) -> str:
    return _in_a_table(
        subject, damage_content.cut_at_statement, "and all after it left out, the last line kept"
    )


def spoil_statement(subject: Subject) -> str:
    def change(dump: bytes) -> bytes:
        return dump.replace(b"\nCREATE TABLE ", b"\nCREATE NO TABLE ", 1)

    subject.rewrite(DUMP, change)
    return "CREATE TABLE in the dump made a statement that is none"


def change_gtid(subject: Subject) -> str:
    if not GTIDS.match(subject.manifest.position):
        raise NotApplicable("the source keeps no GTIDs")
    subject.rewrite(DUMP, damage_content.change_gtid)
    return "dump names one transaction more than it holds"


# Accounts


def lose_account(subject: Subject) -> str:
    names = [one for one in subject.equal("account") if not one.startswith(("`root`", "`mysql."))]

    def attempt(name: str) -> None:
        subject.rewrite(ACCOUNTS, damage_content.drop_lines(name.encode()))

    subject.artifact(ACCOUNTS)
    return f"account {first_possible(names, attempt, 'no account that can be left out')} left out"


def lose_grant(subject: Subject) -> str:
    def attempt(name: str) -> None:
        def change(sql: bytes) -> bytes:
            mark = f" TO {name}".encode()
            lines = sql.splitlines(keepends=True)
            mine = [
                number
                for number, line in enumerate(lines)
                if mark in line and line.startswith(b"GRANT ") and b"GRANT USAGE" not in line
            ]
            if not mine:
                raise NotApplicable(f"{name} was granted nothing")
            lost = subject.chance.choice(mine)
            return b"".join(line for number, line in enumerate(lines) if number != lost)

        subject.rewrite(PRIVILEGES, change)

    subject.artifact(PRIVILEGES)
    names = subject.equal("account")
    return f"privileges of {first_possible(names, attempt, 'no privilege')}: one GRANT left out"


# Binary logs


def _in_logs(change: Change, told: str) -> Callable[[Subject], str]:
    def damage(subject: Subject) -> str:
        _new_transactions(subject)
        damage_binlog.rewrite_logs(subject.copy, subject.backup, change)
        return told

    return damage


def change_server(subject: Subject) -> str:
    def change(log: bytes) -> bytes:
        _require_checksums(log)
        return log

    _new_transactions(subject)
    logs = b"".join(subject.backup.read(subject.artifact(LOGS)))
    damage_binlog.in_log(-1, change)(logs)
    damage_binlog.rewrite_logs(subject.copy, subject.backup, damage_binlog.change_server)
    return "last log says that another server wrote it"


def lose_transaction(subject: Subject) -> str:
    new = _new_transactions(subject)
    last = subject.chance.randrange(min(new, 100))

    def change(tar: bytes) -> bytes:
        for number in range(last, -1, -1):
            # The last log may hold fewer of them.
            try:
                return damage_binlog.drop_transaction(-2 - number)(tar)
            except IndexError:
                continue
        raise NotApplicable("the last log holds no transaction")

    damage_binlog.rewrite_logs(subject.copy, subject.backup, change)
    return "one transaction of the last binary log left out"


def flip_in_event(subject: Subject) -> str:
    def change(log: bytes) -> bytes:
        _require_checksums(log)
        at = subject.chance.randrange(len(log) * 3 // 4, len(log))
        return log[:at] + bytes([log[at] ^ 1]) + log[at + 1 :]

    _new_transactions(subject)
    damage_binlog.rewrite_logs(subject.copy, subject.backup, damage_binlog.in_log(-1, change))
    return "one bit of the last binary log turned over"


def _require_checksums(log: bytes) -> None:
    if not damage_binlog.has_checksums(log):
        raise NotApplicable("the source's binary logs have no checksums")


def _new_transactions(subject: Subject) -> int:
    """How many transactions an increment adds. Raise NotApplicable where that is not known."""
    subject.artifact(LOGS)
    base = subject.manifest.facts.get("base_position", "")
    if not GTIDS.match(subject.manifest.position) or not GTIDS.match(base):
        raise NotApplicable("without GTIDs nobody can say which transactions are new")
    new = len(GtidSet(subject.manifest.position)) - len(GtidSet(base))
    if new < 1:
        raise NotApplicable("the increment adds no transaction")
    return new


# Data directories


def lose_table_file(subject: Subject) -> str:
    databases = [f"{name}/" for name in subject.equal("database")]

    def of_a_table(name: str) -> bool:
        return name.endswith(".ibd") and name.removeprefix("./").startswith(tuple(databases))

    return lose_file(subject, ARCHIVE, of_a_table)


def _in_a_table(subject: Subject, change: Callable[[str], Change], told: str) -> str:
    """Do something to the first table for which it can be done; say to which."""
    named: dict[str, str] = {}

    def attempt(table: str) -> None:
        subject.rewrite(DUMP, change(table))

    artifact = subject.artifact(DUMP)
    dump = b"".join(subject.backup.read(artifact))
    made = [one.replace(b"``", b"`").decode() for one in TABLE_MADE.findall(dump)]
    for name in subject.equal("table"):
        table = name.partition(".")[2]
        # Two of one name in two databases would not be told apart.
        if made.count(table) == 1:
            named[table] = name
    done = first_possible(named, attempt, "the dump holds no table for it")
    return f"table {named[done]}: {told}"


def _definition(dump: bytes, table: str) -> bytes:
    found = re.search(
        rb"^CREATE TABLE `%s` \(\n.*?;$" % re.escape(table.encode()),
        dump,
        re.DOTALL | re.MULTILINE,
    )
    if found is None:
        raise NotApplicable(f"the dump makes no table {table}")
    return found[0]


def _one_value_else(rows: list[bytes], chance: random.Random) -> list[bytes]:
    """The rows with one value of one of them changed, so that no column rounds it away."""
    drawn = list(range(len(rows)))
    chance.shuffle(drawn)
    for number in drawn[:20]:
        values = damage_content.VALUE.findall(rows[number])
        places = list(range(len(values)))
        chance.shuffle(places)
        for place in places:
            for other in _another(values[place]):
                changed = b"".join([*values[:place], other, *values[place + 1 :]])
                return [*rows[:number], changed, *rows[number + 1 :]]
    raise NotApplicable("no value that can be changed for certain")


def _another(value: bytes) -> Iterator[bytes]:
    """Another value than this: smaller if it is a whole number, so that it fits its column."""
    whole = WHOLE_NUMBER.fullmatch(value)
    if whole:
        at = whole.start(1)
        digit = b"1" if whole[1] == b"0" else b"%d" % (int(whole[1]) - 1)
        yield value[:at] + digit + value[at + 1 :]
    elif letter := re.search(rb"(?<!\\)[a-yA-Y]", value) if value.startswith(b"'") else None:
        at = letter.start()
        yield value[:at] + bytes([value[at] + 1]) + value[at + 1 :]


DAMAGES = tuple(
    Damage(
        name, title, Layer.CONTENT, inflict, ENGINE, increments,
        only=frozenset({"MYS-001"} if name == "gtid-changed" else ()),
    )
    for name, title, inflict, increments in (
        ("row-lost", "one row lost", lose_row, False),
        ("row-doubled", "one row doubled", double_row, False),
        ("value-changed", "one value of a row changed", change_value, False),
        ("null-emptied", "NULL turned into ''", empty_for_null, False),
        ("table-lost", "table lost", lose_table, False),
        ("index-lost", "index lost", lose_index, False),
        ("collation-changed", "collation changed", lose_collation, False),
        ("trigger-lost", "trigger lost", _lose_object("trigger"), False),
        ("procedure-lost", "procedure lost", _lose_object("procedure"), False),
        ("function-lost", "function lost", _lose_object("function"), False),
        ("event-lost", "event lost", _lose_object("event"), False),
        ("view-lost", "view lost", _lose_object("view"), False),
        ("dump-cut", "dump cut between two statements", cut_at_statement, False),
        ("statement-spoilt", "statement that no server takes", spoil_statement, False),
        ("gtid-changed", "dump names another position", change_gtid, False),
        ("account-lost", "account lost", lose_account, False),
        ("privilege-lost", "privilege lost", lose_grant, False),
        ("table-file-lost", "file of a table lost", lose_table_file, False),
        (
            "last-transaction-lost", "last transaction lost",
            _in_logs(damage_binlog.drop_last_transaction, "last transaction left out"), True,
        ),
        (
            "commit-lost", "binary log ends one event early",
            _in_logs(damage_binlog.drop_last_event, "last event left out"), True,
        ),
        ("transaction-lost", "transaction in the midst lost", lose_transaction, True),
        (
            "log-emptied", "binary log without transactions",
            _in_logs(damage_binlog.empty_log(-1), "last log without its transactions"), True,
        ),
        ("log-of-another-server", "binary log of another server", change_server, True),
        ("event-flipped", "one bit of a binary log turned over", flip_in_event, True),
        ("configuration-changed", "configuration file changed", spoil_file, None),
        ("log-cut", "end of a log lost", lose_last_line, None),
    )
)  # fmt: skip
