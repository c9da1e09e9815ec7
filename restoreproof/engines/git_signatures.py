"""Signatures of tags and commits, verified with the keys that the policy names and no others.

A signature that does not fit its object is a fault. One by a key that nobody named may be as good
as any: nobody here can tell.
"""

import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from git.exc import GitCommandError

from restoreproof.engines.git_command import run_git
from restoreproof.errors import SandboxTrouble, UserError, one_line

OPENPGP = "-----BEGIN PGP PUBLIC KEY BLOCK-----"
OPENPGP_SIGNATURE = b"-----BEGIN PGP SIGNATURE-----"
IN_A_TAG = (b"-----BEGIN SSH SIGNATURE-----", OPENPGP_SIGNATURE)
IN_A_COMMIT = (b"\ngpgsig ", b"\ngpgsig-sha256 ")


@dataclass(frozen=True)
class Signed:
    """A tag or commit with a signature: ``kind`` is tag or commit, ``name`` as people know it."""

    kind: str
    identifier: str
    name: str
    openpgp: bool


@dataclass(frozen=True)
class Signatures:
    """How many signatures were verified, and what became of those that were not good."""

    examined: int
    broken: tuple[str, ...]
    unknown: tuple[str, ...]


def signed(kind: str, identifier: str, name: str, content: bytes) -> Signed | None:
    """What has to be verified of a tag or commit; None if it has no signature."""
    head = content if kind == "tag" else content.partition(b"\n\n")[0]
    if not any(sign in head for sign in (IN_A_TAG if kind == "tag" else IN_A_COMMIT)):
        return None
    return Signed(kind, identifier, name, OPENPGP_SIGNATURE in head)


def verify(repository: Path, objects: Sequence[Signed], signers: Path, folder: Path) -> Signatures:
    """Verify signatures.

    ``signers`` is a file of ssh's allowed signers or of armoured OpenPGP keys; ``folder`` is for
    the keyring that is made of them. Raise UserError if it cannot be read, SandboxTrouble if the
    tool that verifies is not there.
    """
    try:
        openpgp = OPENPGP in signers.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        mend = "correct source.signers in the policy"
        raise UserError(f"{signers}: {error.strerror}", mend=mend) from None
    broken: list[str] = []
    unknown: list[str] = []
    variables = _keyring(signers, folder, openpgp=openpgp)
    for one in objects:
        is_broken = _broken(repository, one, signers, variables, openpgp=openpgp)
        if is_broken is not None:
            (broken if is_broken else unknown).append(f"{one.kind} {one.name}")
    return Signatures(len(objects), tuple(broken), tuple(unknown))


def _broken(
    repository: Path,
    one: Signed,
    signers: Path,
    variables: Mapping[str, str],
    *,
    openpgp: bool,
) -> bool | None:
    """None if the signature is good; else whether it is broken, and not only of an unknown key."""
    if one.openpgp != openpgp:
        return False
    allowed = ["-c", f"gpg.ssh.allowedSignersFile={signers}"]
    command = [*allowed, f"verify-{one.kind}", "--raw", one.identifier]
    try:
        run_git(command, repository, environment=variables)
    except GitCommandError as error:
        said = f"{error.stdout} {error.stderr}"
        if "cannot run" in said:
            tool = "gnupg" if openpgp else "openssh-client"
            raise SandboxTrouble(one_line(said), mend=f"apt-get install {tool}") from None
        return "BADSIG" in said if openpgp else "No principal matched" not in said
    return None


def _keyring(signers: Path, folder: Path, *, openpgp: bool) -> Mapping[str, str]:
    """The variables under which OpenPGP knows these keys alone."""
    if not openpgp:
        return {}
    home = folder / "keyring"
    home.mkdir(mode=0o700, exist_ok=True)
    variables = {"GNUPGHOME": str(home)}
    command = ["gpg", "--batch", "--quiet", "--no-autostart", "--import", str(signers)]
    try:
        subprocess.run(command, env={**os.environ, **variables}, check=True, capture_output=True)
    except FileNotFoundError:
        raise SandboxTrouble("there is no gpg here", mend="apt-get install gnupg") from None
    except subprocess.CalledProcessError as error:
        said = one_line(error.stderr.decode(errors="replace"))
        raise UserError(f"{signers}: {said}", mend="export the keys with --armor") from None
    return variables
