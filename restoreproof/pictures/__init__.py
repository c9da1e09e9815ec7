"""Pictures of the report: one module a picture, each a function from evidence to SVG.

Each has a title in words, which is what a screen reader says and what the PDF's tags carry.
"""
