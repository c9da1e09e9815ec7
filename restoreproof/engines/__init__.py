"""The engines: one module each in this folder, found by its file name.

An engine module holds one class that derives from ``contract.Engine`` and an instance of it
named ``engine``. Nothing else names it: policy, jobs, restores and contract tests find it here.
"""

import pkgutil
from functools import cache
from importlib import import_module
from typing import Any

from restoreproof.engines.contract import Engine

NOT_ENGINES = {"contract"}


@cache
def names() -> tuple[str, ...]:
    """The names of all engines, sorted."""
    found = (module.name for module in pkgutil.iter_modules(__path__))
    return tuple(sorted(name for name in found if _is_engine(name)))


@cache
def load(name: str) -> Engine[Any]:
    """The engine of this name. Raise KeyError if there is none."""
    if name not in names():
        raise KeyError(name)
    engine = import_module(f"{__name__}.{name}").engine
    assert isinstance(engine, Engine)
    return engine


def _is_engine(name: str) -> bool:
    return name not in NOT_ENGINES and "_" not in name
