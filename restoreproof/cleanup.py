"""Removing what a killed run left, by label: containers, their volumes, networks, folders.

Only what carries our label, was made on this machine, and belongs to a process that is no
longer there is removed. Nobody else's containers are looked at.
"""

import re
import shutil
import socket
import tempfile
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from pathlib import Path

import docker.errors

from restoreproof import docker_engine
from restoreproof.errors import RestoreProofError
from restoreproof.execution import engine_trouble
from restoreproof.processes import is_alive
from restoreproof.sandbox import LABEL


def clean(progress: Callable[[str], None]) -> int:
    """Remove the leftovers of dead runs, tell of each, and return how many there were."""
    return _clean_engine(progress) + _clean_folders(progress)


def servers_left(run_id: str) -> int | None:
    """How many containers of a run the engine has, running or not; None if it cannot be asked."""
    try:
        with closing(docker_engine.connect()) as client, engine_trouble():
            mine = client.containers.list(
                all=True, filters={"label": f"{LABEL}.run={run_id}"}, ignore_removed=True
            )
            return len(mine)
    except RestoreProofError:
        return None


def _clean_engine(progress: Callable[[str], None]) -> int:
    client = docker_engine.connect()
    removed = 0
    with engine_trouble():
        for container in client.containers.list(
            all=True, filters={"label": LABEL}, ignore_removed=True
        ):
            if is_leftover(container.labels):
                with suppress(docker.errors.NotFound):
                    container.remove(force=True, v=True)
                progress(f"removed container {container.name} of run {_run(container.labels)}")
                removed += 1
        for network in client.networks.list(filters={"label": LABEL}):
            labels = network.attrs.get("Labels") or {}
            if is_leftover(labels):
                network.remove()
                progress(f"removed network {network.name} of run {_run(labels)}")
                removed += 1
    return removed


def _clean_folders(progress: Callable[[str], None]) -> int:
    removed = 0
    for folder in Path(tempfile.gettempdir()).glob("restoreproof-*-*"):
        match = re.fullmatch(r"restoreproof-(\d+)-\w+", folder.name)
        if match and folder.is_dir() and not is_alive(int(match[1])):
            shutil.rmtree(folder, ignore_errors=True)
            progress(f"removed folder {folder}")
            removed += 1
    return removed


def is_leftover(labels: Mapping[str, str]) -> bool:
    """Whether labels are those of a run of this machine whose process is no longer there."""
    here = labels.get(f"{LABEL}.host") == socket.gethostname()
    process = labels.get(f"{LABEL}.process", "")
    return here and process.isdecimal() and not is_alive(int(process))


def _run(labels: Mapping[str, str]) -> str:
    return labels.get(f"{LABEL}.run", "unknown")
