"""Files and repositories against the usual tools, both sides in one run: one JSON line a figure.

``tox run -e benchmark -- files [figure ...]``; machines are noisy, so quote the ratios and not
the seconds.
"""

import argparse
import dataclasses
import json
import pkgutil
import sys
import tempfile
from importlib import import_module
from pathlib import Path


def main() -> None:
    """Measure the figures that are named, or all of them."""
    here = Path(__file__).parent
    sys.path.insert(0, str(here))
    names = sorted(one.name for one in pkgutil.iter_modules([str(here / "files_figures")]))
    parser = argparse.ArgumentParser(prog="files")
    parser.add_argument("figures", nargs="*", metavar="figure", help=", ".join(names))
    chosen = parser.parse_args()
    if unknown := set(chosen.figures) - set(names):
        parser.error(f"no such figure: {', '.join(sorted(unknown))}; there are {', '.join(names)}")
    for name in chosen.figures or names:
        module = import_module(f"files_figures.{name}")
        with tempfile.TemporaryDirectory() as folder:
            for figure in module.measure(Path(folder)):
                print(json.dumps(dataclasses.asdict(figure)), flush=True)


if __name__ == "__main__":
    main()
