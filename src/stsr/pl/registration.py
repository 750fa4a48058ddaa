"""How the counts lie on the image."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np

from stsr.options import Number
from stsr.pl._cells import colour_bar
from stsr.pl._frame import Frame
from stsr.pl._output import check_output, finish
from stsr.pl._picture import draw_image, draw_scale_bar, fade, read_image
from stsr.pl.figure import figure_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from spatialdata import SpatialData

    from stsr.pp.registration import Registration

ARROW = 0.07
"""Length of the longest arrow, as a share of the section's longer side."""

NEAR = 500.0
"""µm that are shown of a section at least."""


def registration(
    sdata: SpatialData,
    check: Registration,
    *,
    size: float = 5.0,
    show: bool | None = None,
    save: str | os.PathLike[str] | None = None,
) -> Figure:
    """Draw what :func:`stsr.pp.register_check` has found.

    On the left, the section's blocks with arrows that say where the counts have to go to fit the image: in black the one
    fit for all, in red what each block says on its own, and a ring where it has no clear answer. Arrows are drawn longer
    than they are; the one in the corner is a spot's radius. On the right, the correlation of all blocks when they are
    moved together: a single peak in the middle, within the circle of a spot's radius, is what a good section has.

    Parameters
    ----------
    sdata
        The section.
    check
        The result of :func:`stsr.pp.register_check` on it.
    size
        Longer side of a panel in inches.

    show
        Show the figure at once, as ``plt.show()`` does; False keeps it from pyplot. When None, it is pyplot's current
        figure, for ``plt.show()`` or ``plt.savefig``; in a notebook it is shown as the result.
    save
        File to write the picture to, such as ``"map.png"``; pyplot then lets go of the figure.

    Returns
    -------
    The figure.

    Examples
    --------
    >>> import stsr
    >>> sdata = stsr.datasets.synthetic_section(size=(1200, 1200), seed=0)
    >>> check = stsr.pp.register_check(sdata, table="truth_008um", window=600)
    >>> stsr.pl.registration(sdata, check).savefig("registration.png")
    """
    check_output(show, save)
    size = Number(0.1, 100)("size", size)
    frame = _frame(check)
    scale = size / max(frame.width, frame.height)
    height = max(frame.height * scale, 0.7 * size)
    figure, axes = figure_of(1, 2, width=frame.width * scale + height + 1.2, height=height + 0.6)
    section, surface = axes[0]
    draw_image(section, fade(read_image(sdata, frame)), frame)
    _draw_arrows(section, check, frame)
    draw_scale_bar(section, frame)
    section.set_title(_verdict(check), fontsize="small", loc="left")
    _draw_surface(surface, check)
    return finish(figure, show, save)


def _frame(check: Registration) -> Frame:
    """The blocks, and about half a block and an arrow around them."""
    xy = check.blocks[["x", "y"]].to_numpy()
    extent = np.maximum(np.ptp(xy, axis=0), NEAR)
    margin = 0.5 * np.sqrt(extent.prod() / len(xy)) + ARROW * extent.max()
    (left, top), (right, bottom) = xy.min(axis=0) - margin, xy.max(axis=0) + margin
    return Frame(left, top, right, bottom)


def _draw_arrows(axes: Axes, check: Registration, frame: Frame) -> None:
    blocks = check.blocks
    xy, own, clear = blocks[["x", "y"]].to_numpy(), blocks[["dx", "dy"]].to_numpy(), blocks["clear"].to_numpy()
    times = ARROW * max(frame.width, frame.height) / max(check.largest_um, check.radius_um)
    options: dict[str, Any] = {
        "angles": "xy",
        "scale_units": "xy",
        "scale": 1 / times,
        "units": "inches",
        "width": 0.02,
        "zorder": 3,
    }
    axes.quiver(*xy[clear].T, *own[clear].T, color="tab:red", **options)
    fitted = axes.quiver(*xy.T, *check.displacement(xy).T, color="black", **options)
    axes.plot(*xy[~clear].T, "o", mfc="none", mec="0.4", ms=5, zorder=3)
    axes.quiverkey(
        fitted,
        0.8,
        0.04,
        check.radius_um,
        f"{check.radius_um:.3g} µm",
        labelpos="N",
        fontproperties={"size": "x-small"},
    )
    frame.fit(axes)


def _draw_surface(axes: Axes, check: Registration) -> None:
    from matplotlib.patches import Circle

    half = (len(check.surface) // 2 + 0.5) * check.step_um
    limit = float(np.abs(check.surface).max())
    painted = axes.imshow(
        check.surface,
        extent=(-half, half, half, -half),
        cmap="RdBu_r",
        vmin=-limit,
        vmax=limit,
        interpolation="bilinear",
    )
    axes.add_patch(Circle((0, 0), check.radius_um, fill=False, color="black", lw=0.8))
    axes.plot(*check.shift_um, marker="x", color="black", ms=7, mew=1.5)
    axes.set_xlabel("counts moved in x, µm", fontsize="small")
    axes.set_ylabel("in y, µm", fontsize="small")
    axes.tick_params(labelsize="x-small")
    axes.set_title("correlation of all blocks", fontsize="small", loc="left")
    colour_bar(painted, [axes], "log counts with haematoxylin")


def _verdict(check: Registration) -> str:
    x, y = check.shift_um
    found = f"shift ({x:.1f}, {y:.1f}) µm, rotation {check.rotation:.2f}°, scale {check.scale:.4f}\n"
    if not check.reliable:
        return found + f"not reliable: {check.blocks['clear'].sum()} of {len(check.blocks)} blocks are clear"
    fits = "fits" if check.largest_um <= check.radius_um else "does not fit"
    return found + f"{fits}: off by up to {check.largest_um:.1f} ± {check.error_um:.1f} µm"
