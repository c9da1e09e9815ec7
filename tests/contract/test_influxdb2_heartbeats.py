"""Heartbeats of ours on a real InfluxDB 2.x server, by a token for their bucket alone."""

from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta

import pytest
from beats import MONDAY, context, newest, refuse_in_one_line
from influxdb2_source import HOME, TORTURE, InfluxDB2Torture, source
from sources import PASSWORD, provider

from restoreproof.engines.influxdb2_client import Influx2Client, Influx2Refused
from restoreproof.heartbeats import heartbeat
from restoreproof.policy import PolicyDocument
from restoreproof.policy_file import read_policy

POLICY = """\
estate: Harbour
objectives: {{rpo: 1h, rto: 4h, restore_test_every: 31d}}
vault: {{location: vault}}
components:
  metrics:
    engine: influxdb2
    image: influxdb:2.7
    source:
      url: {url}
      token: ${{{password}}}
      organization: home
      heartbeat: {{bucket: beats, measurement: 'heart "b", eat', writer: {{token: "${{BEATING}}"}}}}
    coverage: [data]
"""


@pytest.fixture(scope="module")
def torture(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InfluxDB2Torture]:
    """The server, with a bucket for heartbeats."""
    provider("influxdb2")
    with source(tmp_path_factory.mktemp("source")) as made:
        yield made


@pytest.fixture(scope="module")
def document(
    torture: InfluxDB2Torture, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[PolicyDocument]:
    """A policy with a token that may read and write the heartbeats' bucket."""
    bucket = torture.client.post("/api/v2/buckets", {"orgID": torture.home, "name": "beats"})
    resource = {"type": "buckets", "id": bucket["id"], "orgID": torture.home}
    rights = [{"action": action, "resource": resource} for action in ("read", "write")]
    writer = {"orgID": torture.home, "description": "beats", "permissions": rights}
    path = tmp_path_factory.mktemp("policy") / "policy.yaml"
    path.write_text(POLICY.format(url=torture.url, password=PASSWORD))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BEATING", torture.client.post("/api/v2/authorizations", writer)["token"])
        yield read_policy(path)


def test_beats_are_written_read_and_removed(document: PolicyDocument) -> None:
    """One a beat with the time that was passed in; all but the newest go on request."""
    told: list[str] = []
    heartbeat(document, (), lambda: MONDAY, told.append, clear=True)
    assert told == ["metrics: 0 old heartbeats removed"]
    last = MONDAY + timedelta(seconds=2, microseconds=345_678)
    for at in (MONDAY, last - timedelta(microseconds=1), last):
        heartbeat(document, (), lambda at=at: at, told.append)
    assert newest(document, "metrics") == last
    for removed in (2, 0):
        told.clear()
        heartbeat(document, (), lambda: MONDAY, told.append, clear=True)
        assert told == [f"metrics: {removed} old heartbeats removed"]
        assert newest(document, "metrics") == last


def test_writer_may_do_nothing_else(document: PolicyDocument, torture: InfluxDB2Torture) -> None:
    """The token of the writer opens no other bucket."""
    writer = document.policy.components["metrics"].source.heartbeat.writer  # type: ignore[attr-defined]
    token = context(document, "metrics").secret(writer.token)
    with (
        closing(Influx2Client(torture.url, token)) as client,
        pytest.raises(Influx2Refused),
    ):
        client.write(HOME, TORTURE, [b"x v=1 1"], key="org")


def test_refusal_is_one_line_without_the_token(
    document: PolicyDocument, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wrong token is the user's mistake, told with the mend."""
    monkeypatch.setenv("BEATING", "wrong-and-secret")
    refuse_in_one_line(document, "metrics", "wrong-and-secret")
