"""What shows each fault: a row of the tables of faults, or a test by its name.

``CATALOGUE`` has every number of the catalogue, ``NAMED`` every fault that was asked for by name.
"""

import ast
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from mysql_faults.tables import CHAIN_FAULTS, FAULTS

ROOT = Path(__file__).parents[3]
CONTENT = "tests/contract/mysql_faults/test_content.py"
SOURCES = "tests/contract/mysql_faults/test_sources.py"
CHAINS = "tests/contract/mysql_faults/test_chains.py"
INCREMENTS = "tests/contract/test_mysql_increments.py"
SETTINGS = "tests/contract/test_mysql_settings.py"
DIFFERENCES = "tests/contract/test_mysql_differences.py"
ENGINES = "tests/contract/test_engines.py"
VAULT = "tests/test_vault_damage.py"

IN_CONTENT = f"{CONTENT}::test_a_fault_in_the_content_is_seen"
STORED = f"{CONTENT}::test_damage_to_stored_bytes_is_seen"
BROKEN_OFF = f"{CONTENT}::test_a_dump_that_breaks_off_is_seen"
TOOL = f"{SOURCES}::test_a_tool_that_hides_its_failure_is_seen"
IN_LOGS = f"{CHAINS}::test_a_fault_in_the_logs_is_seen"


def _row(*names: str) -> tuple[str, ...]:
    return tuple(f"{IN_CONTENT}[{name}]" for name in names)


def _log(*names: str) -> tuple[str, ...]:
    return tuple(f"{IN_LOGS}[{name}]" for name in names)


CATALOGUE: Mapping[int, tuple[str, ...]] = {
    1: (STORED, BROKEN_OFF),
    2: (BROKEN_OFF, f"{ENGINES}::test_every_fault_in_the_content_is_seen"),
    3: (f"{CONTENT}::test_a_flipped_bit_in_a_value_is_seen",
        f"{CONTENT}::test_a_flipped_bit_anywhere_is_seen_or_harmless"),
    4: (STORED, f"{VAULT}::test_flipped_stream_is_refused_under_any_hash"),
    5: (STORED, f"{VAULT}::test_truncated_stream_is_refused_under_any_hash"),
    6: (STORED, *_row("a block filled with zeros", "blocks of two tables swapped")),
    7: (TOOL, BROKEN_OFF),
    8: (TOOL,),
    9: _row("missing table"),
    10: _row("missing procedure", "missing function", "missing event"),
    11: _row("missing trigger", "missing view", "definer of a view that nobody is"),
    12: _row("missing user", "missing grant of a role", "missing grant"),
    13: _row("one row lost"),
    14: _row("one row doubled", "one row doubled an even number of times"),
    15: _row("one row lost and another too many"),
    16: _row("NULL turned into ''", "'' turned into NULL", "a separator moved",
             "a value moved to its neighbour"),
    17: (*_row("charset lost", "collation lost", "encoded twice",
               "letters lost to a small charset"),
         f"{ENGINES}::test_every_fault_in_the_content_is_seen"),
    18: _row("time zone lost", "fraction of a second lost"),
    19: (*_row("a float rounded"), f"{ENGINES}::test_what_the_tool_loses_is_seen"),
    20: _row("generated column computed otherwise"),
    21: _row("AUTO_INCREMENT reset"),
    22: _row("index lost", "foreign key lost", "partition lost"),
    23: (*_row("NUL turned into a space", "backslash lost", "invisible column lost its values",
               "column no longer invisible"),
         f"{ENGINES}::test_what_comes_back_is_what_was_backed_up"),
    24: (*_row("SQL mode of a trigger lost"),
         f"{SETTINGS}::test_a_restored_server_runs_with_the_settings_of_its_source",
         f"{DIFFERENCES}::test_names_of_another_case_are_no_fault_of_a_backup"),
    25: _log("first binlog after the base missing"),
    26: _log("binlog missing in the middle"),
    27: _log("last binlog missing", "last binlog cut at a transaction"),
    28: _log("binlogs swapped"),
    29: (*_log("binlog of another server"),
         f"{INCREMENTS}::test_what_no_increment_can_stand_on_fails_the_job"),
    30: (*_log("value changed in an event with its checksum"),
         f"{INCREMENTS}::test_a_flipped_bit_in_a_log_is_noticed"),
    31: (f"{INCREMENTS}::test_what_no_increment_can_stand_on_fails_the_job",),
    32: (f"{CHAINS}::test_changes_outside_the_binary_log_are_seen",
         f"{SOURCES}::test_a_table_outside_every_snapshot_is_never_equal"),
    33: (f"{CHAINS}::test_a_base_without_a_position_bears_no_increment",),
    34: _log("last binlog without a transaction", "binlog in the middle without a transaction"),
    35: (f"{SOURCES}::test_events_of_the_estate_do_not_fire_in_the_sandbox",),
    36: (f"{CONTENT}::test_a_stale_backup_offered_as_new_is_seen",
         f"{CONTENT}::test_artifacts_of_two_backups_swapped_are_seen"),
    37: (f"{SOURCES}::test_a_source_whose_clock_is_an_hour_off_is_seen",),
    38: (f"{CONTENT}::test_a_dump_of_another_database_is_seen",
         f"{CONTENT}::test_artifacts_of_two_backups_swapped_are_seen",
         f"{VAULT}::test_swapped_backups_are_found"),
    39: (f"{SOURCES}::test_a_replica_is_as_old_as_its_lag",
         f"{SOURCES}::test_a_replica_that_stands_still_is_never_equal"),
    40: (f"{SOURCES}::test_a_masked_account_is_refused",
         "tests/contract/test_mysql_accounts.py::test_privileges_that_a_backup_needs_are_named"),
    41: _row("clause of a newer version passed over", "collation of another version"),
    53: (f"{ENGINES}::test_the_copy_is_not_the_source",
         "tests/end_to_end/test_checks_fail.py::test_check_fails_on_its_fault"),
    54: (f"{SOURCES}::test_nothing_is_not_compared_with_nothing", BROKEN_OFF),
}  # fmt: skip

NAMED: Mapping[str, tuple[str, ...]] = {
    "truncated dump at ten offsets": (STORED, BROKEN_OFF),
    "one flipped bit in the compressed stream": (STORED,),
    "dump without its trailer line": (TOOL, STORED),
    "empty dump with exit 0": (TOOL, BROKEN_OFF),
    "dump of another database": CATALOGUE[38],
    "missing table": CATALOGUE[9],
    "one row lost": CATALOGUE[13],
    "one row doubled": CATALOGUE[14],
    "two rows swapped between tables": _row("two rows swapped between tables"),
    "NULL turned into ''": CATALOGUE[16],
    "a float rounded": CATALOGUE[19],
    "charset lost": CATALOGUE[17],
    "missing trigger": _row("missing trigger"),
    "missing routine": _row("missing procedure", "missing function"),
    "missing event": _row("missing event"),
    "missing view": _row("missing view"),
    "missing grant": CATALOGUE[12],
    "wrong definer": _row("wrong definer of a view", "wrong definer of a procedure"),
    "stale backup offered as new": CATALOGUE[36],
    "binlog missing in the middle": CATALOGUE[26],
    "binlogs swapped": CATALOGUE[28],
    "binlog of another server": CATALOGUE[29],
    "increments applied twice": (
        f"{CHAINS}::test_increments_applied_twice_change_nothing",
        f"{CHAINS}::test_an_increment_in_place_of_another_is_seen",
    ),
    "stop one event early": _log("stop one event early"),
    "clock of the source an hour off": CATALOGUE[37],
    "thirty healthy runs": ("tests/contract/test_mysql_healthy.py::test_rounds_under_load",),
}


def test_every_fault_of_the_catalogue_is_shown() -> None:
    """Every number and every name has a test that is there, and every row of a table is one."""
    assert set(CATALOGUE) == {*range(1, 42), 53, 54}
    rows = {"test_a_fault_in_the_content_is_seen": [fault.name for fault in FAULTS],
            "test_a_fault_in_the_logs_is_seen": list(CHAIN_FAULTS)}  # fmt: skip
    for shown_by in (*CATALOGUE.values(), *NAMED.values()):
        assert shown_by
        for test in shown_by:
            file, _, function = test.partition("::")
            name, _, row = function.removesuffix("]").partition("[")
            assert name in _tests(ROOT / file), test
            assert not row or row in rows[name], test


@cache
def _tests(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
