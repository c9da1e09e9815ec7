"""Whether what ansible-vault encrypted can be opened with the passwords that are kept for it.

Nothing is decrypted: the format has a digest over the encrypted content that only the right
password gives.
"""

import hashlib
import hmac
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from restoreproof.engines.git_command import shown
from restoreproof.engines.git_layout import MOST_BYTES
from restoreproof.engines.git_secrets import VAULT
from restoreproof.engines.git_versions import LINK, SUBMODULE, File, Objects

HEADER = re.compile(rb"\$ANSIBLE_VAULT;1\.[12];AES256(?:;[^\s]*)?\s*\n")
INLINE = re.compile(rb"!vault[^\n]*\n(?P<text>(?:[ \t]+\S+[ \t]*(?:\r?\n|\Z))+)")
ROUNDS, KEY_BYTES = 10_000, 32


@dataclass(frozen=True)
class Vaulted:
    """How many files and values are encrypted, and where those are that no password opens."""

    examined: int
    closed: tuple[str, ...]


def try_passwords(objects: Objects, files: Mapping[str, File], passwords: Sequence[str]) -> Vaulted:
    """Try everything that a version holds encrypted. Raise RestoreFailed if it cannot be read."""
    examined, closed = 0, []
    for path, file in files.items():
        if file.mode in (LINK, SUBMODULE):
            continue
        content = objects.content(file.identifier, most=MOST_BYTES)
        for line, envelope in _envelopes(content):
            examined += 1
            if not any(opens(envelope, one) for one in passwords):
                closed.append(f"{shown(path)}:{line}")
    return Vaulted(examined, tuple(closed))


def opens(envelope: bytes, password: str) -> bool:
    """Whether a password opens an encrypted text; none opens one that is damaged."""
    header = HEADER.match(envelope)
    try:
        whole = bytes.fromhex(envelope[header.end() if header else 0 :].decode())
        salt, digest, content = (bytes.fromhex(part.decode()) for part in whole.split(b"\n"))
    except ValueError:
        return False
    # As Ansible does, which leaves away the line feed at the end of a password's file.
    drawn = hashlib.pbkdf2_hmac(
        "sha256", password.strip().encode(), salt, ROUNDS, 2 * KEY_BYTES + 16
    )
    found = hmac.digest(drawn[KEY_BYTES : 2 * KEY_BYTES], content, "sha256")
    return hmac.compare_digest(found, digest)


def _envelopes(content: bytes) -> Iterator[tuple[int, bytes]]:
    """Every encrypted text in a file, with the line on which it begins."""
    if content.startswith(VAULT):
        yield 1, content
        return
    for match in INLINE.finditer(content):
        line = content.count(b"\n", 0, match.start()) + 1
        yield line, b"\n".join(part.strip() for part in match["text"].splitlines()) + b"\n"
