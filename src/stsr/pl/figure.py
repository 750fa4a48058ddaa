"""Figures as notebooks and scripts want them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def figure_of(rows: int, cols: int, *, width: float, height: float) -> tuple[Figure, NDArray[Any]]:
    """A figure of ``width`` x ``height`` inches with (rows, cols) axes: pyplot's current one, but for notebooks."""
    import matplotlib
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(rows, cols, figsize=(width, height), squeeze=False, layout="constrained")
    if "inline" in matplotlib.get_backend():
        plt.close(figure)  # a notebook shows the figure that a function returns, and would show an open one once more
    return figure, axes
