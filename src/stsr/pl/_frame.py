"""Panels in the section's µm frame: which part of it they show, the image underneath, and a scale bar."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from stsr.geometry import Grid
from stsr.options import Items, Number
from stsr.pl.figure import figure_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


MARGIN = 0.02
"""Room around the tissue, as a share of its longer side."""


@dataclass(frozen=True)
class Frame:
    """The rectangle in µm that all panels of a figure show.

    Parameters
    ----------
    x0, y0, x1, y1
        Left, top, right and bottom: y points down, as in the image.
    """

    x0: float
    y0: float
    x1: float
    y1: float

    @classmethod
    def of(cls, grid: Grid, crop: Sequence[float] | None) -> Frame:
        """The part asked for, or the whole tissue and a little more."""
        xy = grid.xy
        (left, top), (right, bottom) = xy.min(axis=0) - grid.bin_size, xy.max(axis=0) + grid.bin_size
        if crop is None:
            margin = MARGIN * max(right - left, bottom - top)
            return cls(left - margin, top - margin, right + margin, bottom + margin)
        sides = Items(Number(), least=4, most=4)("crop", crop)
        if not (sides[0] < sides[2] and sides[1] < sides[3]):
            raise ValueError(f"crop={sides} must be left, top, right and bottom in µm, the smaller first each way.")
        frame = cls(*sides)
        if not frame.shows(xy).any():
            raise ValueError(
                f"crop={sides} shows no cell; the tissue reaches from {left:.0f} to {right:.0f} µm across and from "
                f"{top:.0f} to {bottom:.0f} µm down."
            )
        return frame

    @property
    def width(self) -> float:
        """µm from left to right."""
        return self.x1 - self.x0

    @property
    def height(self) -> float:
        """µm from top to bottom."""
        return self.y1 - self.y0

    def shows(self, xy: NDArray[np.float64], margin: float = 0.0) -> NDArray[np.bool_]:
        """(points,) which points (points, 2) lie in the frame or at most ``margin`` µm beside it."""
        across = (xy[:, 0] >= self.x0 - margin) & (xy[:, 0] <= self.x1 + margin)
        return across & (xy[:, 1] >= self.y0 - margin) & (xy[:, 1] <= self.y1 + margin)

    def fit(self, axes: Axes) -> None:
        """Have ``axes`` show the frame, bare of ticks and spines."""
        axes.set(xlim=(self.x0, self.x1), ylim=(self.y1, self.y0), aspect="equal", xticks=[], yticks=[])
        axes.spines[:].set_visible(False)


def panels(frame: Frame, rows: int, cols: int, size: float) -> tuple[Figure, NDArray[Any]]:
    """A figure of ``rows`` x ``cols`` panels whose longer side is ``size`` inches."""
    scale = size / max(frame.width, frame.height)
    bars, titles = 0.75, 0.35
    figure, axes = figure_of(
        rows, cols, width=cols * (frame.width * scale + bars), height=rows * (frame.height * scale + titles)
    )
    for panel in axes.flat:
        frame.fit(panel)
    return figure, axes
