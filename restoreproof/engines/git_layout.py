"""Where playbook, inventory and configuration lie in a repository: as named, or by convention."""

import configparser
import posixpath
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from restoreproof.engines.git_command import shown
from restoreproof.engines.git_versions import LINK, SUBMODULE, File, Objects
from restoreproof.outcomes import RestoreFailed

CONFIGURATION = ("ansible.cfg", ".ansible.cfg")
SETTINGS = ("group_vars", "host_vars", "roles")
INVENTORIES = (
    "inventory",
    "inventories",
    "hosts",
    "environments",
    "hosts.yml",
    "hosts.yaml",
    "hosts.ini",
    "inventory.yml",
    "inventory.yaml",
    "inventory.ini",
    "production",
    "staging",
)
PLAYBOOK = re.compile(
    rb"(?m)^-?\s+(hosts|import_playbook|ansible\.builtin\.import_playbook)\s*:", re.ASCII
)
NO_SOURCES = ("group_vars", "host_vars")
YAML = (".yml", ".yaml")
MOST_FILES = 1_000_000
MOST_BYTES = 16 * 1024**2
"""Larger files than that are taken for none that Ansible reads."""


@dataclass(frozen=True)
class Layout:
    """The newest version of a repository by path, and where its parts lie.

    ``found`` names for each kind of coverage the files or folders that stand for it; a kind for
    which nothing was found is not in it.
    """

    files: Mapping[str, File]
    found: Mapping[str, tuple[str, ...]]

    def has(self, path: str) -> bool:
        """Whether a file or folder is there."""
        path = posixpath.normpath(path)
        below = path + "/" if path != "." else ""
        return path in self.files or any(one.startswith(below) for one in self.files)


def layout(objects: Objects, tree: str, named: Mapping[str, str]) -> Layout:
    """Look where things lie in a version. Raise RestoreFailed if it cannot be read."""
    files: dict[str, File] = {}
    for file in objects.files(tree):
        files[file.path.decode(errors="surrogateescape")] = file
        if len(files) > MOST_FILES:
            # A few objects can name more files than any disk holds.
            raise RestoreFailed(f"the newest version holds more than {MOST_FILES} files")
    seen = Layout(files, {})
    by_convention = {
        "playbook": _playbooks(objects, files),
        "inventory": _inventories(objects, seen),
        "configuration": [path for path in CONFIGURATION if path in files][:1]
        or [path for path in SETTINGS if seen.has(path)],
    }
    found = {kind: (named[kind],) if kind in named else tuple(by_convention[kind])
             for kind in by_convention}  # fmt: skip
    return Layout(files, {kind: paths for kind, paths in found.items() if paths})


def children(files: Mapping[str, File], folder: str) -> Sequence[str]:
    """Names of the files and folders directly in a folder; of the top with an empty name."""
    below = folder.rstrip("/") + "/" if folder else ""
    names = {path[len(below) :].partition("/")[0] for path in files if path.startswith(below)}
    return sorted(names)


def _playbooks(objects: Objects, files: Mapping[str, File]) -> list[str]:
    known = [path for path in files if "/" not in path or path.startswith("playbooks/")]
    return [
        path
        for path in known
        # A name that is no text cannot be given to a command in a container.
        if path.endswith(YAML)
        and path.count("/") <= 1
        and shown(path) == path
        and _is_playbook(objects, files[path])
    ]


def _is_playbook(objects: Objects, file: File) -> bool:
    if file.mode in (LINK, SUBMODULE):
        return False
    return bool(PLAYBOOK.search(objects.content(file.identifier, most=MOST_BYTES)))


def _inventories(objects: Objects, seen: Layout) -> list[str]:
    if named := [path for path in _configured(objects, seen) if seen.has(path)]:
        return named
    for path in INVENTORIES:
        if not seen.has(path):
            continue
        inside = [name for name in children(seen.files, path) if name not in NO_SOURCES]
        folders = [f"{path}/{name}" for name in inside if f"{path}/{name}" not in seen.files]
        # A folder of folders holds one inventory for each environment.
        return folders if folders and len(folders) == len(inside) else [path]
    return []


def _configured(objects: Objects, seen: Layout) -> list[str]:
    """What ansible.cfg says of the inventory, as far as it can be read."""
    if CONFIGURATION[0] not in seen.files:
        return []
    text = objects.content(seen.files[CONFIGURATION[0]].identifier, most=MOST_BYTES)
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    try:
        parser.read_string(text.decode(errors="replace"))
        value = parser.get("defaults", "inventory", fallback="")
    except configparser.Error:
        return []
    return [
        part.strip().removeprefix("./").rstrip("/") for part in value.split(",") if part.strip()
    ]
