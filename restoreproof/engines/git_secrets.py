"""Secrets that lie in a version in plain text: private keys, and passwords among variables.

What is found is told by path, line and name: never by its value.
"""

import base64
import binascii
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from restoreproof.engines.git_command import shown
from restoreproof.engines.git_layout import MOST_BYTES
from restoreproof.engines.git_versions import LINK, SUBMODULE, File, Objects

VAULT = b"$ANSIBLE_VAULT;"
UNENCRYPTED = "not under ansible-vault, as source.encrypted wants it"
INLINE_VAULT = re.compile(rb"(?m):\s*!vault\b")
PRIVATE_KEY = re.compile(
    r"-----BEGIN (?P<kind>[A-Z ]*)PRIVATE KEY(?: BLOCK)?-----"
    r"(?P<body>(?:\\n|\s).*?)(?:-----END|\Z)",
    re.DOTALL,
)
KEY_LINE = re.compile(r"(?m)^\s*[A-Za-z0-9+/=]{32,}\s*$")
PUTTY_KEY = re.compile(r"(?m)\APuTTY-User-Key-File-\d+:.*(?:\r?\n)+Encryption: none\s*$")
VARIABLES = {"group_vars", "host_vars", "vars", "defaults"}
HIDDEN = (
    r"(?!update_)(?:[\w-]*[_-])?(?:password|passwd|passphrase|secret|secret_key|private_key|api_key|apikey|"
    r"access_token|auth_token|secret_access_key|ansible_(?:ssh_|become_|sudo_)?pass)"
)
SIGN = re.compile(r"pass|secret|private_key|api_?key|_token", re.IGNORECASE)
IN_YAML = re.compile(
    rf"""^\s*(?:-\s+)?["']?(?P<name>{HIDDEN})["']?\s*:\s+(?P<value>\S.*?)\s*$""", re.IGNORECASE
)
IN_INI = re.compile(
    rf"""(?:^|\s)(?P<name>{HIDDEN})\s*=\s*(?P<value>"[^"]*"|'[^']*'|[^\s#;]+)""", re.IGNORECASE
)
NO_VALUE = re.compile(
    r"""(?ix) ~|null|none|true|false|yes|no|omit   # nothing, or a switch
    | [|>][+-]?\d?                                  # text that follows
    | [!&*@<\[{$%].*                                # a tag, a reference, a list, a variable
    | (?:~|\.{1,2})?/.*                             # a path
    | .*\{\{.*                                      # a template
    | \{[A-Z0-9-]+\}.*                              # a hash with its method
    | (?:env|file|vault|arn|https?):.*              # where the secret lies
    | (?:change|replace|fill|set)[-_ ]?(?:me|it|this|in).* | (?:example|todo|dummy|placeholder).*
    | (.)\1*                                        # one sign alone: blanked out
    """
)


@dataclass(frozen=True)
class Plaintext:
    """One secret in plain text."""

    path: str
    line: int
    what: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.what}"


@dataclass(frozen=True)
class SecretsSeen:
    """How many files were looked at, how many are encrypted, and what is in plain text."""

    files: int
    encrypted: int
    plaintext: tuple[Plaintext, ...]


def look_for_secrets(
    objects: Objects,
    files: Mapping[str, File],
    inventories: Sequence[str],
    allowed: Sequence[str],
    wanted: Sequence[str] = (),
) -> SecretsSeen:
    """Look through all files of a version; ``allowed`` are patterns of paths that are passed over.

    Files that patterns of ``wanted`` name are secrets as a whole where they are not encrypted.
    Raise RestoreFailed if one cannot be read.
    """
    looked_at, encrypted, found = 0, 0, list[Plaintext]()
    for path, file in files.items():
        if not is_looked_at(file, path, allowed):
            continue
        looked_at += 1
        content = objects.content(file.identifier, most=MOST_BYTES)
        if content.startswith(VAULT):
            encrypted += 1
            continue
        if any(fnmatchcase(path, one) for one in wanted):
            found.append(Plaintext(shown(path), 1, UNENCRYPTED))
            continue
        encrypted += bool(INLINE_VAULT.search(content))
        found += plaintext_in(content, path, inventories)
    return SecretsSeen(looked_at, encrypted, tuple(found))


def is_looked_at(file: File, path: str, allowed: Sequence[str]) -> bool:
    """Whether a file can hold a secret and no pattern of paths says that it holds none."""
    if file.mode in (LINK, SUBMODULE):
        return False
    return not any(fnmatchcase(path, one) for one in allowed)


def plaintext_in(content: bytes, path: str, inventories: Sequence[str]) -> Iterator[Plaintext]:
    """Secrets in plain text in one file."""
    if content.startswith(VAULT) or b"\0" in content[:8000]:
        return
    text, place = content.decode(errors="replace"), shown(path)
    for line, what in _keys(text):
        yield Plaintext(place, line, what)
    if _holds_variables(path, inventories):
        for line, what in _passwords(text):
            yield Plaintext(place, line, what)


def _keys(text: str) -> Iterator[tuple[int, str]]:
    if PUTTY_KEY.search(text):
        yield 1, "a private key of PuTTY"
    for match in PRIVATE_KEY.finditer(text):
        kind, body = match["kind"].strip(), match["body"].replace("\\n", "\n")
        if kind == "ENCRYPTED" or "ENCRYPTED" in body or not KEY_LINE.search(body):
            continue
        if kind == "OPENSSH" and _is_locked(body):
            continue
        line = text.count("\n", 0, match.start()) + 1
        yield line, f"a private key ({kind.lower()})" if kind else "a private key"


def _is_locked(body: str) -> bool:
    """Whether a key of OpenSSH has a passphrase: it names its cipher after its own name."""
    try:
        content = base64.b64decode("".join(body.split()))
    except (binascii.Error, ValueError):
        return False
    return content[15:].startswith(b"\0") and not content[15:].startswith(b"\0\0\0\x04none")


def _passwords(text: str) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(text.splitlines(), 1):
        if line.lstrip().startswith(("#", ";")) or not SIGN.search(line):
            continue
        for match in (IN_YAML.match(line), *IN_INI.finditer(line)):
            if match is not None and _is_plain(match["value"]):
                yield number, f"{match['name']} = [redacted]"


def _is_plain(value: str) -> bool:
    value = re.sub(r"\s+#.*$", "", value).strip()
    if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'":
        value = value[1:-1].strip()
    return bool(value) and not NO_VALUE.fullmatch(value)


def _holds_variables(path: str, inventories: Sequence[str]) -> bool:
    *folders, name = path.split("/")
    if VARIABLES.intersection(folders) or name.partition(".")[0] in VARIABLES:
        return True
    return any(path == one or path.startswith(f"{one.rstrip('/')}/") for one in inventories)
