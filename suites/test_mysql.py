"""MySQL: does the restored server stand where the backup was taken, and can one work with it?"""

import pytest


@pytest.mark.check("MYS-001", severity="high", engine="mysql", proves=("content",))
def test_restored_position_is_the_recorded_one(attempt, restored, observe):
    """The restored server stands at the transaction that the backup recorded.

    Its executed GTID set equals the one read under the lock in which the dump's snapshot was
    opened: binary logs can be replayed from here without a gap and without a repetition.
    """
    position = attempt.manifest.position
    if not position:
        # Nothing was recorded that the restored server could be held against.
        pytest.skip("the source keeps no GTIDs")
    observe(
        examined=1,
        expected=position,
        seen=restored.position or "no executed GTID",
        remedy="take a new full backup before relying on increments",
    )
    assert restored.position == position


@pytest.mark.check("MYS-002", severity="critical", engine="mysql", proves=("data",))
def test_restored_tables_are_sound(restored, observe):
    """Every restored table is sound: CHECK TABLE finds nothing.

    Equal content is not enough: a source that is damaged itself is backed up faithfully. The
    server's own tables are checked too.
    """
    noted = {
        "expected": "no complaint of CHECK TABLE",
        "remedy": "check the same tables at the source and repair them, then take a new backup",
    }
    # The server's own words are the reason if it breaks off; what was expected stands by then.
    observe(examined=1, seen="CHECK TABLE did not end", **noted)
    found = restored.check_tables()
    without = f", {found.unchecked} of engines without a check" if found.unchecked else ""
    observe(
        examined=found.examined,
        seen="; ".join(found.complaints) or f"no complaint over {found.examined} tables{without}",
        **noted,
    )
    assert not found.complaints


@pytest.mark.check(
    "MYS-003", severity="high", engine="mysql", only="nothing_follows", proves=("data",)
)
def test_restored_server_serves_the_application(attempt, restored, audited, observe):
    """The restored server takes a write and answers a read.

    They are the application's own where the policy names them (source.probe_query), else a row
    in a table made for it.
    """
    # What is written must not pass for what came back.
    assert attempt.comparison
    noted = {
        "examined": 1,
        "remedy": "see what the server says; restore into a server of the source's version",
    }
    observe(expected="a write and a read", seen="a refusal", **noted)
    found = restored.write_and_read(audited.component.source)
    observe(expected=found.expected, seen=found.seen, **noted)
    assert found.useful


@pytest.mark.check(
    "MYS-004",
    severity="high",
    engine="mysql",
    coverage="configuration",
    proves=("configuration",),
)
def test_restored_configuration_is_accepted(restored, observe):
    """The restored configuration is accepted by the restored server.

    mysqld reads the option files with all that they include and what was persisted, and stops
    at an option that it does not know or a value that it cannot take (--validate-config).
    """
    if "mariadb" in restored.server_version.lower():
        # Its server has no such question: whether it accepts the files stays unproven.
        pytest.skip("MariaDB cannot validate a configuration")
    found = restored.check_configuration()
    if not found.examined and not found.complaints:
        # Nothing was stored that the server could accept: unproven, with the mend.
        pytest.skip("the backup holds no option file: give source.configuration in the policy")
    without = f"; of plugins that it has not loaded: {', '.join(found.passed_over)}"
    observe(
        examined=found.examined,
        expected="no complaint of mysqld --validate-config",
        seen="; ".join(found.complaints)
        or f"no complaint over {found.examined} files{without if found.passed_over else ''}",
        remedy="correct the option files at the source, or restore into the source's version",
    )
    assert not found.complaints


@pytest.mark.check("MYS-005", severity="medium", engine="mysql", coverage="logs", proves=("logs",))
def test_restored_logs_reach_up_to_the_backup(attempt, restored, observe):
    """The logs came back whole and reach up to the backup.

    Each is what was stored, and the newest entry of the error log is no older than the newest
    that the server had written when the backup was made.
    """
    found = restored.check_logs()
    if not found.examined:
        # What the policy promises and nobody stored cannot be seen to be whole.
        pytest.skip("the backup holds no logs")
    differences = [str(one) for one in attempt.comparison.differences if one.kind == "log"]
    observe(
        examined=found.examined,
        expected=f"every log as it was stored, up to {found.written or 'the backup'}",
        seen="; ".join([*differences, f"{found.examined} logs up to {found.newest or 'no entry'}"]),
        remedy="take a new backup, and see that the policy names the logs that the server writes",
    )
    assert not differences
    assert found.reaches
    if missing := attempt.manifest.facts.get("server_logs_missing"):
        # What came back is whole, but it is not all that the server writes.
        pytest.skip(missing)


@pytest.mark.check(
    "MYS-006",
    severity="medium",
    engine="mysql",
    when="joins_source",
    only="newest",
    proves=("data",),
)
def test_restored_server_joins_its_source(attempt, restored, audited, observe):
    """The restored server can join its source as a replica.

    Proven content is restored once more, into a server that reaches the network; it catches up
    with where the source stands by then, through the source's own binary logs, and leaves.
    """
    # Nothing else is let out of a sandbox without a network.
    if attempt.comparison.differences:
        pytest.skip("what came back is not what was backed up: see RST-002")
    noted = {
        "examined": 1,
        "expected": "started from the restored position, and caught up with the source",
        "remedy": "take a new full backup, and let the source keep its binary logs for longer",
    }
    observe(seen="the restored server cannot join its source", **noted)
    if reason := restored.why_not_join(audited.context):
        # What could not be tried says nothing of the backup; the reason names what is in the way.
        pytest.skip(reason)
    with audited.attempt_outside(attempt.target) as again:
        if again.restored is None:
            pytest.fail(f"restored once more it failed in '{again.failed_in}': {again.failure}")
        found = again.restored.join(audited.context)
    if found.unproven:
        # What is in the way lies between the two servers, not in the backup.
        pytest.skip(found.unproven)
    observe(
        seen=f"{found.fetched} transactions fetched in {found.took.total_seconds():.1f} s, over"
        f" {again.isolation}",
        **noted,
    )
