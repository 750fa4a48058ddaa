"""A drawing of a network as SVG, made from the list of its steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import mean
from textwrap import wrap
from xml.sax.saxutils import escape

from cards import Network, Step

WIDTH, GAP, RISE, LINE, PADDING, MARGIN, LANE = 186, 22, 40, 15, 6, 12, 4
"""Pixels: width of a box, between boxes of a row, between rows, height of a line of text, above and below the text of a box,
around all, width of a lane."""

SWEEPS = 8
"""How often the order of all rows is improved, from the top down and from the bottom up in turn."""

LETTERS = 29
"""Longest line of text in a box."""

STYLE = (
    "text{font:11px sans-serif;text-anchor:middle;fill:#1b1b1b}.name{font-weight:bold}.title{font-size:13px;font-weight:bold}"
    ".learned{fill:#dbe9f6;stroke:#2b6ca3}.made{fill:#fff;stroke:#2b6ca3}.given{fill:#f2efe6;stroke:#8a7f5c}"
    "path{fill:none;stroke:#555;marker-end:url(#tip)}"
)


@dataclass
class Box:
    """A step, an input, or the place where an arrow passes a row; its kind is that of its style, empty for an arrow."""

    title: str
    lines: list[str]
    kind: str
    row: int
    x: float = 0
    y: float = 0
    height: int = 0

    @property
    def width(self) -> int:
        """Of a box, or of the lane that an arrow needs."""
        return WIDTH if self.kind else LANE

    @property
    def need(self) -> int:
        """Height that its text needs; a lane takes that of its row."""
        return LINE * (1 + len(self.lines)) + 2 * PADDING if self.kind else 0

    @property
    def middle(self) -> float:
        """Where its centre lies, along x."""
        return self.x + self.width / 2


Arrow = list[Box]
"""The boxes that an arrow leads along, one a row."""


def draw(networks: Sequence[Network]) -> str:
    """The networks below one another, each with its title; a step lies below all of its inputs."""
    body, top, right = [], float(MARGIN), 0.0
    for network in networks:
        if network.title:
            top += 2 * LINE
        rows, arrows = _rows(network.steps)
        width, bottom = _place(rows, arrows, top)
        if network.title:
            body.append(f'<text class="title" x="{width / 2:.0f}" y="{top - LINE:.0f}">{escape(network.title)}</text>')
        body += [_line(arrow) for arrow in arrows]
        body += [_drawn(box) for row in rows for box in row if box.kind]
        top, right = bottom + RISE, max(right, width)
    height = top - RISE + MARGIN
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {right:.0f} {height:.0f}" width="{right:.0f}" '
        f'height="{height:.0f}"><style>{STYLE}</style><defs><marker id="tip" markerWidth="8" markerHeight="8" refX="7" '
        'refY="4" orient="auto"><path d="M0,0 L8,4 L0,8 z" style="fill:#555;stroke:none;marker-end:none"/></marker></defs>'
        f'<rect width="100%" height="100%" fill="#fff"/>{"".join(body)}</svg>\n'
    )


def in_words(networks: Sequence[Network]) -> str:
    """The same for those who cannot see it."""
    return " ".join(
        f"{network.title + ': ' if network.title else ''}"
        + "; ".join(f"{', '.join(step.names)} from {', '.join(step.inputs)}" for step in network.steps)
        + "."
        for network in networks
    )


def _rows(steps: Sequence[Step]) -> tuple[list[list[Box]], list[Arrow]]:
    """Boxes in rows, below all of their inputs, and arrows; an arrow over several rows has a lane in those between."""
    boxes: dict[str, Box] = {}
    edges: list[tuple[Box, Box]] = []
    for step in steps:
        for name in step.inputs:
            boxes.setdefault(name, Box(name, [], "given", 0))
        row = 1 + max(boxes[name].row for name in step.inputs)
        box = Box(", ".join(step.names), wrap(step.what, LETTERS), "learned" if step.learned else "made", row)
        edges += [(boxes[name], box) for name in step.inputs]
        boxes |= dict.fromkeys(step.names, box)
    for start, _ in edges:
        if start.kind == "given":  # just above the first step that uses it
            start.row = min(end.row for other, end in edges if other is start) - 1
    arrows = [[start, *(Box("", [], "", row) for row in range(start.row + 1, end.row)), end] for start, end in edges]
    every = {id(box): box for box in [*boxes.values(), *(box for arrow in arrows for box in arrow)]}.values()
    return [[box for box in every if box.row == row] for row in range(1 + max(box.row for box in every))], arrows


def _place(rows: list[list[Box]], arrows: Sequence[Arrow], top: float) -> tuple[float, float]:
    """Give the boxes their places, near those that they are joined with; returns width and bottom of the drawing."""
    pairs = [pair for arrow in arrows for pair in pairwise(arrow)]
    spans = [sum(box.width + GAP for box in row) - GAP for row in rows]
    width = max(spans) + 2 * MARGIN
    for row, span in zip(rows, spans, strict=True):
        _line_up(row, (width - span) / 2)
    for sweep in range(SWEEPS):
        down = sweep % 2 == 0
        for row, span in list(zip(rows, spans, strict=True))[:: 1 if down else -1]:
            pull = {
                id(box): mean(
                    [(a if down else b).middle for a, b in pairs if (b if down else a) is box] or [box.middle]
                )
                for box in row
            }
            row.sort(key=lambda box, pull=pull: pull[id(box)])
            _line_up(row, (width - span) / 2)
    for row in rows:
        tallest = max(box.need for box in row)
        for box in row:
            box.y, box.height = top, box.need or tallest
        top += tallest + RISE
    return width, top - RISE


def _line_up(row: Sequence[Box], left: float) -> None:
    for box in row:
        box.x, left = left, left + box.width + GAP


def _line(arrow: Arrow) -> str:
    """A smooth line from the bottom of the first box to the top of the last, straight where it passes a row."""
    path = ""
    for start, end in pairwise(arrow):
        y1, y2 = start.y + start.height, end.y
        path += f" {'M' if not path else 'L'}{start.middle:.0f},{y1:.0f}"
        half = (y1 + y2) / 2
        path += f" C{start.middle:.0f},{half:.0f} {end.middle:.0f},{half:.0f} {end.middle:.0f},{y2:.0f}"
    return f'<path d="{path.strip()}"/>'


def _drawn(box: Box) -> str:
    texts = [
        f'<text class="{"what" if i else "name"}" x="{box.middle:.0f}" '
        f'y="{box.y + PADDING + LINE * (i + 0.8):.0f}">{escape(line)}</text>'
        for i, line in enumerate([box.title, *box.lines])
    ]
    shape = f'<rect class="{box.kind}" x="{box.x:.0f}" y="{box.y:.0f}" width="{WIDTH}" height="{box.height}" rx="6"/>'
    return shape + "".join(texts)
