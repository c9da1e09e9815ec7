"""The configuration of a server as an artifact of its backups, and back beside a restored one.

Values may be secrets, so nothing but digests of whole files leaves the vault.
"""

from collections.abc import Iterator, Mapping

from restoreproof.engines.contract import BackupToRestore
from restoreproof.engines.file_archive import restored_items, unpack
from restoreproof.fingerprint import Item
from restoreproof.sandbox import Sandbox

KIND = "configuration"
CONFIGURATION = "configuration.tar"
FACT = "configuration"
"""The fact of a backup that holds one."""
FOLDER = "/var/tmp/restoreproof-configuration"  # noqa: S108  # inside a container of ours alone
ITEM = "configuration file"


def restore_configuration(sandbox: Sandbox, backup: BackupToRestore) -> None:
    """Put the configuration of a backup beside a restored server. Raise RestoreFailed."""
    if FACT in backup.facts:
        unpack(sandbox, FOLDER, backup.read(CONFIGURATION))


def configuration_items(sandbox: Sandbox, facts: Mapping[str, str]) -> Iterator[Item]:
    """An item for each file of the configuration that came back."""
    if FACT in facts:
        yield from restored_items(sandbox, FOLDER, ITEM)
