"""InfluxDB backed up by influxd itself and kept in duplicity, as an example has it."""

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from influxdb_bench import Server, ago, image, server
from own_estate import estate
from ruamel.yaml import YAML

from restoreproof import resources
from restoreproof.clock import system_clock
from restoreproof.engines.contract import SourceContext
from restoreproof.sandbox import Sandboxes

pytestmark = pytest.mark.skipif(
    not (shutil.which("duplicity") and shutil.which("docker")),
    reason="duplicity and the docker client are needed on this machine",
)


@pytest.fixture(scope="module")
def source() -> Iterator[Server]:
    """A server with points of some days."""
    with server() as made:
        made.run("CREATE DATABASE telegraf")
        for day in range(4):
            made.write("telegraf", f"cpu,host=a v={day}i,f=0.1 {ago(days=day, minutes=10)}")
        yield made


def test_chain_comes_back(source: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full backup and an increment, restored at the end; a point lost afterwards is seen."""
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    path = resources.folder("fixtures") / "examples" / "influxd-duplicity.yaml"
    (described,) = YAML(typ="safe").load(path)["components"].values()
    name = str(source.container.get_wrapped_container().name)
    commands = described["commands"] | {"store": str(tmp_path / "store")}
    for kind in ("full", "incremental"):
        text = commands[kind].replace("exec influxdb", f"exec {name}")
        commands[kind] = text.replace("cp influxdb:", f"cp {name}:")
    named = source.source(databases=("telegraf",))
    context = SourceContext("it", named, image(), tmp_path, Sandboxes("test"), system_clock)
    made = estate(context, tmp_path, "influxdb", **commands)

    full = made.stored()
    time.sleep(1.1)
    source.write("telegraf", f"cpu,host=b v=9i {ago(seconds=2)}")
    last = made.stored(full)

    assert last.entry.kind == "incremental"
    with made.equal(last) as attempt:
        assert attempt.comparison.equal, attempt.comparison.undecided
        assert attempt.restored is not None
        client = attempt.restored.client  # type: ignore[attr-defined]  # InfluxDB's own
        client.query("DELETE FROM cpu WHERE host = 'b'", "telegraf")
        vars(attempt).pop("comparison")
        assert attempt.comparison.differences
