"""What every engine must do: the same claims, with a real source, for each engine there is."""

import json
import logging
import re
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex
from typing import Any

import pytest
from background import meanwhile
from docker.errors import APIError
from sources import FURTHER, SECRET, Fault, Source, provider

from restoreproof import docker_engine, engines
from restoreproof.clock import system_clock
from restoreproof.damage import VaultCopy
from restoreproof.engines.contract import Engine, Parts
from restoreproof.errors import SourceUnavailable
from restoreproof.jobs import run_job
from restoreproof.references import SourceModel
from restoreproof.restore import RestoreAttempt, restoring, select
from restoreproof.sandbox import LABEL, PREFIX, Sandboxes
from restoreproof.vault import StoredBackup, Vault

ROUNDS_UNDER_LOAD = 2


class Bench:
    """One engine with its source, a vault, and a way to back up and restore."""

    def __init__(self, source: Source, place: Path) -> None:
        self.source = source
        self.engine: Engine[SourceModel] = engines.load(source.engine)
        self.sandboxes = Sandboxes(f"contract-{token_hex(4)}")
        self.vault = Vault(str(place / "vault"))
        self.vault.prepare()
        self._places = place

    def back_up(self, of: SourceModel | None = None) -> StoredBackup:
        """Run a job, which has to succeed."""
        result = run_job(
            self.engine, self.source.context(self.sandboxes, of), self.vault, "t", None
        )
        assert result.backup is not None, result.problem
        return result.backup

    @contextmanager
    def restored(self, backup: StoredBackup) -> Iterator[RestoreAttempt]:
        """Restore a backup as an audit does."""
        (target,) = select("torture", (backup,), "newest")
        source, image = self.source.good, self.source.image
        with restoring(target, self.engine, source, image, self.sandboxes, system_clock) as attempt:
            yield attempt

    def copy(self) -> VaultCopy:
        """A copy of the vault, for damaging."""
        number = len(list(self._places.iterdir()))
        return VaultCopy.of(self.vault.root, self._places / f"copy-{number}")


@pytest.fixture(scope="module", params=(*engines.names(), *FURTHER))
def bench(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Bench]:
    """An engine with a living source; without a provider of one the suite fails here."""
    with provider(request.param)(tmp_path_factory.mktemp("source")) as source:
        yield Bench(source, tmp_path_factory.mktemp("bench"))


@pytest.fixture(scope="module")
def stored(bench: Bench) -> StoredBackup:
    """A backup of the source as it was filled."""
    return bench.back_up()


@pytest.fixture(scope="module")
def attempt(bench: Bench, stored: StoredBackup) -> Iterator[RestoreAttempt]:
    """That backup, restored once for all tests that only look."""
    with bench.restored(stored) as done:
        assert done.restored is not None, done.failure
        yield done


def test_a_good_source_is_accepted(bench: Bench) -> None:
    """The probe accepts a source that can be backed up, and changes nothing there."""
    before = bench.source.state()

    bench.engine.probe(bench.source.context(bench.sandboxes))

    assert bench.source.state() == before


def test_a_source_that_refuses_is_told_in_one_line(bench: Bench) -> None:
    """Nobody there, a wrong password, a missing database: one line, a mend, and no secret."""
    assert len(bench.source.refused) >= 3
    for name, source in bench.source.refused.items():
        with pytest.raises(SourceUnavailable) as caught:
            bench.engine.probe(bench.source.context(bench.sandboxes, source))
        text = str(caught.value)
        assert "component torture" in text, name
        assert caught.value.mend, name
        assert "\n" not in text, name
        assert SECRET not in text, name


def test_a_backup_stores_content_and_fingerprint(stored: StoredBackup) -> None:
    """A job stores at least one artifact, whole, with a fingerprint that says something."""
    manifest = stored.manifest()

    assert manifest.artifacts
    assert all(artifact.content_bytes > 0 for artifact in manifest.artifacts)
    assert len(manifest.fingerprint.items) > 3
    assert stored.damage() == (1 + len(manifest.artifacts), ())


def test_a_backup_changes_nothing_at_the_source(bench: Bench) -> None:
    """Data, users and position at the source are the same after a job as before it."""
    before = bench.source.state()

    first, second = bench.back_up(), bench.back_up()

    assert bench.source.state() == before
    assert first.manifest().fingerprint.digest == second.manifest().fingerprint.digest
    assert first.manifest().position == second.manifest().position


def test_what_comes_back_is_what_was_backed_up(attempt: RestoreAttempt) -> None:
    """Restored into an empty sandbox, every item of the torture source is equal."""
    comparison = attempt.comparison

    assert list(map(str, comparison.differences)) == []
    assert [str(item) for item in comparison.undecided] == []
    assert comparison.examined > 3
    assert comparison.equal


def test_a_fingerprint_is_the_same_twice(attempt: RestoreAttempt) -> None:
    """Looking at a restored copy does not change what is seen."""
    assert attempt.restored is not None and attempt.manifest is not None
    expected = attempt.manifest.fingerprint

    first, second = attempt.restored.fingerprint(expected), attempt.restored.fingerprint(expected)

    assert first == second


def test_the_copy_is_not_the_source(attempt: RestoreAttempt) -> None:
    """The restored copy has an identity of its own."""
    assert attempt.restored is not None and attempt.manifest is not None
    assert attempt.restored.identity
    assert attempt.restored.identity != attempt.manifest.source_identity


def test_a_user_gets_to_what_was_restored(
    bench: Bench, attempt: RestoreAttempt, tmp_path: Path
) -> None:
    """How to get in is said without a secret; files that are written are the user's alone."""
    assert attempt.restored is not None
    (tmp_path / "access").mkdir()
    lines = attempt.restored.access(tmp_path / "access")
    assert lines
    for path in (tmp_path / "access").iterdir():
        assert path.stat().st_mode & 0o077 == 0
        for secret in re.findall(r'password="(.+)"', path.read_text()):
            assert secret not in "".join(lines)
    if bench.engine.writes_out == "nothing":
        return
    (tmp_path / "out").mkdir()
    said = attempt.restored.write_out(tmp_path / "out", Parts())
    written = list((tmp_path / "out").iterdir())
    assert written
    for path in written:
        assert any(str(path) in line for line in said)


def test_a_changed_copy_is_seen(bench: Bench, stored: StoredBackup) -> None:
    """One row, point or reference changed in the restored copy is a difference that names it."""
    with bench.restored(stored) as done:
        assert done.restored is not None, done.failure
        named = bench.source.tamper(done.restored)
        differences = [str(difference) for difference in done.comparison.differences]

    assert [text for text in differences if text.startswith(named)]


def test_an_empty_source_passes(bench: Bench) -> None:
    """A source that holds nothing, and rightly so, comes back equal."""
    backup = bench.back_up(bench.source.empty)

    with bench.restored(backup) as done:
        assert done.restored is not None, done.failure
        assert done.comparison.equal, done.comparison


def test_what_the_tool_loses_is_seen(bench: Bench) -> None:
    """What the backup tool is known to lose is a difference that names it, never silence."""
    if bench.source.lossy is None:
        # Bundles and archives lose nothing that is known, and what influxd loses is put back.
        assert bench.source.engine in {"files", "git", "influxdb", "influxdb2"}
        return
    source, named = bench.source.lossy

    with bench.restored(bench.back_up(source)) as done:
        assert done.restored is not None, done.failure
        differences = [str(difference) for difference in done.comparison.differences]

    assert [text for text in differences if text.startswith(named)], differences


def test_every_fault_in_the_content_is_seen(bench: Bench, stored: StoredBackup) -> None:
    """Content that was wrong when it was stored, all hashes over it right, does not come back."""
    for fault in bench.source.faults:
        copy = bench.copy()
        for change in fault.changes:
            copy.rewrite(_same(copy, stored), bench.source.artifact, change)
        damaged = _same(copy, stored)
        assert damaged.damage()[1] == (), "a hash saw it: the fault is not consistent"
        with bench.restored(damaged) as done:
            _is_seen(fault, done)


def _same(copy: VaultCopy, stored: StoredBackup) -> StoredBackup:
    return next(one for one in copy.vault.backups("torture") if one.id == stored.id)


def _is_seen(fault: Fault, done: RestoreAttempt) -> None:
    if fault.refused:
        assert done.restored is None, f"{fault.name} was restored"
        assert done.failed_in == "load"
        assert fault.refused in done.failure
        return
    assert done.restored is not None, f"{fault.name}: {done.failure}"
    differences = [str(difference) for difference in done.comparison.differences]
    for named in fault.differences:
        assert [text for text in differences if text.startswith(named)], (named, differences)


def test_a_sandbox_reaches_nothing(bench: Bench, attempt: RestoreAttempt) -> None:
    """The sandbox of a server has no network at all; it is labelled and limited."""
    if not bench.engine.needs_image:
        assert "no network" in attempt.isolation
        return
    if not docker_engine.is_local():
        pytest.skip("a remote engine cannot share a socket")
    (container,) = _containers(bench)
    inside = container.exec_run(["sh", "-c", "ls /sys/class/net; tail -n +2 /proc/net/route"])
    known = container.attrs["HostConfig"]

    if bench.source.has_socket:
        assert inside.output.decode().split() == ["lo"]
        assert known["NetworkMode"] == "none"
        assert attempt.isolation == "no network; reached through a Unix socket"
    else:
        _reaches_no_other_network(container)
        assert attempt.isolation == "a network of its own, not masqueraded"
    assert known["Memory"] > 0 and known["NanoCpus"] > 0 and known["PidsLimit"] > 0
    assert known["CapDrop"] == ["ALL"]
    assert not known["Privileged"]
    assert container.labels[LABEL] == "sandbox"
    assert container.labels[f"{LABEL}.process"].isdecimal()


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_a_sandbox_is_gone_when_its_block_raises(bench: Bench, error: type[BaseException]) -> None:
    """Whatever ends the block, an error or Ctrl-C, no container and no folder is left."""
    sandboxes = Sandboxes(f"raising-{token_hex(4)}")
    before = _folders()
    provision = bench.engine.provision(bench.source.good, bench.source.image, sandboxes)

    def interrupted() -> None:
        with provision:
            assert (_folders() > before) == bench.source.has_socket
            assert bool(_containers(bench, sandboxes)) == bench.engine.needs_image
            raise error

    with pytest.raises(error):
        interrupted()
    assert _containers(bench, sandboxes) == []
    assert _folders() == before


def test_a_source_that_moves_on_is_no_false_alarm(bench: Bench) -> None:
    """While the source is written to, every backup still comes back as it was stored."""
    worked: list[int] = []

    def work(stop: threading.Event) -> None:
        while not stop.is_set():
            bench.source.work(len(worked))
            worked.append(len(worked))
            time.sleep(0.005)

    with meanwhile(work):
        backups = [bench.back_up() for _ in range(ROUNDS_UNDER_LOAD)]
    assert len(worked) > ROUNDS_UNDER_LOAD
    for backup in backups:
        with bench.restored(backup) as done:
            assert done.restored is not None, done.failure
            assert list(map(str, done.comparison.differences)) == []
            undecided = [item.name for item in done.comparison.undecided]
            assert undecided == []


def test_the_secret_shows_nowhere(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    """The password is in no manifest, no log line, and in nothing that the engine can show."""
    caplog.set_level(logging.DEBUG)
    seen: dict[str, str] = {}

    def look(stop: threading.Event) -> None:
        while not stop.is_set():
            for container in _containers(bench):
                seen[f"{container.name} {len(seen)}"] = _all_of(container)

    with meanwhile(look):
        backup = bench.back_up()
    texts = {
        "catalog": bench.vault.catalog.path.read_text(encoding="utf-8"),
        "manifest": (backup.folder / "manifest.json").read_text(encoding="utf-8"),
        "log": caplog.text,
        **seen,
    }
    for artifact in backup.manifest().artifacts:
        if artifact.name in bench.source.keeps_secrets:
            continue
        texts[artifact.name] = b"".join(backup.read(artifact)).decode("latin-1")

    assert bool(seen) == bench.engine.needs_image
    assert [place for place, text in texts.items() if SECRET in text] == []


def _reaches_no_other_network(container: Any) -> None:
    """The container is in one network, of ours, which hides nobody's address behind the host's.

    Its ports are published to this machine alone.
    """
    (name,) = container.attrs["NetworkSettings"]["Networks"]
    network = container.client.networks.get(name)
    published = [one for ports in container.ports.values() for one in ports or ()]

    assert name.startswith(PREFIX)
    assert network.attrs["Options"]["com.docker.network.bridge.enable_ip_masquerade"] == "false"
    assert {one["HostIp"] for one in published} == {"127.0.0.1"}


def _folders() -> set[Path]:
    return set(Path(tempfile.gettempdir()).glob(f"{PREFIX}*"))


def _containers(bench: Bench, sandboxes: Sandboxes | None = None) -> list[Any]:
    client = docker_engine.connect()
    run = (sandboxes or bench.sandboxes).run_id
    named = {"label": f"{LABEL}.run={run}"}
    return list(client.containers.list(all=True, filters=named, ignore_removed=True))


def _all_of(container: Any) -> str:
    """What `docker inspect` and `docker top` show of a container and of what runs in it."""
    try:
        api = container.client.api
        shown = [api.inspect_container(container.id)]
        shown += [api.exec_inspect(one) for one in shown[0].get("ExecIDs") or ()]
        shown.append(api.top(container.id))
    except APIError:
        return ""
    return json.dumps(shown)
