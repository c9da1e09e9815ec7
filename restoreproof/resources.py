"""Where the files lie that are no Python: suites, fixtures and reports."""

from pathlib import Path
from typing import Literal

from restoreproof.errors import InfrastructureError

_PACKAGE = Path(__file__).resolve().parent


def folder(name: Literal["suites", "fixtures", "reports"]) -> Path:
    """The folder of that name: inside an installed wheel's package, or beside it in a checkout.

    Raise `InfrastructureError` if the installation lacks it.
    """
    for parent in (_PACKAGE, _PACKAGE.parent):
        candidate = parent / name
        if candidate.is_dir():
            return candidate
    raise InfrastructureError(
        f"the installation has no folder {name}",
        where=str(_PACKAGE),
        mend="install restoreproof again",
    )
