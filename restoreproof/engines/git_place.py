"""Where a source is, how git gets there, and what its refusals mean."""

import os
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

from git.exc import GitCommandError

from restoreproof.engines.contract import SourceContext
from restoreproof.engines.git_command import run_git, words
from restoreproof.errors import SourceUnavailable
from restoreproof.redaction import remember
from restoreproof.references import Secret, SourceModel

PASSWORD_VARIABLE = "RESTOREPROOF_GIT_PASSWORD"  # noqa: S105  # the name of a variable
CREDENTIAL_HELPER = f'!f() {{ printf "password=%s\\n" "${PASSWORD_VARIABLE}"; }}; f'
CONNECT_SECONDS = 15
# A host whose key nobody has looked at might be anybody, and nobody is there to be asked.
SSH = ("ssh", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes",
       "-o", f"ConnectTimeout={CONNECT_SECONDS}")  # fmt: skip


class SecureShell(SourceModel):
    """Files with which ssh logs in, instead of this user's own: paths relative to the policy."""

    key: str = ""
    known_hosts: str = ""


class Authority(SourceModel):
    """The file with the certificates by which an https server is known."""

    ca: str


class HeartbeatBranch(SourceModel):
    """A branch to which something commits all the time, so that its newest commit tells of loss."""

    branch: str


class GitSource(SourceModel):
    """A repository by path (relative to the policy) or URL, and what is asked of it.

    ``paths`` maps playbook, inventory and configuration to a file or folder in the repository.
    ``signers`` is a file: ssh's allowed signers, or armoured OpenPGP keys. ``changed_by_hand``
    are patterns of references that people may delete, move or rewrite, ``plaintext_allowed``
    those of files in which secrets in plain text are none, ``encrypted`` those of files that have
    to be under ansible-vault. ``vault_passwords`` are those that are kept to open such files.
    """

    repository: str
    paths: Mapping[str, str] = {}
    heartbeat: HeartbeatBranch | None = None
    ssh: SecureShell | None = None
    tls: Authority | None = None
    signers: str = ""
    changed_by_hand: tuple[str, ...] = ()
    plaintext_allowed: tuple[str, ...] = ()
    encrypted: tuple[str, ...] = ()
    vault_passwords: tuple[Secret, ...] = ()

    @property
    def files(self) -> Mapping[str, str]:
        """Files beside the policy that it names, by key; empty where it does not."""
        ssh = self.ssh or SecureShell()
        return {
            "ssh.key": ssh.key,
            "ssh.known_hosts": ssh.known_hosts,
            "tls.ca": self.tls.ca if self.tls else "",
            "signers": self.signers,
        }


@dataclass(frozen=True)
class Place:
    """Where a source is, and the variables from which git takes what it needs to get there.

    ``folder`` is the repository's own folder if it lies on this machine.
    """

    location: str
    variables: Mapping[str, str] = field(repr=False)
    folder: Path | None = None


# What git and ssh say, what that means, and what mends it. The first that is found counts.
REFUSALS = (
    (
        "REMOTE HOST IDENTIFICATION HAS CHANGED",
        "the server has another host key than known_hosts says",
        "find out why before anything else; if the server was set up again, replace its line",
    ),
    (
        "Host key verification failed",
        "nobody on this machine has vouched for the server's host key",
        "once its owner confirmed the key, add it to known_hosts, or give source.ssh.known_hosts",
    ),
    (
        "cannot run ssh",
        "there is no ssh on this machine",
        "install it: apt-get install openssh-client",
    ),
    (
        "Permission denied (",
        "the server refuses the key",
        "give source.ssh.key, or have this user's key let in there",
    ),
    (
        "server certificate verification failed",
        "the server's certificate is not one that this machine trusts",
        "give source.tls.ca, the file with the authority that signed it",
    ),
    (
        "dubious ownership",
        "git does not trust the folder's owner",
        "run as the owner of the repository",
    ),
    (
        "invalid gitfile format",
        "there is no Git repository",
        "name the folder that holds .git, or a bare repository",
    ),
    (
        "does not appear to be a git repository",
        "there is no Git repository",
        "name the folder that holds .git, or a bare repository",
    ),
)
SHALLOW = (
    "it is a shallow clone, whose older history lies elsewhere",
    "git fetch --unshallow there, or name the repository that it was cloned from",
)
PARTIAL = (
    "it is a partial clone, whose objects lie elsewhere in part",
    "name the repository that it was cloned from",
)
GRANT = "correct source.repository in the policy, or grant this user access"


def locate(context: SourceContext) -> Place:
    """The source without the password that its URL may hold: arguments are seen by everybody."""
    source = context.source
    assert isinstance(source, GitSource)
    location = context.text(source.repository)
    if location.startswith("file://"):
        location = unquote(urlsplit(location).path)
    variables = {"GIT_SSH_COMMAND": shlex.join(_ssh(context, source.ssh))}
    if source.tls is not None:
        # The variable, since one of this user's would outweigh the setting.
        variables["GIT_SSL_CAINFO"] = str(path_of(context, source.tls.ca))
    if "://" not in location:
        if re.match(r"[^/]+:", location):
            return Place(location, variables)
        path = (context.folder / location).resolve()
        return Place(str(path), variables, path if os.path.isdir(path) else None)  # noqa: PTH112  # Path's raises
    parts = urlsplit(location)
    if parts.password is not None:
        remember(parts.password)
        remember(unquote(parts.password))
        host = parts.netloc.rpartition("@")[2]
        location = urlunsplit(parts._replace(netloc=f"{parts.username}@{host}"))
        variables |= {
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": "credential.helper",
            "GIT_CONFIG_VALUE_0": CREDENTIAL_HELPER,
            PASSWORD_VARIABLE: unquote(parts.password),
        }
    return Place(location, variables)


def require_repository(context: SourceContext) -> None:
    """Make sure that there is a repository with its whole history. Raise SourceUnavailable."""
    place, source = locate(context), context.source
    where = f"component {context.component}"
    assert isinstance(source, GitSource)
    for key, named in source.files.items():
        if named and not path_of(context, named).is_file():
            mend = f"create it, or correct source.{key}"
            raise SourceUnavailable(f"no file {path_of(context, named)}", where=where, mend=mend)

    def refuse(what: str, mend: str) -> SourceUnavailable:
        text = f"the repository {place.location} cannot be read: {what}"
        return SourceUnavailable(text, where=where, mend=mend)

    path = Path(place.location)
    if place.location.startswith("/"):
        try:
            path.stat()
        except PermissionError:
            raise refuse("this user may not enter the folder above it", GRANT) from None
        except OSError as error:
            mend = "correct source.repository in the policy"
            raise refuse(error.strerror or str(error), mend) from None
        if not os.access(path, os.R_OK | (os.X_OK if path.is_dir() else 0)):
            raise refuse("this user may not read it", GRANT)
    try:
        run_git(["ls-remote", "--quiet", "--", place.location], environment=place.variables)
        lacking = _lacking(place.folder) if place.folder is not None else None
    except GitCommandError as error:
        said = words(error)
        for sign, what, mend in REFUSALS:
            if sign in said:
                raise refuse(what, mend) from None
        raise refuse(said, GRANT) from None
    if lacking is not None:
        raise refuse(*lacking)


def _lacking(folder: Path) -> tuple[str, str] | None:
    """What the repository in a folder lacks, with the mend. Raise GitCommandError."""
    if run_git(["rev-parse", "--is-shallow-repository"], folder).strip() == "true":
        return SHALLOW
    settings = run_git(["config", "--list", "--name-only"], folder).splitlines()
    return PARTIAL if any(name.endswith(".promisor") for name in settings) else None


def _ssh(context: SourceContext, given: SecureShell | None) -> tuple[str, ...]:
    command = list(SSH)
    if given is not None and given.key:
        command += ["-i", str(path_of(context, given.key)), "-o", "IdentitiesOnly=yes"]
    if given is not None and given.known_hosts:
        hosts = path_of(context, given.known_hosts)
        command += ["-o", f"UserKnownHostsFile={hosts}", "-o", "GlobalKnownHostsFile=/dev/null"]
    return tuple(command)


def path_of(context: SourceContext, text: str) -> Path:
    """A path that the policy names, relative to its own folder. Raise SecretMissing."""
    return (context.folder / Path(context.text(text)).expanduser()).resolve()
