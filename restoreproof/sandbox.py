"""Throwaway servers through Testcontainers: isolated, limited, labelled, always removed.

On an engine of this machine a sandbox has no network at all and is reached through a Unix
socket in a shared folder. On a remote engine it sits on a network of its own whose traffic
is not masqueraded, so it can be reached but cannot reach out. Which one it was is in the
evidence. Only where a policy wants a server to reach its source is one let out of that.
"""

import os
import shutil
import socket
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from docker.models.containers import Container
from testcontainers.core.config import testcontainers_config
from testcontainers.core.container import DockerContainer

from restoreproof import docker_engine
from restoreproof.errors import SandboxTrouble
from restoreproof.execution import Execution, OutputStream, engine_trouble, run
from restoreproof.full_disk import DiskWatch, full_disk, watched
from restoreproof.images import Image
from restoreproof.outcomes import RestoreFailed
from restoreproof.throwaway import Throwaway

# Ryuk's image cannot be pulled everywhere; labels and ``clean`` do its work.
testcontainers_config.ryuk_disabled = True

LABEL = "org.restoreproof"
TOKEN = f"{LABEL}.token"
SHARED = "/restoreproof"
"""Where the shared folder is mounted in a sandbox."""
OUTSIDE, REACHED = "a way to the network", "reached through a Unix socket"
LOOPBACK = "127.0.0.1"
PREFIX = f"restoreproof-{os.getpid()}-"
CAPABILITIES = ("CHOWN", "DAC_OVERRIDE", "SETGID", "SETUID")
"""All that the images' entrypoints need to give up being root."""
POLL_SECONDS = 0.05
DEATH_SECONDS, CRASH_SECONDS = 2.0, 5.0
CRASH_LINES = 2000
KILLED = (137, 143)
"""Exit codes of a container that something outside of it put an end to."""


@dataclass(frozen=True)
class Limits:
    """What a sandbox may use at the most."""

    memory_bytes: int = 1024**3
    processors: float = 2.0
    processes: int = 512
    start_seconds: float = 120.0
    disk_bytes: int | None = None
    """On the engine's disk, beyond the image; None is all that there is."""

    def describe(self) -> str:
        """The limits in words."""
        disk = f", {self.disk_bytes / 1e6:g} MB disk" if self.disk_bytes is not None else ""
        return f"{self.memory_bytes // 1024**2} MiB memory, {self.processors:g} processors{disk}"


@dataclass(frozen=True)
class Sandbox:
    """A running container of ours.

    ``socket`` is the path of the server's Unix socket on this machine; where the engine is
    remote it is None, and ``address`` holds host and port instead.
    """

    container: Container
    isolation: str
    limits: Limits
    socket: Path | None = None
    address: tuple[str, int] | None = None
    others: Mapping[int, tuple[str, int]] = field(default_factory=dict)
    """Further ports of the server, each with host and port by which it is reached."""
    serving: bool = False
    """Whether it lives on as a source would: it is written to and backed up."""
    disk: DiskWatch = field(default_factory=DiskWatch)

    def run(
        self,
        command: Sequence[str],
        *,
        feed: Iterable[bytes] | None = None,
        watch: Callable[[bytes], None] | None = None,
        user: str = "",
    ) -> Execution:
        """Run a command inside to its end, as the image's user if no other is named.

        See ``execution.run``. Raise RestoreFailed if the sandbox took more disk than it may.
        """
        try:
            return run(self.container, command, feed=feed, watch=watch, user=user)
        except SandboxTrouble:
            self._require_moderation()
            raise

    def stream(self, command: Sequence[str]) -> OutputStream:
        """Run a command inside and iterate over its output."""
        return OutputStream(self.container, command)

    def place(self, path: str, content: bytes) -> None:
        """Write a small file that only root inside can read, its content in no argument."""
        script = f'umask 077; mkdir -p "$(dirname {path})"; cat > {path}'
        written = self.run(["sh", "-c", script], feed=[content])
        if written.exit_code != 0:
            raise SandboxTrouble(f"{path} cannot be written in the sandbox: {written.complaint}")

    def close_folder(self) -> None:
        """Have nothing inside make a file in the shared folder any more, or write into one.

        The folder lies on this machine's disk, where no limit of the sandbox counts. The server
        has made its socket by now, and a file that locks it.
        """
        if self.socket is None:
            return
        self.socket.parent.chmod(0o755)
        for path in self.socket.parent.iterdir():
            if path != self.socket:
                path.unlink()

    def until(self, ready: Callable[[], bool], *, what: str) -> None:
        """Wait until ``ready()``. Raise SandboxTrouble with the server's last words."""
        deadline = time.monotonic() + self.limits.start_seconds
        while not ready():
            with engine_trouble():
                self.container.reload()
            if self.container.status in {"exited", "dead"}:
                raise SandboxTrouble(f"{what} stopped while starting: {self.last_words()}")
            if time.monotonic() > deadline:
                waited = f"{self.limits.start_seconds:g} s"
                raise SandboxTrouble(f"{what} not ready after {waited}: {self.last_words()}")
            time.sleep(POLL_SECONDS)

    def require_running(self) -> None:
        """Raise SandboxTrouble if the container died or has no disk left.

        Then a failure says nothing of a backup. Raise RestoreFailed if it took more than it may.
        """
        deadline = time.monotonic() + DEATH_SECONDS
        full: str | None = None
        while (state := self._state())["Running"] and (full := full_disk(self.container)) is None:
            # A client loses its server a moment before the engine knows of the death.
            if time.monotonic() > deadline:
                break
            time.sleep(POLL_SECONDS)
        self._require_moderation()
        if place := full or self.disk.full:
            mend = "make room where the engine keeps its containers, then run again"
            raise SandboxTrouble(f"the sandbox's disk is full: {place}", mend=mend)
        if not state["Running"]:
            killed = "was killed for want of memory" if state.get("OOMKilled") else "died"
            mend = "raise audit.limits.memory in the policy, or see what else this machine runs"
            raise SandboxTrouble(f"the sandbox {killed}: {self.last_words()}", mend=mend)

    def _require_moderation(self) -> None:
        if held := self.disk.exceeding_bytes:
            assert self.limits.disk_bytes is not None
            raise RestoreFailed(
                f"the sandbox was ended: {held / 1e6:,.0f} MB on its disk and more to come, where"
                f" the policy allows {self.limits.disk_bytes / 1e6:,g} MB (audit.limits.disk)"
            )

    def _state(self) -> Mapping[str, Any]:
        with engine_trouble():
            self.container.reload()
            return dict(self.container.attrs["State"])

    def words_of_a_crash(self, marked: str) -> str:
        """What the server said if it stopped by itself; empty if it goes on running.

        Of its last words those are given that hold a mark, since a stack comes after them.
        Raise SandboxTrouble if it was killed from outside, which says nothing of the backup.
        """
        # Its connections end before it does.
        deadline = time.monotonic() + CRASH_SECONDS
        while (state := self._state())["Running"]:
            if time.monotonic() > deadline:
                return ""
            time.sleep(POLL_SECONDS)
        if state.get("OOMKilled") or state["ExitCode"] in KILLED:
            self.require_running()
        with engine_trouble():
            words = self.container.logs(tail=CRASH_LINES).decode("utf-8", "replace").splitlines()
        told = [line for line in words if marked in line]
        return " | ".join(told[-2:]) or self.last_words()

    def last_words(self) -> str:
        """The end of the container's log."""
        with engine_trouble():
            lines = self.container.logs(tail=8).decode("utf-8", "replace").splitlines()
        return " | ".join(lines) or "no log"


class Sandboxes:
    """Makes sandboxes for one run and removes every one of them."""

    def __init__(
        self,
        run_id: str,
        limits: Limits | None = None,
        *,
        reaching_out: bool = False,
        serving: bool = False,
    ) -> None:
        self.run_id = run_id
        self.limits = limits or Limits()
        self.reaching_out = reaching_out
        """Whether servers reach what this process reaches, instead of nothing."""
        self.serving = serving
        """Whether servers answer on a port of this machine, and can be backed up."""
        self.kept = False
        """Whether what is there stays when its block ends, until ``clean`` removes it."""

    def that_reach_out(self) -> "Sandboxes":
        """Sandboxes of the same run whose servers reach what this process reaches."""
        return Sandboxes(self.run_id, self.limits, reaching_out=True)

    def that_serve(self) -> "Sandboxes":
        """Sandboxes of the same run whose servers live on as sources, and still reach nothing."""
        return Sandboxes(self.run_id, self.limits, serving=True)

    @cached_property
    def _local(self) -> bool:
        return docker_engine.is_local()

    @contextmanager
    def server(
        self,
        image: Image,
        *,
        command: Callable[[str | None], Sequence[str]],
        environment: Callable[[str | None], Mapping[str, str]],
        socket_name: str | None,
        port: int,
        other_ports: Sequence[int] = (),
    ) -> Iterator[Sandbox]:
        """Start a server that can reach nothing, unless these sandboxes are ``reaching_out``.

        ``command`` and ``environment`` are given the socket's path inside the sandbox, or
        None where the server has to listen on its port: a remote engine's, and one without a
        ``socket_name``, whose server knows no Unix sockets. Only there ``other_ports`` count.
        """
        with ExitStack() as stack:
            if self._local and socket_name is not None and not self.serving:
                folder = stack.enter_context(self.folder())
                shared = folder / "shared"
                shared.mkdir()
                # The server's own user writes its socket here; the folder above is ours alone.
                shared.chmod(0o777)
                inside = f"{SHARED}/{socket_name}"
                container = DockerContainer(image.reference)
                container.with_volume_mapping(shared, SHARED, "rw")
                network = "host" if self.reaching_out else "none"
                options: dict[str, object] = {"network_mode": network}
                isolation = f"{OUTSIDE if self.reaching_out else 'no network'}; {REACHED}"
            else:
                inside = None
                container = DockerContainer(image.reference)
                for one in (port, *other_ports):
                    # Where the engine is here, nobody else has to reach the restored content.
                    container.ports[str(one)] = (LOOPBACK,) if self._local else None  # type: ignore[assignment]  # the engine's client takes an address too
                if self.reaching_out:
                    options, isolation = {}, OUTSIDE
                else:
                    options = {
                        "network": stack.enter_context(
                            self._throwaway.network(PREFIX, self.labels("network"))
                        )
                    }
                    isolation = "a network of its own, not masqueraded"
            for name, value in environment(inside).items():
                container.with_env(name, value)
            container.with_command(list(command(inside)))
            running = stack.enter_context(self._started(container, "sandbox", options))
            yield Sandbox(
                container=running,
                isolation=isolation,
                limits=self.limits,
                socket=shared / socket_name if inside and socket_name else None,
                address=None if inside else self._address(container, port),
                others={}
                if inside
                else {one: self._address(container, one) for one in other_ports},
                serving=self.serving,
                disk=stack.enter_context(watched(running, self.limits.disk_bytes)),
            )

    @contextmanager
    def tools(self, image: Image) -> Iterator[Sandbox]:
        """A container with the image's client tools, which reaches what this process reaches."""
        container = DockerContainer(image.reference).with_command(["86400"])
        options: dict[str, object] = {"entrypoint": ["sleep"]}
        if self._local:
            options["network_mode"] = "host"
        with self._started(container, "tools", options) as running:
            yield Sandbox(running, "tools only: holds no restored data", self.limits)

    @contextmanager
    def isolated(self, image: Image) -> Iterator[Sandbox]:
        """A container that reaches nothing and starts nothing, for commands on restored files."""
        container = DockerContainer(image.reference).with_command(["86400"])
        options: dict[str, object] = {"entrypoint": ["sleep"], "network_mode": "none"}
        with (
            self._started(container, "sandbox", options) as running,
            watched(running, self.limits.disk_bytes) as disk,
        ):
            yield Sandbox(running, "no network", self.limits, disk=disk)

    @contextmanager
    def folder(self) -> Iterator[Path]:
        """An empty folder that only this user can enter."""
        path = Path(tempfile.mkdtemp(prefix=PREFIX))
        try:
            yield path
        finally:
            if not self.kept:
                shutil.rmtree(path, ignore_errors=True)

    @cached_property
    def _throwaway(self) -> Throwaway:
        return Throwaway(docker_engine.connect(), TOKEN, lambda: self.kept)

    def _started(
        self, container: DockerContainer, role: str, options: Mapping[str, object]
    ) -> AbstractContextManager[Container]:
        limited = {
            "mem_limit": self.limits.memory_bytes,
            "nano_cpus": int(self.limits.processors * 1e9),
            "pids_limit": self.limits.processes,
            "cap_drop": ["ALL"],
            "cap_add": list(CAPABILITIES),
            "security_opt": ["no-new-privileges"],
            **options,
        }
        return self._throwaway.container(container, self.labels(role), limited)

    def _address(self, container: DockerContainer, port: int) -> tuple[str, int]:
        """Host and port of a running container, as this process reaches it."""
        published = int(container.get_exposed_port(port))
        if not self._local:
            return container.get_container_host_ip(), published
        try:
            socket.create_connection((LOOPBACK, published), timeout=1).close()
        except OSError:
            # This process is in a container itself, beside the one that it started.
            wrapped = container.get_wrapped_container()
            wrapped.reload()
            (network,) = wrapped.attrs["NetworkSettings"]["Networks"].values()
            return str(network["IPAddress"]), port
        return LOOPBACK, published

    def labels(self, role: str) -> dict[str, str]:
        """Labels by which ``clean`` knows what a killed run of this machine left."""
        return {
            LABEL: role,
            f"{LABEL}.run": self.run_id,
            f"{LABEL}.host": socket.gethostname(),
            f"{LABEL}.process": str(os.getpid()),
        }
