"""InfluxDB: is the restored server of use, and did all come back that surrounds the points?"""

import pytest


@pytest.mark.check(
    "INF-001",
    severity="high",
    engine=("influxdb", "influxdb2"),
    only="nothing_follows",
    proves=("data",),
)
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


@pytest.mark.check(
    "INF-002",
    severity="high",
    engine=("influxdb", "influxdb2"),
    only="fingerprinted",
    proves=("data",),
)
def test_restored_metadata_is_the_sources(attempt, restored, observe):
    """What surrounds the points came back: how long they are kept, queries, users and rights.

    Of 1.x databases, retention policies (as long as at the source, the default where it was),
    continuous queries, subscriptions and users with the same privileges; passwords are not
    restored, since a server tells them to nobody. Of 2.x organizations, buckets with their
    retention, tasks, dashboards, variables, labels, checks, database mappings, users, and
    authorizations by description and rights: the value of no token is compared or told.
    """
    found = restored.check_metadata(attempt.manifest.fingerprint, attempt.comparison)
    observe(
        examined=found.examined,
        expected=f"{found.examined} as they were at the source",
        seen="; ".join(found.differences) or f"{found.examined} as they were",
        remedy="take a new backup with a user WITH ALL PRIVILEGES, of 2.x with an operator token",
    )
    assert not found.differences


@pytest.mark.check(
    "INF-003",
    severity="high",
    engine=("influxdb", "influxdb2"),
    coverage="configuration",
    proves=("configuration",),
)
def test_restored_configuration_is_accepted(restored, observe):
    """The restored configuration is accepted by the restored server's own program.

    influxd of 1.x stops at what is no TOML and at a value that it cannot take. That of 2.x stops
    only at what it cannot read at all, and takes any other value for 0, off or its default, so
    what it made of numbers, switches and lengths of time is compared with the file. Both pass
    over keys that they do not know.
    """
    found = restored.check_configuration()
    if not found.examined:
        # Nothing was stored that the server could accept: unproven, with the mend.
        pytest.skip("the backup holds no configuration: give source.configuration in the policy")
    observe(
        examined=found.examined,
        expected="no complaint of influxd",
        seen="; ".join(found.complaints) or f"no complaint over {found.examined} file",
        remedy="correct the file at the source, or restore into the source's version",
    )
    assert not found.complaints
