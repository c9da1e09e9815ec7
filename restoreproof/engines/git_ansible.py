"""Asks Ansible about a restored repository, in a container that reaches nothing.

A repository is programs: inventories, plugins and filters run while Ansible only reads. What it
lacks here (a collection, a network, the password of a vault) says nothing of the backup, so that
is told apart from what is wrong in the repository itself.
"""

import io
import json
import re
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from restoreproof.engines.git_layout import MOST_BYTES, YAML, Layout, children
from restoreproof.engines.git_secrets import VAULT
from restoreproof.engines.git_versions import LINK, SUBMODULE, File, Objects
from restoreproof.errors import SandboxTrouble, one_line
from restoreproof.images import Image
from restoreproof.outcomes import RestoreFailed
from restoreproof.sandbox import Sandbox, Sandboxes

TEMPORARY = "/tmp"  # noqa: S108  # in a container of our own
PLACE, HOME = f"{TEMPORARY}/repository", f"{TEMPORARY}/home"
NOBODY = "65534:65534"
SECONDS = 120
MOST_FILES, MOST_TOTAL_BYTES = 200_000, 2 * 1024**3
WORDS = 300
NO_COMMAND, TIMED_OUT = (126, 127), (124, 137)
TASKS = {"tasks", "handlers"}
DOCUMENTS = ("README", "LICENSE", "CHANGELOG", "MAINTAINERS", ".GITKEEP", ".GITIGNORE")
REQUIREMENTS = tuple(
    f"{folder}requirements{suffix}" for folder in ("", "roles/", "collections/") for suffix in YAML
)
ENVIRONMENT = {
    "HOME": HOME,
    "LC_ALL": "C.UTF-8",
    "ANSIBLE_NOCOLOR": "1",
    "ANSIBLE_DEPRECATION_WARNINGS": "0",
}
# What a repository may ask for of the machine that it is used on, and no syntax depends on.
OF_THE_MACHINE = {
    "ANSIBLE_LOG_PATH": "/dev/null",
    "ANSIBLE_STDOUT_CALLBACK": "default",
    "ANSIBLE_CACHE_PLUGIN": "memory",
    "ANSIBLE_VAULT_PASSWORD_FILE": f"{HOME}/absent",
    "ANSIBLE_VAULT_IDENTITY_LIST": f"absent@{HOME}/absent",
}
ROLE = re.compile(r"the role '(?P<name>[^']+)' was not found")
MODULE = re.compile(r"couldn't resolve module/action '(?P<name>[^']+)'")
OWN_MODULES = ("ansible.builtin.", "ansible.legacy.")
SOURCE = re.compile(r"Completely failed to parse inventory source (?P<path>\S+)")
ELSEWHERE = re.compile(
    r"Decryption failed|Attempting to decrypt|no vault secrets|Invalid callback|unknown plugin|"
    r"Unexpected Exception|No module named|requires? (?:the )?python"
)
LOCATION = re.compile(r"The error appears to be in '(?P<path>[^']+)': line (?P<line>\d+)")
TRIED = re.compile(
    r"Failed to parse.*?with\s+(yaml|ini|toml)\s+plugin:(.*?)(?=\n\[WARNING\]|\nERROR|\Z)",
    re.DOTALL,
)
DYNAMIC = re.compile(rb"(?m)\A#!|^plugin\s*:")


@dataclass(frozen=True)
class Answer:
    """What Ansible said: how many things it read, what is wrong, and what was lacking here.

    With something lacking nobody can tell, and that is no fault of the backup.
    """

    examined: int
    seen: str
    fault: str = ""
    lacking: str = ""


@dataclass(frozen=True)
class Answers:
    """Ansible's answers about playbook, inventory and configuration."""

    playbook: Answer
    inventory: Answer
    configuration: Answer


@dataclass(frozen=True)
class Said:
    """The end of one command of Ansible's."""

    code: int
    output: str
    errors: str

    @property
    def words(self) -> str:
        """Why it failed, with the place and without the line of the file, which may be secret."""
        _, found, after = self.errors.partition("ERROR")
        text = after.lstrip("!: ") if found else self.errors
        place = LOCATION.search(text)
        text = re.split(r"\n\s*\n|\nfile:|The error appears|The offending line", text)[0]
        where = f" ({place['path']}:{place['line']})" if place else ""
        return one_line(text.replace(f"{PLACE}/", ""))[:WORDS] + where.replace(f"{PLACE}/", "")


def ask_ansible(
    objects: Objects, layout: Layout, image: Image, sandboxes: Sandboxes, folder: Path
) -> Answers:
    """Ask about the newest version.

    Raise SandboxTrouble if there is no Ansible in the image, RestoreFailed if a file is damaged.
    """
    archive = folder / "version.tar"
    try:
        with archive.open("wb") as file:
            encrypted = _pack(objects, layout.files, file)
        with sandboxes.isolated(image) as sandbox, archive.open("rb") as file:
            said = _run(sandbox, file, layout)
    finally:
        archive.unlink(missing_ok=True)
    for name, one in said.items():
        if one.code in NO_COMMAND:
            raise SandboxTrouble(
                f"{image.reference} has no ansible-{name}",
                mend="name an image with Ansible: image: restoreproof/ansible:2.14",
            )
    return Answers(
        _of_playbook(said["playbook"], layout, objects, encrypted),
        _of_inventory(said["inventory"], layout, objects, encrypted),
        _of_configuration(said["config"], layout),
    )


def _run(sandbox: Sandbox, archive: IO[bytes], layout: Layout) -> Mapping[str, Said]:
    unpack = f"mkdir -p {HOME} {PLACE} && echo absent >{HOME}/absent && tar -x -m -C {PLACE}"
    chunks = iter(lambda: archive.read(MOST_BYTES), b"")
    unpacked = sandbox.run(["sh", "-c", unpack], feed=chunks, user=NOBODY)
    if unpacked.exit_code != 0:
        sandbox.require_running()
        raise SandboxTrouble(f"the version cannot be unpacked: {unpacked.complaint}")
    sources = [word for path in layout.found.get("inventory", ()) for word in ("-i", path)]
    settings = [path for path in layout.found.get("configuration", ()) if path.endswith(".cfg")]
    common = dict(ENVIRONMENT)
    if settings:
        common["ANSIBLE_CONFIG"] = f"{PLACE}/{settings[0]}"
    quiet = common | OF_THE_MACHINE
    strict = quiet | {"ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED": "1"}
    check = ["ansible-playbook", "--syntax-check", *sources, "--", *playbook_files(layout)]
    commands = (
        ("config", common, ["ansible-config", "dump", "--only-changed"]),
        ("inventory", strict, ["ansible-inventory", *sources, "--list"]),
        ("playbook", quiet, check),
    )
    with ThreadPoolExecutor(len(commands)) as pool:
        said = {one[0]: pool.submit(_said, sandbox, *one) for one in commands}
        return {name: one.result() for name, one in said.items()}


def _said(
    sandbox: Sandbox, name: str, variables: Mapping[str, str], command: Sequence[str]
) -> Said:
    # Into files: what a script of the repository leaves running would keep a stream open.
    out, err = f"{TEMPORARY}/{name}.out", f"{TEMPORARY}/{name}.err"
    script = f'cd {PLACE} && ulimit -f 65536 && "$@" >{out} 2>{err} </dev/null'
    settled = [f"{key}={value}" for key, value in variables.items()]
    limited = ["timeout", "-k", "5", str(SECONDS), "env", *settled, *command]
    done = sandbox.run(["sh", "-c", script, "sh", *limited], user=NOBODY)
    told = []
    for path in (out, err):
        kept: list[bytes] = []
        show = ["head", "-c", str(MOST_BYTES), path]
        sandbox.run(show, watch=kept.append, user=NOBODY)
        told.append(b"".join(kept).decode(errors="replace"))
    return Said(done.exit_code, *told)


def playbook_files(layout: Layout) -> tuple[str, ...]:
    """The playbooks, where a folder was named those directly in it."""
    found: list[str] = []
    for path in layout.found.get("playbook", ()):
        inside = [f"{path.rstrip('/')}/{name}" for name in children(layout.files, path)]
        files = [one for one in inside if one.endswith(YAML) and one in layout.files]
        found += [path] if path in layout.files else files
    return tuple(found)


def _pack(objects: Objects, files: Mapping[str, File], sink: IO[bytes]) -> frozenset[str]:
    """Write a version as an archive, and say which files are encrypted.

    An encrypted file is packed as what Ansible would take for nothing: its password is at its
    owner's, and the rest can be asked about all the same.
    """
    encrypted, total = set(), 0
    if len(files) > MOST_FILES:
        raise RestoreFailed(f"the newest version holds {len(files)} files, too many to try out")
    with tarfile.open(fileobj=sink, mode="w|", format=tarfile.PAX_FORMAT) as archive:
        for path, file in files.items():
            name = path.rpartition("/")[2].upper()
            if file.mode == SUBMODULE or name.startswith(DOCUMENTS):
                continue
            content = objects.content(file.identifier, most=MOST_BYTES)
            total += len(content)
            if total > MOST_TOTAL_BYTES:
                raise RestoreFailed("the newest version is too large to try out")
            if content.startswith(VAULT):
                encrypted.add(path)
                content = b"[]\n" if TASKS.intersection(path.split("/")) else b"{}\n"
            about = tarfile.TarInfo(path)
            about.mode = 0o755 if file.mode == "100755" else 0o644
            if file.mode == LINK:
                about.type, about.linkname = tarfile.SYMTYPE, content.decode(errors="replace")
                content = b""
            about.size = len(content)
            archive.addfile(about, io.BytesIO(content))
    return frozenset(encrypted)


def _of_playbook(said: Said, layout: Layout, objects: Objects, encrypted: frozenset[str]) -> Answer:
    playbooks = playbook_files(layout)
    count = len(playbooks)
    what = f"ansible-playbook --syntax-check of {', '.join(playbooks[:5])}"
    if hidden := encrypted.intersection(playbooks):
        return Answer(count, what, lacking=f"{', '.join(sorted(hidden))} is encrypted")
    if said.code == 0:
        return Answer(count, f"{what}: no complaint{_vaulted(encrypted)}")
    if role := ROLE.search(said.errors):
        name = role["name"]
        if any(name in text for text in _requirements(layout, objects)):
            words = f"role {name} is installed from elsewhere (requirements.yml), not backed up"
            return Answer(count, what, lacking=words)
        return Answer(count, what, fault=f"role missing: {name} is not in the repository")
    module = MODULE.search(said.errors)
    if module and not module["name"].startswith(OWN_MODULES):
        words = (
            f"module {module['name']} belongs to a collection that is neither in the repository "
            "nor in the image"
        )
        return Answer(count, what, lacking=words)
    return _failed(said, count, what, "syntax error")


def _of_inventory(
    said: Said, layout: Layout, objects: Objects, encrypted: frozenset[str]
) -> Answer:
    sources = layout.found.get("inventory", ())
    what = f"ansible-inventory --list of {', '.join(sources)}"
    if said.code == 0:
        try:
            hosts = len(_hosts(json.loads(said.output)))
        except ValueError:
            return Answer(1, what, lacking="what it listed is too long to be read")
        return Answer(max(hosts, 1), f"{what}: {hosts} hosts{_vaulted(encrypted)}")
    if source := SOURCE.search(said.errors):
        path = source["path"].removeprefix(f"{PLACE}/")
        file = layout.files.get(path)
        if file and DYNAMIC.search(objects.content(file.identifier, most=MOST_BYTES)):
            return Answer(1, what, lacking=f"{path} asks elsewhere for its hosts")
        return Answer(1, what, fault=f"{path} is no inventory: {_reason(said.errors)}")
    return _failed(said, 1, what, "it cannot be read")


def _of_configuration(said: Said, layout: Layout) -> Answer:
    named = ", ".join(layout.found.get("configuration", ())) or "no ansible.cfg"
    what = f"ansible-config dump of {named}"
    if said.code == 0:
        changed = sum(f"({PLACE}/" in line for line in said.output.splitlines())
        return Answer(max(changed, 1), f"{what}: {changed} settings")
    return _failed(said, 1, what, "it cannot be read")


def _failed(said: Said, examined: int, what: str, kind: str) -> Answer:
    if said.code in TIMED_OUT:
        return Answer(examined, what, lacking=f"it did not end within {SECONDS} s")
    if ELSEWHERE.search(said.errors):
        return Answer(examined, what, lacking=said.words)
    return Answer(examined, what, fault=f"{kind}: {said.words}")


def _reason(errors: str) -> str:
    """Why the plugin that is meant for a file could not read it."""
    # Lines are broken at 79 characters, whatever COLUMNS says.
    tried = [(plugin, one_line(text)) for plugin, text in TRIED.findall(errors)]
    texts = dict(reversed(tried))
    text = (
        texts.get("yaml", "") if "Syntax Error" in texts.get("yaml", "") else texts.get("ini", "")
    )
    place = LOCATION.search(text)
    text = re.split(r"The error appears|The offending line", text)[0].partition("Syntax Error")
    words = f"Syntax Error{text[2]}" if text[1] else "neither YAML nor INI of an inventory"
    where = f" (line {place['line']})" if place else ""
    return one_line(words)[:WORDS] + where


def _hosts(listed: Mapping[str, Any]) -> frozenset[str]:
    groups = (group for name, group in listed.items() if name != "_meta")
    return frozenset(host for group in groups for host in group.get("hosts", ()))


def _requirements(layout: Layout, objects: Objects) -> Iterator[str]:
    for path in REQUIREMENTS:
        if file := layout.files.get(path):
            yield objects.content(file.identifier, most=MOST_BYTES).decode(errors="replace")


def _vaulted(encrypted: frozenset[str]) -> str:
    return f"; without what is in {len(encrypted)} encrypted files" if encrypted else ""
