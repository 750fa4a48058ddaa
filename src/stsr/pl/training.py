"""Loss curves."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np

from stsr.constants import ATTRS
from stsr.pl._output import axes_figure, check_output, finish
from stsr.pl._results import choose_table
from stsr.pl.figure import figure_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = {"train": "tab:gray", "held_out": "tab:red"}
LABELS = {"train": "training spots", "held_out": "held-out spots"}


def training(
    source: Any,
    *,
    table: str | None = None,
    ax: Axes | None = None,
    show: bool | None = None,
    save: str | os.PathLike[str] | None = None,
) -> Figure:
    """Draw the losses of a training by epoch, and mark the lowest held-out loss.

    Networks that stop early keep the weights of that epoch. Those of a fixed length keep the last: in ``cross_attention``
    the networks that read only the image, from 1,000 spots on.

    Held-out losses that still fall at the end say that more epochs would help; a wide gap to the training losses says
    that the method has overfit the spots.

    Parameters
    ----------
    source
        A fitted model, or a SpatialData object with a super-resolved table.
    table
        Name of the table; may be left out when there is one result.
    ax
        Draw here instead of in a figure of its own.

    show
        Show the figure at once, as ``plt.show()`` does; False keeps it from pyplot. When None, it is pyplot's current
        figure, for ``plt.show()`` or ``plt.savefig``; in a notebook it is shown as the result.
    save
        File to write the picture to, such as ``"map.png"``; pyplot then lets go of the figure.

    Returns
    -------
    The figure. A method that trains several networks has a pair of curves for each.

    Raises
    ------
    KeyError
        When ``table`` is not there; the message lists what is.
    ValueError
        When ``table`` is left out but there is not exactly one result, or when the method has no training to show:
        interpolations and regressions are solved in one go.

    Examples
    --------
    >>> import stsr
    >>> sdata = stsr.datasets.synthetic_section(size=(600, 600), seed=0)
    >>> options = {"steps": 8}
    >>> model = stsr.tl.fit_super_resolution(sdata, genes=["PODO1"], options=options, progress=False)
    >>> figure = stsr.pl.training(model)
    >>> figure.savefig("training.png")
    """
    check_output(show, save, ax)
    if hasattr(source, "history"):
        name, history = f"model {source.name!r}", source.history
    else:
        key = choose_table(source, table)
        name, history = f"table {key!r}", source.tables[key].uns.get(ATTRS, {}).get("history", {})
    if not history:
        raise ValueError(f"{name} keeps no losses; methods that are solved in one go have none.")

    if ax is None:
        figure, [[axes]] = figure_of(1, 1, width=5, height=3.5)
    else:
        figure, axes = axes_figure(ax), ax
    networks = sum(curve.startswith("held_out") for curve in history)
    for curve, losses in history.items():
        kind = curve.split()[0]  # "held_out 2" is that of the second network
        epochs = np.arange(1, len(losses) + 1)
        (line,) = axes.plot(epochs, losses, color=COLOURS[kind], lw=1.2, alpha=max(0.4, 1 / max(1, networks)))
        if curve in COLOURS:
            line.set_label(LABELS[kind])
        if kind == "held_out":
            if not np.isfinite(losses).any():
                continue
            best = int(np.nanargmin(losses))
            axes.plot(epochs[best], losses[best], "o", color=COLOURS[kind], ms=5)
            if networks == 1:
                axes.axvline(epochs[best], color=COLOURS[kind], lw=0.8, ls=":", label=f"lowest: epoch {epochs[best]}")
    axes.set(xlabel="epoch", ylabel="loss")
    axes.spines[["top", "right"]].set_visible(False)
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.legend(frameon=False, fontsize="small")
    return finish(figure, show, save)
