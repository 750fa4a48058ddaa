"""Figures as pixels: what colour a place in µm has."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray


class Picture:
    """A figure as it is saved: ``pixels`` are (rows, cols, 3) colours from 0 to 1."""

    def __init__(self, figure: Figure) -> None:
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        self.pixels: NDArray[np.float64] = np.asarray(canvas.buffer_rgba())[..., :3] / 255

    def place(self, axes: Axes, xy: ArrayLike) -> tuple[int, int]:
        """Row and column of a point in µm."""
        x, y = axes.transData.transform(xy)
        return int(len(self.pixels) - y), int(x)

    def around(self, axes: Axes, xy: ArrayLike, reach: int = 1) -> NDArray[np.float64]:
        """(2 reach + 1, 2 reach + 1, 3) pixels around a point in µm."""
        row, col = self.place(axes, xy)
        return self.pixels[row - reach : row + reach + 1, col - reach : col + reach + 1]

    def colour(self, axes: Axes, xy: ArrayLike) -> NDArray[np.float64]:
        """Mean colour at a point in µm."""
        return self.around(axes, xy).mean(axis=(0, 1))

    def darkness(self, axes: Axes, xy: ArrayLike) -> float:
        """0 for white, 1 for black at a point in µm."""
        return float(1 - self.colour(axes, xy).mean())
