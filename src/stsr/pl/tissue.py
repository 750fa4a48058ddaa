"""Where the tissue is taken to lie."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from stsr.constants import TISSUE
from stsr.geometry import Aperture, Disc
from stsr.options import Items, Number
from stsr.pl._frame import Frame, panels
from stsr.pl._output import check_output, finish
from stsr.pl._picture import IMAGE_PIXELS, draw_image, draw_scale_bar, read_image
from stsr.spatial import read_raster, record, spot_aperture, spot_positions, spots_record, spots_table
from stsr.spatial.area import Area, TissueLike, given_area

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from spatialdata import SpatialData

EDGE, ON, OFF = "#00c000", "#2040ff", "#ff0000"
"""Colours of the mask's edge, of spots on tissue and of spots off it."""

MOST_SPOTS = 20_000
"""Spots above which only those off tissue are drawn: bins are too many and too small to see."""


def tissue(
    sdata: SpatialData,
    *,
    tissue: TissueLike = TISSUE,
    crop: Sequence[float] | None = None,
    size: float = 6.0,
    show: bool | None = None,
    save: str | os.PathLike[str] | None = None,
) -> Figure:
    """Draw the tissue mask over the image: its edge in green, spots on it in blue, spots off it in red.

    Look at it when :func:`stsr.pp.calibrate_image` warns that the mask may be wrong, or before you pass a mask of your
    own to it.

    Parameters
    ----------
    sdata
        A section read by stsr.
    tissue
        The mask, in any form that :func:`stsr.pp.calibrate_image` takes.
    crop
        Part to draw: left, top, right and bottom in µm of the full-resolution image; the whole image when None.
    size
        Longer side in inches.
    show
        Show the figure at once, as ``plt.show()`` does; False keeps it from pyplot. When None, it is pyplot's current
        figure, for ``plt.show()`` or ``plt.savefig``; in a notebook it is shown as the result.
    save
        File to write the picture to, such as ``"tissue.png"``; pyplot then lets go of the figure.

    Returns
    -------
    The figure. Its title says how much of the image is tissue, and how many spots lie off it by their centres.

    Raises
    ------
    KeyError
        When ``tissue`` is not in ``sdata``; the message lists what is.
    ValueError
        When ``tissue`` is no mask, ``crop`` shows nothing of the image, or ``save`` has no ending of a picture.

    Examples
    --------
    >>> import stsr
    >>> sdata = stsr.datasets.synthetic_section(size=(600, 600), seed=0)
    >>> stsr.pp.calibrate_image(sdata)
    'he'
    >>> stsr.pl.tissue(sdata).savefig("tissue.png")
    """
    check_output(show, save)
    size = Number(0.1, 100)("size", size)
    area = given_area(sdata, tissue)
    frame = _frame(sdata, crop)
    figure, axes = panels(frame, 1, 1, size)
    panel = axes[0, 0]
    draw_image(panel, read_image(sdata, frame), frame)
    share = _draw_edge(panel, area, frame)
    title = f"tissue: {100 * share:.0f} % of the {'image' if crop is None else 'part shown'}"
    facts = record(sdata)
    if facts.table in sdata.tables:
        xy = spot_positions(sdata, spots_table(sdata), spots_record(sdata))
        aperture = spot_aperture(sdata, spots_record(sdata))
        on = area.inside(xy)
        if len(xy) <= MOST_SPOTS:
            _draw_spots(panel, xy[on], aperture, ON)
        _draw_spots(panel, xy[~on], aperture, OFF)
        title += f"; {len(xy)} spots, {int((~on).sum())} off it ({(~on).mean():.1%})"
    draw_scale_bar(panel, frame)
    panel.set_title(title, fontsize="small", loc="left")
    return finish(figure, show, save)


def _frame(sdata: SpatialData, crop: Sequence[float] | None) -> Frame:
    """The part asked for, or the whole image."""
    pixels, to_um = read_raster(sdata, record(sdata).image).levels[0]
    corners = np.array([(x, y, 1) for x in (0, pixels.shape[2]) for y in (0, pixels.shape[1])]) @ to_um.T
    (left, top), (right, bottom) = corners[:, :2].min(axis=0), corners[:, :2].max(axis=0)
    if crop is None:
        return Frame(left, top, right, bottom)
    crop = Items(Number(), least=4, most=4)("crop", crop)
    if not (crop[0] < crop[2] and crop[1] < crop[3]):
        raise ValueError(f"crop={tuple(crop)} must be left, top, right and bottom in µm, the smaller first each way.")
    if crop[0] >= right or crop[2] <= left or crop[1] >= bottom or crop[3] <= top:
        raise ValueError(
            f"crop={tuple(crop)} shows nothing of the image, which reaches from {left:.0f} to {right:.0f} µm across and "
            f"from {top:.0f} to {bottom:.0f} µm down."
        )
    return Frame(*map(float, crop))


def _draw_edge(axes: Axes, area: Area, frame: Frame) -> float:
    """Trace the mask; returns the share of the frame that lies in it."""
    step = max(frame.width, frame.height) / IMAGE_PIXELS
    # a ring beyond the frame, so that tissue cut by the frame is traced along it
    x = np.arange(frame.x0 + step / 2, frame.x1, step)
    y = np.arange(frame.y0 + step / 2, frame.y1, step)
    points = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
    inside = area.inside(points).reshape(len(y), len(x))
    ring = np.pad(inside, 1).astype(np.float32)
    x, y = (np.concatenate([[line[0] - step], line, [line[-1] + step]]) for line in (x, y))
    if inside.any():
        axes.contour(x, y, ring, levels=[0.5], colors=EDGE, linewidths=1.2, zorder=3)
    frame.fit(axes)
    return float(inside.mean())


def _draw_spots(axes: Axes, xy: NDArray[np.float64], aperture: Aperture, colour: str) -> None:
    """Outline spots of their true size."""
    from matplotlib.collections import EllipseCollection, PolyCollection

    discs: EllipseCollection | PolyCollection
    if isinstance(aperture, Disc):
        width = np.full(len(xy), aperture.diameter)
        discs = EllipseCollection(
            width, width, np.zeros_like(width), units="xy", offsets=xy, offset_transform=axes.transData, zorder=2
        )
    else:
        discs = PolyCollection(list(xy[:, None] + aperture.corners), zorder=2)
    discs.set(facecolor="none", edgecolor=colour, linewidth=0.6)
    axes.add_collection(discs, autolim=False)
