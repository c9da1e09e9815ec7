"""InfluxDB: does the restored server take writes again?"""

import pytest


@pytest.mark.check("INF-001", severity="high", engine="influxdb", proves=("content",))
def test_restored_server_accepts_writes(restored, observe):
    """The restored server takes a new point and gives it back."""
    noted = {
        "examined": 1,
        "expected": "the point that was written",
        "remedy": "restore into a server of the source's version",
    }
    # What a refusal says is the reason of the finding; what was expected has to stand by then.
    observe(seen="no point", **noted)
    written = restored.write_and_read()
    observe(seen="the point that was written" if written else "another answer", **noted)
    assert written
