"""The H&E under a map, faded where cells are drawn over it, and a scale bar."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from stsr.constants import IMAGE
from stsr.pl._frame import Frame
from stsr.spatial import read_raster, record

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from spatialdata import SpatialData


IMAGE_PIXELS = 1000
"""Pixels on the longer side of the image under a panel: what a panel of 5 inches shows at 200 dpi."""

FADED = 0.3
"""Darkness that is left of the image where it lies under colours."""


def read_image(sdata: SpatialData, frame: Frame) -> NDArray[np.uint8]:
    """(height, width, 3) pixels of the H&E in the frame, as fine as a panel can show."""
    facts = record(sdata)
    raster = read_raster(sdata, IMAGE if IMAGE in sdata.images else facts.image)
    mpp = max(max(frame.width, frame.height) / IMAGE_PIXELS, raster.mpp)
    height, width = max(1, round(frame.height / mpp)), max(1, round(frame.width / mpp))
    affine = np.array([[frame.width / width, 0, frame.x0], [0, frame.height / height, frame.y0], [0, 0, 1]])
    return raster.read(affine, (height, width))


def fade(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The image in a light grey that colours stand out from."""
    grey = pixels @ np.array([0.299, 0.587, 0.114])
    return np.repeat((255 - FADED * (255 - grey))[..., None], 3, axis=-1).astype(np.uint8)


def draw_image(axes: Axes, pixels: NDArray[np.uint8], frame: Frame) -> None:
    """Lay the image of the frame under a panel."""
    axes.imshow(pixels, extent=(frame.x0, frame.x1, frame.y1, frame.y0), zorder=0)
    frame.fit(axes)


def draw_scale_bar(axes: Axes, frame: Frame) -> None:
    """A bar of a round number of µm, about a fifth of the panel, in its lower left corner."""
    from matplotlib.patheffects import withStroke

    length = round_length(frame.width / 5)
    x, y = frame.x0 + 0.03 * frame.width, frame.y1 - 0.03 * frame.height
    halo = [withStroke(linewidth=4, foreground="white", alpha=0.8)]
    axes.plot([x, x + length], [y, y], color="black", lw=2, solid_capstyle="butt", path_effects=halo, gid="scale bar")
    text = f"{length / 1000:g} mm" if length >= 1000 else f"{length:g} µm"
    axes.annotate(
        text,
        (x + length / 2, y),
        xytext=(0, 3),
        textcoords="offset points",
        ha="center",
        va="bottom",
        fontsize="x-small",
        path_effects=halo,
    )


def round_length(length: float) -> float:
    """The largest of 1, 2, 5, 10, 20, 50, ... that is not above ``length``."""
    power = 10.0 ** np.floor(np.log10(length))
    return float(max(step for step in (1, 2, 5) if step * power <= length * (1 + 1e-9)) * power)
