"""What all commands of the command line share: how errors are told, imports when needed."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import typer

from restoreproof.errors import RestoreProofError

INTERRUPTED = 130
ARCHIVE = Path("reports/archive")


@contextmanager
def reported() -> Iterator[None]:
    """Errors raised on purpose as their lines, without a traceback, with their exit code."""
    try:
        yield
    except RestoreProofError as error:
        for line in error.lines():
            typer.echo(line, err=True)
        raise typer.Exit(error.exit_code) from None
    except KeyboardInterrupt:
        typer.echo("interrupted: nothing was left behind", err=True)
        raise typer.Exit(INTERRUPTED) from None


def module(name: str) -> Any:
    """A module of ours, imported only now: `verify` needs neither Docker nor a database library."""
    return import_module(f"restoreproof.{name}")
