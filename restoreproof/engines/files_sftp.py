"""Files of another machine over SFTP, its host key known beforehand."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import paramiko
from paramiko.sftp import CMD_CLOSE, CMD_HANDLE, CMD_NAME, CMD_OPENDIR, CMD_READDIR

from restoreproof.engines.contract import SourceContext
from restoreproof.engines.files_source import SFTP
from restoreproof.engines.files_tree import Found, Gone, ListedTree, Node, Refused, kind_of
from restoreproof.errors import SourceUnavailable
from restoreproof.outcomes import BackupFailed

CONNECT_SECONDS = 20
SILENT_SECONDS = 120
WINDOW_BYTES = 2**25
TROUBLE = (paramiko.SSHException, EOFError, TimeoutError, ConnectionError)


class SFTPTree(ListedTree):
    """The files that an SFTP server hands out. It tells no inodes."""

    def __init__(self, client: paramiko.SFTPClient, identity: str, version: str) -> None:
        self._client = client
        self._file: paramiko.SFTPFile | None = None
        self.identity, self.version = identity, version

    def look(self, path: str) -> Node:
        with _words():
            return self._node(path, self._client.lstat(os.fsencode(path)))

    def names(self, path: str) -> list[Node]:
        with _words():
            found = [
                self._node(f"{path.rstrip('/')}/{name}", known)
                for name, known in self._listed(os.fsencode(path))
            ]
        return sorted(found, key=lambda node: node.path)

    def open(self, node: Node) -> Found:
        self.close()
        with _words():
            self._file = self._client.open(os.fsencode(node.path), "rb")
            known = self._node(node.path, self._file.stat())
            self._file.prefetch(known.size)
        return Found(known, content=self._file)

    def state_now(self, found: Found) -> tuple[int, ...]:
        assert self._file is not None
        with _words():
            return _state(self._file.stat())

    def again(self, found: Found) -> Found:
        return self.open(found.node)

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _listed(self, path: bytes) -> Iterator[tuple[str, Any]]:
        # paramiko's own takes names for UTF-8, and there are others.
        client: Any = self._client
        kind, answer = client._request(CMD_OPENDIR, path)
        if kind != CMD_HANDLE:
            raise Refused("the server does not list it")
        handle = answer.get_binary()
        while True:
            try:
                kind, answer = client._request(CMD_READDIR, handle)
            except EOFError:
                break
            if kind != CMD_NAME:
                raise Refused("the server does not list it")
            for _ in range(answer.get_int()):
                name, _longname = os.fsdecode(answer.get_binary()), answer.get_binary()
                known = paramiko.SFTPAttributes._from_msg(answer)
                if name not in (".", ".."):
                    yield name, known
        client._request(CMD_CLOSE, handle)

    def _node(self, path: str, known: Any) -> Node:
        kind = kind_of(known.st_mode or 0)
        target: Any = ""
        if kind == "link":
            target = self._client.readlink(os.fsencode(path))
        return Node(
            path,
            kind,
            (known.st_mode or 0) & 0o7777,
            known.st_uid or 0,
            known.st_gid or 0,
            (known.st_size or 0) if kind == "file" else 0,
            known.st_mtime or 0,
            os.fsdecode(target),
            _state(known),
        )


@contextmanager
def sftp_tree(context: SourceContext, place: SFTP) -> Iterator[SFTPTree]:
    """The files of the machine that a policy names.

    Raise SourceUnavailable if it does not answer, is not the one that is known, or refuses us.
    """
    where = f"component {context.component}"
    host, user = context.text(place.host), context.text(place.user)
    with paramiko.SSHClient() as client:
        _trust(client, context, place)
        key = (
            context.folder / Path(context.text(place.key_file)).expanduser()
            if place.key_file
            else None
        )
        password = context.secret(place.password) if place.password else None
        passphrase = context.secret(place.passphrase) if place.passphrase else None
        try:
            client.connect(
                host,
                place.port,
                user,
                password=password,
                key_filename=str(key) if key else None,
                passphrase=passphrase,
                timeout=CONNECT_SECONDS,
                banner_timeout=CONNECT_SECONDS,
                auth_timeout=CONNECT_SECONDS,
                allow_agent=False,
                look_for_keys=False,
            )
            transport = client.get_transport()
            assert transport is not None
            sftp = paramiko.SFTPClient.from_transport(transport, window_size=WINDOW_BYTES)
            assert sftp is not None
            sftp.get_channel().settimeout(SILENT_SECONDS)
        except paramiko.BadHostKeyException as error:
            what = f"{host} shows another host key than the one that is known"
            mend = f"find out why before anything else; its key is now {_print_of(error.key)}"
            raise SourceUnavailable(what, where=where, mend=mend) from None
        except paramiko.PasswordRequiredException:
            mend = "give source.sftp.passphrase"
            raise SourceUnavailable(f"{key} is locked", where=where, mend=mend) from None
        except paramiko.AuthenticationException:
            what = f"{user} is refused by {host}"
            mend = "correct user and key_file or password in source.sftp"
            raise SourceUnavailable(what, where=where, mend=mend) from None
        except paramiko.SSHException as error:
            raise _refused(error, host, where) from None
        except (OSError, EOFError, ValueError) as error:
            what = getattr(error, "strerror", None) or str(error) or "no answer"
            if isinstance(error, FileNotFoundError | PermissionError | ValueError):
                mend = "correct source.sftp.key_file in the policy"
                raise SourceUnavailable(f"{key}: {what}", where=where, mend=mend) from None
            what = f"{host} port {place.port} does not answer over SSH: {what}"
            mend = "correct host and port in source.sftp, or start its server"
            raise SourceUnavailable(what, where=where, mend=mend) from None
        identity = f"{user}@{host}:{place.port} {_print_of(transport.get_remote_server_key())}"
        try:
            yield SFTPTree(sftp, identity, transport.remote_version)
        except TROUBLE as error:
            words = str(error) or type(error).__name__
            raise BackupFailed(f"the connection to {host} was lost: {words}") from None


def _trust(client: paramiko.SSHClient, context: SourceContext, place: SFTP) -> None:
    named = context.text(place.known_hosts) if place.known_hosts else "~/.ssh/known_hosts"
    path = context.folder / Path(named).expanduser()
    client.set_missing_host_key_policy(paramiko.RejectPolicy())
    try:
        client.load_host_keys(str(path))
    except (OSError, paramiko.SSHException) as error:
        if not place.known_hosts:
            return
        what = f"{path} cannot be read: {getattr(error, 'strerror', None) or error}"
        mend = "correct source.sftp.known_hosts in the policy"
        where = f"component {context.component}"
        raise SourceUnavailable(what, where=where, mend=mend) from None


def _refused(error: paramiko.SSHException, host: str, where: str) -> SourceUnavailable:
    words = str(error)
    if "not found in known_hosts" in words:
        mend = (
            f"ask the machine itself for its key's fingerprint, compare it with that of"
            f" `ssh-keyscan {host}`, and put the line into source.sftp.known_hosts"
        )
        return SourceUnavailable(f"the host key of {host} is not known", where=where, mend=mend)
    if words == "Invalid key":
        # What paramiko says of a key that comes out wrong.
        mend = "correct source.sftp.passphrase, or key_file"
        return SourceUnavailable("the passphrase does not open the key", where=where, mend=mend)
    mend = "correct source.sftp in the policy"
    return SourceUnavailable(f"{host} over SSH: {words}", where=where, mend=mend)


def _print_of(key: Any) -> str:
    return f"{key.get_name()} {key.fingerprint}"


def _state(known: Any) -> tuple[int, ...]:
    return (known.st_size or 0, known.st_mtime or 0)


@contextmanager
def _words() -> Iterator[None]:
    """What a server answers of one file, apart from trouble with the connection."""
    try:
        yield
    except FileNotFoundError:
        raise Gone from None
    except (TimeoutError, ConnectionError):
        raise
    except OSError as error:
        raise Refused(error.strerror or str(error)) from None
