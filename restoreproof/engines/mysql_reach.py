"""How programs of this machine log in to a MySQL server: option files, and no arguments."""

from collections.abc import Mapping
from pathlib import Path

from restoreproof.engines.contract import SourceContext
from restoreproof.engines.mysql_source import address, authorities, options_file, source_of
from restoreproof.storage import write_once


def reach_source(context: SourceContext, folder: Path) -> dict[str, str]:
    """The variables of a policy's commands, for its source. Raise SecretMissing."""
    source = source_of(context)
    host, port = address(context)
    login = {"user": context.text(source.user), "password": context.secret(source.password)}
    place: dict[str, str | int] = {"host": host, "port": port, "protocol": "tcp"}
    if trusted := authorities(context):
        path = folder / "ca.pem"
        write_once(path, trusted.encode(), mode=0o600)
        place["ssl-ca"] = str(path)
    return reach_files(folder, login, place) | {"host": host, "port": str(port)}


def reach_files(
    folder: Path, login: Mapping[str, str], place: Mapping[str, str | int], more: bytes = b""
) -> dict[str, str]:
    """Write an option file and a file with the password alone, for this user's eyes."""
    options, password = folder / "client.cnf", folder / "password"
    write_once(options, options_file(**login, **place) + more, mode=0o600)
    write_once(password, f"{login['password']}\n".encode(), mode=0o600)
    return {
        "host": str(place["host"]),
        "user": login["user"],
        "defaults_file": str(options),
        "password_file": str(password),
    }
