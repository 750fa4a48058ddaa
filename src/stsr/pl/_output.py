"""What becomes of a figure: pyplot shows it, a file keeps it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stsr.options import Switch

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DPI = 200
"""Dots per inch of a saved picture: as many as its image pixels need."""


def check_output(show: bool | None, save: str | os.PathLike[str] | None, ax: Any = None) -> None:
    """Refuse what no figure can be written to or drawn on, before anything is drawn.

    Raises
    ------
    ValueError
        For a format that matplotlib does not write, or something that is no axes.
    FileNotFoundError
        When the folder of ``save`` is not there.
    """
    Switch(optional=True)("show", show)
    if ax is not None and not hasattr(ax, "get_figure"):
        raise ValueError(f"ax={ax!r} is of type {type(ax).__name__}; pass one axes of matplotlib, such as plt.gca().")
    if save is None:
        return
    if not isinstance(save, str | os.PathLike) or not Path(save).name:
        raise ValueError(f"save={save!r} is no path of a file; pass one such as 'map.png'.")
    formats = _formats()
    if Path(save).suffix.lower().removeprefix(".") not in formats:
        raise ValueError(f"save={str(save)!r} has no ending of a picture; use one of {', '.join(sorted(formats))}.")
    if not Path(save).parent.is_dir():
        raise FileNotFoundError(f"save={str(save)!r} is in a folder that is not there; make it first.")


def axes_figure(ax: Axes) -> Figure:
    """The whole figure that holds an axes, also one in a subfigure."""
    figure: Any = ax.get_figure()
    while getattr(figure, "figure", figure) is not figure:
        figure = figure.figure
    return figure


def finish(figure: Figure, show: bool | None, save: str | os.PathLike[str] | None) -> Figure:
    """Save and show a figure as asked; pyplot lets go of one that was saved and is not to be shown."""
    import matplotlib.pyplot as plt

    if save is not None:
        figure.savefig(save, dpi=DPI, bbox_inches="tight")
    if show:
        plt.show()
    elif save is not None or show is False:
        plt.close(figure)
    return figure


def _formats() -> set[str]:
    """Endings of the files that matplotlib writes."""
    from matplotlib.backend_bases import FigureCanvasBase

    return set(FigureCanvasBase.get_supported_filetypes())
