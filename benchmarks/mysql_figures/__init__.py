"""One module a figure: ``measure(bench)`` yields what was measured, both sides in one run."""
