"""MySQL against the usual tools, both sides in one run: one JSON line a figure.

``tox run -e benchmark -- mysql [--rows N] [figure ...]``; machines are noisy, so quote the
ratios and not the seconds.
"""

import argparse
import dataclasses
import json
import pkgutil
import sys
import tempfile
from importlib import import_module
from pathlib import Path

ROWS = 2_000_000


def main() -> None:
    """Measure the figures that are named, or all of them."""
    here = Path(__file__).parent
    sys.path.insert(0, str(here))
    names = sorted(one.name for one in pkgutil.iter_modules([str(here / "mysql_figures")]))
    parser = argparse.ArgumentParser(prog="mysql")
    parser.add_argument("--rows", type=int, default=ROWS, help="rows in the large table")
    parser.add_argument("figures", nargs="*", metavar="figure", help=", ".join(names))
    chosen = parser.parse_args()
    if unknown := set(chosen.figures) - set(names):
        parser.error(f"no such figure: {', '.join(sorted(unknown))}; there are {', '.join(names)}")
    bench = import_module("mysql_bench")
    with (
        tempfile.TemporaryDirectory() as folder,
        bench.bench(Path(folder), chosen.rows) as filled,
    ):
        for name in chosen.figures or names:
            module = import_module(f"mysql_figures.{name}")
            for figure in module.measure(filled):
                print(json.dumps(dataclasses.asdict(figure)), flush=True)


if __name__ == "__main__":
    main()
