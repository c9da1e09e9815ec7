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
    "INF-002", severity="high", engine="influxdb", only="fingerprinted", proves=("data",)
)
def test_restored_metadata_is_the_sources(attempt, restored, observe):
    """Databases, retention policies, continuous queries, subscriptions and users came back.

    Each retention policy keeps points as long as at the source and is the default where it was;
    each user has the same privileges. Passwords are not restored: a server tells them to nobody.
    """
    found = restored.check_metadata(attempt.manifest.fingerprint, attempt.comparison)
    observe(
        examined=found.examined,
        expected=f"{found.examined} as they were at the source",
        seen="; ".join(found.differences) or f"{found.examined} as they were",
        remedy="take a new backup with a user who sees all of it (WITH ALL PRIVILEGES)",
    )
    assert not found.differences


@pytest.mark.check(
    "INF-003",
    severity="high",
    engine="influxdb",
    coverage="configuration",
    proves=("configuration",),
)
def test_restored_configuration_is_accepted(restored, observe):
    """The restored configuration is accepted by the restored server's own program.

    influxd config reads influxdb.conf and stops at what is no TOML and at a value that it cannot
    take. It passes over keys that it does not know.
    """
    found = restored.check_configuration()
    if not found.examined:
        # Nothing was stored that the server could accept: unproven, with the mend.
        pytest.skip("the backup holds no influxdb.conf: give source.configuration in the policy")
    observe(
        examined=found.examined,
        expected="no complaint of influxd config",
        seen="; ".join(found.complaints) or f"no complaint over {found.examined} file",
        remedy="correct influxdb.conf at the source, or restore into the source's version",
    )
    assert not found.complaints
