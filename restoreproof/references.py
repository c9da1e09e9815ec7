"""Values that a policy names without holding them: ``${ENV}``, ``${ENV:-default}``, ``file:``.

A reference is resolved at the moment it is needed, so an audit of stored backups needs no
credentials of the source. A secret is never a plain text in a policy.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict

from restoreproof.errors import SecretMissing
from restoreproof.redaction import remember

VARIABLE = re.compile(r"\$\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>[^}]*))?\}")


def _require_reference(text: str) -> str:
    variable = VARIABLE.fullmatch(text)
    # A default would be the secret itself, in plain text.
    if text.startswith("file:") or (variable and variable["default"] is None):
        return text
    raise ValueError("a secret is given by reference: write ${NAME} or file:PATH")


Secret = Annotated[str, AfterValidator(_require_reference)]
"""A reference to a secret, never the secret."""


class SourceModel(BaseModel):
    """Base of every engine's ``source:`` section: frozen, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Writer(SourceModel):
    """A user who may write heartbeats and nothing else, where the server asks for one."""

    user: str = ""
    password: Secret | None = None


def expand(text: str, *, where: str, environment: Mapping[str, str] = os.environ) -> str:
    """Replace every variable in a text. Raise SecretMissing for one that is not set."""

    def value(match: re.Match[str]) -> str:
        found = environment.get(match["name"]) or match["default"]
        if found is None:
            raise SecretMissing(
                f"environment variable {match['name']} is not set",
                where=where,
                mend=f"set it: export {match['name']}=...",
            )
        return found

    return VARIABLE.sub(value, text)


def reveal(secret: Secret, *, where: str, folder: Path) -> str:
    """The secret itself. Relative ``file:`` paths are taken from the policy's folder.

    Raise SecretMissing if the variable is not set or the file cannot be read.
    """
    text = expand(secret, where=where)
    if not secret.startswith("file:"):
        remember(text)
        return text
    path = folder / os.path.expanduser(text.removeprefix("file:"))  # noqa: PTH111  # Path's raises
    mend = "create the file with the secret on one line, readable by you alone"
    try:
        content = path.read_text(encoding="utf-8").rstrip("\n")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8 text"
        raise SecretMissing(
            f"secret file {path} cannot be read: {reason}", where=where, mend=mend
        ) from None
    if not content:
        raise SecretMissing(f"secret file {path} is empty", where=where, mend=mend)
    remember(content)
    return content
