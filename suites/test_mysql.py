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


@pytest.mark.check("MYS-003", severity="high", engine="mysql", proves=("data",))
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
