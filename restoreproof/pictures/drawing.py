"""Vector graphics with a text alternative: shapes in, SVG out, the same bytes every time.

Meanings differ in shape and fill and never in colour alone, so that they survive greyscale.
"""

from collections.abc import Iterable

from markupsafe import Markup, escape

from restoreproof.verdicts import Verdict
from restoreproof.wording import excerpt, printable

INK, MUTED, RULE = "#16191d", "#4a5560", "#c3cad1"
NAVY, PALE, RED, GREEN, AMBER = "#16324f", "#9fb3c8", "#7d1515", "#14502f", "#5c3c00"
WIDTH = 658.0
"""All pictures are as wide as the text, in units of their own."""

CELL = 13.0
SIGNS = {
    Verdict.PASSED: ("M3 6.8l2.4 2.6 4.6-5.6", GREEN, "#ffffff", ""),
    Verdict.UNPROVEN: (
        "M4.6 4.9a2 2 0 1 1 3 1.6c-.8.5-1 .8-1 1.7M6.6 9.6v.9", MUTED, "#ffffff", "2 1.4",
    ),
    Verdict.ERROR: ("M6.5 2.8v4.6M6.5 9.2v1.2", AMBER, "#fff6e0", ""),
    Verdict.FAILED: ("M3.6 3.6l5.8 5.8M9.4 3.6l-5.8 5.8", "#ffffff", RED, ""),
}  # fmt: skip
"""Verdict to the strokes of its sign in a cell, their colour, the cell's, and its outline."""


class Drawing:
    """One picture in the making; lengths are in units of which the text's width has WIDTH."""

    def __init__(self, title: str, height: float) -> None:
        self._height = height
        self._parts = [Markup("<title>{}</title>").format(printable(title))]

    def rectangle(
        self,
        x: float,
        y: float,
        width: float,
        height: float,
        *,
        fill: str = NAVY,
        stroke: str = "none",
        dashes: str = "",
    ) -> None:
        self._add(
            f'<rect x="{x:.2f}" y="{y:.2f}" width="{width:.2f}" height="{height:.2f}"'
            f' fill="{fill}" stroke="{stroke}" stroke-width="0.8"{_dashes(dashes)}/>'
        )

    def rectangles(
        self,
        boxes: Iterable[tuple[float, float, float, float]],
        *,
        fill: str = "none",
        stroke: str = "none",
        dashes: str = "",
    ) -> None:
        """Many rectangles (x, y, width, height) of one look, as one shape."""
        strokes = (
            f"M{x:.2f} {y:.2f}h{width:.2f}v{height:.2f}h-{width:.2f}z"
            for x, y, width, height in boxes
        )
        self.path(strokes, fill=fill, stroke=stroke, dashes=dashes)

    def path(
        self,
        strokes: Iterable[str],
        *,
        fill: str = "none",
        stroke: str = "none",
        weight: float = 0.8,
        dashes: str = "",
    ) -> None:
        """Many strokes, in the language of SVG's paths, as one shape."""
        drawn = "".join(strokes)
        if drawn:
            self._add(
                f'<path d="{drawn}" fill="{fill}" stroke="{stroke}"'
                f' stroke-width="{weight}"{_dashes(dashes)}/>'
            )

    def line(
        self, x1: float, y1: float, x2: float, y2: float, *, stroke: str = RULE, dashes: str = ""
    ) -> None:
        self.path([f"M{x1:.2f} {y1:.2f}L{x2:.2f} {y2:.2f}"], stroke=stroke, dashes=dashes)

    def text(
        self,
        x: float,
        y: float,
        words: str,
        *,
        anchor: str = "start",
        fill: str = INK,
        size: float = 9,
        limit: int = 60,
    ) -> None:
        """Words whose start, middle or end is at x; shortened visibly above the limit."""
        self._parts.append(
            Markup(
                '<text x="{}" y="{}" text-anchor="{}" fill="{}" font-size="{}">{}</text>'
            ).format(
                f"{x:.2f}", f"{y:.2f}", anchor, fill, f"{size:g}", printable(excerpt(words, limit))
            )
        )

    def verdicts(self, cells: Iterable[tuple[float, float, Verdict]]) -> None:
        """A sign in a box for each verdict; x and y are the upper left corner."""
        placed = list(cells)
        for verdict, (sign, ink, fill, dashes) in SIGNS.items():
            mine = [(x, y) for x, y, one in placed if one is verdict]
            edge = RED if verdict is Verdict.FAILED else ink
            boxes = [(x, y, CELL, CELL) for x, y in mine]
            self.rectangles(boxes, fill=fill, stroke=edge, dashes=dashes)
            if verdict is Verdict.ERROR:
                inner = [(x + 1.4, y + 1.4, CELL - 2.8, CELL - 2.8) for x, y in mine]
                self.rectangles(inner, stroke=edge)
            self.path((_moved(sign, x, y) for x, y in mine), stroke=ink, weight=1.3)

    def svg(self) -> Markup:
        """The whole picture."""
        opening = (
            f'<svg xmlns="http://www.w3.org/2000/svg" role="img"'
            f' viewBox="0 0 {WIDTH:g} {self._height:g}" font-family="DejaVu Sans" font-size="9">'
        )
        return Markup("{}{}</svg>").format(_ours(opening), Markup("").join(self._parts))

    def _add(self, markup: str) -> None:
        self._parts.append(_ours(markup))


def _ours(markup: str) -> Markup:
    return Markup(markup)  # noqa: S704  # numbers and colours alone: words go through format()


def _dashes(pattern: str) -> str:
    return f' stroke-dasharray="{escape(pattern)}"' if pattern else ""


def _moved(strokes: str, x: float, y: float) -> str:
    """The strokes of a sign at another place; each begins with the only absolute position."""
    moved = []
    for stroke in strokes.split("M")[1:]:
        end = next(i for i, char in enumerate(stroke) if char.isalpha())
        left, top = (float(part) for part in stroke[:end].split())
        moved.append(f"M{left + x:.2f} {top + y:.2f}{stroke[end:]}")
    return "".join(moved)
