"""The sandbox of a MySQL server, of whose log only the server's own errors are told.

The server writes whole damaged pages into its log, and with them rows of the estate.
"""

import re
from dataclasses import dataclass
from typing import Literal

from restoreproof.execution import engine_trouble
from restoreproof.sandbox import CRASH_LINES, Sandbox

ERROR = re.compile(
    r"^[-\d]+[T ] ?[:.\d]+Z? \d+ \[ERROR\] (?:\[MY-(?P<code>\d+)\] )?(?P<words>.*)", re.MULTILINE
)
SIGNAL = re.compile(r"\b(?:mysqld|mariadbd) got signal \d+")
TOLD = 3


@dataclass(frozen=True)
class MySQLSandbox(Sandbox):
    """A sandbox whose server has been given data of an estate."""

    def last_words(self) -> str:
        """The last errors that the server told, and by which signal it ended."""
        log = self._log(tail=CRASH_LINES)
        told = [error["words"] for error in ERROR.finditer(log)][-TOLD:]
        return " | ".join([*told, *SIGNAL.findall(log)[-1:]]) or "no error in its log"

    def errors(self) -> list[re.Match[str]]:
        """The errors in the server's log, each with its code and words."""
        return list(ERROR.finditer(self._log(tail="all")))

    def _log(self, tail: int | Literal["all"]) -> str:
        with engine_trouble():
            return str(self.container.logs(tail=tail).decode("utf-8", "replace"))
