"""Option files of a MySQL server: what they include, and whether a server accepts them.

``mysqld --validate-config`` stops at an option that it does not know and at a value that it
cannot take. It is given one file, into which all others are put where they are included: the
restored ones lie in another folder than they name. Left out are the options that name places
and the account of the source's own machine.
"""

import json
import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from restoreproof.engines.file_archive import restored_files
from restoreproof.sandbox import Sandbox

VARIABLES = "global-variables.json"
PLUGINS = "plugins.json"
PERSISTED = "persisted-variables.cnf"
EFFECTIVE = "/run/restoreproof/effective.cnf"
INCLUDE = re.compile(r"^!include(?P<folder>dir)?\s+(?P<path>\S.*)$")
OPTION = re.compile(r"^(?P<prefix>loose[-_])?(?P<name>[\w.-]+)\s*(?:=.*)?$")
LARGEST_BYTES = 1024 * 1024
DEEPEST = 10
OF_THE_MACHINE = {
    "user", "basedir", "datadir", "plugin_dir", "tmpdir", "replica_load_tmpdir",
    "slave_load_tmpdir", "secure_file_priv", "lc_messages_dir", "character_sets_dir", "chroot",
}  # fmt: skip
VALUE_IN_WORDS = re.compile(r"(?P<before>'[\w.-]+=|value ')[^']*'")
COMPLAINT = re.compile(r"\[ERROR\] \[MY-\d+\] \[\w+\] (?P<words>.*)$|^mysqld: (?P<other>.*)$")
LAST_WORD = "Aborting"


@dataclass(frozen=True)
class Include:
    """A directive that names another file, or a folder of files."""

    path: str
    folder: bool


@dataclass(frozen=True)
class ConfigurationCheck:
    """How many option files a server was given, and what it complains of.

    ``passed_over`` names options of plugins that the source had loaded and this server has not.
    """

    examined: int
    complaints: tuple[str, ...]
    passed_over: tuple[str, ...]


def included(content: bytes) -> Iterator[Include]:
    """What an option file includes, in order."""
    for line in _lines(content):
        if match := INCLUDE.match(line.strip()):
            yield Include(posixpath.normpath(match["path"].strip()), bool(match["folder"]))


def is_read(path: str, folder: str) -> bool:
    """Whether a server reads a file because its folder is included."""
    return posixpath.dirname(path) == folder and path.endswith(".cnf")


def option_file(options: Iterable[tuple[str, str]]) -> str:
    """An option file of the server with these options."""
    lines = ["[mysqld]"]
    for name, value in options:
        escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        lines.append(f'{name}="{escaped}"')
    return "\n".join(lines) + "\n"


def validate(sandbox: Sandbox, folder: str, option_files: Iterable[str]) -> ConfigurationCheck:
    """Give a sandbox's server the option files restored into a folder. Raise RestoreFailed."""
    stored, folders = {}, set()
    for found in restored_files(sandbox, folder):
        if found.content is None:
            folders.add(found.path)
        elif found.size <= LARGEST_BYTES:
            stored[found.path] = found.read()
    effective = _Effective(
        plugins=tuple(json.loads(stored.pop(PLUGINS, b"{}"))),
        variables=frozenset(json.loads(stored.pop(VARIABLES, b"{}"))),
        stored=stored,
        folders=frozenset(folders),
    )
    for path in (*option_files, PERSISTED):
        effective.put(path)
    sandbox.place(EFFECTIVE, "\n".join([*effective.lines, ""]).encode("latin-1"))
    command = ["mysqld", f"--defaults-file={EFFECTIVE}", "--validate-config", "--user=mysql"]
    done = sandbox.run(command)
    if done.exit_code != 0:
        # Seldom the words of a command that ends at once are lost on their way: ask again.
        again = sandbox.run(command) if not done.output + done.messages else done
        said = tuple(_complaints(f"{again.output}\n{again.messages}"))
        effective.complaints += said or (f"mysqld --validate-config: exit code {done.exit_code}",)
    return ConfigurationCheck(
        len(effective.read), tuple(effective.complaints), tuple(effective.passed_over)
    )


@dataclass
class _Effective:
    """One option file that says what several say."""

    plugins: tuple[str, ...]
    variables: frozenset[str]
    stored: Mapping[str, bytes]
    folders: frozenset[str]
    lines: list[str] = field(default_factory=list)
    read: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    passed_over: list[str] = field(default_factory=list)

    def put(self, path: str, depth: int = 0) -> None:
        """Add what a file says, and what it includes in its place."""
        if path not in self.stored:
            # A server passes over a file that another one includes and that is not there.
            if depth == 0:
                self.complaints.append(f"{path} did not come back")
            return
        if self.stored[path]:
            self.read.append(path)
        group = ""
        for line in map(str.strip, _lines(self.stored[path])):
            if line.startswith("["):
                group = line
            if line.startswith("!") and depth < DEEPEST:
                self._include(path, line, depth)
                # What was included may have ended in another group.
                self.lines.append(group)
            elif not line.startswith(("#", ";", "!")):
                self._option(line)

    def _include(self, path: str, line: str, depth: int) -> None:
        for include in included(line.encode("latin-1")):
            if not include.folder:
                self.put(include.path, depth + 1)
            elif include.path in self.folders:
                for one in sorted(self.stored):
                    if is_read(one, include.path):
                        self.put(one, depth + 1)
            else:
                self.complaints.append(f"{path} includes {include.path}, which did not come back")

    def _option(self, line: str) -> None:
        match = OPTION.match(line)
        name = match["name"].replace("-", "_").lower() if match else ""
        if name in OF_THE_MACHINE:
            return
        if match and not match["prefix"] and self._is_of_a_plugin(name):
            self.passed_over.append(name)
            line = f"loose_{line}"
        self.lines.append(line)

    def _is_of_a_plugin(self, name: str) -> bool:
        # Neither plugins nor components are loaded when a server only looks at its options.
        of_plugin = any(name.startswith(f"{plugin.lower()}_") for plugin in self.plugins)
        return (of_plugin or "." in name) and name in self.variables


def _lines(content: bytes) -> list[str]:
    # Whatever its encoding is, every byte stays what it was.
    return content.decode("latin-1").split("\n")


def _complaints(said: str) -> Iterator[str]:
    for line in said.splitlines():
        match = COMPLAINT.search(line)
        words = (match["words"] or match["other"]) if match else ""
        if words and not words.startswith(LAST_WORD):
            # A value may be a secret.
            yield VALUE_IN_WORDS.sub(r"\g<before>…'", words)
