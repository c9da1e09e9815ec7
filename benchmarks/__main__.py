"""Runs one benchmark by name: ``tox run -e benchmark -- demo``."""

import runpy
import sys
from pathlib import Path

FOLDER = Path(__file__).parent
NAMES = ["demo", "files", "influxdb", "influxdb2", "mysql", "report"]


def main() -> None:
    """Run the benchmark that is named first among the arguments."""
    if len(sys.argv) < 2 or sys.argv[1] not in NAMES:
        sys.exit(f"name a benchmark: {', '.join(NAMES)}")
    name = sys.argv.pop(1)
    runpy.run_path(str(FOLDER / f"{name}.py"), run_name="__main__")


if __name__ == "__main__":
    main()
