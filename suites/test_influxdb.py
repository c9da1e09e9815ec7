"""InfluxDB: does the restored server take writes again?"""

import pytest


@pytest.mark.check("INF-001", severity="high", engine="influxdb", proves=("content",))
def test_restored_server_accepts_writes(restored, observe):
    """The restored server takes a new point and gives it back."""
    written = restored.write_and_read()
    observe(
        examined=1,
        expected="the point that was written",
        seen="the point that was written" if written else "another answer",
        remedy="restore into a server of the source's version",
    )
    assert written
