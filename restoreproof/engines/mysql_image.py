"""Which server an image holds, asked of the server's program itself."""

import re

from restoreproof.engines.mysql_dialect import SUPPORTED, Dialect, UnknownSeries, dialect
from restoreproof.errors import ImageUnavailable, SandboxTrouble
from restoreproof.images import Image
from restoreproof.sandbox import Sandboxes

NONE = "no server"
ASK = f"server=$(command -v mariadbd || command -v mysqld) && exec $server --version || echo {NONE}"
VERSION = re.compile(r"\bVer (\S+)")
MEND = f"name an image of the source's own series; supported are {SUPPORTED}"

# An image never changes under its identifier, and asking takes a container.
_known: dict[str, str] = {}


def version_in(image: Image, sandboxes: Sandboxes) -> str:
    """The version that the image's server has.

    Raise ImageUnavailable if it holds none, SandboxTrouble if it could not be asked.
    """
    if image.identifier not in _known:
        with sandboxes.tools(image) as tools:
            answered = tools.run(["sh", "-c", ASK])
        found = VERSION.search(answered.output)
        if found is None and answered.output.strip() != NONE:
            raise SandboxTrouble(f"the image's server could not be asked: {answered.complaint}")
        if found is None:
            what = "the image holds no server of MySQL or MariaDB"
            raise ImageUnavailable(what, where=image.reference, mend=MEND)
        _known[image.identifier] = found[1]
    return _known[image.identifier]


def dialect_of(image: Image, sandboxes: Sandboxes) -> Dialect:
    """How to speak with the image's programs. Raise ImageUnavailable if that is not known."""
    try:
        return dialect(version_in(image, sandboxes))
    except UnknownSeries as unknown:
        what = f"the image holds {unknown}"
        raise ImageUnavailable(what, where=image.reference, mend=MEND) from None
