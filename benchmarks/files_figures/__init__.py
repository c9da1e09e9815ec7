"""One module a figure: ``measure(folder)`` yields what was measured, both sides in one run."""
