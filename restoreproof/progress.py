"""Says what a run is doing while it does it, with times, on the screen and in its log."""

import time
from pathlib import Path

from rich.console import Console
from rich.text import Text

from restoreproof.redaction import redact

STYLES = {"passed": "green", "unproven": "yellow", "error": "magenta", "failed": "bold red"}


class Progress:
    """One line a step: seconds since the beginning, then what is done.

    Lines are kept until a log file is opened, so the log begins with the run.
    """

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(highlight=False, soft_wrap=True)
        self._begun = time.monotonic()
        self._kept: list[str] = []
        self._log: Path | None = None

    def __call__(self, text: str) -> None:
        """Tell of a step."""
        self._write(f"[{self.elapsed_seconds:6.1f} s] {redact(text)}")

    def answer(self, verdict: str, text: str) -> None:
        """Tell of a check's answer, coloured by it."""
        line = f"[{self.elapsed_seconds:6.1f} s] {verdict:<8} {redact(text)}"
        self._write(line, STYLES.get(verdict, ""))

    def plain(self, text: str, style: str = "") -> None:
        """Print a line without a time."""
        self._write(redact(text), style)

    @property
    def elapsed_seconds(self) -> float:
        """Seconds since the beginning."""
        return time.monotonic() - self._begun

    def open_log(self, path: Path) -> None:
        """Write the log to a file from now on, with what was said so far."""
        self._log = path
        self._append("".join(line + "\n" for line in self._kept))

    def close_log(self) -> None:
        """Stop writing to the log."""
        self._log = None

    def _write(self, line: str, style: str = "") -> None:
        self._console.print(Text(line, style=style))
        self._kept.append(line)
        self._append(line + "\n")

    def _append(self, text: str) -> None:
        if self._log is None:
            return
        try:
            with self._log.open("a", encoding="utf-8") as log:
                log.write(text)
        except OSError as error:
            # The evidence will not fit either, and ends the run in words of its own.
            self._log = None
            self._console.print(Text(f"the log cannot be written: {error.strerror}"))
