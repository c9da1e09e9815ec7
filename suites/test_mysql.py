"""MySQL: does the restored server stand exactly where the backup was taken?"""

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
