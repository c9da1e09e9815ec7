"""How long a large report takes to render: one JSON line a figure.

Issue 6 wants 10 s or less for 50 components with 1,000 checks. Seconds of the processor are
told beside those of the clock, since other work on the machine is in the latter alone.
"""

import io
import json
import sys
import time
from pathlib import Path

from pypdf import PdfReader

from restoreproof import report

COMPONENTS, CHECKS, FINDINGS = 50, 1_000, 20


def main() -> None:
    """Render twice: the first time fonts are looked up."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
    import samples  # noqa: PLC0415

    evidence = samples.large(components=COMPONENTS, checks=CHECKS, findings=FINDINGS)
    for run in (1, 2):
        clock, processor = time.monotonic(), time.process_time()
        pdf = report.render(evidence)
        figure = {
            "figure": "report_seconds",
            "run": run,
            "value": round(time.monotonic() - clock, 1),
            "processor_seconds": round(time.process_time() - processor, 1),
            "pages": len(PdfReader(io.BytesIO(pdf)).pages),
        }
        print(json.dumps(figure))


if __name__ == "__main__":
    main()
