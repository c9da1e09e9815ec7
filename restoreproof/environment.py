"""What a run ran with: versions, images, engine and clock, so that it can be repeated."""

import getpass
import importlib.metadata
import os
import platform
import subprocess
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from restoreproof import __version__, docker_engine
from restoreproof.errors import DockerUnavailable
from restoreproof.evidence_circumstances import Environment, ImageRecord, Package
from restoreproof.images import Image

PACKAGES = (
    "cryptography", "cronsim", "docker", "fsspec", "GitPython", "httpx", "Jinja2", "pydantic",
    "pyHanko", "PyMySQL", "pytest", "rfc8785", "ruamel.yaml", "testcontainers", "weasyprint",
    "zstandard",
)  # fmt: skip


PIPELINES = ("GITHUB_WORKFLOW_REF", "CI_JOB_URL", "BUILD_URL")
"""Where GitHub, GitLab and Jenkins say which job it is that runs."""


def observe(images: Sequence[Image], suites_sha256: str, now: datetime) -> Environment:
    """Describe the environment of this process."""
    return Environment(
        restoreproof_version=__version__,
        source_commit=_source_commit(),
        suites_sha256=suites_sha256,
        python_version=platform.python_version(),
        platform=f"{platform.system()} {platform.release()} {platform.machine()}",
        docker_engine=_engine(),
        operator=_operator(),
        clock=f"system clock, UTC, {now:%Y-%m-%dT%H:%M:%SZ} at the start; {_synchronised()}",
        packages=tuple(
            Package(name=name, version=importlib.metadata.version(name)) for name in PACKAGES
        ),
        images=tuple(
            ImageRecord(
                reference=image.reference,
                identifier=image.identifier,
                origin=image.origin,
                repository_digest=image.repository_digest,
            )
            for image in sorted(set(images), key=lambda image: image.reference)
        ),
    )


def _operator() -> str:
    """Account and machine, and the pipeline where one says its name."""
    try:
        account = getpass.getuser()
    except (KeyError, OSError):
        account = f"user {os.getuid()}"
    job = next((os.environ[name] for name in PIPELINES if os.environ.get(name)), "")
    return f"{account} on {platform.node()}{f', pipeline {job}' if job else ''}"


def _engine() -> str:
    try:
        version = docker_engine.connect().version()
    except DockerUnavailable:
        return "none"
    return f"{version.get('Version')} (API {version.get('ApiVersion')})"


def _source_commit() -> str | None:
    """The commit of the checkout that runs, marked if it was changed; None for a wheel."""
    root = Path(__file__).parent.parent
    if not (root / ".git").exists():
        return None
    try:
        commit = _output(["git", "-C", str(root), "rev-parse", "HEAD"])
        changed = _output(["git", "--no-optional-locks", "-C", str(root), "status", "--porcelain"])
    except (OSError, subprocess.CalledProcessError):
        return None
    return f"{commit} (changed since)" if changed else commit


def _synchronised() -> str:
    try:
        answer = _output(["timedatectl", "show", "--property=NTPSynchronized", "--value"])
    except (OSError, subprocess.CalledProcessError):
        return "whether it is synchronised is not known"
    return "synchronised" if answer == "yes" else "not synchronised"


def _output(command: Sequence[str]) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
