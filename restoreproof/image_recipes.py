"""Builds images from Debian packages: what is in a recipe, and how it becomes a local image."""

import fcntl
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import docker
from docker.errors import APIError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from restoreproof import resources
from restoreproof.errors import ImageUnavailable
from restoreproof.processes import is_alive

RECIPE_LABEL = "restoreproof.recipe"

_TRIMMED = ("doc", "man", "info", "locale", "i18n", "lintian")
_OPTIONS = (
    "--variant=essential",
    # Servers expect their folders under /run.
    "--skip=cleanup/run",
    # Debian's unstable suite is often read from a snapshot, whose Release file has expired.
    '--aptopt=Acquire::Check-Valid-Until "false"',
    '--aptopt=APT::Install-Recommends "false"',
    *(f"--dpkgopt=path-exclude=/usr/share/{folder}/*" for folder in _TRIMMED),
    "--customize-hook=upload entrypoint.sh /usr/local/bin/entrypoint.sh",
    '--customize-hook=chmod 0755 "$1/usr/local/bin/entrypoint.sh"',
    "--customize-hook=upload setup.sh /setup.sh",
    '--customize-hook=chroot "$1" sh /setup.sh',
    '--customize-hook=rm "$1/setup.sh"',
)
# A root of half a gigabyte does not belong in a /tmp that may be memory.
_DISK = Path("/var/tmp")  # noqa: S108 # only folders with random names are made there
_WORK_PREFIX = "restoreproof-image-"


@dataclass(frozen=True)
class Recipe:
    """One image described: packages, and how the server in them is set up and started."""

    reference: str
    folder: Path
    suite: str
    packages: tuple[str, ...]
    environment: tuple[tuple[str, str], ...]
    entrypoint: tuple[str, ...]
    command: tuple[str, ...]
    ports: tuple[str, ...]

    @property
    def digest(self) -> str:
        """SHA-256 over all that decides what is built, so that a changed recipe is noticed."""
        content = hashlib.sha256(json.dumps(_OPTIONS).encode())
        for file in sorted(path for path in self.folder.iterdir() if path.is_file()):
            for part in (file.name.encode(), file.read_bytes()):
                content.update(len(part).to_bytes(8, "big") + part)
        return content.hexdigest()


def recipes() -> tuple[Recipe, ...]:
    """Every recipe under fixtures/images, by reference."""
    files = (resources.folder("fixtures") / "images").glob("*/recipe.yaml")
    return tuple(sorted((read(file) for file in files), key=lambda recipe: recipe.reference))


def read(file: Path) -> Recipe:
    """The recipe in that file. Raise `ImageUnavailable` if it is not one."""
    try:
        content = YAML(typ="safe").load(file)
        return Recipe(
            reference=content.pop("reference"),
            folder=file.parent,
            suite=content.pop("suite"),
            packages=tuple(content.pop("packages")),
            environment=tuple(content.pop("environment").items()),
            entrypoint=tuple(content.pop("entrypoint")),
            command=tuple(content.pop("command")),
            ports=tuple(content.pop("ports")),
            **content,
        )
    except (YAMLError, AttributeError, KeyError, TypeError) as error:
        raise ImageUnavailable(
            f"not a recipe: {error}", where=str(file), mend="restore the file from the project"
        ) from error


@contextmanager
def only_builder(recipe: Recipe) -> Iterator[None]:
    """Wait until no other process builds this recipe, and keep others waiting meanwhile."""
    handle = os.open(recipe.folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def build(client: docker.DockerClient, recipe: Recipe, progress: Callable[[str], None]) -> None:
    """Build the recipe and tag it; the tag appears only when all of the image is there.

    Raise `ImageUnavailable` if a tool, a package or the mirror is missing.
    """
    _make_sure_of_mmdebstrap(recipe, progress)
    started = time.monotonic()
    progress(
        f"building {recipe.reference} from Debian {recipe.suite}: {', '.join(recipe.packages)}"
    )
    with _work_folder() as work:
        root = work / "root.tar"
        version = _make_root(recipe, root, work)
        _import(client, recipe, root)
    progress(f"built {recipe.reference} in {time.monotonic() - started:.0f} s: {version}")


def _make_sure_of_mmdebstrap(recipe: Recipe, progress: Callable[[str], None]) -> None:
    if shutil.which("mmdebstrap"):
        return
    if os.geteuid() == 0 and shutil.which("apt-get"):
        progress("installing mmdebstrap, which builds images from Debian packages")
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        for words in ("update", "install -y --no-install-recommends mmdebstrap"):
            subprocess.run(
                ["apt-get", "-qq", *words.split()],
                env=environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                check=False,
            )
        if shutil.which("mmdebstrap"):
            return
    raise ImageUnavailable(
        "not on this machine, and building it needs mmdebstrap",
        where=recipe.reference,
        mend="as root: apt-get install mmdebstrap",
    )


@contextmanager
def _work_folder() -> Iterator[Path]:
    """A folder on disk that goes away with this process, or with the next build after a kill."""
    parent = _DISK if _DISK.is_dir() else Path(tempfile.gettempdir())
    for left in parent.glob(f"{_WORK_PREFIX}*"):
        builder = left.name.removeprefix(_WORK_PREFIX).split("-")[0]
        if builder.isdecimal() and not is_alive(int(builder)):
            shutil.rmtree(left, ignore_errors=True)
    prefix = f"{_WORK_PREFIX}{os.getpid()}-"
    with tempfile.TemporaryDirectory(prefix=prefix, dir=parent) as name:
        work = Path(name)
        # apt reads below it as its own user.
        work.chmod(0o711)
        yield work


def _make_root(recipe: Recipe, root: Path, work: Path) -> str:
    """Write the image's file system to `root`; return the version that setup.sh printed last."""
    command = [
        "mmdebstrap",
        *_OPTIONS,
        f"--include={','.join(recipe.packages)}",
        recipe.suite,
        str(root),
        *apt_mirror(),
    ]
    log = work / "log"
    with log.open("wb") as words:
        process = subprocess.Popen(
            command,
            cwd=recipe.folder,
            env={**os.environ, "TMPDIR": str(work)},
            stdin=subprocess.DEVNULL,
            stdout=words,
            stderr=subprocess.STDOUT,
            # Its main process ignores signals; only the whole group's end makes it tidy up.
            start_new_session=True,
        )
        try:
            failed = process.wait() != 0
        except BaseException:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait()
            raise
    lines = log.read_text(errors="replace").splitlines()
    if failed:
        causes = [line for line in lines if line.startswith("E: ")] or lines[-2:]
        raise ImageUnavailable(
            f"not on this machine, and its build failed: {'; '.join(causes[:2])}",
            where=recipe.reference,
            mend=(
                f"make Debian's suite {recipe.suite} reachable by apt"
                if os.geteuid() == 0
                else "build it once as root: restoreproof images"
            ),
        )
    said = [line for line in lines if not line.startswith(("I: ", "W: "))]
    return said[-1].strip() if said else "version unknown"


def apt_mirror(etc: Path = Path("/etc")) -> tuple[str, ...]:
    """The Debian mirror that this machine's apt uses, or nothing: mmdebstrap has a default."""
    release = etc / "os-release"
    if not release.is_file() or not re.search(r"(?m)^ID=\"?debian\"?$", release.read_text()):
        return ()
    folder = etc / "apt" / "sources.list.d"
    for file in (etc / "apt" / "sources.list", *sorted(folder.glob("*"))):
        if file.suffix not in {".list", ".sources"} or not file.is_file():
            continue
        text = re.sub(r"(?m)^#.*\n?", "", file.read_text(errors="replace"))
        addresses = _one_line(text) if file.suffix == ".list" else _deb822(text)
        for address in addresses:
            if re.match(r"https?://", address) and "security" not in address:
                return (address,)
    return ()


def _one_line(text: str) -> list[str]:
    return re.findall(r"(?m)^deb\s+(?:\[.*?\]\s+)?(\S+)\s+\S+\s+main\b", text)


def _deb822(text: str) -> list[str]:
    return [
        found[1]
        for entry in text.split("\n\n")
        if re.search(r"(?m)^Types:.*\bdeb\b(?!-)", entry)
        and not re.search(r"(?mi)^Enabled:\s*no", entry)
        and (found := re.search(r"(?m)^URIs:\s*(\S+)", entry))
    ]


def _import(client: docker.DockerClient, recipe: Recipe, root: Path) -> None:
    repository, tag = recipe.reference.rsplit(":", 1)
    changes = [
        f"ENTRYPOINT {json.dumps(recipe.entrypoint)}",
        f"CMD {json.dumps(recipe.command)}",
        f"LABEL {RECIPE_LABEL}={recipe.digest}",
        *(f"ENV {name}={json.dumps(value)}" for name, value in recipe.environment),
        *(f"EXPOSE {port}" for port in recipe.ports),
    ]
    try:
        client.api.import_image_from_file(str(root), repository, tag, changes)
    except APIError as error:
        raise ImageUnavailable(
            f"built, but the Docker engine refused it: {error.explanation or error}",
            where=recipe.reference,
            mend="look at the engine's log and its free disk space",
        ) from error
